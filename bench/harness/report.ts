/** Leaves what a figure measured on disk and prints the table. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Figure, FigureResult, FigureRow, Scale } from "./figure.ts";
import { describeMachine, describeRevision } from "./machine.ts";
import { resultsDirectory } from "./paths.ts";

/** A figure and its outcome. */
export interface Finished {
  readonly figure: Figure;
  readonly scale: Scale;
  readonly startedAt: Date;
  readonly result: FigureResult;
}

/**
 * Writes `bench/results/<figure>.json` with machine, commit and everything measured; quick runs go to `raw/` there,
 * which is not committed. Gives the path.
 */
export async function saveResult(finished: Finished): Promise<string> {
  const { figure, scale, startedAt, result } = finished;
  const folder = scale === "full" ? resultsDirectory : join(resultsDirectory, "raw");
  const path = join(folder, `${figure.id}.json`);
  const document = {
    figure: figure.id,
    title: figure.title,
    target: figure.target,
    scale,
    startedAt: startedAt.toISOString(),
    ...describeRevision(),
    machine: describeMachine(),
    rows: result.rows,
    data: result.data,
  };
  await mkdir(folder, { recursive: true });
  await writeFile(path, `${JSON.stringify(document, roundNumbers, 2)}\n`);
  return path;
}

/** The Markdown table of several figures. */
export function markdownTable(finished: readonly Pick<Finished, "figure" | "result">[]): string {
  const rows = finished.flatMap(({ figure, result }) =>
    result.rows.map((row) => markdownRow(figure.id, row)),
  );
  return [
    "| figure | what | target | measured: median [quartiles] (extremes) | verdict |",
    "|---|---|---|---|---|",
    ...rows,
  ].join("\n");
}

/** One row of it. */
export function markdownRow(id: string, row: FigureRow): string {
  const cells = [id, row.what, row.target, row.measured, row.verdict];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

/** Six significant digits: more is noise. */
function roundNumbers(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value;
}
