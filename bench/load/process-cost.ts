/** What this process costs between two moments: CPU time of all its threads and event-loop delay. */
import { loopDelayOf, watchLoop } from "./loop-delay.ts";
import type { LoopDelay } from "./loop-delay.ts";

/** The cost between `begin` and `end`. */
export interface ProcessCostReading {
  readonly cpuMs: number;
  /** CPU time over elapsed time; near 1 or above, the process itself was the limit. */
  readonly utilization: number;
  readonly loopDelay: LoopDelay;
}

/** Measures from construction, or from `begin`, to `end`. */
export class ProcessCost {
  readonly #loop = watchLoop();
  #startMs = performance.now();
  #startCpu = process.cpuUsage();
  #reading: ProcessCostReading | null = null;

  /** Forgets what was counted so far. */
  begin(): void {
    this.#startMs = performance.now();
    this.#startCpu = process.cpuUsage();
    this.#loop.reset();
  }

  /** Fixes the reading. */
  end(): void {
    const used = process.cpuUsage(this.#startCpu);
    const cpuMs = (used.user + used.system) / 1000;
    const elapsedMs = Math.max(performance.now() - this.#startMs, Number.MIN_VALUE);
    this.#reading = { cpuMs, utilization: cpuMs / elapsedMs, loopDelay: loopDelayOf(this.#loop) };
  }

  /** The reading at `end`, which is now when it was not called. */
  read(): ProcessCostReading {
    if (this.#reading === null) this.end();
    return this.#reading ?? { cpuMs: 0, utilization: 0, loopDelay: loopDelayOf(this.#loop) };
  }

  /** Stops watching the loop. Idempotent. */
  close(): void {
    this.#loop.disable();
  }
}
