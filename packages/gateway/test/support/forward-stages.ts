/** Scheduling and upstream over a pool of scripted servers, and calls through them. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { until } from "../../../../test/harness/until.ts";
import type { ForwardDecision, ForwardRoute } from "../../src/contracts/http-endpoint.ts";
import type { Upstream } from "../../src/contracts/endpoint.ts";
import type { Scheduling } from "../../src/contracts/scheduling.ts";
import type { Pipeline } from "../../src/contracts/pipeline.ts";
import type { Exchange } from "../../src/contracts/sink.ts";
import { systemClock } from "../../src/core/clock.ts";
import { isFailure, type Failure } from "../../src/core/errors.ts";
import { createSystemRandom } from "../../src/core/random.ts";
import { createPipeline } from "../../src/pipeline/pipeline.ts";
import { leastWorkScheduling } from "../../src/plugins/default-scheduling.ts";
import { createScheduling } from "../../src/stages/scheduling/create-scheduling.ts";
import { createUpstream, type UpstreamOptions } from "../../src/stages/upstream/create-upstream.ts";
import { createRefusalCounter } from "../../src/stages/upstream/forward-metrics.ts";
import type { ForwardRecord } from "../../src/contracts/request-record.ts";
import { createMetrics } from "../../src/telemetry/index.ts";
import {
  CollectingSink,
  forwardRequest,
  startPool,
  type PlainPool,
  type PoolSetup,
  type RequestSetup,
} from "./forward-fixture.ts";
import { wireProfiles } from "./scheduling-fixture.ts";
import { startScriptedServer, type Script, type ScriptedServer } from "./scripted-server.ts";

/** What a test may set. */
export interface StagesSetup extends PoolSetup, Pick<UpstreamOptions, "retryBudget"> {}

/** A request under way. */
export interface ForwardCall {
  readonly sink: CollectingSink;
  readonly request: ReturnType<typeof forwardRequest>;
  /** Undefined while the request is in line. */
  exchange: Exchange | undefined;
  /** As a door does when its client has left. */
  readonly leave: () => void;
  /** How the answer ended. */
  readonly ended: () => Promise<NonNullable<CollectingSink["ending"]>>;
}

/** Stages over one pool. */
export interface ForwardStagesFixture extends Pick<Pipeline, "decide" | "carry"> {
  readonly pool: PlainPool;
  readonly servers: readonly ScriptedServer[];
  readonly records: ForwardRecord[];
  /** Faults of the gateway's own code. */
  readonly faults: unknown[];
  /** `onDecided` is called between decision and sending. */
  call(setup?: RequestSetup, onDecided?: (call: ForwardCall) => void): ForwardCall;
  /** Value of a sample as it is written in the exposition, 0 when it is not there. */
  metric(sample: string): number;
}

/** One server a script. They end with the test, which fails where load was not given back. */
export async function startStages(
  t: TestContext,
  scripts: readonly Script[],
  setup: StagesSetup = {},
): Promise<ForwardStagesFixture> {
  const servers = await Promise.all(scripts.map((script) => startScriptedServer(t, script)));
  const pool = startPool(
    t,
    servers.map(({ origin }) => origin),
    setup,
  );
  const clock = setup.clock ?? systemClock;
  const random = createSystemRandom();
  const metrics = createMetrics();
  const faults: unknown[] = [];
  const records: ForwardRecord[] = [];
  const log = (_event: string, fields: unknown): void => void faults.push(fields);
  const logger = { error: log, warn: log, info: log, debug: log };
  const scheduling = createScheduling({
    clock,
    defaultProfiles: () => wireProfiles(leastWorkScheduling, { clock, random }),
    onRefused: createRefusalCounter(metrics),
    onFault: (_plugin, error) => void faults.push(error),
  });
  const { retryBudget } = setup;
  const upstream = createUpstream({
    clock,
    random,
    logger,
    metrics,
    scheduling,
    onRecord: (record) => void records.push(record),
    ...(retryBudget === undefined ? {} : { retryBudget }),
  });
  const route = { pool, model: "m" };
  const pipeline = createPipeline({
    admission: unused,
    enter: () => undefined,
    routing: unused,
    flowcontrol: unused,
    forward: { routing: () => route, scheduling, upstream },
  });
  return {
    decide: (asked) => pipeline.decide(asked),
    carry: (decision, sink) => pipeline.carry(decision, sink),
    pool,
    servers,
    records,
    faults,
    call: (options, onDecided) => startCall({ scheduling, upstream, route }, options, onDecided),
    metric(sample) {
      const lines = metrics.render().split("\n");
      const found = lines.find((line) => line.startsWith(`${sample} `));
      return Number(found?.slice(sample.length + 1) ?? 0);
    },
  };
}

interface CallParts {
  readonly scheduling: Scheduling;
  readonly upstream: Upstream<ForwardDecision>;
  readonly route: ForwardRoute;
}

/** Decides and carries as a door does, without a door. */
function startCall(
  { scheduling, upstream, route }: CallParts,
  options: RequestSetup = {},
  onDecided: (call: ForwardCall) => void = () => undefined,
): ForwardCall {
  const sink = new CollectingSink();
  const request = forwardRequest(options);
  const call: ForwardCall = {
    sink,
    request,
    exchange: undefined,
    leave() {
      request.cancellation.cancel("client_gone");
      call.exchange?.cancel("client_gone");
    },
    ended: () => until("the answer ends", () => sink.ending),
  };
  const decided = (result: ForwardDecision | Failure): void => {
    if (isFailure(result)) return sink.fail(result);
    onDecided(call);
    call.exchange = upstream.carry(result, sink);
  };
  const decision = scheduling.decide(route, request);
  if (decision === undefined) scheduling.wait(route, request, decided);
  else decided(decision);
  return call;
}

function unused(): never {
  throw new Error("not a stage of these tests");
}

/** Waits until no endpoint holds load. */
export async function atRest({ pool, faults }: ForwardStagesFixture): Promise<void> {
  await until("all load is given back", () => pool.endpoints.every((endpoint) => endpoint.inFlight === 0));
  assert.deepEqual(faults, []);
}

/** The code of a failure, or how else an answer ended. */
export function codeOf(ending: NonNullable<CollectingSink["ending"]>): string {
  return typeof ending === "string" ? ending : ending.code;
}
