/** `spillway worker`: a worker of its own until it is told to stop. */
import type { StandaloneWorkerOptions } from "./standalone-worker.ts";
import { startStandaloneWorker } from "./standalone-worker.ts";

/** Options of the program. */
export interface RunStandaloneWorkerOptions extends StandaloneWorkerOptions {
  /** Stops the worker as SIGTERM does. */
  readonly signal?: AbortSignal;
  /** Called when it listens. */
  readonly onListening?: (port: number) => void;
}

/**
 * Runs until SIGTERM, SIGINT or the signal, then drains. Rejects when the address is taken or the
 * repository cannot be read at the start.
 */
export async function runStandaloneWorker(options: RunStandaloneWorkerOptions): Promise<void> {
  const worker = await startStandaloneWorker(options);
  options.onListening?.(worker.port);
  const { promise: told, resolve: stop } = Promise.withResolvers<void>();
  const { signal } = options;
  process.on("SIGTERM", stop).on("SIGINT", stop);
  signal?.addEventListener("abort", () => stop());
  if (signal?.aborted === true) stop();
  try {
    // A failed first loading ends it; a finished one leaves it waiting to be told.
    await Promise.race([told, worker.loaded.then(() => told)]);
  } finally {
    await worker.close();
    process.off("SIGTERM", stop).off("SIGINT", stop);
  }
}
