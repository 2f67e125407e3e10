/** Short questions to a server, as a port: asked and answered whole, bounded in time and size. */
import type { Cancellation } from "../core/cancellation.ts";
import type { Clock } from "../core/clock.ts";
import type { HeaderList, HeaderMap } from "../core/headers.ts";
import type { ServerConnection, ServerError, ServerRequest } from "./connection.ts";

/** A whole answer. */
export interface ServerAnswer {
  readonly status: number;
  readonly headers: HeaderMap;
  readonly body: Buffer;
}

/** Why there is none. */
export interface NoAnswer {
  /**
   * Those of `ServerError`, `malformed` also for an answer that is larger than asked for; `timeout`: none within the time;
   * `cancelled`: the asker called it off.
   */
  readonly kind: ServerError["kind"] | "timeout" | "cancelled";
  readonly message: string;
  /** True where some of an answer came: the server has handled the question. */
  readonly begun: boolean;
  /** As in `ServerError`. */
  readonly isOurs?: boolean;
}

/** How a question is asked. */
export interface AskOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Largest body that is read. */
  readonly maxBytes: number;
  /** Closes the connection at once when it is called off. Its listener is taken until there is an answer. */
  readonly cancellation?: Cancellation | undefined;
}

/** What is asked. */
export interface Question {
  readonly method: ServerRequest["method"];
  readonly path: string;
  /** Without `accept`, JSON is asked for. */
  readonly headers?: HeaderList;
  readonly body?: Uint8Array;
  /** Not to be sent over a kept connection. */
  readonly needsNewConnection?: boolean;
}

/** Asks and reads the answer whole. Never rejects. */
export type AskServer = (
  connection: ServerConnection,
  question: Question,
  options: AskOptions,
) => Promise<ServerAnswer | NoAnswer>;

/** True where the server answered at all. */
export function isAnswer(result: ServerAnswer | NoAnswer): result is ServerAnswer {
  return "status" in result;
}
