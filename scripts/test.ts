// `npm test`: format, lint, types, generated pages, then every test file in one run of node:test.
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import path from "node:path";
import { UsageError, testEnvironment, planOf, usage } from "./lib/steps.ts";
import type { Plan } from "./lib/steps.ts";
import { root } from "./lib/paths.ts";

/** One test may take this long, unless it says otherwise itself. */
const TEST_TIMEOUT_MS = 60_000;
/** Ends a run in which a test file does not end by itself (a handle left open); node names the file then. */
const RUN_LIMIT_MS = 20 * 60_000;
/** At least two: most tests wait for processes and sockets. More only disturbs those that measure time. */
const CONCURRENCY = Math.max(2, Math.min(4, Math.floor(availableParallelism() / 2)));

interface Ended {
  code: number;
  output: string;
  seconds: number;
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  try {
    const plan = planOf(args);
    if (plan !== undefined) return await carryOut(plan);
    process.stdout.write(usage);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n\n${usage}`);
    return 2;
  }
}

async function carryOut(plan: Plan): Promise<number> {
  const failed: string[] = [];
  for (const check of plan.checks) {
    const { code, output, seconds } = await run(check.program, check.args, { collect: true });
    process.stdout.write(`${code === 0 ? "✔" : "✖"} ${check.name} (${seconds.toFixed(1)} s)\n`);
    if (code === 0) continue;
    failed.push(check.name);
    process.stdout.write(`${output}\n`);
  }
  if (plan.files.length > 0 && (await runTests(plan)) !== 0) failed.push("tests");
  if (failed.length === 0) return 0;
  process.stdout.write(`\nfailed: ${failed.join(", ")}\n`);
  return 1;
}

/** Its last lines are the totals of node's own reporter. */
async function runTests({ files, namePattern }: Plan): Promise<number> {
  const flags = ["--conditions=source", "--test", "--test-reporter=spec"];
  flags.push(`--test-timeout=${TEST_TIMEOUT_MS}`, `--test-concurrency=${CONCURRENCY}`);
  if (namePattern !== undefined) flags.push(`--test-name-pattern=${namePattern}`);
  const { code } = await run(process.execPath, [...flags, ...files], { limitMs: RUN_LIMIT_MS });
  return code;
}

/** Runs a program in the repository's folder with node_modules/.bin first on its PATH. */
function run(
  program: string,
  args: readonly string[],
  { collect = false, limitMs }: { collect?: boolean; limitMs?: number },
): Promise<Ended> {
  const start = performance.now();
  const bin = path.join(root, "node_modules", ".bin");
  const env = {
    ...testEnvironment(process.env),
    PATH: `${bin}${path.delimiter}${process.env["PATH"] ?? ""}`,
  };
  const child = spawn(program, args, {
    cwd: root,
    env,
    stdio: collect ? ["ignore", "pipe", "pipe"] : "inherit",
  });
  const limit = limitMs === undefined ? undefined : setTimeout(() => child.kill("SIGINT"), limitMs);
  let output = "";
  child.stdout?.on("data", (chunk: Buffer) => (output += String(chunk)));
  child.stderr?.on("data", (chunk: Buffer) => (output += String(chunk)));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(limit);
      resolve({ code: code ?? 1, output, seconds: (performance.now() - start) / 1000 });
    });
  });
}
