/** The end of a command that runs a gateway. */
import type { RunningGateway } from "../app/gateway.ts";
import type { CompiledConfig } from "../config/index.ts";
import type { Logger } from "../contracts/telemetry.ts";
import { exitCodes } from "./exit-codes.ts";
import type { StopRequests } from "./stop-requests.ts";
import type { Terminal } from "./terminal.ts";

/** How a gateway ends. */
export interface DrainContext {
  readonly format: CompiledConfig["log"]["format"];
  /** How long what runs may finish, ms. */
  readonly graceMs: number;
  readonly logger: Logger;
  readonly terminal: Terminal;
  readonly stopped: StopRequests;
}

/** Lets what runs finish, and closes; a second wish to stop ends the process at once. */
export async function drainGateway(
  gateway: RunningGateway,
  { format, graceMs, logger, terminal, stopped }: DrainContext,
): Promise<void> {
  stopped.onSecond(() => terminal.exit(exitCodes.interrupted.code));
  if (format === "json") logger.info("draining", { graceMs });
  else terminal.print("\ndraining… (again to end at once)\n");
  await gateway.close({ graceMs });
  if (format === "json") logger.info("stopped");
}
