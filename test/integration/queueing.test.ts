/** The line and the batches behind it, from outside: who goes first, who is refused, who leaves, and that nobody gets another's answer. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import {
  createModelFolder,
  startTestGateway,
  testConfig,
  type JsonAnswer,
  type TestGateway,
} from "../harness/gateway.ts";
import { haltProcess } from "../harness/processes.ts";
import { until } from "../harness/until.ts";

/** Requests that a single instance has in hand while more wait: one at work, one sent ahead. */
const inHand = 2;

const service = "inference.GRPCInferenceService";

/** A gateway with one model `m`. */
async function setup(test: TestContext, yaml: string, flow = {}): Promise<TestGateway> {
  const models = createModelFolder(test);
  models.addMock("m", yaml);
  const config = testConfig(models.path);
  return startTestGateway(test, { ...config, flow: { ...config.flow, ...flow } });
}

const identity = "mock: { identity: true, width: 4 }";
const oneByOne = "batching: { maxBatch: 1 }\nmock: { identity: true, width: 4, latencyMs: 10 }";

/** Rows that no other request has. */
function rowsOf(turn: number, rows: number, width = 4): number[] {
  return Array.from({ length: rows * width }, (_, i) => turn * 128 + i);
}

/** A v2 body; `parameters` are those of the request. */
function inferBody(
  data: readonly number[],
  { width = 4, ...parameters }: Record<string, number> = {},
): object {
  return {
    parameters,
    inputs: [{ name: "input", datatype: "FP32", shape: [data.length / width, width], data }],
  };
}

function infer(gateway: TestGateway, data: readonly number[], parameters = {}): Promise<JsonAnswer> {
  return gateway.post("/v2/models/m/infer", inferBody(data, parameters));
}

function outputOf({ status, body }: JsonAnswer): number[] {
  assert.equal(status, 200, JSON.stringify(body));
  return (body["outputs"] as [{ data: number[] }])[0].data;
}

/** Rows in the call that answered. */
function batchOf({ headers }: JsonAnswer): number {
  return Number(/batch;desc="(\d+)"/.exec(headers.get("server-timing") ?? "")?.[1]);
}

/** Requests under way, and those of them that wait in line. */
async function countsOf(gateway: TestGateway): Promise<{ inFlight: number; waiting: number }> {
  const metrics = await gateway.metrics();
  const value = (name: string, labels: string): number => metrics.get(name)!.samples.get(name + labels)!;
  return {
    // The question is a request itself.
    inFlight: value("spillway_http_requests_in_flight", "") - 1,
    waiting: value("spillway_model_queue_requests", '{model="m",version="1"}'),
  };
}

/** Halts the only instance and gives it all it takes in hand; what is asked from now on waits until `goOn`. */
async function fillInstance(
  test: TestContext,
  gateway: TestGateway,
): Promise<{ readonly goOn: () => void; readonly inHand: Promise<JsonAnswer[]> }> {
  const [pid] = gateway.pids("m/1");
  const goOn = haltProcess(test, pid!);
  const asked = Array.from({ length: inHand }, (_, i) => infer(gateway, rowsOf(i, 1)));
  await until("the instance has its hands full", async () => {
    const { inFlight, waiting } = await countsOf(gateway);
    return inFlight === inHand && waiting === 0;
  });
  return { goOn, inHand: Promise.all(asked) };
}

/** Requests of `m` that ended so. */
async function outcomes(gateway: TestGateway, outcome: string): Promise<number> {
  const samples = (await gateway.metrics()).get("spillway_model_requests_total")?.samples;
  return samples?.get(`spillway_model_requests_total{model="m",version="1",outcome="${outcome}"}`) ?? 0;
}

