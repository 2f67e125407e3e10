// docs/reference/configuration.md and docs/reference/model-yaml.md.
import type { SchemaNode } from "../../../packages/gateway/src/config/json-schema.ts";
import { banner } from "./markdown.ts";
import { schemaSections } from "./schema-page.ts";

/** The page of `spillway.yaml`. */
export function configurationPage(schema: SchemaNode): string {
  return `${banner}# spillway.yaml

\`spillway serve --config spillway.yaml\`; without \`--config\`, \`./spillway.yaml\` where there is one. No file is needed:
every key has a default. An unknown key, a key given twice and a value out of range are errors, all told at once with
their line; \`spillway check\` tells them without starting anything. [config/examples](../../config/examples) has whole
files. [config/spillway.schema.json](../../config/spillway.schema.json) is this page for editors: those with a YAML
language server complete and check a file whose first line is \`# yaml-language-server: $schema=PATH-OR-URL\`.

- **Durations** have a unit: \`500ms\`, \`10s\`, \`2m\`, \`1h\`, \`1d\`. So have **sizes**: \`64MiB\` is 64 × 2^20 bytes, \`64MB\`
  64 × 10^6.
- **Paths** start from the folder of the file.
- **\`\${NAME}\`** in a value is what the environment variable \`NAME\` says; one that is not set is an error. \`$\${\` stands for
  \`\${\` itself.
- **Plugins** are given by their type, whose usual ending may be left out (\`queue\` for \`queue-scorer\`), or as a mapping:
  \`type\`; \`parameters\`, what it is told; \`name\`, where there are several of one type; and \`weight\` of a scorer, 1
  where nothing is said. A name that stands twice is one plugin.

${schemaSections(schema)}`;
}

/** The page of `model.yaml`. */
export function modelPage(schema: SchemaNode): string {
  return `${banner}# model.yaml

\`<repository>/<model>/model.yaml\` says how a model is served. It is optional: a folder with \`1/model.onnx\` in it is
served as it is. A version's own folder may hold another \`model.yaml\`, whose keys go before those of the model.
[config/model.schema.json](../../config/model.schema.json) is this page for editors.

${schemaSections(schema)}`;
}
