// Profiles of pools, flow control's gate, fallbacks, filters that leave full servers only, and work that takes several turns.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createManualClock } from "../../testing.ts";
import {
  forwardRequest,
  PlainPool,
  relayPayload,
  type RequestSetup,
} from "../../../test/support/forward-fixture.ts";
import { wireProfiles } from "../../../test/support/scheduling-fixture.ts";
import type { FlowGate, FlowGrant } from "../../contracts/flow-gate.ts";
import type { AttemptResult, ForwardDecision, HttpEndpoint } from "../../contracts/http-endpoint.ts";
import type { SchedulingSpec } from "../../contracts/plugins/scheduling.ts";
import type { WiredScheduling } from "../../contracts/plugins/wired-scheduling.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { TokenUsage } from "../../core/forward.ts";
import { leastWorkScheduling, plainPlugins } from "../../plugins/default-scheduling.ts";
import { createScheduling } from "./create-scheduling.ts";

const usage: TokenUsage = { promptTokens: 10, cachedTokens: 0, completionTokens: 64, estimated: false };
const ok: AttemptResult = {
  kind: "ok",
  status: 200,
  retryAfterMs: undefined,
  firstTokenMs: 1,
  durationMs: 1,
  usage,
};

/** A pool with what a test gives it. */
class GivenPool extends PlainPool {
  scheduling: WiredScheduling | undefined;
  gone: (endpoint: HttpEndpoint) => void = () => undefined;

  onGone(listener: (endpoint: HttpEndpoint) => void): void {
    this.gone = listener;
  }
}

/** A gate that a test opens and shuts, and that counts. */
class HandGate implements FlowGate {
  isOpen = true;
  refusal: Failure | undefined;
  waitsForEndpoints = false;
  asked = 0;
  readonly grants: FlowGrant[] = [];
  readonly ends: (TokenUsage | undefined)[] = [];
  #listener = (): void => undefined;

  refuse(): Failure | undefined {
    this.asked++;
    return this.refusal;
  }

  mayDispatch(_model: string, priority: number): boolean {
    return this.isOpen || priority > 5;
  }

  granted(grant: FlowGrant) {
    this.grants.push(grant);
    return { ended: (used: TokenUsage | undefined) => void this.ends.push(used) };
  }

  changed(): void {
    this.#listener();
  }

  onOpening(listener: () => void): void {
    this.#listener = listener;
  }
}

const prefixSpec: SchedulingSpec = {
  plugins: [
    ...plainPlugins("single-profile-handler", "prefix-cache-scorer", "token-load-scorer", "decode-filter"),
    { name: "three", type: "max-score-picker", parameters: { maxNumOfEndpoints: 3 } },
  ],
  profiles: [
    {
      name: "default",
      filters: ["decode-filter"],
      scorers: [
        { plugin: "prefix-cache-scorer", weight: 3 },
        { plugin: "token-load-scorer", weight: 1 },
      ],
      picker: "three",
    },
  ],
  handler: "single-profile-handler",
  shadows: [],
};

interface Setup {
  readonly servers: number;
  readonly spec?: SchedulingSpec;
  readonly gate?: FlowGate;
}

function setUp({ servers, spec, gate }: Setup) {
  const clock = createManualClock();
  const pool = new GivenPool(
    Array.from({ length: servers }, (_, index) => `http://127.0.0.1:${index + 1}`),
    { clock },
  );
  pool.gate = gate;
  if (spec !== undefined) pool.scheduling = wireProfiles(spec, { clock });
  const scheduling = createScheduling({
    clock,
    defaultProfiles: () => wireProfiles(leastWorkScheduling, { clock }),
  });
  const ask = (setup: RequestSetup = {}) => {
    const route = { pool, model: setup.model ?? "m" };
    const request = {
      ...forwardRequest(setup),
      receivedAt: clock.now(),
      deadline: clock.now() + (setup.deadlineMs ?? 10_000),
    };
    const answer: { value: ForwardDecision | Failure | undefined } = {
      value: scheduling.decide(route, request),
    };
    if (answer.value === undefined) scheduling.wait(route, request, (late) => (answer.value = late));
    return answer;
  };
  return { clock, pool, scheduling, ask };
}

function prompting(text: string): RequestSetup {
  const part = new Uint8Array(Buffer.from(text));
  return { payload: { ...relayPayload(), promptParts: () => [part] } };
}

function decisionOf({ value }: { value: ForwardDecision | Failure | undefined }): ForwardDecision {
  assert.ok(value !== undefined && !isFailure(value), JSON.stringify(value));
  return value;
}

