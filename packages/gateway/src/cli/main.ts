/** The program `spillway`. Everything is imported after the compile cache is on: it halves the time to the first line. */
import { enableCompileCache } from "node:module";
import { setFlagsFromString } from "node:v8";

// Large tensors are memory outside the heap. On a heap as small as the gateway's, V8 by default collects everything
// after 30 MB of them, 30 times a second; so it does after 70 MB. Set before the compile cache, whose key it is part of.
setFlagsFromString("--heap-growing-percent=400");
enableCompileCache();

const { runCli } = await import("./run-cli.ts");
const { processTerminal } = await import("./terminal.ts");
process.exitCode = await runCli(process.argv.slice(2), processTerminal());
// What has ended ends the process, even where a library keeps something open.
setTimeout(() => process.exit(), 1_000).unref();
