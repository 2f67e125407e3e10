/** A server that behaves like Ollama. */
import { splitTokens } from "../../engine/prompt.ts";
import type { ErrorStyle, Exchange } from "../../server/exchange.ts";
import { answerMessages, anthropicErrors } from "../anthropic/messages.ts";
import { isAtLeast, sse } from "../face.ts";
import type { Face, FaceRoute, World } from "../face.ts";
import { fields, number, text } from "../fields.ts";
import { afterReading, embed, embeddingInputs } from "../openai/embeddings.ts";
import type { OpenAiFlavour } from "../openai/flavour.ts";
import { openAiRoutes } from "../openai/openai-routes.ts";
import { responseRoutes } from "../responses/responses.ts";
import { answerOllama, stamp } from "./generation.ts";
import { readKeepAlive } from "./read-ollama.ts";
import * as store from "./store.ts";

/** The version it says it is, unless it is told another. */
const OLLAMA_VERSION = "0.14.2";

const TYPES: Readonly<Record<number, string>> = { 400: "invalid_request_error", 404: "not_found_error" };

/** Native errors are `{"error": text}`; under `/v1` they are OpenAI's. A frame is told by its stream's kind. */
const ollamaErrors: ErrorStyle = {
  body: ({ message }) => ({ error: message }),
  frame: ({ message }) => `${JSON.stringify({ error: message })}\n`,
};

const openAiErrors: ErrorStyle = {
  body: ({ status, message, type = TYPES[status] ?? "api_error", param = null, code = null }) => ({
    error: { message, type, param, code },
  }),
  frame: (error) => sse(openAiErrors.body(error)),
};

function errorsOf(path: string): ErrorStyle {
  if (path.startsWith("/v1/messages")) return anthropicErrors;
  return path.startsWith("/v1/") ? openAiErrors : ollamaErrors;
}

/** Makes the face. */
export function createOllamaFace(world: World): Face {
  const { version = OLLAMA_VERSION } = world;
  const flavour: OpenAiFlavour = {
    name: "ollama",
    world,
    extras: { system_fingerprint: "fp_ollama" },
    roleChunk: false,
    roleEverywhere: true,
    wholeToolCalls: true,
    lateHead: true,
    stopReason: false,
    thinkingFields: ["reasoning"],
    responseThinking: "summary",
    full: false,
    owner: "library",
    overloaded: store.OVERLOADED,
    headers: () => ({}),
    find: (name) => {
      const model = store.findOllamaModel(world, name);
      return model && { model };
    },
    missing: (name) => ({ status: 404, message: `model '${name}' not found` }),
    id: (prefix) => `${prefix}${Math.floor(world.random.unit() * 1e9)}`,
  };
  return {
    name: "ollama",
    errors: ollamaErrors,
    errorsOf,
    routes: [
      ...nativeRoutes(world, flavour, version),
      ...openAiRoutes(flavour),
      ...(isAtLeast(version, "0.13.3") ? responseRoutes(flavour, { stores: false }) : []),
      ...(isAtLeast(version, "0.14.0") ? [messagesRoute(flavour)] : []),
    ],
    notFound: (exchange) =>
      exchange.text("404 page not found", { status: 404, headers: { "content-type": "text/plain" } }),
    notAllowed: (exchange, allow) =>
      exchange.text("405 method not allowed", {
        status: 405,
        headers: { "content-type": "text/plain", allow },
      }),
  };
}

function nativeRoutes(world: World, flavour: OpenAiFlavour, version: string): FaceRoute[] {
  const since = stamp(world);
  const blobs = new Set<string>();
  const alive = (exchange: Exchange): void =>
    exchange.text("Ollama is running", { headers: { "content-type": "text/plain; charset=utf-8" } });
  return [
    { method: "GET", path: "/", handle: alive },
    { method: "HEAD", path: "/", handle: alive },
    {
      method: "POST",
      path: "/api/generate",
      handle: (exchange) => answerOllama(exchange, world, "generate"),
    },
    { method: "POST", path: "/api/chat", handle: (exchange) => answerOllama(exchange, world, "chat") },
    { method: "POST", path: "/api/embed", handle: (exchange) => answerEmbed(exchange, flavour) },
    { method: "POST", path: "/api/embeddings", handle: (exchange) => answerEmbed(exchange, flavour) },
    { method: "GET", path: "/api/tags", handle: (exchange) => store.listTags(exchange, world, since) },
    { method: "GET", path: "/api/ps", handle: (exchange) => store.listRunning(exchange, world) },
    {
      method: "POST",
      path: "/api/show",
      handle: (exchange) => store.showOllamaModel(exchange, world, since),
    },
    { method: "GET", path: "/api/version", handle: (exchange) => exchange.json({ version }) },
    { method: "POST", path: "/api/pull", handle: (exchange) => store.pullModel(exchange, world) },
    { method: "POST", path: "/api/push", handle: (exchange) => store.pushModel(exchange, world) },
    { method: "POST", path: "/api/create", handle: (exchange) => store.createModel(exchange, world, blobs) },
    { method: "POST", path: "/api/copy", handle: (exchange) => store.copyModel(exchange, world) },
    { method: "DELETE", path: "/api/delete", handle: (exchange) => store.deleteModel(exchange, world) },
    {
      method: "HEAD",
      path: "/api/blobs/:digest",
      handle: (exchange, { digest = "" }) => exchange.text("", { status: blobs.has(digest) ? 200 : 404 }),
    },
    {
      method: "POST",
      path: "/api/blobs/:digest",
      handle: (exchange, { digest = "" }) => store.putBlob(exchange, digest, blobs),
    },
  ];
}

function messagesRoute(flavour: OpenAiFlavour): FaceRoute {
  return { method: "POST", path: "/v1/messages", handle: (exchange) => answerMessages(exchange, flavour) };
}

/** `/api/embed` (`input`, a list of vectors) and the older `/api/embeddings` (`prompt`, one vector). */
function answerEmbed(exchange: Exchange, flavour: OpenAiFlavour): void {
  const body = fields(exchange.body);
  const name = text(body["model"]) ?? "";
  const found = flavour.find(name);
  if (found === undefined) return exchange.error(store.missingModel(name));
  const { model } = found;
  const old = exchange.path === "/api/embeddings";
  const inputs = embeddingInputs(body[old ? "prompt" : "input"]);
  const tokens = inputs.reduce((sum, input) => sum + splitTokens(input).length, 0);
  const vectors = inputs.map((input) => embed(input, model, number(body["dimensions"])));
  const refused = (): void => exchange.error(store.OVERLOADED);
  const done = (tookMs: number, loadMs: number): void => {
    const ns = (ms: number): number => Math.max(1, Math.round(ms * 1e6));
    const timed = {
      total_duration: ns(tookMs + loadMs),
      load_duration: ns(loadMs),
      prompt_eval_count: tokens,
    };
    exchange.json(old ? { embedding: vectors[0] ?? [] } : { model: name, embeddings: vectors, ...timed });
  };
  afterReading(exchange, {
    flavour,
    model,
    tokens,
    keepAliveMs: readKeepAlive(body["keep_alive"]),
    refused,
    done,
  });
}
