/** From arguments to an exit code. Errors become one clear line. */
import { toSentence } from "./describe-error.ts";
import { ConfigFileError } from "./command-error.ts";
import { exitCodes } from "./exit-codes.ts";
import type { Terminal } from "./terminal.ts";
import { packageVersion } from "./version.ts";

/** Runs `spillway` with its arguments, without the program's own name. Never throws. */
export async function runCli(args: readonly string[], terminal: Terminal): Promise<number> {
  if (args.length === 1 && (args[0] === "--version" || args[0] === "-V")) {
    terminal.print(`${packageVersion()}\n`);
    return exitCodes.ok.code;
  }
  try {
    const { runProgram } = await import("./program.ts");
    return await runProgram(args, terminal);
  } catch (error) {
    terminal.complain(`${error instanceof ConfigFileError ? "" : "spillway: "}${toSentence(error)}\n`);
    return exitCodes.failure.code;
  }
}
