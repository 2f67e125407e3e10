/** What the schema rejects, as sentences for people: what was expected, what is there, what was perhaps meant. */
import { nearestWord } from "@spillway/worker/repository";
import type * as z from "zod";
import type { $ZodType } from "zod/v4/core";
import { placesOfKey } from "./places-of-key.ts";
import type { ConfigSource, Problem } from "./source.ts";
import { unwrapSchema as unwrap } from "./unwrap-schema.ts";
import { choice, expectations } from "./values.ts";

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/** The problems of a value that the schema rejected. */
export function describeIssues(schema: $ZodType, error: z.core.$ZodError, source: ConfigSource): Problem[] {
  return error.issues.flatMap((issue) => describeIssue(schema, issue, source));
}

function describeIssue(schema: $ZodType, issue: Issue, source: ConfigSource): Problem[] {
  const { path } = issue;
  const root = source.value;
  switch (issue.code) {
    case "unrecognized_keys": {
      const known = keysOf(meantMapping(schemaAt(schema, path, { value: root }), valueAt(root, path)));
      return issue.keys.map((key) => unknownKey([...path, key], known, placesOfKey(schema, key, path)));
    }
    case "invalid_key": {
      const key = schemaAt(schema, path.slice(0, -1), { want: "key", value: root });
      return [{ path, at: "key", message: `this key should be ${expectedOf(key)}` }];
    }
    case "invalid_union": {
      // A mapping was meant to be the mapping among the choices: its own mistakes say more.
      const union = schemaAt(schema, path, { value: root });
      const meant = meantMistakes(union, issue.errors, valueAt(root, path));
      if (meant === undefined) break;
      return meant.flatMap((each) =>
        describeIssue(schema, { ...each, path: [...path, ...each.path] }, source),
      );
    }
    default:
  }
  const found = valueAt(root, path);
  const known = schemaAt(schema, path, { value: root });
  const expected = expectedOf(known);
  if (known !== undefined && expectations.get(known)?.secret === true && typeof found === "string") {
    return [{ path, message: `expected ${expected}` }];
  }
  if (found === undefined) return [{ path, at: "key", message: `missing: expected ${expected}` }];
  return [
    {
      path,
      message: `expected ${expected}, got ${show(found)}${fromWhere(source, path)}${near(issue, found)}`,
    },
  ];
}

/** The mistakes of the choice that was meant; undefined where none was. */
function meantMistakes(
  union: z.core.$ZodTypes | undefined,
  errors: readonly (readonly Issue[])[],
  value: unknown,
): readonly Issue[] | undefined {
  const tag = union === undefined ? undefined : expectations.get(union)?.tag;
  if (union?._zod.def.type !== "union" || tag === undefined) {
    return errors.find((issues) => issues.every(isInside));
  }
  const options = union._zod.def.options.map(unwrap);
  const word = valueAt(value, [tag]);
  const isKnown = word === undefined || options.some((option) => takesWord(option, tag, word));
  const index = options.indexOf(meantMapping(union, value) ?? union);
  const mistakes = errors[index];
  // What else is wrong depends on a word that is wrong itself.
  if (!isKnown) return mistakes?.filter(({ path }) => path[0] === tag);
  return mistakes?.every(isInside) === true ? mistakes : undefined;
}

/**
 * Of a union of mappings the one that a value was meant to be: that which takes its tag, or the first
 * where there is no such. Anything that is no such union is given back.
 */
function meantMapping(schema: z.core.$ZodTypes | undefined, value: unknown): z.core.$ZodTypes | undefined {
  if (schema?._zod.def.type !== "union") return schema;
  const mappings = schema._zod.def.options.map(unwrap).filter((option) => "shape" in option._zod.def);
  const tag = expectations.get(schema)?.tag;
  const word = tag === undefined ? undefined : valueAt(value, [tag]);
  return mappings.find((mapping) => word !== undefined && takesWord(mapping, tag, word)) ?? mappings[0];
}

function takesWord(mapping: z.core.$ZodTypes, tag: string | undefined, word: unknown): boolean {
  const { def } = mapping._zod;
  const words = def.type === "object" && tag !== undefined ? def.shape[tag] : undefined;
  if (words === undefined) return false;
  const choices = unwrap(words)._zod.def;
  return choices.type === "enum" && Object.values(choices.entries).includes(String(word));
}

/** True for a mistake inside a mapping, false where it should not have been a mapping at all. */
function isInside(issue: Issue): boolean {
  return issue.path.length > 0 || issue.code === "unrecognized_keys";
}

