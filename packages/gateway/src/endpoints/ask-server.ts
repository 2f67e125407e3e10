/** Short questions to a server: probes, lists of models. Bounded in time and size; never throws. */
import type { ServerConnection, ServerError } from "../contracts/connection.ts";
import type { Clock } from "../core/clock.ts";
import type { HeaderList, HeaderMap } from "../core/headers.ts";

/** A whole answer. */
export interface ServerAnswer {
  readonly status: number;
  readonly headers: HeaderMap;
  readonly body: Buffer;
}

/** Why there is none. `timeout`: none within the time; `malformed` also for one that is larger than asked for. */
export interface NoAnswer {
  readonly kind: ServerError["kind"] | "timeout";
  readonly message: string;
}

/** How a question is asked. */
export interface AskOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Largest body that is read. */
  readonly maxBytes: number;
}

/** What is asked. */
export interface Question {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly headers?: HeaderList;
  readonly body?: Uint8Array;
}

/** True where the server answered at all. */
export function isAnswer(result: ServerAnswer | NoAnswer): result is ServerAnswer {
  return "status" in result;
}

/** Asks and reads the answer whole. */
export function askServer(
  connection: ServerConnection,
  { method, path, headers = [], body }: Question,
  { clock, timeoutMs, maxBytes }: AskOptions,
): Promise<ServerAnswer | NoAnswer> {
  return new Promise((resolve) => {
    let status = 0;
    let head: HeaderMap = {};
    const chunks: Uint8Array[] = [];
    let size = 0;
    const done = (result: ServerAnswer | NoAnswer): void => {
      timer.cancel();
      resolve(result);
    };
    const giveUp = (result: NoAnswer): void => {
      call.cancel();
      done(result);
    };
    const timer = clock.after(timeoutMs, () =>
      giveUp({ kind: "timeout", message: `no answer within ${timeoutMs} ms` }),
    );
    const call = connection.send(
      { method, path, headers: [["accept", "application/json"], ...headers], body },
      {
        head(code, map) {
          status = code;
          head = map;
        },
        data(chunk) {
          size += chunk.byteLength;
          // Copied: the chunk may be a view of a buffer that is used again.
          if (size <= maxBytes) chunks.push(Uint8Array.from(chunk));
          else giveUp({ kind: "malformed", message: `an answer of more than ${maxBytes} bytes` });
        },
        end: () => done({ status, headers: head, body: Buffer.concat(chunks) }),
        failed: ({ kind, message }) => done({ kind, message }),
      },
    );
  });
}

/** An object of a JSON answer; undefined for anything else. */
export function readJson(body: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    return asRecord(JSON.parse(body.toString("utf8")));
  } catch {
    return undefined;
  }
}

/** The value where it is an object, undefined where it is anything else. */
export function asRecord(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;
}
