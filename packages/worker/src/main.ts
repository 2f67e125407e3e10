/** Program of a worker process: `main.ts --supervised`. Started by a gateway, not by hand. */
import { enableCompileCache } from "node:module";
import { setFlagsFromString } from "node:v8";

// Tensors that die young go with collections of the young generation, as in the gateway (gateway/src/cli/main.ts).
setFlagsFromString("--external-memory-accounted-in-global-limit");

// Before anything else is imported: compiled code of all later modules comes from the cache.
enableCompileCache();

if (process.argv.includes("--supervised")) {
  const { runSupervisedWorker } = await import("./supervised.ts");
  await runSupervisedWorker();
} else {
  process.stderr.write(
    "This program is started by a Spillway gateway. For a worker of its own: spillway worker --help\n",
  );
  process.exitCode = 2;
}
