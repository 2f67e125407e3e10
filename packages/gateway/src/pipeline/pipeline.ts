/** The order of a request's life and nothing else. */
import type { ModelDecision, ModelEndpoint, Upstream } from "../contracts/endpoint.ts";
import type { ModelEscalation } from "../contracts/escalation.ts";
import type { ForwardDecision, ForwardRoute } from "../contracts/http-endpoint.ts";
import type { Lease } from "../contracts/lease.ts";
import type { LineEntry } from "../contracts/line.ts";
import type { Decision, Exchange, Pipeline, ResponseSink } from "../contracts/pipeline.ts";
import type { Scheduling } from "../contracts/scheduling.ts";
import { failure, isFailure, type Failure } from "../core/errors.ts";
import type { ForwardPayload } from "../core/forward.ts";
import {
  carriesTensors,
  type Caller,
  type InferenceRequest,
  type RequestHead,
  type TensorPayload,
} from "../core/request.ts";

/** The stages, in the order in which a request meets them. */
export interface Stages {
  /** Who is calling, and is it allowed. Headers only. */
  readonly admission: (head: RequestHead) => Caller | Failure | Promise<Caller | Failure>;
  /** What the request says of itself in its headers: set on it. Absent: nothing is read. */
  readonly traits?: (request: InferenceRequest) => void;
  /** May the caller use the model, and as much as it asks for. What that holds stays on the request until its door settles it. */
  readonly enter: (request: InferenceRequest) => Failure | undefined;
  /** Which endpoint serves the model. */
  readonly routing: (request: InferenceRequest<TensorPayload>) => ModelEndpoint | Failure;
  /** Wait in the endpoint's line. `done` is called exactly once, perhaps at once. */
  readonly flowcontrol: (endpoint: ModelEndpoint, entry: LineEntry) => void;
  /** Wraps the two stages before and the way to the endpoint; undefined where no model escalates. */
  readonly escalation?: ModelEscalation | undefined;
  /** The stages of requests that HTTP servers answer; undefined where there are no pools of such. */
  readonly forward: ForwardStages | undefined;
}

/** Where a request for an HTTP server goes after its admission. */
export interface ForwardStages {
  /** Which pool serves the model, and under which name, by rules and routes. A promise only where a rule asks elsewhere. */
  readonly routing: (
    request: InferenceRequest<ForwardPayload>,
  ) => ForwardRoute | Failure | Promise<ForwardRoute | Failure>;
  /** Whether routing, waiting and scheduling need nothing but the head of the request. Absent: never. */
  readonly decidesByHead?: (request: InferenceRequest<ForwardPayload>) => boolean;
  /** Which endpoint of the pool takes it; drains the pool's line. */
  readonly scheduling: Scheduling;
  /** Carries it there, and its answer back. */
  readonly upstream: Upstream<ForwardDecision>;
}

/** Joins the stages. Each step reads them anew: stages that take the place of others count for requests from then on. */
export function createPipeline(stages: Stages): Pipeline {
  return {
    admit: (head) => stages.admission(head),
    decidesByHead: (request) => decidesByHead(stages, request),
    decide: (request) => decide(stages, request),
    carry: (decision, sink) => carry(stages, decision, sink),
  };
}

function decide(stages: Stages, request: InferenceRequest): Decision | Failure | Promise<Decision | Failure> {
  const refusal = stages.enter(request);
  if (refusal !== undefined) return refusal;
  stages.traits?.(request);
  if (!carriesTensors(request)) return decideForward(stages.forward, request);
  const { escalation } = stages;
  if (escalation === undefined) return decideModel(stages, request);
  return escalation.decide(request, (asked) => decideModel(stages, asked));
}

/** What a caller may use of which model, and how much, is held against its bodies. */
function decidesByHead({ forward }: Stages, request: InferenceRequest<ForwardPayload>): boolean {
  const { models, meter } = request.caller;
  return models === undefined && meter === undefined && forward?.decidesByHead?.(request) === true;
}

function carry(stages: Stages, decision: Decision, sink: ResponseSink): Exchange {
  if (decision.kind === "model") {
    return (stages.escalation ?? decision.endpoints[0].upstream).carry(decision, sink);
  }
  if (stages.forward === undefined) throw new TypeError("a forwarded request without stages that forward");
  return stages.forward.upstream.carry(decision, sink);
}

/** Refusals are values at once; a promise only for requests that got in line. */
function decideModel(
  stages: Stages,
  request: InferenceRequest<TensorPayload>,
): Failure | Promise<ModelDecision | Failure> {
  const endpoint = stages.routing(request);
  if (isFailure(endpoint)) return endpoint;
  const refusal = endpoint.refusal();
  if (refusal !== undefined) return refusal;
  const bound = request.payload.bind(endpoint.model);
  if (isFailure(bound)) return bound;
  return new Promise((resolve) => {
    const done = (result: Lease | Failure): void =>
      resolve(isFailure(result) ? result : { kind: "model", request, endpoints: [endpoint], lease: result });
    stages.flowcontrol(endpoint, { request, bound, done });
  });
}

/** Decided at once where no rule asks elsewhere, an endpoint has room and nobody waits. */
function decideForward(
  stages: ForwardStages | undefined,
  request: InferenceRequest<ForwardPayload>,
): Decision | Failure | Promise<Decision | Failure> {
  if (stages === undefined) return failure("model_not_found");
  const route = stages.routing(request);
  if (route instanceof Promise) return route.then((found) => decideAt(stages, found, request));
  return decideAt(stages, route, request);
}

function decideAt(
  stages: ForwardStages,
  route: ForwardRoute | Failure,
  request: InferenceRequest<ForwardPayload>,
): Decision | Failure | Promise<Decision | Failure> {
  if (isFailure(route)) return route;
  const decision = stages.scheduling.decide(route, request);
  if (decision !== undefined) return decision;
  return new Promise((resolve) => stages.scheduling.wait(route, request, resolve));
}
