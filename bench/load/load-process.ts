/** Entry of the process that generates load, so that neither it nor the harness disturbs the other's clock. */
import { enableCompileCache } from "node:module";
import type { LoadMessage, LoadOrder } from "./load-messages.ts";
import type { LoadSpec } from "./load-spec.ts";
import { runLoad } from "./run-load.ts";
import type { LoadRun } from "./run-load.ts";

enableCompileCache();

/** A run bounded by count ends at the latest after this long. */
const MAX_COUNTED_MS = 600_000;
/** Allowance for connecting, draining and start-up on a busy machine. */
const SLACK_MS = 15_000;

let run: LoadRun | null = null;
let stopped = false;

process.on("message", (order: LoadOrder) => {
  if (order.type === "stop") {
    stopped = true;
    run?.stop();
  } else void start(order.spec);
});
process.once("disconnect", () => process.exit(1));

async function start(spec: LoadSpec): Promise<void> {
  const limitMs = lifetimeMs(spec);
  setTimeout(() => finish({ type: "error", message: `no end after ${limitMs} ms` }), limitMs).unref();
  try {
    run = await runLoad(spec, { onPhase: (phase) => tell({ type: "phase", phase }) });
    if (stopped) run.stop();
    finish({ type: "result", result: await run.result });
  } catch (error) {
    finish({ type: "error", message: error instanceof Error ? error.message : String(error) });
  }
}

function lifetimeMs(spec: LoadSpec): number {
  const boundMs = "durationMs" in spec.bound ? spec.bound.durationMs : MAX_COUNTED_MS;
  return spec.warmUpMs + boundMs + 2 * spec.timeoutMs + SLACK_MS;
}

function tell(message: LoadMessage): void {
  process.send?.(message);
}

function finish(message: LoadMessage): void {
  process.send?.(message, undefined, undefined, () => process.exit(0));
}
