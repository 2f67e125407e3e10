// TypeScript sources as the checks of architecture and size read them.
import { readFileSync } from "node:fs";
import path from "node:path";
import { parseSync } from "oxc-parser";
import type { Comment, Program } from "oxc-parser";
import { root } from "./paths.ts";

/** A parsed file. Offsets are UTF-16, as in `text`. */
export interface Source {
  /** Relative to the repository, with forward slashes. */
  file: string;
  text: string;
  program: Program;
  comments: readonly Comment[];
  /** The line (from 1) of an offset. */
  lineOf: (offset: number) => number;
  /** How many lines of a range (default: the file) hold code: neither blank nor only comment. */
  codeLines: (start?: number, end?: number) => number;
}

/** Parses source text. Throws on a syntax error. */
export function parseSource(file: string, text: string): Source {
  const { program, comments, errors } = parseSync(file, text);
  const error = errors.find(({ severity }) => severity === "Error");
  if (error !== undefined) throw new SyntaxError(`${file}: ${error.message}`);
  const starts = lineStarts(text);
  const lineOf = (offset: number): number => lastAtOrBelow(starts, offset) + 1;
  const code = codeBefore(text, comments);
  const codeLines = (start = 0, end = text.length): number =>
    (code[lineOf(end)] ?? 0) - (code[lineOf(start) - 1] ?? 0);
  return { file, text, program, comments, lineOf, codeLines };
}

/** Reads and parses a file of the repository. */
export function readSource(file: string): Source {
  return parseSource(file, readFileSync(path.join(root, file), "utf8"));
}

/** Whether a path names a test: it may import anything and has no size budget of its own. */
export function isTest(file: string): boolean {
  return file.endsWith(".test.ts");
}

/** Whether a path names generated code, which no budget counts. */
export function isGenerated(file: string): boolean {
  return file.includes("/gen/") || file.endsWith(".d.ts");
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

/** Index of the last number <= value in an ascending list that starts with 0. */
function lastAtOrBelow(numbers: readonly number[], value: number): number {
  let low = 0;
  let high = numbers.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((numbers[middle] ?? 0) <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** How many of the first n lines hold code, at index n. */
function codeBefore(text: string, comments: readonly Comment[]): number[] {
  let bare = "";
  let at = 0;
  for (const comment of comments) {
    bare += text.slice(at, comment.start) + text.slice(comment.start, comment.end).replace(/[^\n]/g, " ");
    at = comment.end;
  }
  const counts = [0];
  for (const line of (bare + text.slice(at)).split("\n")) {
    counts.push((counts.at(-1) ?? 0) + (line.trim() === "" ? 0 : 1));
  }
  return counts;
}
