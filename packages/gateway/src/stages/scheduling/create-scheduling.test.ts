// Which endpoint takes a request, and what waits while none has room.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createManualClock } from "../../testing.ts";
import { forwardRequest, PlainPool, type RequestSetup } from "../../../test/support/forward-fixture.ts";
import { wireProfiles } from "../../../test/support/scheduling-fixture.ts";
import { leastWorkScheduling } from "../../plugins/default-scheduling.ts";
import type { AttemptResult, ForwardDecision, HttpEndpoint } from "../../contracts/http-endpoint.ts";
import { isFailure, type Failure } from "../../core/errors.ts";
import { createScheduling } from "./create-scheduling.ts";

const result: AttemptResult = {
  kind: "ok",
  status: 200,
  retryAfterMs: undefined,
  firstTokenMs: 1,
  durationMs: 1,
  usage: undefined,
};

/** Random numbers from a fixed list, again and again. */
function sequence(...values: number[]) {
  let next = 0;
  return { unit: () => values[next++ % values.length] ?? 0, id: () => "id" };
}

function setUp(servers: number, units: readonly number[] = [0.9]) {
  const clock = createManualClock();
  const pool = new PlainPool(
    Array.from({ length: servers }, (_, index) => `http://127.0.0.1:${index + 1}`),
    { clock },
  );
  const refused: Failure[] = [];
  const scheduling = createScheduling({
    clock,
    defaultProfiles: () => wireProfiles(leastWorkScheduling, { clock, random: sequence(...units) }),
    onRefused: (_route, reason) => void refused.push(reason),
  });
  const request = (setup: RequestSetup = {}) => ({
    ...forwardRequest(setup),
    receivedAt: clock.now(),
    deadline: clock.now() + (setup.deadlineMs ?? 10_000),
  });
  /** As the pipeline does. */
  const ask = (setup: RequestSetup = {}) => {
    const route = { pool, model: setup.model ?? "m" };
    const asked = request(setup);
    const answer: { value: ForwardDecision | Failure | undefined } = {
      value: scheduling.decide(route, asked),
    };
    if (answer.value === undefined) scheduling.wait(route, asked, (late) => (answer.value = late));
    return { answer, request: asked };
  };
  const place = (answer: { value: ForwardDecision | Failure | undefined }): string | undefined => {
    const { value } = answer;
    if (value === undefined) return undefined;
    return isFailure(value) ? value.code : value.endpoints[0].id;
  };
  const end = ({ value }: { value: ForwardDecision | Failure | undefined }): void => {
    assert.ok(value !== undefined && !isFailure(value));
    value.lease.release(value.endpoints[0], result);
    value.lease.settle("ok");
  };
  return { clock, pool, scheduling, refused, ask, place, end };
}

describe("a request goes to the endpoint", () => {
  test("with the least to do", () => {
    const { ask, place } = setUp(3);
    const places = Array.from({ length: 6 }, () => place(ask().answer));
    for (const id of ["chat/0", "chat/1", "chat/2"]) {
      assert.equal(places.filter((each) => each === id).length, 2, id);
    }
  });

  test("with the least to do for its speed", () => {
    const { ask, place, pool } = setUp(2);
    const [fast, slow] = pool.endpoints;
    assert.ok(fast !== undefined && slow !== undefined);
    fast.speed = 300;
    slow.speed = 100;
    const places = Array.from({ length: 8 }, () => place(ask().answer));
    assert.equal(places.filter((each) => each === "chat/0").length, 6);
  });

  test("that holds the model in memory, while it has room", () => {
    const { ask, place, pool } = setUp(2);
    const [cold, warm] = pool.endpoints;
    assert.ok(cold !== undefined && warm !== undefined);
    cold.loaded = false;
    warm.capacity = 2;
    assert.deepEqual(
      Array.from({ length: 3 }, () => place(ask().answer)),
      ["chat/1", "chat/1", "chat/0"],
    );
  });

  test("that chance names among equals", () => {
    const { ask, place, end } = setUp(
      3,
      Array.from({ length: 61 }, (_, index) => (index * 0.618) % 1),
    );
    const places = new Set<string | undefined>();
    for (let turn = 0; turn < 30; turn++) {
      const { answer } = ask();
      places.add(place(answer));
      end(answer);
    }
    assert.equal(places.size, 3);
  });
});