describe("a thousand requests at once", () => {
  it("over a hundred connections are each answered once, with their own values", async (test) => {
    const gateway = await setup(test, `batching: { maxBatch: 16 }\n${identity}`);
    const http = gateway.client({ connections: 100 });
    const rows = (turn: number): number => 1 + (turn % 3);
    const asks = Array.from({ length: 1_000 }, async (_, turn) => {
      const data = rowsOf(turn, rows(turn));
      if (turn % 4 === 0) {
        const instances = Array.from({ length: rows(turn) }, (__, row) => data.slice(row * 4, row * 4 + 4));
        const v1 = await http.ask({ path: "/v1/models/m:predict", body: { instances } });
        assert.equal(v1.status, 200, v1.text);
        return assert.deepEqual((v1.json["predictions"] as number[][]).flat(), data);
      }
      const v2 = await http.ask({ path: "/v2/models/m/infer", body: inferBody(data) });
      assert.equal(v2.status, 200, v2.text);
      return assert.deepEqual((v2.json["outputs"] as [{ data: number[] }])[0].data, data);
    });
    await Promise.all(asks);
    assert.equal(await outcomes(gateway, "ok"), 1_000);
    const metrics = await gateway.metrics();
    const value = (name: string): number | undefined =>
      metrics.get(name)?.samples.get(`${name}{model="m",version="1"}`);
    const sent = asks.reduce((sum, _, turn) => sum + rows(turn), 0);
    assert.equal(value("spillway_model_rows_total"), sent);
    assert.ok(value("spillway_model_calls_total")! < 1_000, "some travelled together");
  });

  it("over one gRPC connection are too, raw and typed", async (test) => {
    const gateway = await setup(test, identity);
    const rpc = gateway.rpc();
    const asks = Array.from({ length: 1_000 }, async (_, turn) => {
      const data = rowsOf(turn, 1 + (turn % 3));
      const input = { name: "input", datatype: "FP32", shape: [data.length / 4, 4] };
      const values = Float32Array.from(data);
      if (turn % 2 === 0) {
        const raw_input_contents = [Buffer.from(values.buffer)];
        const answer = await rpc.ask(service, "ModelInfer", {
          model_name: "m",
          inputs: [input],
          raw_input_contents,
        });
        return assert.deepEqual(answer["raw_output_contents"], raw_input_contents);
      }
      const inputs = [{ ...input, contents: { fp32_contents: data } }];
      const answer = await rpc.ask(service, "ModelInfer", { model_name: "m", inputs });
      const [output] = answer["outputs"] as [{ contents: { fp32_contents: number[] } }];
      return assert.deepEqual(output.contents.fp32_contents, data);
    });
    await Promise.all(asks);
  });
});

describe("batches", () => {
  it("are full when enough waits, and never fuller than allowed", async (test) => {
    const gateway = await setup(test, `batching: { maxBatch: 8 }\n${identity}`);
    const [pid] = gateway.pids("m/1");
    const goOn = haltProcess(test, pid!);
    // One at a time until the instance is at work: it takes a second call only when that one is full.
    const first = infer(gateway, rowsOf(0, 1));
    await until("the first is in hand", async () => {
      const { inFlight, waiting } = await countsOf(gateway);
      return inFlight === 1 && waiting === 0;
    });
    const rest = Array.from({ length: 20 }, (_, i) => infer(gateway, rowsOf(i + 1, 1)));
    await gateway.waiting("m", 12);
    goOn();
    const answers = await Promise.all([first, ...rest]);
    for (const [i, answer] of answers.entries()) assert.deepEqual(outputOf(answer), rowsOf(i, 1));
    const sizes = answers.map(batchOf).toSorted((a, b) => a - b);
    assert.deepEqual(sizes, [1, ...Array<number>(4).fill(4), ...Array<number>(16).fill(8)]);
  });

  it("hold requests of one shape only", async (test) => {
    const gateway = await setup(test, "batching: { maxBatch: 8 }\nmock: { identity: true, width: -1 }");
    const asks = Array.from({ length: 200 }, async (_, turn) => {
      const width = 1 + (turn % 5);
      const data = rowsOf(turn, 2, width);
      const answer = await infer(gateway, data, { width });
      assert.deepEqual(outputOf(answer), data);
    });
    await Promise.all(asks);
  });

  it("leave a request alone that is larger than they may be", async (test) => {
    const gateway = await setup(test, `batching: { maxBatch: 4 }\n${identity}`);
    const sizes = Array.from({ length: 40 }, (_, turn) => (turn % 10 === 0 ? 500 : 1));
    const answers = await Promise.all(sizes.map((rows, turn) => infer(gateway, rowsOf(turn, rows))));
    for (const [turn, answer] of answers.entries()) {
      const rows = sizes[turn]!;
      assert.deepEqual(outputOf(answer), rowsOf(turn, rows));
      if (rows === 500) assert.equal(batchOf(answer), 500);
      else assert.ok(batchOf(answer) <= 4, `${batchOf(answer)} rows`);
    }
  });

  it("wait for company only as long as they are told to, and not when they are full", async (test) => {
    const gateway = await setup(test, `batching: { maxBatch: 4, delayMs: 1000 }\n${identity}`);
    const started = performance.now();
    assert.equal(batchOf(await infer(gateway, rowsOf(0, 1))), 1);
    assert.ok(performance.now() - started >= 999, "a lone request waits");
    const full = await Promise.all(Array.from({ length: 4 }, (_, i) => infer(gateway, rowsOf(i, 1))));
    const waits = full.map(({ headers }) =>
      Number(/queue;dur=([\d.]+)/.exec(headers.get("server-timing")!)?.[1]),
    );
    assert.deepEqual(full.map(batchOf), [4, 4, 4, 4]);
    assert.ok(Math.min(...waits) < 999, `the last to come waited ${Math.min(...waits)} ms`);
  });
});

