/** `spillway serve`: the gateway, until it is told to stop. */
import { resolve } from "node:path";
import type { RunningGateway } from "../../app/gateway.ts";
import { findSurprises, type CompiledConfig } from "../../config/index.ts";
import type { Logger } from "../../contracts/telemetry.ts";
import { systemClock } from "../../core/clock.ts";
import { tellTaken } from "../config-source.ts";
import { announceAddresses, greet } from "../greeting.ts";
import { ModelProgress } from "../model-progress.ts";
import { offerEngine } from "../offer-engine.ts";
import { PoolProgress } from "../pool-progress.ts";
import { runGateway } from "../run-gateway.ts";
import { readConfig, requireRepository, type Overrides } from "../serve-config.ts";
import type { Terminal } from "../terminal.ts";
import { createBusyShare, trimWhenQuiet } from "../trim-memory.ts";
import { pickChatModel, suggestCalls, suggestChats, suggestDetector } from "../try-lines.ts";
import { engineProgram, libraryFolder } from "../../workers/llama/engine-files.ts";

/** What the command line says. */
export type ServeOptions = Overrides;

/** Starts, tells people how it goes, and drains when told to stop. */
export async function serve(options: ServeOptions, terminal: Terminal): Promise<number> {
  const { config, file } = await readConfig(options, terminal);
  requireRepository(config);
  await offerEngine(config, terminal);
  const { environment, workingDirectory } = terminal;
  return runGateway({
    config,
    terminal,
    machine: {
      dataFolder: resolve(workingDirectory, environment["SPILLWAY_DATA"] ?? ".spillway"),
      llama: { program: engineProgram, library: libraryFolder(workingDirectory, environment) },
    },
    served: {
      overrides: options,
      file,
      onTaken(_config, taken) {
        const line = config.log.format === "json" ? undefined : tellTaken(taken);
        if (line !== undefined) terminal.print(line);
      },
    },
    graceMs: config.workers.drainTimeoutMs,
    onStarted({ gateway, logger, version }) {
      if (config.log.format === "json") announce(gateway, { config, logger, version });
      else welcome(gateway, { config, file, version, terminal });
      const started = (): boolean => gateway.catalog.ready();
      const trimming = trimWhenQuiet({ clock: systemClock, started, busyShare: createBusyShare() });
      return () => trimming.cancel();
    },
  });
}

/** For machines: everything is a log line. */
function announce(
  gateway: RunningGateway,
  { config, logger, version }: { config: CompiledConfig; logger: Logger; version: string },
): void {
  announceAddresses(gateway.listening, logger, version);
  if (config.edge !== undefined) {
    const { cloud, detectors } = config.edge;
    logger.info("edge", { detectors: detectors.length, ...(cloud && { cloud: cloud.origin }) });
  }
  for (const note of findSurprises(config)) logger.warn("configuration_note", { note });
}

/** For people: where it listens, each model as it comes up, and what to try. */
function welcome(
  gateway: RunningGateway,
  context: {
    readonly config: CompiledConfig;
    readonly file: string | undefined;
    readonly version: string;
    readonly terminal: Terminal;
  },
): void {
  const { config, terminal } = context;
  const { catalog, listening } = gateway;
  terminal.print(greet({ ...context, listening, workingDirectory: terminal.workingDirectory }));
  const progress = new ModelProgress(terminal);
  const pools = new PoolProgress(terminal);
  let greeted = false;
  let chatsShown = false;
  const chatLines = (): string[] => {
    const model = chatsShown ? undefined : pickChatModel(gateway.forward.models());
    if (model === undefined) return [];
    chatsShown = true;
    return suggestChats({ listening, needsKey: config.access.mode === "keys" }, model);
  };
  const look = () => {
    progress.update(catalog.list());
    pools.update(gateway.forward.pools());
    if (greeted) {
      const late = chatLines();
      if (late.length > 0) terminal.print(`\nTry:\n\n${indented(late)}\n`);
    }
    if (greeted || !catalog.ready()) return;
    greeted = true;
    progress.settled();
    const chats = chatLines();
    const context = {
      listening,
      models: progress.readyNames
        .map((name) => catalog.find(name, undefined))
        .filter((model) => "inputs" in model),
      repository: config.repository?.directory,
      workingDirectory: terminal.workingDirectory,
      needsKey: config.access.mode === "keys",
    };
    const calls = [...suggestCalls(context), ...suggestDetector(context, config.edge?.detectors ?? [])];
    const seconds = process.uptime().toFixed(1);
    terminal.print(`\nReady after ${seconds} s. Try:\n\n${indented([...chats, ...calls])}\nCtrl-C stops.\n`);
  };
  gateway.onModelChange(look);
  look();
}

function indented(lines: readonly string[]): string {
  return lines.map((line) => `  ${line}\n`).join("");
}
