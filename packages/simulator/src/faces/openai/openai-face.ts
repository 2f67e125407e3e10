/** A server that behaves like OpenAI's own API. */
import type { OutgoingHttpHeaders } from "node:http";
import type { ErrorAnswer, ErrorStyle, Exchange } from "../../server/exchange.ts";
import { sse } from "../face.ts";
import type { Face, FaceRoute, World } from "../face.ts";
import { fields } from "../fields.ts";
import { responseRoutes } from "../responses/responses.ts";
import { checkChat } from "./check-chat.ts";
import { findExactly, hexId } from "./flavour.ts";
import type { OpenAiFlavour } from "./flavour.ts";
import { openAiRoutes } from "./openai-routes.ts";

const TYPES: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "invalid_request_error",
  403: "invalid_request_error",
  404: "invalid_request_error",
  405: "invalid_request_error",
  429: "rate_limit_error",
};
const CODES: Readonly<Record<number, string>> = { 429: "rate_limit_exceeded" };

/** Errors as OpenAI writes them. */
const openAiErrors: ErrorStyle = {
  body: ({
    status,
    message,
    type = TYPES[status] ?? "server_error",
    param = null,
    code = CODES[status] ?? null,
  }) => ({
    error: { message, type, param, code },
  }),
  frame: (error) => sse(openAiErrors.body(error)),
};

/** Makes the face. */
export function createOpenAiFace(world: World): Face {
  const flavour: OpenAiFlavour = {
    name: "openai",
    world,
    extras: { service_tier: "default", system_fingerprint: "fp_simulated" },
    roleChunk: true,
    roleEverywhere: false,
    wholeToolCalls: false,
    lateHead: false,
    stopReason: false,
    thinkingFields: [],
    responseThinking: "asked",
    full: true,
    owner: "system",
    overloaded: {
      status: 429,
      message: "Rate limit reached: too many requests wait.",
      headers: { "retry-after": "1" },
    },
    headers: () => headersOf(world),
    find: (name) => findExactly(world, name),
    missing: (name) => ({
      status: 404,
      message: `The model \`${name}\` does not exist or you do not have access to it.`,
      code: "model_not_found",
    }),
    id: (prefix) => `${prefix}${hexId(world, 24)}`,
  };
  return {
    name: "openai",
    errors: openAiErrors,
    routes: routesOf(flavour),
    guard: (exchange) => guard(exchange, world),
    notFound: (exchange) =>
      exchange.error({ status: 404, message: `Invalid URL (${exchange.request.method} ${exchange.path})` }),
    notAllowed: (exchange, allow) =>
      exchange.error({
        status: 405,
        message: `Invalid method for URL (${exchange.request.method} ${exchange.path})`,
        headers: { allow },
      }),
  };
}

function headersOf(world: World): OutgoingHttpHeaders {
  return {
    "x-request-id": `req_${hexId(world, 32)}`,
    "openai-version": "2020-10-01",
    "openai-processing-ms": "1",
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-remaining-requests": String(Math.max(0, 10_000 - world.load.active)),
    "x-ratelimit-reset-requests": "6ms",
    "x-ratelimit-limit-tokens": "10000000",
    "x-ratelimit-remaining-tokens": "9999000",
    "x-ratelimit-reset-tokens": "6ms",
  };
}

function guard({ request, path, body }: Exchange, { apiKeys }: World): ErrorAnswer | undefined {
  const key = request.headers.authorization?.replace(/^Bearer /, "") ?? "";
  if (apiKeys.length > 0 && key === "")
    return { status: 401, message: "You didn't provide an API key.", code: null };
  if (apiKeys.length > 0 && !apiKeys.includes(key))
    return {
      status: 401,
      message: `Incorrect API key provided: ${key.slice(0, 4)}***.`,
      code: "invalid_api_key",
    };
  return path === "/v1/chat/completions" ? checkChat(fields(body)) : undefined;
}

function routesOf(flavour: OpenAiFlavour): FaceRoute[] {
  return [...openAiRoutes(flavour), ...responseRoutes(flavour, { stores: true })];
}
