import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { describe, it } from "node:test";
import { Cancellation } from "../core/cancellation.ts";
import { failure, isFailure, type Failure } from "../core/errors.ts";
import type { ServedModel } from "../core/model.ts";
import type { BoundTensors, InferenceRequest, TensorPayload, WireAnswer } from "../core/request.ts";
import type { Lease } from "../contracts/lease.ts";
import type { ResponseSink } from "../contracts/sink.ts";
import { RequestLine } from "../stages/flowcontrol/line.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import { createManualClock } from "../testing.ts";
import { Seat } from "./batch.ts";
import { Batcher } from "./batcher.ts";
import { Host } from "./host.ts";
import type { InstanceCall, InstanceHandler, ModelInstance } from "./model-instance.ts";
import { ModelStatistics } from "./statistics.ts";

const served: ServedModel = {
  name: "m",
  version: "1",
  platform: "test",
  inputs: [],
  outputs: [],
  task: undefined,
  mapping: { features: undefined, prompt: undefined, image: undefined },
  batchable: true,
  maxBatch: 4,
  mock: false,
};

/** An instance whose calls a test ends by hand. */
class HandInstance implements ModelInstance {
  readonly id: string;
  readonly host: Host;
  readonly calls: { call: InstanceCall; handler: InstanceHandler; names: string[]; cancelled: boolean }[] =
    [];

  constructor(id: string, host = new Host(id, () => this.die())) {
    this.id = id;
    this.host = host;
  }

  infer(call: InstanceCall, handler: InstanceHandler): { cancel(): void } {
    const entry = { call, handler, names: call.requests.map(nameOf), cancelled: false };
    this.calls.push(entry);
    return { cancel: () => void (entry.cancelled = true) };
  }

  /** Answers the oldest call. */
  answer(): void {
    const entry = this.calls.shift();
    assert.ok(entry, "no call to answer");
    entry.handler.answered({
      outputs: entry.call.requests.map(() => []),
      computeNs: 1e6,
      preprocessNs: undefined,
      spent: { answer: undefined, request: true },
    });
  }

  refuse(reason: Failure): void {
    this.calls.shift()?.handler.failed({ kind: "refused", failure: reason });
  }

  die(): void {
    this.host.markGone();
    for (const entry of this.calls.splice(0)) {
      entry.handler.failed({ kind: "died", failure: failure("model_unavailable") });
    }
  }
}

const names = new WeakMap<BoundTensors, string>();
const nameOf = (bound: BoundTensors): string => names.get(bound) ?? "?";

function setup(options: { maxBatch?: number; delayMs?: number; timeoutMs?: number; maxBytes?: number } = {}) {
  const clock = createManualClock();
  const metrics = createMetrics();
  const line = new RequestLine({ clock, maxQueue: 1_000, onRefused: () => {} });
  const statistics = new ModelStatistics("m", "1", { clock, metrics });
  let idle = 0;
  const { maxBatch = 4, delayMs = 0, timeoutMs = 1_000, maxBytes } = options;
  const limits = { delayMs, timeoutMs, ...(maxBytes === undefined ? {} : { maxBytes }) };
  const model = { ...served, maxBatch };
  const batcher = new Batcher({ clock, line, model, statistics, ...limits, onIdle: () => idle++ });
  const ask = (name: string, deadline = Infinity, bytes = 4) => {
    const cancellation = new Cancellation();
    const answers: string[] = [];
    const mayFree: boolean[] = [];
    const sink: ResponseSink = {
      whole: (_wire, spent) => {
        answers.push("ok");
        mayFree.push(spent?.request === true);
      },
      head: () => assert.fail("not a stream"),
      data: () => assert.fail("not a stream"),
      end: () => assert.fail("not a stream"),
      fail: (reason) => void answers.push(reason.code),
    };
    const wire: WireAnswer = { status: 200, headers: [], body: [] };
    const request: InferenceRequest<TensorPayload> = {
      id: name,
      model: "m",
      version: undefined,
      caller: { id: "local", scopes: ["infer"] },
      receivedAt: clock.now(),
      deadline,
      priority: 0,
      payload: { kind: "tensors", bind: () => assert.fail(), write: () => wire },
      cancellation,
    };
    const bound: BoundTensors = { inputs: [], outputs: undefined, rows: 1, bytes, shapeKey: "" };
    names.set(bound, name);
    const done = (result: Lease | Failure): void => {
      if (isFailure(result)) return void answers.push(result.code);
      queueMicrotask(() => result instanceof Seat && result.board(sink));
    };
    line.join({ request, bound, done });
    return { answers, mayFree, cancellation };
  };
  return { clock, line, batcher, statistics, ask, idle: () => idle };
}