describe("priorities", () => {
  it("decide who is next, and who came first among equals", async (test) => {
    // Far enough apart that two answers are not read in one turn of a busy machine, where their order says nothing.
    const gateway = await setup(test, oneByOne.replace("latencyMs: 10", "latencyMs: 80"));
    const { goOn, inHand: first } = await fillInstance(test, gateway);
    const order: string[] = [];
    const asks: Promise<unknown>[] = [];
    const levels = { low: { priority: 9 }, normal: {}, high: { priority: 1 } };
    let queued = 0;
    for (const round of [1, 2]) {
      for (const [name, parameters] of Object.entries(levels)) {
        const answer = infer(gateway, rowsOf(queued, 1), parameters);
        asks.push(answer.then(({ status }) => order.push(status === 200 ? `${name} ${round}` : "refused")));
        await gateway.waiting("m", ++queued);
      }
    }
    goOn();
    await Promise.all([first, ...asks]);
    assert.deepEqual(order, ["high 1", "high 2", "normal 1", "normal 2", "low 1", "low 2"]);
  });
});

describe("a line that is full", () => {
  it("refuses with 503, Retry-After and the text that Triton's clients know, in every dialect", async (test) => {
    const gateway = await setup(test, oneByOne, { maxQueue: 3 });
    const { goOn, inHand: first } = await fillInstance(test, gateway);
    const waiting = Array.from({ length: 3 }, (_, i) => infer(gateway, rowsOf(i + inHand, 1)));
    await gateway.waiting("m", 3);
    const features = rowsOf(9, 1);
    const error = "Exceeds maximum queue size";
    const v2 = await infer(gateway, features);
    assert.deepEqual(v2.body, { error });
    const predicted = await gateway.post("/predict", { features, model_name: "m" });
    assert.deepEqual(predicted.body, { error, code: "queue_full" });
    const v1 = await gateway.post("/v1/models/m:predict", { instances: [features] });
    assert.deepEqual(v1.body, { error });
    for (const { status, headers } of [v2, predicted, v1]) {
      assert.equal(status, 503);
      assert.ok(Number(headers.get("retry-after")) >= 1);
    }
    const viaRpc = await gateway
      .rpc()
      .call("inference.ModelInference", "Predict", { features, model_name: "m" });
    assert.ok("details" in viaRpc);
    assert.deepEqual([viaRpc.code, viaRpc.details], [14, error]);
    assert.ok(Number(viaRpc.metadata.get("grpc-retry-pushback-ms")[0]) > 0);
    goOn();
    for (const answer of [...(await first), ...(await Promise.all(waiting))]) outputOf(answer);
    assert.equal(await outcomes(gateway, "queue_full"), 4);
    assert.equal((await infer(gateway, features)).status, 200);
  });
});

describe("a request's time", () => {
  it("is what it asks for, and no more than the gateway gives", async (test) => {
    const gateway = await setup(test, oneByOne, { requestTimeoutMs: 400 });
    const { goOn, inHand: first } = await fillInstance(test, gateway);
    // What the instance has in hand is answered, however long it takes.
    test.after(() => first);
    const timed = async (timeoutUs: number): Promise<number> => {
      const started = performance.now();
      const answer = await infer(gateway, rowsOf(5, 1), { timeout: timeoutUs });
      assert.deepEqual([answer.status, answer.body], [503, { error: "Request timeout expired" }]);
      assert.ok(Number(answer.headers.get("retry-after")) >= 1);
      return performance.now() - started;
    };
    const [short, long] = await Promise.all([timed(50_000), timed(60_000_000)]);
    assert.ok(short >= 49 && short < long, `${short} ms`);
    assert.ok(long >= 399, `${long} ms`);
    assert.equal(await outcomes(gateway, "queue_timeout"), 2);
    goOn();
    await first;
  });

  it("ends with the deadline of a gRPC call, and its place in line with it", async (test) => {
    const gateway = await setup(test, oneByOne);
    const { goOn, inHand: first } = await fillInstance(test, gateway);
    const message = { features: rowsOf(5, 1), model_name: "m" };
    const rpc = gateway.rpc();
    await rpc.ask(service, "ServerLive", {});
    const answer = await rpc.call("inference.ModelInference", "Predict", message, { timeoutMs: 100 });
    assert.ok([4, 14].includes(answer.code), String(answer.code));
    await untilEmpty(gateway);
    goOn();
    await first;
  });
});

