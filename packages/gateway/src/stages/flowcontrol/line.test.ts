import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Cancellation } from "../../core/cancellation.ts";
import { isFailure, type Failure } from "../../core/errors.ts";
import type { InferenceRequest, TensorPayload } from "../../core/request.ts";
import type { Lease } from "../../contracts/lease.ts";
import { createManualClock } from "../../testing.ts";
import { RequestLine } from "./line.ts";

const lease: Lease = { enqueuedAt: 0, grantedAt: 0, settle: () => {} };

interface Options {
  readonly priority?: number;
  readonly deadline?: number;
  readonly rows?: number;
  readonly bytes?: number;
  readonly shapeKey?: string;
}

function setup(maxQueue = 100) {
  const clock = createManualClock();
  const refused: string[] = [];
  const line = new RequestLine({ clock, maxQueue, onRefused: (failure) => refused.push(failure.code) });
  const join = (id: string, options: Options = {}) => {
    const cancellation = new Cancellation();
    const results: (Lease | Failure)[] = [];
    const request: InferenceRequest<TensorPayload> = {
      id,
      model: "m",
      version: undefined,
      caller: { id: "local", scopes: ["infer"] },
      receivedAt: clock.now(),
      deadline: options.deadline ?? Infinity,
      priority: options.priority ?? 0,
      payload: { kind: "tensors", bind: () => assert.fail(), write: () => assert.fail() },
      cancellation,
    };
    const { rows = 1, bytes = 0, shapeKey = "" } = options;
    const bound = { inputs: [], outputs: undefined, rows, bytes, shapeKey };
    line.join({ request, bound, done: (result) => results.push(result) });
    return {
      cancellation,
      results,
      code: () => results.map((one) => (isFailure(one) ? one.code : "granted")),
    };
  };
  const take = (maxRows: number, maxBytes?: number) =>
    line.take(maxBytes === undefined ? { maxRows } : { maxRows, maxBytes }).map((waiter) => {
      waiter.grant(lease);
      return waiter.request.id;
    });
  return { clock, line, join, take, refused };
}

