/** What commands that run a gateway have in common: from its start to its end. */
import { workerEntry } from "@spillway/worker";
import { startGateway, type RunningGateway } from "../app/gateway.ts";
import type { GatewayContext } from "../app/options.ts";
import type { CompiledConfig } from "../config/index.ts";
import type { Logger } from "../contracts/telemetry.ts";
import { systemClock } from "../core/clock.ts";
import { createSystemRandom } from "../core/random.ts";
import { createMetrics, exposeProcess } from "../telemetry/index.ts";
import { createTerminalLogger } from "./create-logger.ts";
import { drainGateway } from "./drain-gateway.ts";
import { exitCodes } from "./exit-codes.ts";
import { stopRequests } from "./stop-requests.ts";
import type { Terminal } from "./terminal.ts";
import { packageVersion } from "./version.ts";

/** A gateway that has started, and what it is told of with. */
export interface StartedGateway {
  readonly gateway: RunningGateway;
  readonly logger: Logger;
  readonly version: string;
}

/** What a command gives. */
export interface GatewayRun {
  readonly config: CompiledConfig;
  readonly terminal: Terminal;
  /** Places on this machine, for parts that the configuration may ask for. */
  readonly machine?: Pick<GatewayContext, "dataFolder" | "llama">;
  /** How long what runs may finish, ms. */
  readonly graceMs: number;
  /** Tells whoever watches. What it gives back is called when the gateway is told to stop. */
  readonly onStarted: (started: StartedGateway) => (() => void) | undefined;
}

/** Starts it and drains it when it is told to stop. Resolves with the exit code; rejects where it cannot start. */
export async function runGateway({
  config,
  terminal,
  machine = {},
  graceMs,
  onStarted,
}: GatewayRun): Promise<number> {
  const logger = createTerminalLogger(config.log, terminal);
  const version = packageVersion();
  const metrics = createMetrics();
  const processMetrics = exposeProcess(metrics, { clock: systemClock, version });
  const stopped = stopRequests(terminal);
  try {
    const gateway = await startGateway(config, {
      version,
      clock: systemClock,
      random: createSystemRandom(),
      logger,
      metrics,
      workerProgram: workerEntry.href,
      ...machine,
    });
    const onStop = onStarted({ gateway, logger, version });
    await stopped.first;
    onStop?.();
    await drainGateway(gateway, { format: config.log.format, graceMs, logger, terminal, stopped });
    return exitCodes.ok.code;
  } finally {
    processMetrics.close();
  }
}
