/** OpenAI's addresses that models answer. The listing of models is with that of predictive ones (`tfserving`). */
import type { HttpCall, Route, RouteResult } from "../../contracts/route.ts";
import type { Clock } from "../../core/clock.ts";
import { isFailure, type Failure } from "../../core/errors.ts";
import type { CallerCodec, ServerCodecs } from "../chat/codec.ts";
import { inTurns, readAtOnceBytes } from "../json/in-turns.ts";
import type { JsonThreads } from "../json/json-threads.ts";
import { createRequest } from "../request.ts";
import { openAiChat, openAiResponses } from "./openai-callers.ts";
import { writeOpenAiFailure } from "./openai-errors.ts";
import { OpenAiPayload, openAiPaths, type OpenAiOperation } from "./openai-payload.ts";
import { readOpenAiCall, readOpenAiCallInTurns, type OpenAiCall } from "./read-call.ts";

/** What the routes are built from. */
export interface OpenAiDeps {
  readonly clock: Clock;
  /** How long a request may wait for its turn. */
  readonly defaults: { readonly requestTimeoutMs: number };
  readonly servers: ServerCodecs;
  /** Where large chats are translated. */
  readonly jsonThreads: JsonThreads;
}

/** How calls reach servers that do not offer them; an operation without an entry does not. */
const callers: Readonly<Partial<Record<OpenAiOperation, CallerCodec>>> = {
  chat: openAiChat,
  responses: openAiResponses,
};

/** The routes. */
export function createOpenAiRoutes(deps: OpenAiDeps): Route[] {
  const operations = Object.keys(openAiPaths) as OpenAiOperation[];
  return operations.map((operation) => ({
    method: "POST",
    path: openAiPaths[operation],
    scope: "infer",
    body: "bytes",
    writeFailure: writeOpenAiFailure,
    handle: (call) => handle(deps, operation, call),
  }));
}

function handle(
  deps: OpenAiDeps,
  operation: OpenAiOperation,
  call: HttpCall,
): RouteResult | Promise<RouteResult> {
  const { body } = call;
  if (body.length <= readAtOnceBytes)
    return toRequest(deps, operation, call, readOpenAiCall(body, operation));
  return inTurns(readOpenAiCallInTurns(body, operation)).then((read) =>
    toRequest(deps, operation, call, read),
  );
}

function toRequest(
  deps: OpenAiDeps,
  operation: OpenAiOperation,
  call: HttpCall,
  read: OpenAiCall | Failure,
): RouteResult {
  if (isFailure(read)) return read;
  const { clock, servers, defaults, jsonThreads: threads } = deps;
  const caller = callers[operation];
  const { model, estimate } = read;
  const context = { requestId: call.requestId, model, estimate, clock, receivedAt: call.receivedAt };
  const translation = caller === undefined ? undefined : { caller, servers, context, threads };
  return createRequest(call, {
    model,
    version: undefined,
    payload: new OpenAiPayload(operation, read, translation),
    timeoutMs: defaults.requestTimeoutMs,
  });
}
