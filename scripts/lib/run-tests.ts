// The test files of `npm test` in one run of node:test, in the order they are given.
import { run } from "node:test";
import { spec } from "node:test/reporters";

/** One test may take this long, unless it says otherwise itself. */
const TEST_TIMEOUT_MS = 60_000;
/** Ends a run in which a test file does not end by itself (a handle left open); the report names the file then. */
const RUN_LIMIT_MS = 20 * 60_000;

/** How test files are run. */
export interface TestRun {
  /** Begun in this order, which the command line of Node does not keep. */
  readonly files: readonly string[];
  readonly cwd: string;
  /** Files at a time. */
  readonly concurrency: number;
  /** As Node's `--test-name-pattern`. */
  readonly namePattern?: string | undefined;
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Reports on `output` as Node's own `spec` reporter does, totals last. True when no test failed. SIGINT and SIGTERM end the
 * files that run, which are reported as failed then.
 */
export async function runTests(
  { files, cwd, concurrency, namePattern, env }: TestRun,
  output: NodeJS.WritableStream = process.stdout,
): Promise<boolean> {
  const end = new AbortController();
  const stop = (): void => end.abort();
  const limit = setTimeout(stop, RUN_LIMIT_MS).unref();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, stop);
  let success = false;
  const events = run({
    files: [...files],
    cwd,
    concurrency,
    timeout: TEST_TIMEOUT_MS,
    signal: end.signal,
    env,
    ...(namePattern !== undefined && { testNamePatterns: [namePattern] }),
  });
  // The last summary is that of the whole run: those before it name a file.
  events.on("test:summary", (summary) => (success = summary.success));
  const report = events.compose(spec);
  report.pipe(output, { end: false });
  await new Promise((resolve, reject) => report.once("end", resolve).once("error", reject));
  clearTimeout(limit);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.removeListener(signal, stop);
  return success && !end.signal.aborted;
}
