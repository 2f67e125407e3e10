/** What commands that run a gateway have in common: from its start to its end. */
import { workerEntry } from "@spillway/worker";
import { startGateway, type RunningGateway } from "../app/gateway.ts";
import type { ConfigSource } from "../app/config-source.ts";
import type { GatewayContext } from "../app/options.ts";
import type { CompiledConfig } from "../config/index.ts";
import type { Logger } from "../contracts/telemetry.ts";
import { systemClock } from "../core/clock.ts";
import { createSystemRandom } from "../core/random.ts";
import { createMetrics, exposeProcess, type LevelledLogger } from "../telemetry/index.ts";
import { createConfigSource, type ServedConfig } from "./config-source.ts";
import { createTerminalLogger, levelOf } from "./create-logger.ts";
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
  /** Where it is read again from; absent: it is what it is. */
  readonly served?: ServedConfig;
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
  served,
  graceMs,
  onStarted,
}: GatewayRun): Promise<number> {
  const logger = createTerminalLogger(config.log, terminal);
  const version = packageVersion();
  const metrics = createMetrics();
  const processMetrics = exposeProcess(metrics, { clock: systemClock, version });
  const stopped = stopRequests(terminal);
  const source = served && sourceOf(served, { terminal, logger });
  let reload = (): void => {};
  // Heard from now on, since it would end a process that is just starting.
  if (source !== undefined) terminal.onReload?.(() => reload());
  try {
    const gateway = await startGateway(config, {
      version,
      clock: systemClock,
      random: createSystemRandom(),
      logger,
      metrics,
      workerProgram: workerEntry.href,
      ...machine,
      ...(source !== undefined && { source }),
    });
    reload = () => void gateway.reload();
    const onStop = onStarted({ gateway, logger, version });
    await stopped.first;
    onStop?.();
    await drainGateway(gateway, { format: config.log.format, graceMs, logger, terminal, stopped });
    return exitCodes.ok.code;
  } finally {
    processMetrics.close();
  }
}

/** Its log levels are those of this logger. */
function sourceOf(
  { onTaken, ...served }: ServedConfig,
  { terminal, logger }: { readonly terminal: Terminal; readonly logger: LevelledLogger },
): ConfigSource {
  return createConfigSource(
    {
      ...served,
      onTaken(config, taken) {
        if (config.log !== undefined) logger.setLevel(levelOf(config.log));
        onTaken(config, taken);
      },
    },
    terminal,
  );
}
