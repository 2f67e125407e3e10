/** Short questions to a server: probes, lists of models, calls of the cloud. Bounded in time and size; never throws. */
import type { AskOptions, NoAnswer, Question, ServerAnswer } from "../contracts/ask-server.ts";
import type { ServerConnection } from "../contracts/connection.ts";
import type { HeaderList, HeaderMap } from "../core/headers.ts";

const acceptJson = ["accept", "application/json"] as const;

/** Asks and reads the answer whole: the implementation of `AskServer`. */
export function askServer(
  connection: ServerConnection,
  { method, path, headers = [], body, needsNewConnection = false }: Question,
  { clock, timeoutMs, maxBytes, cancellation }: AskOptions,
): Promise<ServerAnswer | NoAnswer> {
  return new Promise((resolve) => {
    const calledOff = cancellation?.reason;
    if (calledOff !== undefined) return resolve({ kind: "cancelled", message: calledOff, begun: false });
    let hasEnded = false;
    let status = 0;
    let head: HeaderMap = {};
    const chunks: Uint8Array[] = [];
    let size = 0;
    const done = (result: ServerAnswer | NoAnswer): void => {
      hasEnded = true;
      timer.cancel();
      cancellation?.listen(undefined);
      resolve(result);
    };
    const giveUp = (kind: NoAnswer["kind"], message: string): void => {
      call.cancel();
      done({ kind, message, begun: status > 0 });
    };
    const timer = clock.after(timeoutMs, () => giveUp("timeout", `no answer within ${timeoutMs} ms`));
    const call = connection.send(
      { method, path, headers: withAccept(headers), body, needsNewConnection },
      {
        head(code, map) {
          status = code;
          head = map;
        },
        data(chunk) {
          size += chunk.byteLength;
          // Copied: the chunk may be a view of a buffer that is used again.
          if (size <= maxBytes) chunks.push(Uint8Array.from(chunk));
          else giveUp("malformed", `an answer of more than ${maxBytes} bytes`);
        },
        end: () => done({ status, headers: head, body: Buffer.concat(chunks) }),
        failed: ({ kind, message, isOurs = false }) => done({ kind, message, begun: status > 0, isOurs }),
      },
    );
    if (!hasEnded) cancellation?.listen((reason) => giveUp("cancelled", reason));
  });
}

function withAccept(headers: HeaderList): HeaderList {
  return headers.some(([name]) => name === "accept") ? headers : [acceptJson, ...headers];
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
