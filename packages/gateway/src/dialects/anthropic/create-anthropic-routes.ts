/** Anthropic's API: messages and the counting of their tokens. */
import type { HttpCall, Route, RouteResult } from "../../contracts/route.ts";
import type { Clock } from "../../core/clock.ts";
import { isFailure, type Failure } from "../../core/errors.ts";
import type { TokenEstimate } from "../../core/forward.ts";
import type { ServerCodecs } from "../chat/codec.ts";
import { ChatTranslation } from "../chat/translation.ts";
import { inTurns, readAtOnceBytes } from "../json/in-turns.ts";
import type { JsonThreads } from "../json/json-threads.ts";
import type { EditedBody } from "../json/replace-span.ts";
import { createRequest } from "../request.ts";
import { anthropicMessages } from "./codecs.ts";
import { writeAnthropicFailure } from "./errors.ts";
import { MessagesPayload } from "./payload.ts";
import { readEnvelope, readEnvelopeInTurns, type MessagesEnvelope } from "./read-envelope.ts";

/** What the routes are built from. */
export interface AnthropicDeps {
  readonly clock: Clock;
  /** How long a request may wait. */
  readonly defaults: { readonly requestTimeoutMs: number };
  /** How requests are translated for servers of other dialects. */
  readonly servers: ServerCodecs;
  /** Where large chats are translated. */
  readonly jsonThreads: JsonThreads;
}

/** `/v1/messages` and `/v1/messages/count_tokens`. */
export function createAnthropicRoutes(deps: AnthropicDeps): Route[] {
  return [
    post("/v1/messages", (call) => handle(deps, call, "messages")),
    post("/v1/messages/count_tokens", (call) => handle(deps, call, "count_tokens")),
  ];
}

function post(path: string, handler: Route["handle"]): Route {
  return {
    method: "POST",
    path,
    scope: "infer",
    body: "bytes",
    writeFailure: writeAnthropicFailure,
    handle: handler,
  };
}

function handle(
  deps: AnthropicDeps,
  call: HttpCall,
  operation: MessagesPayload["operation"],
): RouteResult | Promise<RouteResult> {
  const { body } = call;
  if (body.length <= readAtOnceBytes) return toRequest(deps, call, operation, readEnvelope(body));
  return inTurns(readEnvelopeInTurns(body)).then((envelope) => toRequest(deps, call, operation, envelope));
}

function toRequest(
  deps: AnthropicDeps,
  call: HttpCall,
  operation: MessagesPayload["operation"],
  envelope: MessagesEnvelope | Failure,
): RouteResult {
  if (isFailure(envelope)) return envelope;
  const { body, path, query, headers, requestId, receivedAt } = call;
  const { model } = envelope;
  const { servers, clock, jsonThreads: threads } = deps;
  const translate = (estimate: TokenEstimate, sent: EditedBody): ChatTranslation =>
    new ChatTranslation({
      caller: anthropicMessages,
      servers,
      ...sent,
      threads,
      context: { requestId, model, estimate, clock, receivedAt },
    });
  const payload = new MessagesPayload({ operation, path, query, headers, body, envelope, translate });
  const timeoutMs = deps.defaults.requestTimeoutMs;
  return createRequest(call, { model, version: undefined, payload, timeoutMs });
}
