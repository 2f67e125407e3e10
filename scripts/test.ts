// `npm test`: format, lint, types, generated pages, then every test file in one run of node:test.
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import path from "node:path";
import { UsageError, testEnvironment, planOf, usage } from "./lib/steps.ts";
import type { Check, Plan } from "./lib/steps.ts";
import { root } from "./lib/paths.ts";
import { runTests } from "./lib/run-tests.ts";

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
    const { code, output, seconds } = await run(check);
    process.stdout.write(`${code === 0 ? "✔" : "✖"} ${check.name} (${seconds.toFixed(1)} s)\n`);
    if (code === 0) continue;
    failed.push(check.name);
    process.stdout.write(`${output}\n`);
  }
  if (plan.files.length > 0) {
    const tests = { ...plan, cwd: root, env: environment(), concurrency: CONCURRENCY };
    if (!(await runTests(tests))) failed.push("tests");
  }
  if (failed.length === 0) return 0;
  process.stdout.write(`\nfailed: ${failed.join(", ")}\n`);
  return 1;
}

/** With node_modules/.bin first on its PATH. */
function environment(): NodeJS.ProcessEnv {
  const bin = path.join(root, "node_modules", ".bin");
  return {
    ...testEnvironment(process.env),
    PATH: `${bin}${path.delimiter}${process.env["PATH"] ?? ""}`,
  };
}

/** Runs a check in the repository's folder. */
function run({ program, args }: Check): Promise<Ended> {
  const start = performance.now();
  const child = spawn(program, args, { cwd: root, env: environment(), stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += String(chunk)));
  child.stderr.on("data", (chunk: Buffer) => (output += String(chunk)));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      resolve({ code: code ?? 1, output, seconds: (performance.now() - start) / 1000 });
    });
  });
}
