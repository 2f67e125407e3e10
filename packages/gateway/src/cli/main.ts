/** The program `spillway`. Everything is imported after the compile cache is on: it halves the time to the first line. */
import { enableCompileCache } from "node:module";
import { setFlagsFromString } from "node:v8";

// Large tensors are memory outside the heap. By default V8 starts to collect the whole heap after 30 to 64 MB of them,
// a dozen times a second, though nearly all of them die young. Counted like the heap's own memory, and with a limit of
// five times what is in use, they go with collections of the young generation, which take a millisecond. Set before the
// compile cache, whose key it is part of.
setFlagsFromString("--external-memory-accounted-in-global-limit");
setFlagsFromString("--heap-growing-percent=400");
// Of a request nothing outlives the next collection, so that there is nothing to share out: waking V8's helper threads and
// waiting for each of them takes longer than the collection, a multiple where they find no free core.
setFlagsFromString("--no-parallel-scavenge");
enableCompileCache();

const { runCli } = await import("./run-cli.ts");
const { processTerminal } = await import("./terminal.ts");
process.exitCode = await runCli(process.argv.slice(2), processTerminal());
// What has ended ends the process, even where a library keeps something open.
setTimeout(() => process.exit(), 1_000).unref();
