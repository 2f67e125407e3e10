// The files that are made from the sources: reference pages, JSON Schemas, the layer table.
import { readFileSync } from "node:fs";
import path from "node:path";
import * as z from "zod";
import { modelConfigSchema } from "@spillway/worker/repository";
import { configJsonSchema } from "../../packages/gateway/src/config/json-schema.ts";
import type { SchemaNode } from "../../packages/gateway/src/config/json-schema.ts";
import { fillLayers } from "./layers.ts";
import { cliPage } from "./pages/cli-page.ts";
import { configurationPage, modelPage } from "./pages/configuration-page.ts";
import { dialectsPage } from "./pages/dialects-page.ts";
import { errorsPage } from "./pages/errors-page.ts";
import { metricsPage } from "./pages/metrics-page.ts";
import { pluginsPage } from "./pages/plugins-page.ts";
import { root } from "./paths.ts";

/** The JSON Schema of what people write in `model.yaml`. */
export function modelJsonSchema(): SchemaNode {
  return z.toJSONSchema(modelConfigSchema, { io: "input", target: "draft-7" }) as SchemaNode;
}

/** Text by path below the repository. */
export function generatedFiles(): ReadonlyMap<string, string> {
  const config = configJsonSchema();
  const model = modelJsonSchema();
  const architecture = readFileSync(path.join(root, "ARCHITECTURE.md"), "utf8");
  return new Map([
    ["config/spillway.schema.json", schemaFile(config, "Spillway's configuration, spillway.yaml")],
    ["config/model.schema.json", schemaFile(model, "How Spillway serves a model, model.yaml")],
    ["docs/reference/configuration.md", configurationPage(config)],
    ["docs/reference/model-yaml.md", modelPage(model)],
    ["docs/reference/dialects.md", dialectsPage()],
    ["docs/reference/errors.md", errorsPage()],
    ["docs/reference/cli.md", cliPage()],
    ["docs/reference/metrics.md", metricsPage()],
    ["docs/reference/plugins.md", pluginsPage()],
    ["ARCHITECTURE.md", fillLayers(architecture)],
  ]);
}

function schemaFile(schema: SchemaNode, title: string): string {
  const { $schema, ...rest } = schema as SchemaNode & { readonly $schema?: string };
  return `${JSON.stringify({ $schema, title, ...rest }, undefined, 2)}\n`;
}

/** Whether a file says the same: tables are compared without the spaces and dashes that formatting adds. */
export function isSame(written: string, generated: string): boolean {
  return bare(written) === bare(generated);
}

function bare(text: string): string {
  return text
    .replace(/ *\| */g, "|")
    .replace(/-{2,}/g, "--")
    .trim();
}
