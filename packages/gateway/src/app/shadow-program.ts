/**
 * The program of the thread in which a pool's shadows run: it makes their layers and runs the frames it is sent. What it
 * writes to the console goes nowhere, and what it throws ends the thread alone.
 */
import { parentPort, workerData } from "node:worker_threads";
import { loadPluginFile } from "../config/plugin-files.ts";
import type { PluginDefinition } from "../contracts/plugins/plugin.ts";
import type { Logger } from "../contracts/telemetry.ts";
import { systemClock, type Clock } from "../core/clock.ts";
import { createSystemRandom } from "../core/random.ts";
import { createProfiles } from "../plugins/create-profiles.ts";
import { builtInPlugins } from "../plugins/index.ts";
import { PluginRegistry } from "../plugins/plugin-registry.ts";
import type { Frame } from "../stages/scheduling/shadow-frame.ts";
import type { FromShadows, ShadowSpec, ShadowThreadData } from "../stages/scheduling/shadow-messages.ts";
import { ShadowProfile } from "../stages/scheduling/shadow-profile.ts";
import { ShadowRunner } from "../stages/scheduling/shadow-runner.ts";
import { createMetrics } from "../telemetry/index.ts";
import { DecisionLog } from "../telemetry/decision-log.ts";

/** What is kept of each shadow's cycles, to explain a disagreement. */
const kept = { cycles: 64, numbers: 65_536 } as const;

const quiet = (): void => undefined;
const logger: Logger = { level: "error", error: quiet, warn: quiet, info: quiet, debug: quiet };

/** Time goes on with the frames: plugins compare it with what live endpoints were told and when. */
class FrameClock implements Clock {
  time = 0;

  now(): number {
    return this.time;
  }

  wallNow(): number {
    return systemClock.wallNow();
  }

  after(delayMs: number, action: () => void): ReturnType<Clock["after"]> {
    return systemClock.after(delayMs, action);
  }
}

async function definitionsOf(files: readonly string[]): Promise<PluginDefinition[]> {
  const all: PluginDefinition[] = [...builtInPlugins];
  for (const path of files) all.push(...(await loadPluginFile({ name: path, path })).definitions);
  return all;
}

/** Makes one shadow. A text where that fails: why. */
function makeShadow(
  { name, spec }: ShadowSpec,
  {
    registry,
    clock,
    pool,
  }: { readonly registry: PluginRegistry; readonly clock: Clock; readonly pool: string },
): ShadowProfile | string {
  try {
    const host = { clock, random: createSystemRandom(), logger, metrics: createMetrics() };
    const log = new DecisionLog({ clock, ...kept });
    const memory = { tracer: log.tracer(pool), cyclesOf: (id: string) => log.cyclesOf(id) };
    return new ShadowProfile(name, createProfiles(spec, registry, host), memory);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function run({ shadows, pool, pluginFiles, twins, running }: ShadowThreadData): Promise<void> {
  const clock = new FrameClock();
  const onRun = (index: number): void => void Atomics.store(running, 0, index);
  const registry = new PluginRegistry(await definitionsOf(pluginFiles));
  const failed: [string, string][] = [];
  const made = shadows.map((shadow, index) => {
    onRun(index);
    const result = makeShadow(shadow, { registry, clock, pool });
    if (typeof result !== "string") return result;
    failed.push([shadow.name, result]);
    return undefined;
  });
  onRun(-1);
  const runner = new ShadowRunner({
    shadows: made,
    onRun,
    onTime: (now) => void (clock.time = now),
    now: () => systemClock.now(),
  });
  const say = (message: FromShadows): void => parentPort?.postMessage(message);
  parentPort?.on("message", (frame: Frame) => say({ kind: "tallies", tallies: runner.run(frame) }));
  const readsPrompts = made.some((shadow) => shadow?.readsPrompts(twins) === true);
  say({ kind: "ready", failed, readsPrompts });
}

process.stdout.write = () => true;
process.stderr.write = () => true;
await run(workerData as ShadowThreadData);
