/** Turns what the schema rejects into sentences for people: what was expected, what is there, what was perhaps meant. */
import type * as z from "zod";
import type { $ZodType } from "zod/v4/core";
import { suggestion } from "./suggest.ts";

type Issue = z.core.$ZodIssue;

/** One problem: where in the file, and what is wrong there. */
export interface ConfigIssue {
  /** Keys from the top of the file. */
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

const typeNames: Record<string, string> = {
  number: "a number",
  int: "a whole number",
  string: "a text",
  boolean: "true or false",
  object: "a mapping of keys to values",
  record: "a mapping of keys to values",
  array: "a list",
  tuple: "a list",
};

/** The value as the reader of a message should see it: JSON, shortened. */
function show(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "number") return String(value);
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** The value at a path, or undefined. */
function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}

/** Names that the schema knows at a path; empty where any name or none is taken. */
function knownKeys(schema: $ZodType, path: readonly PropertyKey[]): string[] {
  const def = (schema as z.core.$ZodTypes)._zod.def;
  switch (def.type) {
    case "optional":
    case "default":
    case "prefault":
      return knownKeys(def.innerType, path);
    case "object": {
      const [key, ...rest] = path;
      if (key === undefined) return Object.keys(def.shape);
      const child = def.shape[String(key)];
      return child === undefined ? [] : knownKeys(child, rest);
    }
    case "record":
      return path.length === 0
        ? [...(def.keyType._zod.values ?? [])].map(String)
        : knownKeys(def.valueType, path.slice(1));
    default:
      return [];
  }
}

function sizeMessage(issue: Extract<Issue, { code: "too_small" | "too_big" }>, got: unknown): string {
  const atLeast = issue.code === "too_small";
  const limit = String(atLeast ? issue.minimum : issue.maximum);
  const words = atLeast ? "at least" : "at most";
  if (Array.isArray(got)) return `expected ${words} ${limit} items, got ${got.length}`;
  if (typeof got === "string") return `expected ${words} ${limit} characters, got ${got.length}`;
  return `expected ${words} ${limit}, got ${show(got)}`;
}

function expectedOf(issue: Issue): string {
  if (issue.code === "invalid_type") return typeNames[issue.expected] ?? issue.expected;
  if (issue.code === "invalid_value") return issue.values.map(String).join(" or ");
  return "another value";
}

function valueMessage(values: readonly unknown[], got: unknown): string {
  const words = values.map(String);
  const hint = typeof got === "string" ? suggestion(got, words) : "";
  const near = hint.startsWith("; did") ? hint : "";
  return `expected one of ${words.join(", ")}, got ${show(got)}${near}`;
}

function messageOf(issue: Issue, got: unknown): string {
  switch (issue.code) {
    case "invalid_type":
      return `expected ${expectedOf(issue)}, got ${show(got)}`;
    case "too_small":
    case "too_big":
      return sizeMessage(issue, got);
    case "invalid_value":
      return valueMessage(issue.values, got);
    case "invalid_union": {
      const expected = new Set(issue.errors.flat().map(expectedOf));
      return `expected ${[...expected].join(" or ")}, got ${show(got)}`;
    }
    case "invalid_format":
      return `expected at most 128 letters, digits, dots, dashes and underscores, got ${show(got)}`;
    default:
      return issue.message;
  }
}

/** The problems of a value that the schema rejected, in the order of the file's keys as the schema reports them. */
export function describeIssues(schema: $ZodType, error: z.core.$ZodError, root: unknown): ConfigIssue[] {
  return error.issues.flatMap((issue) => {
    if (issue.code !== "unrecognized_keys")
      return [{ path: issue.path, message: messageOf(issue, valueAt(root, issue.path)) }];
    const known = knownKeys(schema, issue.path);
    return issue.keys.map((key) => ({
      path: [...issue.path, key],
      message: `unknown key${suggestion(key, known)}`,
    }));
  });
}
