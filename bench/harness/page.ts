/** Tells the last full results to readers: `docs/benchmarks.md`, and the table in the README. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Figure } from "./figure.ts";
import { machineLine } from "./machine.ts";
import { repositoryRoot } from "./paths.ts";
import { markdownTable, readResult } from "./report.ts";
import type { SavedResult } from "./report.ts";

/** A figure and what was measured last; null before the first full run. */
export interface Told {
  readonly figure: Pick<Figure, "id" | "title" | "target">;
  readonly result: SavedResult | null;
}

/** Where the page is. */
export const benchmarksPath = join(repositoryRoot, "docs", "benchmarks.md");

/** Between these the README's table is written. A README without them is left alone. */
export const README_MARKERS = ["<!-- bench:begin -->", "<!-- bench:end -->"] as const;

const README = join(repositoryRoot, "README.md");

/** Reads the last full result of each figure. */
export function readTold(figures: readonly Figure[]): Promise<Told[]> {
  return Promise.all(figures.map(async (figure) => ({ figure, result: await readResult(figure.id) })));
}

/** Writes the page, and the README's table where it has the markers. Gives the paths written. */
export async function writePages(figures: readonly Figure[]): Promise<string[]> {
  const told = await readTold(figures);
  await writeFile(benchmarksPath, benchmarksPage(told));
  const readme = await readFile(README, "utf8").catch(() => "");
  const filled = fillReadme(readme, told);
  if (filled === null) return [benchmarksPath];
  await writeFile(README, filled);
  return [benchmarksPath, README];
}

/** The text of `docs/benchmarks.md`. */
export function benchmarksPage(told: readonly Told[]): string {
  const sections = [
    "<!-- Written by `npm run bench`. Change what writes it, bench/harness/page.ts. -->",
    "# Benchmarks",
    intro,
    measuredOn(told),
    markdownTable(
      ["figure", "what", "target", "measured: median [quartiles] (extremes)", "verdict"],
      told.flatMap(rowsOf),
    ),
    repeat,
    ...told.flatMap(({ figure, result }) => (result === null ? [] : [sectionOf(figure, result)])),
  ];
  return `${sections.join("\n\n")}\n`;
}

/** The README with the table between its markers; null when it has none. */
export function fillReadme(readme: string, told: readonly Told[]): string | null {
  const [begin, end] = README_MARKERS;
  const [from, to] = [readme.indexOf(begin), readme.indexOf(end)];
  if (from < 0 || to < from) return null;
  const rows = told.flatMap(
    ({ figure, result }) =>
      result?.rows.map((row) => [`${figure.title}: ${row.what}`, row.target, row.median, row.verdict]) ?? [],
  );
  const table = markdownTable(["what", "target", "measured", "verdict"], rows);
  const text = rows.length === 0 ? "Not measured yet." : `${table}\n\n${measuredOn(told)}`;
  return `${readme.slice(0, from + begin.length)}\n\n${text}\n\n${readme.slice(to)}`;
}

const intro = `What the project claims, measured by one command. [bench/README.md](../bench/README.md) says how a comparison runs, what each word means and when a verdict counts; the workloads are fixed files in \`bench/workloads\`; every run, with the CPU time and memory of each process, is in \`bench/results\`.`;

const repeat = `Repeat it on a machine that does nothing else:

\`\`\`sh
npm run bench                  # everything, about a quarter of an hour
npm run bench -- mlp64-json    # one figure
\`\`\``;

/** Machine and commit of the results; each once, if they differ. */
function measuredOn(told: readonly Told[]): string {
  const results = told.flatMap(({ result }) => (result === null ? [] : [result]));
  if (results.length === 0) return "Not measured yet.";
  const lines = results.map((result) => {
    const revision = `commit ${result.commit.slice(0, 12)}${result.changed ? " with changes" : ""}`;
    return `${machineLine(result.machine)}; ${revision}, ${result.startedAt.slice(0, 10)}`;
  });
  return `Measured on ${[...new Set(lines)].join("; and on ")}. Load generators, gateway, workers and references share the machine.`;
}

function rowsOf({ figure, result }: Told): string[][] {
  if (result === null) return [[figure.id, figure.title, figure.target, "–", "not measured"]];
  return result.rows.map((row) => [figure.id, row.what, row.target, row.measured, row.verdict]);
}

/** Details are text, not Markdown. */
function sectionOf(figure: Told["figure"], { details, target }: SavedResult): string {
  const heading = `## ${figure.id}\n\n${figure.title}. Target: ${target}.`;
  return details.length === 0 ? heading : `${heading}\n\n\`\`\`text\n${details.join("\n")}\n\`\`\``;
}