describe("Batcher", () => {
  it("sends arrivals of one turn together the moment an instance is free, up to maxBatch", async () => {
    const { batcher, ask } = setup();
    const instance = new HandInstance("a");
    batcher.attach(instance);
    const asked = ["1", "2", "3", "4", "5"].map((name) => ask(name));
    await turn();
    await turn();
    assert.deepEqual(
      instance.calls.map((call) => call.names),
      [["1", "2", "3", "4"]],
    );
    instance.answer();
    await turn();
    assert.deepEqual(
      instance.calls.map((call) => call.names),
      [["5"]],
    );
    instance.answer();
    await turn();
    assert.deepEqual(
      asked.map((one) => one.answers),
      [["ok"], ["ok"], ["ok"], ["ok"], ["ok"]],
    );
  });

  it("puts a second call on a busy instance only when it is half full", async () => {
    const { batcher, ask } = setup({ maxBatch: 4 });
    const instance = new HandInstance("a");
    batcher.attach(instance);
    ask("1");
    await turn();
    ask("2");
    await turn();
    assert.equal(instance.calls.length, 1);
    ask("3");
    await turn();
    assert.deepEqual(
      instance.calls.map((call) => call.names),
      [["1"], ["2", "3"]],
    );
    for (const name of ["4", "5", "6", "7"]) ask(name);
    await turn();
    assert.equal(instance.calls.length, 2);
  });

  it("sends the next call ahead, however small, when a long one is nearly done", async () => {
    const { batcher, ask, clock } = setup({ maxBatch: 100 });
    const instance = new HandInstance("a");
    batcher.attach(instance);
    const sent = (): string[][] => instance.calls.map((call) => call.names);
    ask("1");
    await turn();
    ask("2");
    await turn();
    clock.advance(20);
    await turn();
    assert.deepEqual(sent(), [["1"]], "how long a call takes is not known yet");
    instance.answer();
    await turn();
    ask("3");
    await turn();
    clock.advance(14);
    ask("4");
    await turn();
    assert.deepEqual(sent(), [["2"]]);
    clock.advance(1);
    await turn();
    assert.deepEqual(sent(), [["2"], ["3", "4"]]);
    ask("5");
    clock.advance(60);
    await turn();
    assert.deepEqual(sent(), [["2"], ["3", "4"]], "one call ahead at most");
    // The call that was ahead runs from the answer of the one before it.
    instance.answer();
    await turn();
    clock.advance(55);
    await turn();
    assert.deepEqual(sent(), [["3", "4"]]);
    clock.advance(2);
    await turn();
    assert.deepEqual(sent(), [["3", "4"], ["5"]]);
  });

  it("halves all rows there are between two long calls, full batches while many wait", async () => {
    const { batcher, ask, clock } = setup({ maxBatch: 8 });
    const instance = new HandInstance("a");
    batcher.attach(instance);
    const askFor = (count: number): void => {
      for (let index = 0; index < count; index++) ask("r");
    };
    const sizes = (): number[] => instance.calls.map((call) => call.names.length);
    askFor(1);
    await turn();
    clock.advance(20);
    instance.answer();
    await turn();
    askFor(1);
    await turn();
    // One runs, seven come at once: a call of seven would leave the instance without work when it comes back.
    askFor(7);
    await turn();
    assert.deepEqual(sizes(), [1, 4]);
    clock.advance(20);
    instance.answer();
    askFor(1);
    await turn();
    assert.deepEqual(sizes(), [4, 4]);
    askFor(30);
    clock.advance(20);
    instance.answer();
    await turn();
    assert.deepEqual(sizes(), [4, 8]);
    clock.advance(20);
    instance.answer();
    await turn();
    assert.deepEqual(sizes(), [8, 8]);
  });

  it("lets what waits grow while short calls run", async () => {
    const { batcher, ask, clock } = setup({ maxBatch: 100 });
    const instance = new HandInstance("a");
    batcher.attach(instance);
    for (const name of ["1", "2"]) {
      ask(name);
      await turn();
      clock.advance(3);
      instance.answer();
      await turn();
    }
    ask("3");
    await turn();
    ask("4");
    clock.advance(50);
    await turn();
    assert.deepEqual(
      instance.calls.map((call) => call.names),
      [["3"]],
    );
  });

  it("lets large requests travel apart, and sends half a call's bytes ahead", async () => {
    const { batcher, ask } = setup({ maxBatch: 32, maxBytes: 1_000 });
    const instance = new HandInstance("a");
    batcher.attach(instance);
    for (const name of ["1", "2", "3", "4"]) ask(name, Infinity, 400);
    ask("5", Infinity, 5_000);
    await turn();
    const sent = (): string[][] => instance.calls.map((call) => call.names);
    assert.deepEqual(sent(), [
      ["1", "2"],
      ["3", "4"],
    ]);
    instance.answer();
    instance.answer();
    await turn();
    assert.deepEqual(sent(), [["5"]]);
    ask("6", Infinity, 499);
    await turn();
    assert.deepEqual(sent(), [["5"]]);
    ask("7", Infinity, 1);
    await turn();
    assert.deepEqual(sent(), [["5"], ["6", "7"]]);
  });

  it("prefers the idle instance", async () => {
    const { batcher, ask } = setup({ maxBatch: 1 });
    const [a, b] = [new HandInstance("a"), new HandInstance("b")];
    batcher.attach(a);
    batcher.attach(b);
    ask("1");
    ask("2");
    await turn();
    assert.deepEqual([a.calls.length, b.calls.length], [1, 1]);
  });

  it("holds a partial batch back for the configured delay and no longer", async () => {
    const { batcher, ask, clock } = setup({ delayMs: 5 });
    const instance = new HandInstance("a");
    batcher.attach(instance);
    ask("1");
    await turn();
    assert.equal(instance.calls.length, 0);
    clock.advance(5);
    await turn();
    assert.deepEqual(
      instance.calls.map((call) => call.names),
      [["1"]],
    );
  });

  it("keeps the line while there is no instance and serves it when one comes", async () => {
    const { batcher, ask, line } = setup();
    const asked = ask("1");
    await turn();
    assert.equal(line.length, 1);
    const instance = new HandInstance("a");
    batcher.attach(instance);
    await turn();
    await turn();
    instance.answer();
    await turn();
    assert.deepEqual(asked.answers, ["ok"]);
  });
});