function end(decision: ForwardDecision, result: AttemptResult = ok): void {
  decision.lease.release(decision.endpoints[0], result);
  decision.lease.settle("ok");
}

describe("a gate", () => {
  test("that is shut lets requests wait, more urgent ones pass, and all when it opens", () => {
    const gate = new HandGate();
    const { ask } = setUp({ servers: 1, gate });
    gate.isOpen = false;
    const waiting = [ask(), ask()];
    assert.deepEqual(
      waiting.map(({ value }) => value),
      [undefined, undefined],
    );
    end(decisionOf(ask({ priority: 6 })));
    gate.isOpen = true;
    gate.changed();
    for (const each of waiting) end(decisionOf(each));
    assert.equal(gate.asked, 3);
    assert.deepEqual(
      gate.grants.map(({ charged, model }) => [typeof charged, model]),
      // The urgent one stood behind the others for a moment.
      [
        ["number", "m"],
        ["number", "m"],
        ["number", "m"],
      ],
    );
    assert.equal(gate.ends.length, 3);
  });

  test("hears of each place once, and once of its end", () => {
    const gate = new HandGate();
    const { ask, pool } = setUp({ servers: 2, gate });
    const decision = decisionOf(ask());
    const [first] = decision.endpoints;
    const other = pool.endpoints.find((endpoint) => endpoint !== first) ?? assert.fail();
    decision.lease.release(first, { ...ok, kind: "refused" });
    decision.lease.acquire(other);
    assert.equal(gate.ends.length, 0);
    decision.lease.release(other, ok);
    decision.request.usage = usage;
    decision.lease.settle("ok");
    decision.lease.settle("ok");
    assert.equal(gate.grants.length, 1);
    assert.deepEqual(gate.ends, [usage]);
    assert.equal(gate.grants[0]?.charged, undefined);
  });

  test("refuses at once what may not wait", () => {
    const gate = new HandGate();
    const { ask } = setUp({ servers: 1, gate });
    gate.refusal = failure("saturated");
    const { value } = ask();
    assert.ok(value !== undefined && isFailure(value));
    assert.equal(value.code, "saturated");
    assert.equal(gate.asked, 1);
  });

  test("lets requests wait for endpoints that are still to come", () => {
    const gate = new HandGate();
    const { ask, pool } = setUp({ servers: 1, gate });
    const [only] = pool.endpoints;
    assert.ok(only !== undefined);
    only.state = "misconfigured";
    assert.ok(isFailure(ask().value ?? {}));
    gate.waitsForEndpoints = true;
    const waiting = ask();
    assert.equal(waiting.value, undefined);
    only.state = "ready";
    pool.room();
    end(decisionOf(waiting));
  });
});

