/** The flags of `spillway picker`: those of the llm-d router, with their defaults, and a few of our own. */
import { Option, type Command } from "commander";
import { logLevels } from "../contracts/telemetry.ts";
import { parseGoDuration } from "../core/go-duration.ts";
import { CommandError } from "./command-error.ts";
import { collect, readBoolean, readGoDuration, readList, readPort, saysNo } from "./option-values.ts";
import type { PickerOptions } from "./picker-config.ts";
import { idleFlags } from "./picker-idle-flags.ts";

/** Puts the flags on the command. */
export function addPickerFlags(command: Command): Command {
  command
    .option("--config-file <file>", "EndpointPickerConfig file (default: the default profile)")
    .option("--config-text <text>", "the same as a text")
    .option("--plugin <file>", "file of plugins of your own; may be repeated", collect)
    .option("--endpoints <addresses>", "host:port of servers, separated by commas", readList)
    .option("--host <address>", "address to bind, of all ports", "0.0.0.0")
    .option("--grpc-port <port>", "port that Envoy asks (ext_proc)", readPort, 9_002)
    .option("--grpc-health-port <port>", "port of gRPC health checks", readPort, 9_003)
    .option("--metrics-port <port>", "port of metrics and of the API for operators", readPort, 9_090)
    .option(
      "--metrics-endpoint-auth [bool]",
      "metrics are for this machine only, instead of for tokens of Kubernetes (default: true)",
      readBoolean,
    )
    .option("--secure-serving [bool]", "TLS on the port that Envoy asks", readBoolean, true)
    .option(
      "--cert-path <folder>",
      "folder with tls.crt and tls.key (default: a certificate made at the start)",
    )
    .option("--emit-endpoint-scores [bool]", "tell Envoy what endpoints scored", readBoolean, false)
    .option(
      "--disable-endpoint-subset-filter [bool]",
      "do not look at Envoy's list of endpoints that may be chosen",
      readBoolean,
      false,
    )
    .addOption(durationOption("--drain-timeout", "how long requests may go on when it stops", "30s"))
    .addOption(durationOption("--refresh-metrics-interval", "how often servers' metrics are read", "50ms"))
    .addOption(durationOption("--metrics-staleness-threshold", "age from which metrics say nothing", "2s"))
    .option("--pool-name <name>", "the pool's name in metrics and decisions", "default")
    .addOption(new Option("--log-level <level>", "quietest level that is logged").choices(logLevels))
    .addOption(
      new Option("--log-format <format>", "json: nothing but JSON lines on standard error")
        .choices(["auto", "json", "pretty"])
        .default("auto"),
    );
  for (const { flags, reason, isRefused } of idleFlags) {
    command.addOption(new Option(flags, `${isRefused === true ? "refused" : "accepted"}: ${reason}`));
  }
  return command;
}

/**
 * The options without flags that are of no consequence, and a sentence for each of those that was given, and for each
 * other that means something else than to the router. Throws a `CommandError` for one that is refused.
 */
export function settleFlags(given: Readonly<Record<string, unknown>>): {
  readonly options: PickerOptions;
  readonly notes: readonly string[];
} {
  const notes: string[] = [];
  const settled = { ...given };
  for (const { flags, reason, isRefused = false, whenFalse } of idleFlags) {
    const option = new Option(flags);
    const value = given[option.attributeName()];
    delete settled[option.attributeName()];
    if (value === undefined) continue;
    const told = isFalse(value) ? whenFalse : reason;
    if (told === undefined) continue;
    const sentence = `${option.long ?? flags} ${told}`;
    if (isRefused) throw new CommandError(sentence);
    notes.push(sentence);
  }
  if (given["metricsEndpointAuth"] === true)
    notes.push("--metrics-endpoint-auth asks for no token of Kubernetes: metrics are for this machine only");
  return { options: { metricsEndpointAuth: true, ...settled } as unknown as PickerOptions, notes };
}

function isFalse(value: unknown): boolean {
  return typeof value === "string" && saysNo(value);
}

function durationOption(flag: string, description: string, usual: string): Option {
  return new Option(`${flag} <duration>`, description)
    .argParser(readGoDuration)
    .default(parseGoDuration(usual), usual);
}
