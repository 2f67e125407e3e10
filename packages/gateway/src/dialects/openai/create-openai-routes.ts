/** OpenAI's addresses that models answer. The listing of models is with that of predictive ones (`tfserving`). */
import type { HeadCall, HttpCall, Route, RouteResult } from "../../contracts/route.ts";
import type { Clock } from "../../core/clock.ts";
import { isFailure, type Failure } from "../../core/errors.ts";
import type { AnswerSink, AttemptTarget, ForwardPayload, TokenEstimate } from "../../core/forward.ts";
import type { RequestWith } from "../../core/request.ts";
import type { CallerCodec, ServerCodecs } from "../chat/codec.ts";
import { inTurns, readAtOnceBytes } from "../json/in-turns.ts";
import type { JsonThreads } from "../json/json-threads.ts";
import { PassingPayload } from "../passing-payload.ts";
import { createRequest } from "../request.ts";
import { openAiChat, openAiResponses } from "./openai-callers.ts";
import { writeOpenAiFailure } from "./openai-errors.ts";
import {
  openAiPaths,
  openAiReader,
  openAiRefused,
  servesBytes,
  type OpenAiOperation,
} from "./openai-answers.ts";
import { OpenAiPayload } from "./openai-payload.ts";
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
    fromHead: (call) => fromHead(deps, operation, call),
  }));
}

function fromHead(
  { defaults }: OpenAiDeps,
  operation: OpenAiOperation,
  call: HeadCall,
): RequestWith<ForwardPayload> {
  const parts = {
    dialect: "openai",
    operation,
    path: openAiPaths[operation],
    isServed: (target: AttemptTarget) => servesBytes(operation, target),
    createReader: (out: AnswerSink, estimate: TokenEstimate, isStream: boolean) =>
      openAiReader(operation, { out, estimate, isStream, hidesUsage: false }),
    refused: openAiRefused,
  } as const;
  const payload = new PassingPayload(parts, call);
  const { model } = call;
  return createRequest(call, { model, version: undefined, payload, timeoutMs: defaults.requestTimeoutMs });
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
