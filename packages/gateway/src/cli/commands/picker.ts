/** `spillway picker`: the endpoint picker alone, for Envoy and gateways built on it, until it is told to stop. */
import { workerEntry } from "@spillway/worker";
import { startGateway, type RunningGateway } from "../../app/gateway.ts";
import { systemClock } from "../../core/clock.ts";
import { createSystemRandom } from "../../core/random.ts";
import { createMetrics, exposeProcess } from "../../telemetry/index.ts";
import { createTerminalLogger } from "../create-logger.ts";
import { drainGateway } from "../drain-gateway.ts";
import { exitCodes } from "../exit-codes.ts";
import { announceAddresses, describeExtProc, httpUrl, placesOf } from "../greeting.ts";
import { readPickerConfig, type PickerConfig, type PickerOptions } from "../picker-config.ts";
import { stopRequests } from "../stop-requests.ts";
import type { Terminal } from "../terminal.ts";
import { packageVersion } from "../version.ts";

/** Starts, says where Envoy asks, and drains when told to stop. */
export async function picker(
  options: PickerOptions,
  flagNotes: readonly string[],
  terminal: Terminal,
): Promise<number> {
  const read = await readPickerConfig(options, terminal);
  const { config } = read;
  const notes = [...flagNotes, ...read.notes];
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
    });
    if (config.log.format === "json") {
      announceAddresses(gateway.listening, logger, version);
      for (const note of notes) logger.warn("configuration_note", { note });
    } else terminal.print(welcome(gateway, { config, notes }, version));
    await stopped.first;
    const { format } = config.log;
    await drainGateway(gateway, { format, graceMs: options.drainTimeout, logger, terminal, stopped });
    return exitCodes.ok.code;
  } finally {
    processMetrics.close();
  }
}

function welcome({ listening }: RunningGateway, { config, notes }: PickerConfig, version: string): string {
  const lines = [`Spillway ${version}, endpoint picker`, ""];
  if (listening.extProc !== undefined) lines.push(`  envoy    ${describeExtProc(listening.extProc)}`);
  for (const address of listening.http) lines.push(`  metrics  ${httpUrl(address)}/metrics`);
  for (const pool of config.pools) {
    const places = placesOf(pool);
    lines.push(`  pool     ${pool.name}: ${places.length === 0 ? "as discovered" : places.join(", ")}`);
  }
  for (const note of notes) lines.push(`  note     ${note}`);
  return `${lines.join("\n")}\n\nCtrl-C stops.\n`;
}