describe("RequestLine", () => {
  it("hands out requests first come first served, up to the rows asked for", () => {
    const { line, join, take } = setup();
    for (const id of ["a", "b", "c"]) join(id);
    assert.deepEqual(take(2), ["a", "b"]);
    assert.equal(line.length, 1);
    assert.deepEqual(take(2), ["c"]);
    assert.deepEqual(take(2), []);
    assert.equal(line.rows, 0);
  });

  it("hands out a request larger than the rows asked for alone", () => {
    const { join, take } = setup();
    join("big", { rows: 50 });
    join("small");
    assert.deepEqual(take(8), ["big"]);
    assert.deepEqual(take(8), ["small"]);
  });

  it("hands out requests up to the bytes asked for, and one that is larger alone", () => {
    const { line, join, take } = setup();
    for (const id of ["a", "b", "c"]) join(id, { bytes: 400 });
    join("big", { bytes: 5_000 });
    assert.equal(line.bytes, 6_200);
    assert.deepEqual(take(8, 1_000), ["a", "b"]);
    assert.deepEqual(take(8, 1_000), ["c"]);
    assert.equal(line.bytes, 5_000);
    assert.deepEqual(take(8, 1_000), ["big"]);
    assert.equal(line.bytes, 0);
  });

  it("does not split a request to fill the rows", () => {
    const { join, take } = setup();
    join("a", { rows: 3 });
    join("b", { rows: 3 });
    assert.deepEqual(take(4), ["a"]);
  });

  it("lets a higher priority go first and keeps order within one", () => {
    const { join, take } = setup();
    join("low", { priority: -1 });
    join("normal 1");
    join("high", { priority: 5 });
    join("normal 2");
    assert.deepEqual(take(10), ["high", "normal 1", "normal 2", "low"]);
  });

  it("counts priorities beyond the range as its ends", () => {
    const { join, take } = setup();
    join("first", { priority: 1_000_000 });
    join("second", { priority: 16 });
    assert.deepEqual(take(10), ["first", "second"]);
  });

  it("puts only requests of one shape together and passes over none for good", () => {
    const { join, take } = setup();
    join("a1", { shapeKey: "a" });
    join("b1", { shapeKey: "b" });
    join("a2", { shapeKey: "a" });
    assert.deepEqual(take(10), ["a1", "a2"]);
    assert.deepEqual(take(10), ["b1"]);
  });

  it("refuses a request beyond its bound with queue_full", () => {
    const { join, refused } = setup(1);
    join("a");
    assert.deepEqual(join("b").code(), ["queue_full"]);
    assert.deepEqual(refused, ["queue_full"]);
  });

  it("answers a request whose deadline passes in line, without being asked", () => {
    const { clock, line, join } = setup();
    const late = join("late", { deadline: 100 });
    const later = join("later", { deadline: 300 });
    clock.advance(99);
    assert.deepEqual(late.code(), []);
    clock.advance(2);
    assert.deepEqual(late.code(), ["queue_timeout"]);
    assert.equal(line.length, 1);
    clock.advance(300);
    assert.deepEqual(later.code(), ["queue_timeout"]);
    assert.equal(line.length, 0);
  });

  it("watches an earlier deadline that joins after a later one", () => {
    const { clock, join } = setup();
    join("later", { deadline: 1_000 });
    const soon = join("soon", { deadline: 10 });
    clock.advance(11);
    assert.deepEqual(soon.code(), ["queue_timeout"]);
  });

  it("refuses a request that comes after its deadline", () => {
    const { clock, join } = setup();
    clock.advance(50);
    assert.deepEqual(join("late", { deadline: 50 }).code(), ["queue_timeout"]);
  });

  it("forgets a request whose caller goes away", () => {
    const { line, join, take, refused } = setup();
    const gone = join("gone");
    join("here");
    gone.cancellation.cancel("client_gone");
    assert.deepEqual(gone.code(), ["client_gone"]);
    assert.equal(line.length, 1);
    assert.deepEqual(take(10), ["here"]);
    assert.deepEqual(refused, ["client_gone"]);
  });

  it("no longer listens to the cancellation of a request it has handed out", () => {
    const { join, take } = setup();
    const request = join("a");
    take(1);
    request.cancellation.cancel("client_gone");
    assert.deepEqual(request.code(), ["granted"]);
  });

  it("refuses everything that waits when flushed, each once", () => {
    const { line, join } = setup();
    const all = [join("a"), join("b", { priority: 3 })];
    line.flush({ code: "model_unavailable", message: "gone" });
    assert.deepEqual(
      all.map((one) => one.code()),
      [["model_unavailable"], ["model_unavailable"]],
    );
    assert.equal(line.length, 0);
  });

  it("answers each of many requests exactly once under a seeded mix of joins, takes, departures and expiry", () => {
    const { clock, line, join, take } = setup(50);
    let seed = 12345;
    const random = (below: number) => (seed = (seed * 48271) % 2147483647) % below;
    const all = [];
    for (let step = 0; step < 5_000; step++) {
      const dice = random(10);
      if (dice < 5)
        all.push(
          join(`r${step}`, {
            priority: random(3),
            deadline: clock.now() + 1 + random(40),
            rows: 1 + random(3),
            shapeKey: String(random(2)),
          }),
        );
      else if (dice < 7) take(1 + random(8));
      else if (dice < 8) all[random(Math.max(1, all.length))]?.cancellation.cancel("client_gone");
      else clock.advance(random(10));
    }
    line.flush({ code: "draining", message: "" });
    assert.equal(line.length, 0);
    assert.equal(line.rows, 0);
    for (const one of all) assert.equal(one.results.length, 1);
  });
});
