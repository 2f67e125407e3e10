import assert from "node:assert/strict";
import { test } from "node:test";
import { forwardRequest } from "../../../test/support/forward-fixture.ts";
import type { TraitsOptions } from "../../contracts/options.ts";
import type { HeaderMap } from "../../core/headers.ts";
import type { RequestTraits } from "../../core/request-traits.ts";
import type { Caller } from "../../core/request.ts";
import { controlHeaders } from "./control-headers.ts";
import { createTraitsReader } from "./read-traits.ts";

const plain: TraitsOptions = {
  objectives: new Map([
    ["interactive", 10],
    ["batch", -10],
  ]),
  fairness: "header",
  session: { headers: ["x-session-token", "x-session-id"], cookie: undefined },
  trust: new Set(["trusted"]),
};

const admin: Caller = { id: "local", scopes: ["infer", "admin"] };
const key = (id: string): Caller => ({ id, scopes: ["infer"] });

interface Read {
  readonly traits: RequestTraits | undefined;
  readonly priority: number;
  /** Time that is left from the arrival, ms. */
  readonly leftMs: number;
}

function read(headers: HeaderMap, caller: Caller = admin, options: Partial<TraitsOptions> = {}): Read {
  const request = { ...forwardRequest({ deadlineMs: 10_000 }), headers, caller };
  createTraitsReader({ ...plain, ...options })(request);
  const { traits, priority, deadline, receivedAt } = request;
  return { traits, priority, leftMs: Math.round(deadline - receivedAt) };
}

test("a request that says nothing has no traits, and its priority and deadline stay", () => {
  assert.deepEqual(read({ host: "a" }), { traits: undefined, priority: 0, leftMs: 10_000 });
});

test("both names of each header are read, the newer first", () => {
  for (const [fairness, objective, ttft, tpot] of [
    [
      "x-llm-d-inference-fairness-id",
      "x-llm-d-inference-objective",
      "x-llm-d-slo-ttft-ms",
      "x-llm-d-slo-tpot-ms",
    ],
    ["x-gateway-inference-fairness-id", "x-gateway-inference-objective", "x-slo-ttft-ms", "x-slo-tpot-ms"],
  ] as const) {
    const headers = { [fairness]: "team", [objective]: "interactive", [ttft]: "250", [tpot]: "40.5" };
    assert.deepEqual(read({ ...headers, "x-session-id": "s1" }), {
      traits: {
        fairnessId: "team",
        objective: "interactive",
        ttftSloMs: 250,
        tpotSloMs: 40.5,
        sessionId: "s1",
      },
      priority: 10,
      leftMs: 10_000,
    });
  }
  const both = { "x-gateway-inference-fairness-id": "old", "x-llm-d-inference-fairness-id": "new" };
  assert.equal(read(both).traits?.fairnessId, "new");
});

test("an objective that is not known gives priority 0 and is not told on", () => {
  const { traits, priority } = read({ "x-llm-d-inference-objective": "vip" });
  assert.equal(traits?.objective, undefined);
  assert.equal(priority, 0);
});

test("values that cannot be read say nothing", () => {
  for (const value of ["", "soon", "-5", "0", "Infinity", "NaN"]) {
    assert.equal(read({ "x-slo-ttft-ms": value }).traits?.ttftSloMs, undefined, value);
  }
  assert.equal(read({ "x-llm-d-inference-fairness-id": "f".repeat(9_000) }).traits?.fairnessId.length, 256);
  assert.equal(read({ "x-llm-d-inference-fairness-id": ["one", "two"] }).traits?.fairnessId, "one");
});

test("a time to live brings the deadline forward, never back", () => {
  for (const [ttl, leftMs] of [
    ["250ms", 250],
    ["1.5s", 1_500],
    ["1h", 10_000],
    ["0s", 10_000],
    ["-3s", 10_000],
    ["soon", 10_000],
  ] as const) {
    assert.equal(read({ "x-llm-d-inference-ttl": ttl }).leftMs, leftMs, ttl);
  }
});

test("a caller who is not trusted names no flow and gets no higher priority, but may step back", () => {
  const said = { "x-llm-d-inference-fairness-id": "victim", "x-llm-d-inference-objective": "interactive" };
  const { traits, priority } = read(said, key("stranger"));
  assert.deepEqual([traits?.fairnessId, traits?.objective, priority], ["default-flow", undefined, 0]);
  const own = read(said, key("stranger"), { fairness: "caller" });
  assert.equal(own.traits?.fairnessId, "stranger");
  assert.equal(read({ "x-llm-d-inference-objective": "batch" }, key("stranger")).priority, -10);
  const trusted = read(said, key("trusted"));
  assert.deepEqual([trusted.traits?.fairnessId, trusted.priority], ["victim", 10]);
  assert.equal(read(said, key("stranger"), { trust: "everyone" }).priority, 10);
});

test("without a header each key has its own flow where it is configured so", () => {
  const options = { fairness: "caller" } as const;
  assert.equal(read({}, key("a"), options).traits?.fairnessId, "a");
  assert.equal(read({}, key("anonymous"), options).traits, undefined);
  const reader = createTraitsReader({ ...plain, ...options });
  const requests = [forwardRequest(), forwardRequest()].map((each) => ({ ...each, caller: key("a") }));
  for (const request of requests) reader(request);
  assert.ok(requests[0]?.traits !== undefined);
  assert.equal(requests[0].traits, requests[1]?.traits);
});

test("the session stands in a header, else in the cookie that is configured", () => {
  const options = { session: { headers: ["x-session-id"], cookie: "sid" } };
  const cookie = 'theme=dark; sid="abc"; other=1';
  assert.equal(read({ cookie }, admin, options).traits?.sessionId, "abc");
  assert.equal(read({ cookie, "x-session-id": "h" }, admin, options).traits?.sessionId, "h");
  assert.equal(read({ cookie: "xsid=1" }, admin, options).traits, undefined);
  assert.equal(read({ cookie }).traits, undefined);
});

test("each header counts alone", () => {
  const { model: _, ...names } = controlHeaders;
  for (const name of Object.values(names).flat()) {
    assert.notEqual(read({ [name]: name.includes("-ms") ? "5" : "1s" }).traits, undefined, name);
  }
  for (const name of plain.session.headers) assert.equal(read({ [name]: "s" }).traits?.sessionId, "s");
});
