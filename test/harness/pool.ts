/** A pool under test, asked through the pipeline as doors do. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { ModelEndpointState } from "../../packages/gateway/src/contracts/endpoint.ts";
import type { GrpcPoolOptions } from "../../packages/gateway/src/contracts/options.ts";
import { Cancellation } from "../../packages/gateway/src/core/cancellation.ts";
import { systemClock } from "../../packages/gateway/src/core/clock.ts";
import { failure, isFailure, type Failure } from "../../packages/gateway/src/core/errors.ts";
import type { TensorAnswer, TensorPayload, WireAnswer } from "../../packages/gateway/src/core/request.ts";
import type { Tensor } from "../../packages/gateway/src/core/tensor.ts";
import { bindTensors } from "../../packages/gateway/src/dialects/tensors/bind-tensors.ts";
import { createPipeline } from "../../packages/gateway/src/pipeline/pipeline.ts";
import { RequestLine } from "../../packages/gateway/src/stages/flowcontrol/line.ts";
import { createMetrics } from "../../packages/gateway/src/telemetry/index.ts";
import {
  createRemotePool,
  type RemotePool,
  type RemotePoolOptions,
} from "../../packages/gateway/src/workers/remote-pool.ts";
import { StatisticsRegistry } from "../../packages/gateway/src/workers/statistics-registry.ts";

/** What a request names. */
export interface Question {
  readonly model: string;
  readonly version?: string;
  readonly inputs: readonly Tensor[];
  readonly outputs?: readonly string[];
  /** Default 10,000. */
  readonly timeoutMs?: number;
}

/** A pool that ends with its test. */
export interface TestPool {
  readonly pool: RemotePool;
  /** Names of what was logged. */
  readonly events: string[];
  ask(question: Question): Promise<TensorAnswer | Failure>;
  /** Doubles two numbers with the model `double`; the answer must be right. Gives the address that answered. */
  double(value?: number): Promise<string>;
  stateOf(model: string, version?: string): ModelEndpointState | undefined;
  readyInstances(model: string, version?: string): number;
}

/** Intervals that keep tests short. */
const timing = {
  resolveMs: 50,
  checkMs: 50,
  connectTimeoutMs: 1_000,
  backoffMs: { initial: 10, max: 100 },
} as const;

/** Makes and starts a pool with a call deadline of 5,000 ms and everything else as in the defaults of the configuration. */
export async function startPool(
  test: TestContext,
  pool: Partial<GrpcPoolOptions> & Pick<GrpcPoolOptions, "endpoints">,
  more: Pick<RemotePoolOptions, "resolve" | "timing"> = {},
): Promise<TestPool> {
  const clock = systemClock;
  const events: string[] = [];
  const log = (event: string): void => void events.push(event);
  const remote = createRemotePool({
    pool: {
      name: "pool",
      dialect: "kserve-grpc",
      models: [],
      maxBatch: 1,
      concurrency: 1,
      timeoutMs: 5_000,
      ca: undefined,
      ...pool,
    },
    clock,
    logger: { error: log, warn: log, info: log, debug: log },
    createLine: (onRefused) => new RequestLine({ clock, maxQueue: 10_000, onRefused }),
    statistics: new StatisticsRegistry({ clock, metrics: createMetrics() }),
    onChange: () => {},
    ...more,
    timing: { ...timing, ...more.timing },
  });
  test.after(() => remote.close());
  await remote.start();
  const ask = createAsk(remote);
  const endpointOf = (model: string, version?: string) => {
    const found = remote.endpointFor(model, version);
    return found === undefined || isFailure(found) ? undefined : found;
  };
  return {
    pool: remote,
    events,
    ask,
    double: (value = 1) => double(ask, value),
    stateOf: (model, version) => endpointOf(model, version)?.state,
    readyInstances: (model, version) =>
      remote.list().find((row) => row.name === model && row.version === (version ?? row.version))?.instances
        .ready ?? 0,
  };
}

function createAsk(remote: RemotePool): TestPool["ask"] {
  const pipeline = createPipeline({
    admission: () => failure("forbidden"),
    enter: () => undefined,
    routing: ({ model, version }) => remote.endpointFor(model, version) ?? failure("model_not_found"),
    flowcontrol: (endpoint, entry) => endpoint.line.join(entry),
    forward: undefined,
  });
  return async ({ model, version, inputs, outputs, timeoutMs = 10_000 }) => {
    let answer: TensorAnswer | undefined;
    const wire: WireAnswer = { status: 200, headers: [], body: [] };
    const payload: TensorPayload = {
      kind: "tensors",
      bind: (served) => bindTensors(served, { inputs, outputs }),
      write: (result) => ((answer = result), wire),
    };
    const receivedAt = systemClock.now();
    const decision = await pipeline.decide({
      id: "test",
      model,
      version,
      caller: { id: "local", scopes: ["infer"] },
      receivedAt,
      deadline: receivedAt + timeoutMs,
      priority: 0,
      payload,
      cancellation: new Cancellation(),
    });
    if (isFailure(decision)) return decision;
    return new Promise((resolve) => {
      pipeline.carry(decision, {
        whole: () => resolve(answer ?? failure("internal")),
        fail: resolve,
        head: () => assert.fail("not a stream"),
        data: () => assert.fail("not a stream"),
        end: () => assert.fail("not a stream"),
      });
    });
  };
}

async function double(ask: TestPool["ask"], value: number): Promise<string> {
  const answer = await ask({ model: "double", inputs: [numbers("x", [[value, -value]])] });
  if (isFailure(answer)) throw new Error(`${answer.code}: ${answer.message}`);
  assert.deepEqual(floats(answer.outputs[0]), [value * 2, -value * 2]);
  return answer.timing.instance.replace(/^.*@/, "");
}

/** Rows of FP32. */
export function numbers(name: string, rows: readonly (readonly number[])[]): Tensor {
  const values = Float32Array.from(rows.flat());
  const shape = [rows.length, rows[0]?.length ?? 0];
  return { name, datatype: "FP32", shape, data: new Uint8Array(values.buffer) };
}

/** The values of an FP32 tensor. */
export function floats(tensor: Tensor | undefined): number[] {
  assert.equal(tensor?.datatype, "FP32");
  return [...new Float32Array(Uint8Array.from(tensor.data).buffer)];
}

/** Asks again and again, `width` at a time, until stopped; `stop` gives how many were answered and by whom. Fails at the first refusal. */
export function keepAsking(
  pool: TestPool,
  width: number,
): { readonly answered: Map<string, number>; stop(): Promise<number> } {
  const answered = new Map<string, number>();
  let going = true;
  const one = async (): Promise<void> => {
    for (let value = 1; going; value++) {
      const by = await pool.double(value);
      answered.set(by, (answered.get(by) ?? 0) + 1);
    }
  };
  const all = Promise.all(Array.from({ length: width }, one));
  all.catch(() => (going = false));
  return {
    answered,
    async stop() {
      going = false;
      await all;
      return [...answered.values()].reduce((sum, count) => sum + count, 0);
    },
  };
}
