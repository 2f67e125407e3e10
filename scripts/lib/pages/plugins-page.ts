// docs/reference/plugins.md.
import * as z from "zod";
import type { SchemaNode } from "../../../packages/gateway/src/config/json-schema.ts";
import {
  pluginKinds,
  type PluginDefinition,
  type PluginKind,
} from "../../../packages/gateway/src/contracts/plugins/plugin.ts";
import { builtInPlugins } from "../../../packages/gateway/src/plugins/index.ts";
import { banner, code, table } from "./markdown.ts";
import { keysOf } from "./schema-page.ts";

const headings: Readonly<Record<PluginKind, string>> = {
  filter: "Filters",
  scorer: "Scorers",
  picker: "Pickers",
  "profile-handler": "Profile handlers",
  producer: "Producers",
  admitter: "Admitters",
  fairness: "Fairness policies",
  ordering: "Ordering policies",
  saturation: "Saturation signals",
  "usage-limit": "Usage limit policies",
  eviction: "Eviction policies",
  rule: "Routing rules",
  source: "Data sources",
  extractor: "Extractors",
  discovery: "Endpoint discoveries",
  parser: "Parsers",
};

const meanings: Readonly<Record<PluginKind, string>> = {
  filter: "Take endpoints out of the running.",
  scorer: "Say how good each endpoint is for the request, 0 to 1; a profile weighs and adds them.",
  picker: "Choose by the sums.",
  "profile-handler": "Say which profiles run, and which of them counts.",
  producer: "Work out what filters and scorers read; made by themselves where something reads it.",
  admitter: "Refuse requests before they are scheduled.",
  fairness: "Say which tenant of a priority goes next.",
  ordering: "Say which of a tenant's requests goes first.",
  saturation: "Say how full the servers are.",
  "usage-limit": "Say up to which saturation each priority is given places.",
  eviction: "Say which requests under way may be called off, and in which order.",
  rule: "What requests pass before they are routed; [the guide](../guides/routing-rules.md) has examples.",
  source: "Where metrics are read.",
  extractor: "What is read of them.",
  discovery: "Where endpoints come from.",
  parser: "What requests look like, in `EndpointPickerConfig` files.",
};

/** The page of all plugins that are built in. */
export function pluginsPage(): string {
  const sections = pluginKinds.flatMap((kind) => {
    // A plugin of several kinds is told once, with the first.
    const those = builtInPlugins.filter(({ kinds }) => kinds[0] === kind);
    if (those.length === 0) return [];
    return [`## ${headings[kind]}\n\n${meanings[kind]}\n\n${those.map(section).join("\n")}`];
  });
  return `${banner}# Plugins

What \`scheduling\`, \`flow\`, \`discovery\` and \`rules\` of [spillway.yaml](configuration.md) and the \`plugins\` of an
\`EndpointPickerConfig\` can name. Types and parameters are those of the llm-d router where it has the plugin.
[A scorer of your own](../guides/custom-scorer.md) is written, tested and configured in one page.

${sections.join("\n")}`;
}

function section(definition: PluginDefinition): string {
  const { type, kinds, summary, aliases = [] } = definition;
  const [, ...more] = kinds;
  const facts = [
    ...(more.length > 0 ? [`Also ${more.map((kind) => `a ${words[kind] ?? kind}`).join(" and ")}.`] : []),
    ...(aliases.length > 0 ? [`Older name: ${aliases.map(code).join(", ")}.`] : []),
    ...needsOf(definition),
  ];
  const text = [summary.replace(/\.?$/, "."), ...facts].join(" ");
  const rows = parametersOf(definition);
  return `### ${code(type)}\n\n${text}\n${rows === "" ? "" : `\n${rows}`}`;
}

const words: Readonly<Partial<Record<PluginKind, string>>> = { "profile-handler": "profile handler" };

/** What it reads and produces, as far as that does not depend on its parameters. */
function needsOf({ needs }: PluginDefinition): string[] {
  const { reads = [], produces = [], signals = [], prompt } = needs ?? {};
  const names = (keys: readonly { readonly name: string }[]): string =>
    keys.map(({ name }) => code(name)).join(", ");
  return [
    ...(produces.length > 0 ? [`Produces ${names(produces)}.`] : []),
    ...(reads.length > 0 ? [`Reads ${names(reads)}.`] : []),
    ...(signals.length > 0 ? [`Reads of the servers' metrics: ${signals.join(", ")}.`] : []),
    ...(prompt === true ? ["Reads the prompt."] : []),
  ];
}

function parametersOf({ parameters }: PluginDefinition): string {
  const schema = z.toJSONSchema(parameters, {
    io: "input",
    target: "draft-7",
    unrepresentable: "any",
  }) as SchemaNode;
  const rows = keysOf(schema).map(({ key, expected, fallback, meaning }) => [
    code(key),
    expected,
    fallback,
    meaning,
  ]);
  return rows.length === 0 ? "" : table(["Parameter", "Expected", "Default", "Meaning"], rows);
}