/** `elsewhere`: where the schema has a key of this name. */
function unknownKey(path: Path, known: readonly string[], elsewhere: readonly string[]): Problem {
  const key = String(path.at(-1));
  const nearest = nearestWord(key, known);
  const meant = nearest === undefined ? undefined : `did you mean "${nearest}"?`;
  let hint = meant ?? `known here: ${known.join(", ")}`;
  if (elsewhere.length > 0) {
    const others = elsewhere.slice(0, -1).join(", ");
    hint = `${key} belongs to ${others === "" ? "" : `${others} or `}${elsewhere.at(-1)}`;
    if (meant !== undefined) hint += `; or ${meant}`;
  }
  return { path, at: "key", message: `unknown key; ${hint}` };
}

function near(issue: Issue, found: unknown): string {
  if (issue.code !== "invalid_value" || typeof found !== "string") return "";
  const nearest = nearestWord(found, issue.values.map(String));
  return nearest === undefined ? "" : `; did you mean "${nearest}"?`;
}

function fromWhere(source: ConfigSource, path: Path): string {
  const reference = source.referenceAt(path);
  return reference === undefined ? "" : ` from ${reference}`;
}

/** The value as the reader of a message should see it: JSON, shortened. */
function show(value: unknown): string {
  if (value === null) return "nothing";
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}

/**
 * The schema of what lies at a path; with `want: "key"` that of its keys. Undefined where there is none.
 * `value` is what the configuration says, which tells what was meant where there is a choice of mappings.
 */
export function schemaAt(
  schema: $ZodType,
  path: Path,
  { want = "value", value }: { readonly want?: "key" | "value"; readonly value?: unknown } = {},
): z.core.$ZodTypes | undefined {
  const here = unwrap(schema);
  const { def } = here._zod;
  const [key, ...rest] = path;
  if (def.type === "union" && (key !== undefined || want === "key")) {
    if (value === undefined) {
      const mappings = def.options.filter((option) => "shape" in unwrap(option)._zod.def);
      return mappings
        .map((mapping) => schemaAt(mapping, path, { want }))
        .find((found) => found !== undefined);
    }
    const mapping = meantMapping(here, value);
    // The tag itself may be any of the words that one of the mappings takes.
    if (key !== undefined && expectations.get(here)?.tag === key) return tagSchema(here, key);
    return mapping === undefined ? undefined : schemaAt(mapping, path, { want, value });
  }
  if (key === undefined) {
    if (want === "value") return here;
    return def.type === "record" ? unwrap(def.keyType) : undefined;
  }
  const child = childOf(def, key);
  return child === undefined ? undefined : schemaAt(child, rest, { want, value: valueAt(value, [key]) });
}

/** The words that tell the mappings of a union apart, together. */
function tagSchema(union: z.core.$ZodTypes, tag: string): z.core.$ZodTypes | undefined {
  if (union._zod.def.type !== "union") return undefined;
  const words = union._zod.def.options.flatMap((option) => {
    const shape = childOf(unwrap(option)._zod.def, tag);
    const def = shape === undefined ? undefined : unwrap(shape)._zod.def;
    return def?.type === "enum" ? Object.values(def.entries).map(String) : [];
  });
  const [first, ...others] = words;
  return first === undefined ? undefined : choice(first, ...others);
}

function childOf(def: z.core.$ZodTypes["_zod"]["def"], key: PropertyKey): $ZodType | undefined {
  switch (def.type) {
    case "object":
      return def.shape[String(key)];
    case "record":
      return def.valueType;
    case "array":
      return def.element;
    default:
      return undefined;
  }
}

/** Names that a mapping takes; empty where it takes any or is none. */
function keysOf(schema: z.core.$ZodTypes | undefined): string[] {
  const def = schema?._zod.def;
  if (def?.type === "union") return def.options.flatMap((option) => keysOf(unwrap(option)));
  return def?.type === "object" ? Object.keys(def.shape) : [];
}

/** What a value should be, in words. */
function expectedOf(schema: z.core.$ZodTypes | undefined): string {
  if (schema === undefined) return "something else";
  const said = expectations.get(schema)?.expected;
  if (said !== undefined) return said;
  const { def } = schema._zod;
  switch (def.type) {
    case "array":
      return `a list of ${countOf(schema)}, each ${expectedOf(unwrap(def.element))}`;
    default:
      return "a mapping of keys to values";
  }
}

/** How many items a list takes: `at most 16`, `1 to 16`. */
function countOf(schema: z.core.$ZodTypes): string {
  let [minimum, maximum] = [0, Infinity];
  for (const check of schema._zod.def.checks ?? []) {
    const def = check._zod.def as { check: string; minimum?: number; maximum?: number };
    if (def.check === "min_length") minimum = def.minimum ?? minimum;
    if (def.check === "max_length") maximum = def.maximum ?? maximum;
  }
  return minimum === 0 ? `at most ${maximum}` : `${minimum} to ${maximum}`;
}

/** A text from the environment as a number or `false` where the schema takes one and the text is one. */
export function convertText(schema: z.core.$ZodTypes | undefined, text: string): unknown {
  const def = schema?._zod.def;
  if (def?.type === "number" && /^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  if (def?.type === "union" && text === "false") return false;
  return text;
}
