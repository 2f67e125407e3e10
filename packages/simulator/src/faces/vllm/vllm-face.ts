/** A server that behaves like vLLM's OpenAI-compatible one. */
import { promptOfText, splitTokens, tokenId } from "../../engine/prompt.ts";
import type { ErrorAnswer, ErrorStyle, Exchange } from "../../server/exchange.ts";
import { answerMessages, anthropicErrors, countTokens } from "../anthropic/messages.ts";
import { renderMessages } from "../chat-ask.ts";
import { isAtLeast, sse } from "../face.ts";
import type { Face, FaceRoute, World } from "../face.ts";
import { fields, items, text } from "../fields.ts";
import { findExactly, hexId } from "../openai/flavour.ts";
import type { OpenAiFlavour } from "../openai/flavour.ts";
import { openAiRoutes } from "../openai/openai-routes.ts";
import { responseRoutes } from "../responses/responses.ts";
import { printMetrics } from "./print-metrics.ts";

/** The version it says it is, unless it is told another. */
const VLLM_VERSION = "0.11.2";

const TYPES: Readonly<Record<number, string>> = {
  400: "BadRequestError",
  401: "AuthenticationError",
  404: "NotFoundError",
  429: "RateLimitError",
  500: "InternalServerError",
  503: "ServiceUnavailableError",
};

/** Errors as vLLM writes them since 0.10. */
const vllmErrors: ErrorStyle = {
  body: ({ status, message, type = TYPES[status] ?? "InternalServerError", param = null }) => ({
    error: { message, type, param, code: status },
  }),
  frame: (error) => sse(vllmErrors.body(error)),
};

/** Makes the face. */
export function createVllmFace(world: World): Face {
  const { version = VLLM_VERSION } = world;
  const flavour: OpenAiFlavour = {
    name: "vllm",
    world,
    extras: {},
    roleChunk: true,
    roleEverywhere: false,
    wholeToolCalls: false,
    lateHead: false,
    stopReason: true,
    thinkingFields: ["reasoning", "reasoning_content"],
    responseThinking: "text",
    full: true,
    owner: "vllm",
    overloaded: { status: 503, message: "The engine's queue is full." },
    headers: () => ({}),
    find: (name) => findExactly(world, name),
    missing: (name) => ({ status: 404, message: `The model \`${name}\` does not exist.` }),
    id: (prefix) =>
      prefix === "call_" ? `chatcmpl-tool-${hexId(world, 32)}` : `${prefix}${hexId(world, 32)}`,
  };
  return {
    name: "vllm",
    errors: vllmErrors,
    errorsOf: (path) => (path.startsWith("/v1/messages") ? anthropicErrors : vllmErrors),
    routes: [
      ...routesOf(flavour, version),
      ...(isAtLeast(version, "0.10.0") ? responseRoutes(flavour, { stores: false }) : []),
      ...(isAtLeast(version, "0.11.1") ? messagesRoutes(flavour) : []),
    ],
    guard: (exchange) => guard(exchange, world),
    notFound: (exchange) => exchange.json({ detail: "Not Found" }, { status: 404 }),
    notAllowed: (exchange, allow) =>
      exchange.json({ detail: "Method Not Allowed" }, { status: 405, headers: { allow } }),
  };
}

/** vLLM asks for a key under `/v1` only. */
function guard({ path, request }: Exchange, { apiKeys }: World): ErrorAnswer | undefined {
  if (apiKeys.length === 0 || !path.startsWith("/v1")) return undefined;
  const key = request.headers.authorization?.replace(/^Bearer /, "");
  return key !== undefined && apiKeys.includes(key) ? undefined : { status: 401, message: "Unauthorized" };
}

function routesOf(flavour: OpenAiFlavour, version: string): FaceRoute[] {
  const { world } = flavour;
  const empty = (exchange: Exchange): void => exchange.text("");
  return [
    ...openAiRoutes(flavour),
    { method: "GET", path: "/health", handle: empty },
    { method: "GET", path: "/ping", handle: empty },
    { method: "POST", path: "/ping", handle: empty },
    { method: "GET", path: "/version", handle: (exchange) => exchange.json({ version }) },
    { method: "GET", path: "/load", handle: (exchange) => exchange.json({ server_load: world.load.active }) },
    { method: "POST", path: "/tokenize", handle: (exchange) => tokenize(exchange, flavour) },
    { method: "GET", path: "/metrics", handle: (exchange) => showMetrics(exchange, world) },
  ];
}

function messagesRoutes(flavour: OpenAiFlavour): FaceRoute[] {
  return [
    { method: "POST", path: "/v1/messages", handle: (exchange) => answerMessages(exchange, flavour) },
    {
      method: "POST",
      path: "/v1/messages/count_tokens",
      handle: (exchange) => countTokens(exchange, flavour),
    },
  ];
}

function tokenize(exchange: Exchange, flavour: OpenAiFlavour): void {
  const body = fields(exchange.body);
  const [first] = flavour.world.models.keys();
  const name = text(body["model"]) ?? first ?? "";
  const found = flavour.find(name);
  if (found === undefined) {
    exchange.error(flavour.missing(name));
    return;
  }
  const prompt = text(body["prompt"]);
  const read = prompt === undefined ? renderMessages(items(body["messages"])).prompt : [prompt];
  const tokens = read.flatMap(splitTokens);
  const { tokens: count } = promptOfText(read, { blockTokens: found.model.engine.blockTokens });
  exchange.json({
    count,
    max_model_len: found.model.engine.maxContext,
    tokens: tokens.map(tokenId),
    token_strs: body["return_token_strs"] === true ? tokens : null,
  });
}

function showMetrics(exchange: Exchange, world: World): void {
  const sources = world.host.runners().flatMap(({ model, engine }) => {
    const metrics = world.metrics.get(model.name);
    return metrics === undefined ? [] : { name: model.name, engine, metrics };
  });
  const page = printMetrics(sources, world.clock.wallNow() / 1000);
  exchange.text(page, { headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" } });
}
