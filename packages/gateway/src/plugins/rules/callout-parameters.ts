/** What rules that ask a service elsewhere have in common. */
import * as z from "zod";
import type { CalloutAnswer, HttpCallout } from "../../contracts/http-callout.ts";
import type { PluginHost } from "../../contracts/plugins/plugin.ts";
import { failure, GatewayError, isFailure, type Failure } from "../../core/errors.ts";
import { headerValue } from "../../core/headers.ts";

/** Parameters of a service. */
export const serviceShape = {
  url: z.string().regex(/^https?:\/\/[^\s#]+$/, "expected an address such as http://host:8080/path"),
  headers: z
    .record(z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/), z.string().max(8_192))
    .default({})
    .describe("Sent with every call, such as credentials: `${NAME}` of the environment"),
  concurrency: z.int().min(1).max(100_000).default(256).describe("Calls under way at once; one more fails"),
  connectTimeoutMs: z.int().min(1).max(60_000).default(1_000).describe("Time to make a connection, ms"),
  maxQueryBytes: z
    .int()
    .min(1)
    .max(1_048_576)
    .default(16_384)
    .describe("Of the caller's last message so much is sent, bytes"),
  maxAnswerBytes: z
    .int()
    .min(1)
    .max(16_777_216)
    .default(262_144)
    .describe("A longer answer counts as none, bytes"),
};

type Service = z.output<z.ZodObject<typeof serviceShape>>;

/** Throws a `GatewayError` where the host opens no connections, or for an address that is none. */
export function createCallout(
  { url, headers, concurrency, connectTimeoutMs }: Service,
  host: PluginHost,
): HttpCallout {
  if (host.callout === undefined)
    throw new GatewayError("bad_request", "url: services cannot be asked from here");
  const list = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const);
  return host.callout({ url, headers: list, concurrency, connectTimeoutMs });
}

/** What a service said; wrapped, since its object may look like anything, a failure included. */
export interface ServiceAnswer {
  readonly answer: Readonly<Record<string, unknown>>;
}

/** Asks. A failure for anything but a JSON object, without a word of what was said instead. */
export async function askService(
  callout: HttpCallout,
  question: object,
  call: Omit<Parameters<HttpCallout["post"]>[0], "body">,
): Promise<ServiceAnswer | Failure> {
  const answer = await callout.post({ ...call, body: Buffer.from(JSON.stringify(question)) });
  return isFailure(answer) ? answer : readAnswer(answer);
}

function readAnswer({ status, headers, body }: CalloutAnswer): ServiceAnswer | Failure {
  if (status < 200 || status > 299) return failure("bad_upstream_answer", `The service answered ${status}`);
  const type = headerValue(headers, "content-type");
  if (type !== undefined && !/^application\/([a-z0-9.+-]+\+)?json\b/i.test(type)) {
    return failure("bad_upstream_answer", `The service answered ${type.slice(0, 80)} instead of JSON`);
  }
  const text = Buffer.from(body.buffer, body.byteOffset, body.length).toString("utf8");
  const value = parsed(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return failure("bad_upstream_answer", "The service answered no JSON object");
  }
  return { answer: value as ServiceAnswer["answer"] };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