describe("without room a request waits", () => {
  test("and gets the first place that comes free, in order of priority", () => {
    const { ask, place, end, pool } = setUp(1);
    const [only] = pool.endpoints;
    assert.ok(only !== undefined);
    only.capacity = 1;
    const first = ask();
    const later = ask();
    const urgent = ask({ priority: 5 });
    assert.deepEqual([place(later.answer), place(urgent.answer)], [undefined, undefined]);
    end(first.answer);
    assert.deepEqual([place(later.answer), place(urgent.answer)], [undefined, "chat/0"]);
    end(urgent.answer);
    assert.equal(place(later.answer), "chat/0");
    end(later.answer);
    assert.equal(only.inFlight, 0);
    assert.equal(only.results.length, 3);
  });

  test("behind nobody whose model has no room", () => {
    const { ask, place, end, pool } = setUp(2);
    const [a, b] = pool.endpoints;
    assert.ok(a !== undefined && b !== undefined);
    a.capacity = 1;
    b.capacity = 1;
    const serving = new Map<string, HttpEndpoint[]>([
      ["ma", [a]],
      ["mb", [b]],
    ]);
    pool.candidatesFor = (...[model]: readonly string[]) => serving.get(model ?? "") ?? [];
    const running = ask({ model: "ma" });
    const other = ask({ model: "mb" });
    const blocked = Array.from({ length: 50 }, () => ask({ model: "ma" }));
    const waiting = ask({ model: "mb" });
    end(other.answer);
    assert.equal(place(waiting.answer), "chat/1");
    assert.equal(pool.line.length, 50);
    end(running.answer);
    assert.equal(place(blocked[0]?.answer ?? { value: undefined }), "chat/0");
  });

  test("until a server recovers", () => {
    const { ask, place, pool } = setUp(1);
    const [only] = pool.endpoints;
    assert.ok(only !== undefined);
    only.capacity = 0;
    const { answer } = ask();
    only.capacity = 1;
    assert.equal(place(answer), undefined);
    pool.room();
    assert.equal(place(answer), "chat/0");
  });

  test("until its deadline, and is counted", () => {
    const { ask, place, clock, pool, refused } = setUp(1);
    const [only] = pool.endpoints;
    assert.ok(only !== undefined);
    only.capacity = 0;
    const { answer } = ask({ deadlineMs: 500 });
    clock.advance(600);
    assert.equal(place(answer), "queue_timeout");
    assert.deepEqual(
      refused.map(({ code }) => code),
      ["queue_timeout"],
    );
  });
});

test("without any endpoint to ask a request is refused at once, as the pool says", () => {
  const { ask, place, pool } = setUp(1);
  const [only] = pool.endpoints;
  assert.ok(only !== undefined);
  only.state = "misconfigured";
  assert.equal(place(ask().answer), "model_unavailable");
});

describe("another endpoint", () => {
  test("is one that was not tried, with room where there is such", () => {
    const { scheduling, pool, ask } = setUp(3);
    const route = { pool, model: "m" };
    const [a, b, c] = pool.endpoints;
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    const { value } = ask().answer;
    assert.ok(value !== undefined && !isFailure(value));
    b.capacity = 0;
    assert.equal(scheduling.another(route, [a], value), c);
    assert.equal(scheduling.another(route, [a, c], value), b);
    assert.ok(scheduling.another(route, [a, b, c], value) !== undefined);
    for (const endpoint of pool.endpoints) endpoint.state = "unhealthy";
    assert.equal(scheduling.another(route, [a], value), undefined);
  });
});

test("a decision that is never carried gives its place back", () => {
  const { ask, pool } = setUp(1);
  const { value } = ask().answer;
  assert.ok(value !== undefined && !isFailure(value));
  assert.equal(pool.endpoints[0]?.inFlight, 1);
  value.lease.settle("client_gone");
  value.lease.settle("client_gone");
  assert.equal(pool.endpoints[0]?.inFlight, 0);
  assert.deepEqual(
    pool.endpoints[0]?.results.map(({ kind }) => kind),
    ["cancelled"],
  );
});
