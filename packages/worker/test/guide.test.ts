/** The guide to model.yaml names every key, with its default, and its examples are valid. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as z from "zod";
import { defaultModelConfig, modelConfigSchema, readModelConfig } from "../src/repository/index.ts";

const guide = readFileSync(new URL("../../../docs/guides/model-yaml.md", import.meta.url), "utf8");

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly description?: string;
}

/** Every key below a schema with its path. */
function keysOf(
  schema: JsonSchema,
  prefix: readonly string[] = [],
): { path: string[]; schema: JsonSchema }[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, child]) => {
    const path = [...prefix, key];
    return [{ path, schema: child }, ...keysOf(child, path)];
  });
}

const keys = keysOf(z.toJSONSchema(modelConfigSchema, { io: "input" }) as JsonSchema);

test("every key of the schema is in the guide and described", () => {
  assert.ok(keys.length > 40);
  for (const { path, schema } of keys) {
    const name = path.at(-1) ?? "";
    const whole = path.join(".");
    const written = [`${whole}\``, `${whole}.`, `\`${name}\``, `${name}:`].some((text) =>
      guide.includes(text),
    );
    assert.ok(written, `${path.join(".")} is not in the guide`);
    assert.ok(schema.description, `${path.join(".")} has no description`);
  }
});

test("every key in the guide's tables is in the schema", () => {
  const known = new Set(keys.flatMap(({ path }) => [path.join("."), path.at(-1)]));
  for (const [, cell = ""] of guide.matchAll(/^\| (`[^|]+`)\s*\|/gm))
    for (const [, key] of cell.matchAll(/`([^`]+)`/g))
      assert.ok(known.has(key), `${key} is not in the schema`);
});

test("every example is valid", () => {
  const examples = [...guide.matchAll(/```yaml\n(.*?)```/gs)].map(([, text = ""]) => text);
  assert.ok(examples.length >= 9);
  for (const text of examples) assert.ok("config" in readModelConfig({ file: "example", text }), text);
});

test("defaults in the guide are those of the schema", () => {
  const config = defaultModelConfig();
  const rows = [...guide.matchAll(/^\| `([a-z]+)\.([A-Za-z]+)`\s*\|.*\|\s*([^|]+?)\s*\|$/gm)];
  let compared = 0;
  for (const [, section = "", key = "", shown = ""] of rows) {
    const value = (config[section as keyof typeof config] as Record<string, unknown>)[key];
    if (value === undefined || (Array.isArray(value) && value.length === 0)) continue;
    const plain = shown.replaceAll("`", "").replaceAll(/(\d),(?=\d{3})/g, "$1");
    assert.equal(
      plain.replaceAll(" ", ""),
      typeof value === "string" ? value : JSON.stringify(value),
      `${section}.${key}`,
    );
    compared++;
  }
  assert.ok(compared >= 20, `${compared}`);
});
