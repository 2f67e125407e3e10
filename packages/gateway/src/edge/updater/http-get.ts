/** GET over HTTP or HTTPS whose answer comes as a stream, with redirects, an idle limit and cancellation. */
import type { IncomingHttpHeaders, IncomingMessage, RequestOptions } from "node:http";
import { reasonOf, transferFailure, type TransferFailure } from "./transfer-failure.ts";

/** A request. */
export interface GetRequest {
  /** `http:` or `https:`. */
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** PEM certificates of the authorities trusted; undefined: those that Node trusts. */
  readonly ca: string | undefined;
  /** Without a byte for so long it is given up, ms. */
  readonly stallMs: number;
  readonly signal: AbortSignal;
}

/** The head of an answer; `body` must be read to its end or destroyed. */
export interface GetAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: IncomingMessage;
}

const maxRedirects = 5;
const longestRetryAfterMs = 86_400_000;

/** Follows at most five redirects, never from HTTPS to HTTP. Any other status is an answer. Never throws. */
export async function httpGet(request: GetRequest): Promise<GetAnswer | TransferFailure> {
  let { url } = request;
  for (let redirects = 0; redirects <= maxRedirects; redirects++) {
    const answer = await getOnce({ ...request, url }).catch((error: unknown) =>
      transferFailure(request.signal.aborted ? "it was called off" : reasonOf(error)),
    );
    if ("failed" in answer) return answer;
    const { location } = answer.headers;
    if (answer.status < 301 || answer.status > 308 || answer.status === 304 || location === undefined)
      return answer;
    answer.body.destroy();
    const next = URL.parse(location, url.href);
    if (next === null || !isHttp(next) || (url.protocol === "https:" && next.protocol === "http:"))
      return transferFailure(`${url.host} redirects to an address that is not followed`);
    url = next;
  }
  return transferFailure(`${url.host} redirects again and again`);
}

/** True for what `httpGet` can fetch. */
export function isHttp({ protocol }: URL): boolean {
  return protocol === "http:" || protocol === "https:";
}

/** Why an answer is not what was asked for; reads nothing of its body. */
export function refusalOf({ status, headers }: GetAnswer, url: URL): TransferFailure | undefined {
  const seconds = Number(headers["retry-after"]);
  const retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1_000 : undefined;
  if (status !== 200 && status !== 206)
    return transferFailure(
      `${url.host} answered ${status}`,
      retryAfterMs === undefined ? undefined : Math.min(retryAfterMs, longestRetryAfterMs),
    );
  if (/^text\/html\b/i.test(headers["content-type"] ?? ""))
    return transferFailure(`${url.host} answered with a page of HTML`);
  return undefined;
}

function getOnce({ url, headers, ca, stallMs, signal }: GetRequest): Promise<GetAnswer> {
  return new Promise((resolve, reject) => {
    const options: RequestOptions & { ca?: string } = { headers, signal, agent: false, timeout: stallMs };
    if (ca !== undefined) options.ca = ca;
    const onAnswer = (body: IncomingMessage): void =>
      resolve({ status: body.statusCode ?? 0, headers: body.headers, body });
    const request =
      url.protocol === "https:"
        ? process.getBuiltinModule("node:https").get(url, options, onAnswer)
        : process.getBuiltinModule("node:http").get(url, options, onAnswer);
    request.on("timeout", () => request.destroy(new Error(`no byte came for ${stallMs} ms`)));
    request.on("error", reject);
  });
}
