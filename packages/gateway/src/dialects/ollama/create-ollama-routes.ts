/** Ollama's API (https://docs.ollama.com/api): inference and what lists models. */
import { wireAnswer, type HttpCall, type Route, type RouteResult } from "../../contracts/route.ts";
import { isFailure, type Failure } from "../../core/errors.ts";
import type { Operation } from "../../core/forward.ts";
import { refuseForeign } from "../../core/may-use.ts";
import type { AnswerContext, CallerCodec, CallerEmbeddings } from "../chat/codec.ts";
import { ChatTranslation, EmbeddingsTranslation } from "../chat/translation.ts";
import { inTurns, readAtOnceBytes } from "../json/in-turns.ts";
import { jsonAnswer } from "../json-answer.ts";
import { createRequest } from "../request.ts";
import { ollamaChat, ollamaGenerate } from "./codecs.ts";
import type { OllamaDeps } from "./deps.ts";
import { ollamaEmbed, ollamaEmbeddings } from "./embeddings.ts";
import { answerLoad, answerShow, listModels, listRunning, servedElsewhere } from "./model-lists.ts";
import { OllamaPayload, type OllamaPayloadParts } from "./payload.ts";
import {
  readEnvelope,
  readEnvelopeInTurns,
  type OllamaEnvelope,
  type PromptMember,
} from "./read-envelope.ts";
import { writeOllamaFailure } from "./write-answer.ts";

/**
 * The version of Ollama whose API callers get, whichever servers there are: they take from it what they may ask for,
 * and some refuse a server that calls itself older than they are.
 */
const apiVersion = "0.17.4";

/** The routes under `/api/` that need no scope but `infer`, and the heartbeat. */
export function createOllamaRoutes(deps: OllamaDeps): Route[] {
  return [
    heartbeat,
    post("/api/chat", (call) => infer(deps, call, chatCall)),
    post("/api/generate", (call) => infer(deps, call, generateCall)),
    post("/api/embed", (call) => infer(deps, call, embedCall)),
    post("/api/embeddings", (call) => infer(deps, call, embeddingsCall)),
    post("/api/show", (call) => show(deps, call)),
    get("/api/tags", ({ caller }) => jsonAnswer(200, listModels(deps, caller))),
    get("/api/ps", ({ caller }) => jsonAnswer(200, listRunning(deps, caller))),
    get("/api/version", () => jsonAnswer(200, { version: apiVersion, spillway: deps.version })),
  ];
}

/**
 * `HEAD /`, with which Ollama's command begins: whether a server is there, and nothing else, so that it needs no key. Refused
 * here, the command could not say why, since a refusal of HEAD has no body; it is told by the call that follows.
 */
const heartbeat: Route = {
  method: "HEAD",
  path: "/",
  scope: "open",
  body: "none",
  writeFailure: writeOllamaFailure,
  handle: () => wireAnswer(200, "text/plain; charset=utf-8", []),
};

function post(path: string, handle: Route["handle"]): Route {
  return { method: "POST", path, scope: "infer", body: "bytes", writeFailure: writeOllamaFailure, handle };
}

function get(path: string, handle: Route["handle"]): Route {
  return { method: "GET", path, scope: "infer", body: "none", writeFailure: writeOllamaFailure, handle };
}

/** What sets one address of inference apart. */
interface InferenceCall {
  readonly operation: Operation;
  readonly prompt: PromptMember;
  readonly caller:
    | { readonly kind: "chat"; readonly codec: CallerCodec }
    | { readonly kind: "embeddings"; readonly codec: CallerEmbeddings };
}

const chatCall: InferenceCall = {
  operation: "chat",
  prompt: "messages",
  caller: { kind: "chat", codec: ollamaChat },
};

const generateCall: InferenceCall = {
  operation: "generate",
  prompt: "prompt",
  caller: { kind: "chat", codec: ollamaGenerate },
};

const embedCall: InferenceCall = {
  operation: "embed",
  prompt: "input",
  caller: { kind: "embeddings", codec: ollamaEmbed },
};

const embeddingsCall: InferenceCall = {
  operation: "embeddings",
  prompt: "prompt",
  caller: { kind: "embeddings", codec: ollamaEmbeddings },
};

function infer(deps: OllamaDeps, call: HttpCall, asked: InferenceCall): RouteResult | Promise<RouteResult> {
  const { body } = call;
  const { prompt } = asked;
  if (body.length <= readAtOnceBytes) return inferRead(deps, call, asked, readEnvelope(body, prompt));
  return inTurns(readEnvelopeInTurns(body, prompt)).then((envelope) =>
    inferRead(deps, call, asked, envelope),
  );
}

function inferRead(
  deps: OllamaDeps,
  call: HttpCall,
  { operation, caller }: InferenceCall,
  envelope: OllamaEnvelope | Failure,
): RouteResult {
  if (isFailure(envelope)) return envelope;
  const { body } = call;
  if (envelope.isLoad && servedElsewhere(deps, envelope.model) !== undefined) {
    return refuseForeign(call.caller, envelope.model) ?? answerLoad(deps, operation, envelope.model);
  }
  const { servers, clock, jsonThreads: threads } = deps;
  const { requestId, receivedAt } = call;
  const translate: OllamaPayloadParts["translate"] = (known, sent) => {
    const context: AnswerContext = { ...known, requestId, clock, receivedAt };
    return caller.kind === "chat"
      ? new ChatTranslation({ caller: caller.codec, servers, ...sent, context, threads })
      : new EmbeddingsTranslation({ caller: caller.codec, servers, ...sent, context, threads });
  };
  const payload = new OllamaPayload({ operation, path: call.path, body, envelope, translate });
  return toRequest(deps, call, envelope.model, payload);
}

function show(deps: OllamaDeps, call: HttpCall): RouteResult {
  const { body, path } = call;
  const envelope = readEnvelope(body, undefined);
  if (isFailure(envelope)) return envelope;
  const elsewhere = servedElsewhere(deps, envelope.model);
  if (elsewhere !== undefined) return refuseForeign(call.caller, envelope.model) ?? answerShow(elsewhere);
  const payload = new OllamaPayload({ operation: "show", path, body, envelope, translate: undefined });
  return toRequest(deps, call, envelope.model, payload);
}

function toRequest(deps: OllamaDeps, call: HttpCall, model: string, payload: OllamaPayload): RouteResult {
  const timeoutMs = deps.defaults.requestTimeoutMs;
  return createRequest(call, { model, version: undefined, payload, timeoutMs });
}
