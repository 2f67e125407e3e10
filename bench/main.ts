/** `npm run bench [-- figure …]`: runs figures one after another and prints their table. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { figures } from "./figures/index.ts";
import type { Figure, FigureContext, Scale } from "./harness/figure.ts";
import { describeMachine, machineLine } from "./harness/machine.ts";
import { writePages } from "./harness/page.ts";
import { cacheDirectory } from "./harness/paths.ts";
import { figuresTable, saveResult } from "./harness/report.ts";
import type { Finished } from "./harness/report.ts";

const USAGE = `usage: npm run bench [-- [--list] [--pages] [--quick] [--pairs N] [figure …]]

Without names, runs every figure. Results go to bench/results/<figure>.json, docs/benchmarks.md and the README.
  --list     name the figures and their targets
  --pages    run nothing, write the pages from the results that are there
  --quick    one second a run, two pairs: shows that a figure works, its verdicts do not count
  --pairs N  rounds of an interleaved comparison (default 7, the least that counts)
Exit code: 0 when nothing was missed, 1 when a target was missed or a figure failed, 2 for wrong arguments.`;

const MIN_PAIRS = 7;
const QUICK_PAIRS = 2;

/** A closed terminal must not leave servers behind: they are killed when this process exits. */
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(130));
process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  const options = readOptions(args);
  if (typeof options === "string") {
    console.error(`${options}\n\n${USAGE}`);
    return 2;
  }
  if (options.action === "help") console.log(USAGE);
  else if (options.action === "list")
    for (const one of figures) console.log(`${one.id}: ${one.title} — ${one.target}`);
  else if (options.action === "pages") await tellPages();
  else return runFigures(options.figures, options);
  return 0;
}

interface Options {
  readonly action: "help" | "list" | "pages" | "run";
  readonly figures: readonly Figure[];
  readonly scale: Scale;
  readonly pairs: number;
}

/** The options, or what is wrong with them. */
function readOptions(args: string[]): Options | string {
  const parsed = parseOptions(args);
  if (typeof parsed === "string") return parsed;
  const { values, positionals } = parsed;
  const scale = values.quick ? "quick" : "full";
  const pairs = Number(values.pairs ?? (scale === "quick" ? QUICK_PAIRS : MIN_PAIRS));
  const unknown = positionals.filter((id) => figures.every((figure) => figure.id !== id));
  if (unknown.length > 0) {
    return `unknown figure ${unknown.join(", ")}; there are ${figures.map((figure) => figure.id).join(", ")}`;
  }
  if (!Number.isInteger(pairs) || pairs < 1)
    return `--pairs: expected a whole number from 1, got ${values.pairs}`;
  if (scale === "full" && pairs < MIN_PAIRS) return `--pairs: at least ${MIN_PAIRS}, or --quick`;
  const chosen =
    positionals.length === 0 ? figures : figures.filter((figure) => positionals.includes(figure.id));
  const action = (["help", "list", "pages"] as const).find((name) => values[name]) ?? "run";
  return { action, figures: chosen, scale, pairs };
}

function parseOptions(args: string[]) {
  const flag = { type: "boolean", default: false } as const;
  const pairs = { type: "string" } as const;
  const options = { help: flag, list: flag, pages: flag, quick: flag, pairs };
  try {
    return parseArgs({ args, allowPositionals: true, options });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function runFigures(figures: readonly Figure[], { scale, pairs }: Options): Promise<number> {
  console.log(machineLine(describeMachine()));
  const finished: Finished[] = [];
  const scratch = makeScratch();
  let failures = 0;
  for (const figure of figures) {
    const directory = join(scratch, figure.id);
    const outcome = await runFigure(figure, { scale, pairs, directory });
    rmSync(directory, { recursive: true, force: true });
    if (outcome === null) failures += 1;
    else finished.push(outcome);
  }
  console.log(`\n${figuresTable(finished)}\n`);
  for (const { figure, result } of finished)
    for (const line of result.details ?? []) console.log(`${figure.id}: ${line}`);
  if (scale === "quick") console.log("\nA quick run: these verdicts do not count.");
  else await tellPages();
  const missed = finished.some(({ result }) => result.rows.some((row) => row.verdict === "missed"));
  return failures > 0 || missed ? 1 : 0;
}

/** Null when it failed, which is told. */
async function runFigure(figure: Figure, options: Omit<FigureContext, "log">): Promise<Finished | null> {
  const startedAt = new Date();
  const context: FigureContext = { ...options, log: (line) => console.log(`  ${line}`) };
  console.log(`\n${figure.id}: ${figure.title}`);
  try {
    const { scale, pairs } = options;
    const finished = { figure, scale, pairs, startedAt, result: await figure.run(context) };
    console.log(`  written to ${await saveResult(finished)}`);
    return finished;
  } catch (error) {
    console.error(error);
    return null;
  }
}

/** A folder that goes with this process, however it ends. */
function makeScratch(): string {
  mkdirSync(cacheDirectory, { recursive: true });
  const directory = mkdtempSync(join(cacheDirectory, "run-"));
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

async function tellPages(): Promise<void> {
  for (const path of await writePages(figures)) console.log(`written to ${path}`);
}
