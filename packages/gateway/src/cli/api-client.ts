/** Asks a running gateway over HTTP. */
import { CommandError } from "./command-error.ts";

/** Loading a model may take minutes. */
const timeoutMs = 10 * 60_000;

/** Which gateway is asked. */
export interface Gateway {
  readonly url: string;
  /** Sent where there is one. */
  readonly key?: string;
}

/** One call. */
export interface ApiCall {
  readonly method: "GET" | "POST";
  /** With its query. */
  readonly path: string;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  readonly contentType?: string;
}

/** Makes the call and returns the JSON answer, undefined for an empty one. Throws a `CommandError` with the gateway's reason. */
export async function callGateway(gateway: Gateway, call: ApiCall): Promise<unknown> {
  const response = await send(gateway, call);
  const text = await response.text();
  const value = parseAnswer(text);
  if (response.ok && value !== notJson) return value;
  const reason = reasonIn(value) ?? `status ${response.status}, and no reason that can be read`;
  throw new CommandError(
    `${call.method} ${call.path} at ${gateway.url}: ${reason}${keyHint(response, gateway)}`,
  );
}

function keyHint({ status }: Response, { key }: Gateway): string {
  return status === 401 && key === undefined ? "; --key or SPILLWAY_KEY gives one" : "";
}

async function send({ url, key }: Gateway, call: ApiCall): Promise<Response> {
  const { method, path, body, contentType } = call;
  try {
    return await fetch(new URL(path, url), {
      method,
      signal: AbortSignal.timeout(timeoutMs),
      ...(body === undefined ? {} : { body }),
      headers: {
        ...(contentType === undefined ? {} : { "content-type": contentType }),
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      },
    });
  } catch (cause) {
    throw new CommandError(
      `no answer from ${url} (${whyUnanswered(cause)}); "spillway serve" starts a gateway, --url says where it is`,
      { cause },
    );
  }
}

function whyUnanswered(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? error.cause : error;
  return "code" in cause && typeof cause.code === "string" ? cause.code : cause.message;
}

const notJson = Symbol("not JSON");

function parseAnswer(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return notJson;
  }
}

/** The `error` member that every dialect's failures have. */
function reasonIn(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || !("error" in value)) return undefined;
  return typeof value.error === "string" ? value.error : JSON.stringify(value.error);
}
