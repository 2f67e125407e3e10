/** Reads a YAML file that a schema describes, or every mistake in it at once. */
import { open } from "node:fs/promises";
import { basename } from "node:path";
import type * as z from "zod";
import { convertText, describeIssues, schemaAt } from "./problems.ts";
import { ConfigSource, maxConfigBytes, type Problem } from "./source.ts";

/** What is read, and how. */
export interface DocumentOptions<Schema extends z.ZodType> {
  readonly schema: Schema;
  /** How messages call the file. */
  readonly file: string;
  /** Undefined: the file knows no references to the environment. */
  readonly environment: Readonly<Record<string, string | undefined>> | undefined;
  /** What has to hold between valid values. */
  readonly findContradictions: (value: z.output<Schema>) => readonly Problem[];
}

/** A value with every default filled in, or what is wrong: one sentence a problem. */
export type DocumentResult<Value> =
  | {
      readonly value: Value;
      /** Says of a further problem where it is in the file. */
      readonly describeAll: (problems: readonly Problem[]) => string[];
    }
  | { readonly errors: readonly string[] };

/** Problems beyond this many are counted, not listed. */
const maxErrors = 50;

/** Reads a document's text. */
export function readDocument<Schema extends z.ZodType>(
  text: string,
  { schema, file, environment, findContradictions }: DocumentOptions<Schema>,
): DocumentResult<z.output<Schema>> {
  let source: ConfigSource;
  try {
    source = new ConfigSource(text, {
      file,
      environment,
      convert: (path, value) => convertText(schemaAt(schema, path), value),
    });
  } catch (error) {
    return { errors: [`${file}: not valid YAML: ${error instanceof Error ? error.message : String(error)}`] };
  }
  if (source.fatal) return failed(source.describeAll(source.problems));
  const result = schema.safeParse(source.value);
  const problems = [...source.problems];
  if (!result.success) {
    // What the environment did not fill in is wrong for that reason alone.
    const unfilled = new Set(problems.map(({ path }) => path.join()));
    const issues = describeIssues(schema, result.error, source);
    problems.push(...issues.filter(({ path }) => !unfilled.has(path.join())));
  }
  if (result.success) problems.push(...findContradictions(result.data));
  if (!result.success || problems.length > 0) return failed(source.describeAll(problems));
  return { value: result.data, describeAll: (more) => source.describeAll(more) };
}

/** Problems as they are told: not more than a reader can use. */
export function failed(errors: readonly string[]): { readonly errors: readonly string[] } {
  if (errors.length <= maxErrors) return { errors };
  return { errors: [...errors.slice(0, maxErrors), `and ${errors.length - maxErrors} more problems`] };
}

/** The text of a file of at most 1 MiB. Rejects where it cannot be read; `whyUnreadable` says it in words. */
export async function readText(path: string): Promise<string> {
  await using handle = await open(path);
  const about = await handle.stat();
  if (about.isDirectory()) throw new Error(`${basename(path)} is a folder; expected a file`);
  if (about.size > maxConfigBytes) {
    throw new Error(`expected at most ${maxConfigBytes} bytes, got ${about.size}`);
  }
  return await handle.readFile("utf8");
}
