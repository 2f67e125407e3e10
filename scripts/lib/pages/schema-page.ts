// A reference page of a YAML file, from its JSON Schema.
import type { SchemaNode } from "../../../packages/gateway/src/config/json-schema.ts";
import { code, table } from "./markdown.ts";

/** One key of a file. */
export interface KeyRow {
  /** As `pools.<name>.endpoints` or `listen[].port`. */
  readonly key: string;
  readonly expected: string;
  /** Empty: none. */
  readonly fallback: string;
  readonly meaning: string;
  /** Which of several mappings has the key; absent where there is one. */
  readonly variant?: string;
}

/** Every key below the top, in the order of the schema. */
export function keysOf(schema: SchemaNode): KeyRow[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, node]) =>
    rowsOf(key, node, schema.required?.includes(key) === true),
  );
}

/** A table of the keys that stand alone, and a section for each key with others in it. */
export function schemaSections(schema: SchemaNode): string {
  const tops = Object.entries(schema.properties ?? {}).map(([name, node]) => {
    return { name, node, rows: rowsOf(name, node, schema.required?.includes(name) === true) };
  });
  const alone = tops.flatMap(({ rows }) => (rows.length === 1 ? rows : []));
  const sections = tops.filter(({ rows }) => rows.length > 1);
  return [
    ...(alone.length === 0 ? [] : [keyTable(alone)]),
    ...sections.map(({ name, node, rows: [top, ...rest] }) => {
      const expected = top?.expected === "a mapping" ? "" : ` Expected: ${top?.expected}.`;
      const fallback = top?.fallback === "" ? "" : ` Default: ${top?.fallback}.`;
      return `## ${code(name)}\n\n${node.description ?? ""}.${expected}${fallback}\n\n${keyTables(rest)}`;
    }),
  ].join("\n");
}

/** A table, or where there is a choice of mappings one for each. */
function keyTables(rows: readonly KeyRow[]): string {
  const variants = [...Map.groupBy(rows, ({ variant = "" }) => variant)];
  return variants
    .map(([variant, those]) => `${variant === "" ? "" : `With ${variant}:\n\n`}${keyTable(those)}`)
    .join("\n");
}

function keyTable(rows: readonly KeyRow[]): string {
  const cells = rows.map(({ key, expected, fallback, meaning }) => [code(key), expected, fallback, meaning]);
  return table(["Key", "Expected", "Default", "Meaning"], cells);
}

function rowsOf(key: string, node: SchemaNode, required: boolean): KeyRow[] {
  const row = {
    key,
    expected: expectedOf(node),
    fallback: required ? "none: it has to be given" : fallbackOf(node),
    meaning: node.description ?? "",
  };
  return [row, ...below(key, node)];
}

/** Rows of what lies in a mapping, a list of mappings, or a mapping with names of the writer's choice. */
function below(key: string, node: SchemaNode): KeyRow[] {
  if (isPlugin(node)) return [];
  const mappings = (node.anyOf ?? [node]).filter((each) => each.type === "object");
  if (mappings.length > 1) {
    return mappings.flatMap((each) => below(key, each).map((row) => ({ ...row, variant: variantOf(each) })));
  }
  const [mapping] = mappings;
  if (mapping?.properties !== undefined) {
    return Object.entries(mapping.properties).flatMap(([name, child]) =>
      rowsOf(`${key}.${name}`, child, mapping.required?.includes(name) === true),
    );
  }
  const named = mapping?.additionalProperties;
  if (typeof named === "object") return below(`${key}.<name>`, named);
  return isNode(node.items) ? below(`${key}[]`, node.items) : [];
}

/** What a plugin is given as is said once for the page, not at every place that takes one. */
function isPlugin({ patternErrorMessage = "" }: SchemaNode): boolean {
  return patternErrorMessage.includes("the type of a plugin, or a mapping");
}

/** The key whose words tell the mappings of a choice apart: the first that takes only some words. */
function variantOf(mapping: SchemaNode): string {
  const [tag, node] =
    Object.entries(mapping.properties ?? {}).find(([, child]) => child.enum !== undefined) ?? [];
  return tag === undefined || node === undefined ? "" : `${code(tag)} ${expectedOf(node)}`;
}

function isNode(items: SchemaNode["items"]): items is SchemaNode {
  return items !== undefined && !Array.isArray(items);
}

function expectedOf(node: SchemaNode): string {
  const said = node.patternErrorMessage?.replace(/^expected /, "");
  if (said !== undefined) return said;
  if (node.anyOf !== undefined) return node.anyOf.map(expectedOf).join(" or ");
  if (node.enum !== undefined) return node.enum.map((value) => code(String(value))).join(", ");
  if (node.const !== undefined) return code(JSON.stringify(node.const));
  if (node.type === "array") return listOf(node);
  if (node.type === "object") return mappingOf(node);
  if (node.type === "number" || node.type === "integer") return numberOf(node);
  const types = typeof node.type === "string" ? [node.type] : (node.type ?? []);
  return types.map((type) => typeNames[type] ?? type).join(" or ");
}

const typeNames: Readonly<Record<string, string>> = {
  string: "a text",
  boolean: "true or false",
  number: "a number",
};

function listOf({ items, minItems = 0, maxItems }: SchemaNode): string {
  if (!isNode(items)) return `a list of ${items?.length ?? 0}: ${items?.map(expectedOf).join(", ") ?? ""}`;
  const most =
    maxItems === undefined ? "" : minItems > 0 ? ` of ${minItems} to ${maxItems}` : ` of at most ${maxItems}`;
  return `a list${most}, each ${expectedOf(items)}`;
}

function mappingOf({ propertyNames, additionalProperties }: SchemaNode): string {
  if (typeof additionalProperties !== "object") return "a mapping";
  const names = propertyNames?.enum === undefined ? "names" : expectedOf(propertyNames);
  const values = additionalProperties.type === "object" ? "a mapping" : expectedOf(additionalProperties);
  return `a mapping of ${names} to ${values}`;
}

function numberOf({ type, minimum, maximum }: SchemaNode): string {
  const kind = type === "integer" ? "a whole number" : "a number";
  const isMax = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER;
  if (minimum === undefined || minimum <= Number.MIN_SAFE_INTEGER) return kind;
  return isMax ? `${kind} from ${minimum} to ${maximum}` : `${kind} of at least ${minimum}`;
}

/** The default as YAML would have it; a mapping's are those of its keys. */
function fallbackOf({ default: value }: SchemaNode): string {
  if (value === undefined) return "";
  if (Array.isArray(value) && value.length === 1 && JSON.stringify(value[0]) === "{}") return "one";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text === "{}" ? "" : code(text);
}