describe("profiles of a pool", () => {
  test("follow the prompt, count what is not cached, and name where a retry goes", () => {
    const { ask, pool } = setUp({ servers: 3, spec: prefixSpec });
    const text = "x".repeat(2_560);
    const first = decisionOf(ask(prompting(text)));
    assert.equal(new Set(first.endpoints).size, 3);
    const [home] = first.endpoints;
    assert.equal(home.load.promptTokens, 10);
    end(first);
    const again = decisionOf(ask(prompting(`${text}${"y".repeat(2_560)}`)));
    assert.equal(again.endpoints[0], home);
    // Half of the prompt is there.
    assert.equal(home.load.promptTokens, 5);
    end(again);
    for (const { load } of pool.endpoints) {
      assert.deepEqual([load.requests, load.promptTokens, load.outputTokens], [0, 0, 0]);
    }
  });

  test("forget servers that are gone", () => {
    const { ask, pool } = setUp({ servers: 2, spec: prefixSpec });
    const text = "x".repeat(2_560);
    const first = decisionOf(ask(prompting(text)));
    const [home] = first.endpoints;
    end(first);
    pool.gone(home);
    const again = decisionOf(ask(prompting(text)));
    assert.equal(again.endpoints[0].load.promptTokens, 10);
    end(again);
  });

  test("are asked again for a retry, among servers that were not tried", () => {
    const { ask, pool, scheduling } = setUp({ servers: 3, spec: prefixSpec });
    const decision = decisionOf(ask());
    const [a, b, c] = decision.endpoints as readonly HttpEndpoint[];
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    assert.equal(scheduling.another(decision.route, [a], decision), b);
    assert.equal(scheduling.another(decision.route, [a, b], decision), c);
    const full = pool.endpoints.find((endpoint) => endpoint === b) ?? assert.fail();
    full.capacity = 0;
    assert.equal(scheduling.another(decision.route, [a], decision), c);
    end(decision);
  });

  test("of one pool know nothing of another's", () => {
    const one = setUp({ servers: 2, spec: prefixSpec });
    const other = setUp({ servers: 2, spec: prefixSpec });
    const text = "x".repeat(2_560);
    end(decisionOf(one.ask(prompting(text))));
    const decision = decisionOf(other.ask(prompting(text)));
    assert.equal(decision.endpoints[0].load.promptTokens, 10);
    end(decision);
  });

  test("send from the line who suits the server with room, and whom they have passed over before long", () => {
    const { ask, pool } = setUp({ servers: 2, spec: prefixSpec });
    const [one, two] = pool.endpoints;
    assert.ok(one !== undefined && two !== undefined);
    const [a, b] = [prompting("a".repeat(2_560)), prompting("b".repeat(2_560))];
    two.capacity = 0;
    const first = decisionOf(ask(a));
    two.capacity = 1;
    one.capacity = 1;
    const second = decisionOf(ask(b));
    assert.deepEqual([first.endpoints[0], second.endpoints[0]], [one, two]);
    const waiting = [ask(a), ask(b), ask(a)];
    end(second);
    assert.equal(decisionOf(waiting[1] ?? assert.fail()).endpoints[0], two);
    assert.deepEqual([waiting[0]?.value, waiting[2]?.value], [undefined, undefined]);
    end(decisionOf(waiting[1] ?? assert.fail()));
    assert.equal(decisionOf(waiting[0] ?? assert.fail()).endpoints[0], two, "nobody else waits for it");
    end(first);
    assert.equal(decisionOf(waiting[2] ?? assert.fail()).endpoints[0], one);
    for (const each of [waiting[0], waiting[2]]) end(decisionOf(each ?? assert.fail()));
    assert.deepEqual([one.inFlight, two.inFlight, pool.line.length], [0, 0, 0]);
  });

  test("of two models tell their prompts apart", () => {
    const { ask } = setUp({ servers: 2, spec: prefixSpec });
    const text = "x".repeat(2_560);
    end(decisionOf(ask({ ...prompting(text), model: "a" })));
    const decision = decisionOf(ask({ ...prompting(text), model: "b" }));
    assert.equal(decision.endpoints[0].load.promptTokens, 10);
    end(decision);
  });

  test("whose filters leave nobody refuse the request; those that leave full servers send it there, up to a bound", () => {
    const { ask, pool } = setUp({ servers: 2, spec: prefixSpec });
    const [decode, prefill] = pool.endpoints;
    assert.ok(decode !== undefined && prefill !== undefined);
    Object.assign(prefill, { labels: { "llm-d.ai/role": "prefill" } });
    decode.capacity = 2;
    const taken = Array.from({ length: 4 }, () => decisionOf(ask()));
    assert.ok(taken.every(({ endpoints }) => endpoints[0] === decode));
    const { value } = ask();
    assert.ok(value !== undefined && isFailure(value));
    assert.equal(value.code, "saturated");
    for (const each of taken) end(each);
    Object.assign(decode, { labels: { "llm-d.ai/role": "encode" } });
    const refused = ask().value;
    assert.ok(refused !== undefined && isFailure(refused));
    assert.equal(refused.code, "saturated");
  });
});

describe("a prompt of megabytes", () => {
  const spec: SchedulingSpec = {
    ...prefixSpec,
    plugins: [
      ...prefixSpec.plugins,
      {
        name: "approx-prefix-cache-producer",
        type: "approx-prefix-cache-producer",
        parameters: { maxPrefixTokensToMatch: 2 ** 20 },
      },
    ],
  };
  const large = prompting("x".repeat(3_000_000));
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  test("gets its place some turns later, and others meanwhile", async () => {
    const { ask } = setUp({ servers: 2, spec });
    const waiting = ask(large);
    assert.equal(waiting.value, undefined);
    end(decisionOf(ask(prompting("small"))));
    for (let n = 0; n < 20 && waiting.value === undefined; n++) await turn();
    end(decisionOf(waiting));
  });

  test("whose pool has nobody left meanwhile is refused", async () => {
    const { ask, pool } = setUp({ servers: 1, spec });
    const waiting = ask(large);
    for (const endpoint of pool.endpoints) endpoint.state = "unhealthy";
    for (let n = 0; n < 20 && waiting.value === undefined; n++) await turn();
    assert.ok(waiting.value !== undefined && isFailure(waiting.value));
    assert.equal(waiting.value.code, "model_unavailable");
  });
});
