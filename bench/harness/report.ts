/** Leaves what a figure measured on disk, reads it again, and prints tables. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Figure, FigureResult, FigureRow, Scale } from "./figure.ts";
import { describeMachine, describeRevision } from "./machine.ts";
import type { Machine, Revision } from "./machine.ts";
import { resultsDirectory } from "./paths.ts";

/** A figure and its outcome. */
export interface Finished {
  readonly figure: Figure;
  readonly scale: Scale;
  /** Rounds of an interleaved comparison. */
  readonly pairs: number;
  readonly startedAt: Date;
  readonly result: FigureResult;
}

/** A result file. */
export interface SavedResult extends Revision {
  readonly figure: string;
  readonly title: string;
  readonly target: string;
  readonly scale: Scale;
  readonly pairs: number;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly machine: Machine;
  readonly rows: readonly FigureRow[];
  readonly details: readonly string[];
  readonly data: unknown;
}

/**
 * Writes `bench/results/<figure>.json` with machine, commit and everything measured; runs below full scale go to `raw/`
 * there, which is not committed. Gives the path.
 */
export async function saveResult(finished: Finished): Promise<string> {
  const { figure, scale, pairs, startedAt, result } = finished;
  const folder = scale === "full" ? resultsDirectory : join(resultsDirectory, "raw");
  const path = join(folder, `${figure.id}.json`);
  const document: SavedResult = {
    figure: figure.id,
    title: figure.title,
    target: figure.target,
    scale,
    pairs,
    startedAt: startedAt.toISOString(),
    ...describeRevision(),
    machine: describeMachine(),
    rows: result.rows,
    details: result.details ?? [],
    data: result.data,
  };
  await mkdir(folder, { recursive: true });
  await writeFile(path, `${compactJson(document)}\n`);
  return path;
}

/** What was measured last at full scale, or null when nothing was. */
export async function readResult(id: string): Promise<SavedResult | null> {
  try {
    return JSON.parse(await readFile(join(resultsDirectory, `${id}.json`), "utf8")) as SavedResult;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** Indented JSON with objects and arrays that hold no others on one line. Numbers keep six significant digits: more is noise. */
export function compactJson(value: unknown): string {
  return JSON.stringify(value, roundNumbers, 2).replace(/[[{]\n[^[\]{}]*[\]}]/g, (innermost) =>
    innermost.replace(/\n */g, " "),
  );
}

/** The Markdown table of several figures. */
export function figuresTable(finished: readonly Pick<Finished, "figure" | "result">[]): string {
  return markdownTable(
    ["figure", "what", "target", "measured: median [quartiles] (extremes)", "verdict"],
    finished.flatMap(({ figure, result }) => result.rows.map((row) => rowCells(figure.id, row))),
  );
}

/** The cells of a figure's row in the order of that table. */
export function rowCells(id: string, row: FigureRow): string[] {
  return [id, row.what, row.target, row.measured, row.verdict];
}

/** A Markdown table with its columns aligned. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const escaped = [head, ...rows].map((cells) => cells.map((cell) => cell.replaceAll("|", "\\|")));
  const widths = head.map((_, column) =>
    Math.max(3, ...escaped.map((cells) => (cells[column] ?? "").length)),
  );
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const [first = "", ...rest] = escaped.map((cells) =>
    line(widths.map((width, column) => (cells[column] ?? "").padEnd(width))),
  );
  return [first, line(widths.map((width) => "-".repeat(width))), ...rest].join("\n");
}

function roundNumbers(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value;
}