describe("Batcher, when calls fail", () => {
  it("sends the requests of a dead host again, each alone, and answers the innocent", async () => {
    const { batcher, ask } = setup();
    const [a, b] = [new HandInstance("a"), new HandInstance("b")];
    batcher.attach(a);
    const asked = ["1", "poison", "3"].map((name) => ask(name));
    await turn();
    await turn();
    batcher.attach(b);
    batcher.detach(a);
    a.die();
    await turn();
    assert.deepEqual(
      b.calls.map((call) => call.names),
      [["1"]],
    );
    b.answer();
    await turn();
    assert.deepEqual(
      b.calls.map((call) => call.names),
      [["poison"]],
    );
    const c = new HandInstance("c");
    batcher.attach(c);
    await turn();
    batcher.detach(b);
    b.die();
    await turn();
    while (c.calls.length > 0) c.answer();
    await turn();
    assert.deepEqual(
      asked.map((one) => one.answers),
      [["ok"], ["model_crashed"], ["ok"]],
    );
  });

  it("lets memory be freed of what was sent once: the other instance may still be reading what was sent twice", async () => {
    const { batcher, ask } = setup();
    const instance = new HandInstance("a");
    batcher.attach(instance);
    const asked = ["1", "2"].map((name) => ask(name));
    await turn();
    await turn();
    instance.refuse(failure("model_failed"));
    while (asked[1]?.answers.length === 0) {
      await turn();
      if (instance.calls.length > 0) instance.answer();
    }
    const once = ask("3");
    await turn();
    await turn();
    instance.answer();
    await turn();
    assert.deepEqual(
      [...asked, once].map((one) => [one.answers, one.mayFree]),
      [
        [["ok"], [false]],
        [["ok"], [false]],
        [["ok"], [true]],
      ],
    );
  });

  it("runs nothing beside a suspect, also not of another model on the same host", async () => {
    const shared = new Host("shared", () => {});
    const one = setup();
    const other = setup();
    const first = new HandInstance("first");
    one.batcher.attach(first);
    one.ask("suspect");
    await turn();
    const [mine, theirs] = [new HandInstance("one", shared), new HandInstance("other", shared)];
    one.batcher.attach(mine);
    one.batcher.detach(first);
    first.die();
    other.batcher.attach(theirs);
    await turn();
    other.ask("innocent");
    await turn();
    assert.deepEqual([mine.calls.length, theirs.calls.length], [1, 0]);
    mine.answer();
    await turn();
    await turn();
    assert.equal(theirs.calls.length, 1);
  });

  it("keeps ordinary calls off a busy host until a suspect has had its turn", async () => {
    const { batcher, ask } = setup({ maxBatch: 1 });
    const [a, b] = [new HandInstance("a"), new HandInstance("b")];
    batcher.attach(a);
    batcher.attach(b);
    ask("1");
    ask("2");
    await turn();
    batcher.detach(a);
    a.die();
    await turn();
    ask("3");
    await turn();
    assert.equal(b.calls.length, 1);
    b.answer();
    await turn();
    assert.deepEqual(
      b.calls.map((call) => call.names),
      [["1"]],
    );
    b.answer();
    await turn();
    await turn();
    assert.deepEqual(
      b.calls.map((call) => call.names),
      [["3"]],
    );
  });

  it("sends the requests of a refused batch again alone, and gives a lone one its error", async () => {
    const { batcher, ask } = setup();
    const instance = new HandInstance("a");
    batcher.attach(instance);
    const asked = ["good", "bad"].map((name) => ask(name));
    await turn();
    await turn();
    instance.refuse(failure("bad_request", "truncated"));
    await turn();
    assert.deepEqual(
      instance.calls.map((call) => call.names),
      [["good"]],
    );
    instance.answer();
    await turn();
    instance.refuse(failure("invalid_image", "truncated"));
    await turn();
    assert.deepEqual(
      asked.map((one) => one.answers),
      [["ok"], ["invalid_image"]],
    );
  });

  it("answers the requests a host finds at fault and sends the others again together", async () => {
    const { batcher, ask } = setup();
    const instance = new HandInstance("a");
    batcher.attach(instance);
    const asked = ["1", "bad", "3"].map((name) => ask(name));
    await turn();
    await turn();
    const reason = failure("invalid_image", "truncated");
    instance.calls.shift()?.handler.failed({ kind: "refused", failure: reason, atFault: new Set([1]) });
    assert.deepEqual(
      instance.calls.map((call) => call.names),
      [["1", "3"]],
    );
    instance.answer();
    await turn();
    assert.deepEqual(
      asked.map((one) => one.answers),
      [["ok"], ["invalid_image"], ["ok"]],
    );
  });

  it("ends a host that holds a call past its deadline", async () => {
    const { batcher, ask, clock } = setup({ timeoutMs: 100 });
    const [hung, fresh] = [new HandInstance("hung"), new HandInstance("fresh")];
    batcher.attach(hung);
    const asked = ask("1");
    await turn();
    clock.advance(101);
    assert.equal(hung.host.state, "gone");
    batcher.detach(hung);
    batcher.attach(fresh);
    await turn();
    fresh.answer();
    await turn();
    assert.deepEqual(asked.answers, ["ok"]);
  });

  it("answers a suspect that finds no host before its deadline with queue_timeout", async () => {
    const { batcher, ask, clock } = setup();
    const only = new HandInstance("only");
    batcher.attach(only);
    const asked = ask("1", 500);
    await turn();
    batcher.detach(only);
    only.die();
    await turn();
    clock.advance(501);
    assert.deepEqual(asked.answers, ["queue_timeout"]);
  });

  it("cancels a call that nobody waits for and frees its place", async () => {
    const { batcher, ask } = setup({ maxBatch: 2 });
    const instance = new HandInstance("a");
    batcher.attach(instance);
    const asked = [ask("1"), ask("2")];
    await turn();
    const call = instance.calls[0];
    asked[0]?.cancellation.cancel("client_gone");
    assert.equal(call?.cancelled, false);
    asked[1]?.cancellation.cancel("client_gone");
    assert.equal(call?.cancelled, true);
    assert.equal(instance.host.running, 0);
    assert.equal(batcher.busy, false);
  });

  it("sends a batch without the requests whose callers left before it was boarded", async () => {
    const { batcher, ask } = setup();
    const instance = new HandInstance("a");
    const asked = [ask("gone"), ask("here")];
    batcher.attach(instance);
    asked[0]?.cancellation.cancel("client_gone");
    await turn();
    await turn();
    assert.deepEqual(
      instance.calls.map((call) => call.names),
      [["here"]],
    );
  });
});
