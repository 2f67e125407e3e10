/** The order of a request's life and nothing else. */
import type { Endpoint } from "../contracts/endpoint.ts";
import type { Lease } from "../contracts/lease.ts";
import type { LineEntry } from "../contracts/line.ts";
import type { Decision, Exchange, Pipeline, ResponseSink } from "../contracts/pipeline.ts";
import { isFailure, type Failure } from "../core/errors.ts";
import type { Caller, InferenceRequest, RequestHead } from "../core/request.ts";

/** The stages, in the order in which a request meets them. */
export interface Stages {
  /** Who is calling, and is it allowed. Headers only. */
  readonly admission: (head: RequestHead) => Caller | Failure | Promise<Caller | Failure>;
  /** Which endpoint serves the model. */
  readonly routing: (request: InferenceRequest) => Endpoint | Failure;
  /** Wait in the endpoint's line. `done` is called exactly once, perhaps at once. */
  readonly flowcontrol: (endpoint: Endpoint, entry: LineEntry) => void;
}

/** Joins the stages. */
export function createPipeline(stages: Stages): Pipeline {
  return {
    admit: stages.admission,
    decide: (request) => decide(stages, request),
    carry: (decision: Decision, sink: ResponseSink): Exchange =>
      decision.endpoints[0].upstream.carry(decision, sink),
  };
}

/** A promise only for requests that got in line: refusals are values at once. */
function decide(stages: Stages, request: InferenceRequest): Failure | Promise<Decision | Failure> {
  const endpoint = stages.routing(request);
  if (isFailure(endpoint)) return endpoint;
  const refusal = endpoint.refusal();
  if (refusal !== undefined) return refusal;
  const bound = request.payload.bind(endpoint.model);
  if (isFailure(bound)) return bound;
  return new Promise((resolve) => {
    const done = (result: Lease | Failure): void =>
      resolve(isFailure(result) ? result : { request, endpoints: [endpoint], lease: result });
    stages.flowcontrol(endpoint, { request, bound, done });
  });
}
