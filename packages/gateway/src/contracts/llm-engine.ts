/** The built-in engine for language models: a process of its own that serves GGUF files over HTTP. */
import type { ServerAccess } from "./connection.ts";

/** Name of the pool that the engine is, for routes, metrics and logs; a configured pool of that name keeps it. */
export const enginePool = "llama";

/**
 * - `idle`: the model folders have no GGUF file; there is no process.
 * - `missing`: they have, but the engine is not installed.
 * - `starting`: its process has been started and does not listen yet, or has died and is started again at once.
 * - `ready`: it listens.
 * - `failed`: its process keeps ending; it is started again after growing pauses.
 * - `closed`: for good.
 */
export type LlmEngineState = "idle" | "missing" | "starting" | "ready" | "failed" | "closed";

/** Keeps the engine's process running while there is something to serve. */
export interface LlmEngine {
  readonly state: LlmEngineState;
  /** Why it is `missing` or `failed`, for people. */
  readonly reason: string | undefined;
  /** How the engine is reached once it is `ready`; the same over restarts. It speaks OpenAI and Ollama. */
  readonly access: ServerAccess;
  /** Called whenever the state changed. One listener. */
  onChange(listener: () => void): void;
  /** Looks at the folders, again and again, and starts the engine where it can. Resolves when they were looked at. */
  start(): Promise<void>;
  /** Ends the process and removes its socket. Idempotent. */
  close(): void;
}
