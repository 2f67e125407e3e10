/** Program of a worker process: `main.ts --supervised`. Started by a gateway, not by hand. */
import { enableCompileCache } from "node:module";
import { getPriority, setPriority } from "node:os";
import { setFlagsFromString } from "node:v8";

// Tensors that die young go with collections of the young generation, as in the gateway (gateway/src/cli/main.ts).
setFlagsFromString("--external-memory-accounted-in-global-limit");

// Before anything else is imported: compiled code of all later modules comes from the cache.
enableCompileCache();

/**
 * How much the gateway goes before its workers where they want the same core (steps of `nice`, on top of its own): it needs
 * little, and all of them wait for it. Without it a worker that starts, or a batch, holds the gateway up for a time slice.
 */
const behindGateway = 5;

/** Threads that are made later inherit it. A system that refuses leaves all as it is. */
function stepBehindGateway(): void {
  try {
    setPriority(Math.min(19, getPriority() + behindGateway));
  } catch {
    // Only slower for others.
  }
}

if (process.argv.includes("--supervised")) {
  stepBehindGateway();
  const { runSupervisedWorker } = await import("./supervised.ts");
  await runSupervisedWorker();
} else {
  process.stderr.write(
    "This program is started by a Spillway gateway. For a worker of its own: spillway worker --help\n",
  );
  process.exitCode = 2;
}
