/** `spillway picker`: the endpoint picker alone, for Envoy and gateways built on it, until it is told to stop. */
import type { RunningGateway } from "../../app/gateway.ts";
import { announceAddresses, describeExtProc, httpUrl, placesOf } from "../greeting.ts";
import { readPickerConfig, type PickerConfig, type PickerOptions } from "../picker-config.ts";
import { runGateway } from "../run-gateway.ts";
import type { Terminal } from "../terminal.ts";

/** Starts, says where Envoy asks, and drains when told to stop. */
export async function picker(
  options: PickerOptions,
  flagNotes: readonly string[],
  terminal: Terminal,
): Promise<number> {
  const read = await readPickerConfig(options, terminal);
  const { config } = read;
  const notes = [...flagNotes, ...read.notes];
  return runGateway({
    config,
    terminal,
    graceMs: options.drainTimeout,
    onStarted({ gateway, logger, version }) {
      if (config.log.format === "json") {
        announceAddresses(gateway.listening, logger, version);
        for (const note of notes) logger.warn("configuration_note", { note });
      } else terminal.print(welcome(gateway, { config, notes }, version));
      return undefined;
    },
  });
}

function welcome({ listening }: RunningGateway, { config, notes }: PickerConfig, version: string): string {
  const lines = [`Spillway ${version}, endpoint picker`, ""];
  if (listening.extProc !== undefined) lines.push(`  envoy    ${describeExtProc(listening.extProc)}`);
  for (const address of listening.http) lines.push(`  metrics  ${httpUrl(address)}/metrics`);
  for (const pool of config.pools) lines.push(`  pool     ${pool.name}: ${placesOf(pool).join(", ")}`);
  for (const note of notes) lines.push(`  note     ${note}`);
  return `${lines.join("\n")}\n\nCtrl-C stops.\n`;
}