/** Until nothing waits for `m`. */
function untilEmpty(gateway: TestGateway): Promise<unknown> {
  return until("the line is empty", async () => (await countsOf(gateway)).waiting === 0);
}

describe("a caller that leaves", () => {
  it("while waiting gives up its place at once, and is never run", async (test) => {
    const gateway = await setup(test, oneByOne);
    const http = gateway.client();
    const rpc = gateway.rpc();
    await rpc.ask(service, "ServerLive", {});
    const { goOn, inHand: first } = await fillInstance(test, gateway);
    const leave = new AbortController();
    const { signal } = leave;
    const lost = http.ask({ path: "/v2/models/m/infer", body: inferBody(rowsOf(7, 1)), signal });
    const message = { features: rowsOf(8, 1), model_name: "m" };
    const cancelled = rpc.call("inference.ModelInference", "Predict", message, { signal });
    const stays = infer(gateway, rowsOf(9, 1));
    await gateway.waiting("m", 3);
    const rejected = assert.rejects(lost);
    leave.abort();
    await rejected;
    assert.equal((await cancelled).code, 1);
    await until("both have left", async () => (await outcomes(gateway, "client_gone")) === 2);
    goOn();
    assert.deepEqual(outputOf(await stays), rowsOf(9, 1));
    await first;
    const rows = (await gateway.metrics()).get("spillway_model_rows_total")!.samples;
    assert.equal(rows.get('spillway_model_rows_total{model="m",version="1"}'), inHand + 1);
  });

  it("while the model works frees the instance for the next", async (test) => {
    const gateway = await setup(test, "batching: { maxBatch: 1 }\nmock: { identity: true, width: 4 }");
    const http = gateway.client();
    const [pid] = gateway.pids("m/1");
    const goOn = haltProcess(test, pid!);
    const leave = new AbortController();
    const { signal } = leave;
    const lost = Array.from({ length: inHand }, (_, i) =>
      assert.rejects(http.ask({ path: "/v2/models/m/infer", body: inferBody(rowsOf(i, 1)), signal })),
    );
    await until("they are in hand", async () => {
      const { inFlight, waiting } = await countsOf(gateway);
      return inFlight === inHand && waiting === 0;
    });
    const stays = infer(gateway, rowsOf(9, 1));
    await gateway.waiting("m", 1);
    leave.abort();
    await Promise.all(lost);
    await until("both have left", async () => (await outcomes(gateway, "client_gone")) === inHand);
    await untilEmpty(gateway);
    goOn();
    assert.deepEqual(outputOf(await stays), rowsOf(9, 1));
  });

  it("in the middle of a batch takes nobody's answer with it", async (test) => {
    const gateway = await setup(test, `batching: { maxBatch: 8 }\n${identity}`);
    const http = gateway.client();
    const [pid] = gateway.pids("m/1");
    const goOn = haltProcess(test, pid!);
    const leave = new AbortController();
    const asks = Array.from({ length: 24 }, (_, turn) => {
      const ask = { path: "/v2/models/m/infer", body: inferBody(rowsOf(turn, 1)) };
      if (turn % 3 === 0) return assert.rejects(http.ask({ ...ask, signal: leave.signal }));
      return http.ask(ask).then(({ status, json }) => {
        assert.equal(status, 200);
        assert.deepEqual((json["outputs"] as [{ data: number[] }])[0].data, rowsOf(turn, 1));
      });
    });
    await until("all have come", async () => (await countsOf(gateway)).inFlight === asks.length);
    leave.abort();
    await until("a third has left", async () => (await outcomes(gateway, "client_gone")) === 8);
    goOn();
    await Promise.all(asks);
    assert.equal(await outcomes(gateway, "ok"), 16);
  });
});
