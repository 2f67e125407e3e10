/** The program `spillway`. Everything is imported after the compile cache is on: it halves the time to the first line. */
import { enableCompileCache } from "node:module";

enableCompileCache();

const { runCli } = await import("./run-cli.ts");
const { processTerminal } = await import("./terminal.ts");
process.exitCode = await runCli(process.argv.slice(2), processTerminal());
// What has ended ends the process, even where a library keeps something open.
setTimeout(() => process.exit(), 1_000).unref();
