/** Turns a JSON schema into the part of it that grammars are made of. */
import type { Json, JsonObject } from "./port.ts";
import { Refusal } from "./refusal.ts";

/** Deeper schemas are refused. */
const maxDepth = 64;
/** Schemas of more nodes are refused. */
const maxNodes = 5_000;
/** Repetitions that a grammar may count. */
const maxRepetitions = 2_000;

const definitions = ["$defs", "definitions"] as const;
const reference = /^#\/(?:\$defs|definitions)\/([^/]+)$/;
const refused = [
  "allOf",
  "not",
  "if",
  "then",
  "else",
  "patternProperties",
  "dependentSchemas",
  "propertyNames",
];
const counted = ["minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"];
const formats: readonly Json[] = ["date-time", "time", "date"];

/**
 * A schema of `type`, `properties`, `additionalProperties`, `items`, `prefixItems`, `enum`, `const`, `oneOf`, `$ref`,
 * counts and formats of dates. Every property of `properties` is written, whether required or not. `anyOf` becomes
 * `oneOf`; bounds of numbers, `pattern` and other formats are left out: a grammar cannot hold them. Throws a
 * `Refusal` for what would be lost otherwise.
 */
export function toGrammarSchema(schema: Json, field: string): JsonObject {
  const state = { nodes: 0, field };
  return convert(schema, state, 0);
}

interface State {
  nodes: number;
  readonly field: string;
}

function convert(schema: Json, state: State, depth: number): JsonObject {
  if (schema === true) return anything;
  if (!isObject(schema)) throw wrong(state, "expected an object where a schema belongs");
  if (depth > maxDepth || ++state.nodes > maxNodes) throw wrong(state, "the schema is too deep or too large");
  const unknown = refused.find((keyword) => Object.hasOwn(schema, keyword));
  if (unknown !== undefined) throw wrong(state, `the keyword ${unknown} is not supported`);
  const defs = definitionsOf(schema, state, depth);
  const inner = (child: Json): JsonObject => convert(child, state, depth + 1);
  return { ...body(schema, state, inner), ...(defs === undefined ? {} : { $defs: defs }) };
}

/** An object or list of anything, or a plain value. */
const anything: JsonObject = {
  oneOf: [
    { type: ["string", "number", "boolean", "null"] },
    { type: "object", additionalProperties: true },
    { type: "array" },
  ],
};

type Inner = (child: Json) => JsonObject;

function body(schema: JsonObject, state: State, inner: Inner): JsonObject {
  if (schema["$ref"] !== undefined) return { $ref: referenceOf(schema["$ref"], state) };
  const choices = schema["oneOf"] ?? schema["anyOf"];
  if (choices !== undefined) return { oneOf: listOf(choices, state).map(inner) };
  if (schema["const"] !== undefined) return { const: literal(schema["const"], state) };
  if (schema["enum"] !== undefined)
    return { enum: listOf(schema["enum"], state).map((item) => literal(item, state)) };
  const types = typesOf(schema, state);
  const plain = types.filter((type) => type !== "object" && type !== "array" && type !== "string");
  const forms: JsonObject[] = plain.length > 0 ? [{ type: plain }] : [];
  if (types.includes("string")) forms.push(textForm(schema, state));
  if (types.includes("object")) forms.push(objectForm(schema, state, inner));
  if (types.includes("array")) forms.push(arrayForm(schema, state, inner));
  const [only] = forms;
  if (only === undefined) return anything;
  return forms.length === 1 ? only : { oneOf: forms };
}

const knownTypes = ["string", "number", "integer", "boolean", "null", "object", "array"];

function typesOf(schema: JsonObject, state: State): Json[] {
  const { type } = schema;
  if (type === undefined) {
    if (schema["properties"] !== undefined) return ["object"];
    return schema["items"] !== undefined || schema["prefixItems"] !== undefined ? ["array"] : [];
  }
  const types = Array.isArray(type) ? [...(type as readonly Json[])] : [type];
  const unknown = types.find((each) => typeof each !== "string" || !knownTypes.includes(each));
  if (unknown !== undefined) throw wrong(state, `unknown type ${JSON.stringify(unknown)}`);
  return types;
}

function textForm(schema: JsonObject, state: State): JsonObject {
  const { format } = schema;
  if (format !== undefined && formats.includes(format)) return { type: "string", format };
  return { type: "string", ...counts(schema, state, ["minLength", "maxLength"]) };
}

function objectForm(schema: JsonObject, state: State, inner: Inner): JsonObject {
  const { properties = {}, additionalProperties: more } = schema;
  if (!isObject(properties)) throw wrong(state, "properties: expected an object");
  const named = Object.entries(properties).map(([name, child]) => [name, inner(child)] as const);
  const open = more === undefined ? named.length === 0 : more;
  return {
    type: "object",
    properties: Object.fromEntries(named),
    additionalProperties: typeof open === "boolean" ? open : inner(open),
    ...counts(schema, state, ["minProperties", "maxProperties"]),
  };
}

function arrayForm(schema: JsonObject, state: State, inner: Inner): JsonObject {
  const { items, prefixItems } = schema;
  return {
    type: "array",
    ...(items === undefined || typeof items === "boolean" ? {} : { items: inner(items) }),
    ...(prefixItems === undefined ? {} : { prefixItems: listOf(prefixItems, state).map(inner) }),
    ...counts(schema, state, ["minItems", "maxItems"]),
  };
}

function counts(schema: JsonObject, state: State, names: readonly string[]): JsonObject {
  const found = counted.filter((name) => names.includes(name) && schema[name] !== undefined);
  return Object.fromEntries(
    found.map((name) => {
      const value = schema[name];
      if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > maxRepetitions)
        throw wrong(state, `${name}: expected a whole number from 0 to ${maxRepetitions}`);
      return [name, value];
    }),
  );
}

function definitionsOf(schema: JsonObject, state: State, depth: number): JsonObject | undefined {
  const entries: [string, JsonObject][] = [];
  for (const keyword of definitions) {
    const defs = schema[keyword];
    if (defs === undefined) continue;
    if (!isObject(defs)) throw wrong(state, `${keyword}: expected an object`);
    for (const [name, child] of Object.entries(defs)) entries.push([name, convert(child, state, depth + 1)]);
  }
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

function referenceOf(target: Json, state: State): string {
  const name = typeof target === "string" ? reference.exec(target)?.[1] : undefined;
  if (name === undefined) throw wrong(state, `$ref ${JSON.stringify(target)}: expected #/$defs/NAME`);
  return `#/$defs/${name}`;
}

function literal(value: Json, state: State): Json {
  if (typeof value !== "object" || value === null) return value;
  throw wrong(state, "enum and const: only plain values are supported");
}

function listOf(value: Json, state: State): readonly Json[] {
  if (Array.isArray(value) && value.length > 0) return value as readonly Json[];
  throw wrong(state, "expected a list with something in it");
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function wrong({ field }: State, problem: string): Refusal {
  return new Refusal("unsupported", `${field}: ${problem}`, field);
}
