/** `spillway worker`: the model worker on its own, for gateways that list it in a pool. */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { runStandaloneWorker } from "@spillway/worker";
import type { CompiledConfig } from "../../config/index.ts";
import type { LogLevel } from "../../contracts/telemetry.ts";
import { createTerminalLogger } from "../create-logger.ts";
import { CommandError } from "../command-error.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Terminal } from "../terminal.ts";

/** What the command line says. */
export interface WorkerCommandOptions {
  readonly models: string;
  readonly port: number;
  readonly host: string;
  readonly logLevel?: LogLevel;
  readonly logFormat: CompiledConfig["log"]["format"];
}

/** Serves until it is told to stop, then drains. */
export async function worker(options: WorkerCommandOptions, terminal: Terminal): Promise<number> {
  const { port, host, logLevel = "info", logFormat } = options;
  const models = resolve(terminal.workingDirectory, options.models);
  if (statSync(models, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new CommandError(
      `${models}: there is no such folder; --models names the folder that holds the models`,
    );
  }
  const logger = createTerminalLogger({ level: logLevel, format: logFormat }, terminal);
  await runStandaloneWorker({
    models,
    host,
    port,
    log: (level, event, fields) => logger[level](event, fields),
  });
  return exitCodes.ok.code;
}
