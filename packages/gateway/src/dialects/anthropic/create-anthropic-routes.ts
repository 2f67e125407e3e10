/** Anthropic's API: messages and the counting of their tokens. */
import type { HttpCall, Route, RouteResult } from "../../contracts/route.ts";
import type { Clock } from "../../core/clock.ts";
import { isFailure, type Failure } from "../../core/errors.ts";
import type { AnswerSink, AttemptTarget, TokenEstimate } from "../../core/forward.ts";
import type { ServerCodecs } from "../chat/codec.ts";
import { ChatTranslation } from "../chat/translation.ts";
import { inTurns, readAtOnceBytes } from "../json/in-turns.ts";
import type { JsonThreads } from "../json/json-threads.ts";
import type { EditedBody } from "../json/replace-span.ts";
import { PassingPayload } from "../passing-payload.ts";
import { createRequest } from "../request.ts";
import { anthropicMessages } from "./codecs.ts";
import { writeAnthropicFailure } from "./errors.ts";
import { MessagesPayload } from "./payload.ts";
import { messagesReader, messagesRefused, takesUnread, type MessagesOperation } from "./messages-answers.ts";
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
  return [post("/v1/messages", "messages", deps), post("/v1/messages/count_tokens", "count_tokens", deps)];
}

function post(path: string, operation: MessagesOperation, deps: AnthropicDeps): Route {
  const { requestTimeoutMs: timeoutMs } = deps.defaults;
  const passing = {
    dialect: "anthropic",
    operation,
    path,
    isServed: (target: AttemptTarget) => takesUnread(operation, target),
    createReader: (out: AnswerSink, estimate: TokenEstimate, isStream: boolean) =>
      messagesReader(operation, { out, estimate, isStream }),
    refused: messagesRefused,
  } as const;
  return {
    method: "POST",
    path,
    scope: "infer",
    body: "bytes",
    writeFailure: writeAnthropicFailure,
    handle: (call) => handle(deps, call, operation),
    fromHead(call) {
      const payload = new PassingPayload(passing, call);
      return createRequest(call, { model: call.model, version: undefined, payload, timeoutMs });
    },
  };
}

function handle(
  deps: AnthropicDeps,
  call: HttpCall,
  operation: MessagesOperation,
): RouteResult | Promise<RouteResult> {
  const { body } = call;
  if (body.length <= readAtOnceBytes) return toRequest(deps, call, operation, readEnvelope(body));
  return inTurns(readEnvelopeInTurns(body)).then((envelope) => toRequest(deps, call, operation, envelope));
}

function toRequest(
  deps: AnthropicDeps,
  call: HttpCall,
  operation: MessagesOperation,
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
