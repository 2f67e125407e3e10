// What operators see of the picker.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PlainPool } from "../../test/support/forward-fixture.ts";
import type { SchedulingSpec } from "../contracts/plugins/scheduling.ts";
import type { HttpCall, Route } from "../contracts/route.ts";
import type { Scarcity, ScarcityReading } from "../contracts/scarcity.ts";
import { DecisionLog } from "../telemetry/decision-log.ts";
import { RecentRequests } from "../telemetry/recent-requests.ts";
import { createManualClock } from "../testing.ts";
import { createDecisionRoute } from "./decision-route.ts";
import { createPickerRoute, mostListed } from "./picker-route.ts";

const scheduling: SchedulingSpec = {
  plugins: [],
  profiles: [{ name: "default", filters: ["f"], scorers: [{ plugin: "q", weight: 2 }], picker: "max" }],
  handler: "single-profile-handler",
  shadows: [{ name: "next", filters: [], scorers: [], picker: "random" }],
};

/** What the route answers, read. */
async function answerOf(route: Route, params: Record<string, string> = {}): Promise<Record<string, unknown>> {
  const answer = await route.handle({ params } as unknown as HttpCall);
  assert.ok(answer !== undefined && "status" in answer && answer.status === 200, JSON.stringify(answer));
  return JSON.parse(Buffer.concat(answer.body).toString()) as Record<string, unknown>;
}

test("pools, endpoints with signals and load, scarcity and profiles", async () => {
  const clock = createManualClock();
  const pool = new PlainPool(["http://127.0.0.1:1", "http://127.0.0.1:2"]);
  const [first, second] = pool.endpoints;
  assert.ok(first !== undefined && second !== undefined);
  clock.advance(250);
  Object.assign(first.signals, { updatedAt: clock.now() - 80, waiting: 3, kvUsage: 0.51234 });
  first.signals.custom = new Map([["temperature", 71]]);
  Object.assign(first.load, { requests: 4, promptTokens: 900 });
  second.state = "unhealthy";
  const reading: ScarcityReading = {
    pool: "chat",
    model: "m",
    regime: "tight",
    since: clock.now() - 2_000,
    saturation: 0.9,
    waiting: 3,
    growth: 0.5,
    waitMs: 12,
    replicas: 2,
    replicasWanted: 3,
    secondsToSaturation: Number.POSITIVE_INFINITY,
  };
  const scarcity: Scarcity = { regimeOf: () => "tight", readings: () => [reading], inspect: () => null };
  Object.assign(pool, { scarcity });
  const route = createPickerRoute({ pools: () => [{ pool, scheduling }], clock });
  assert.equal(route.scope, "admin");
  const { pools } = (await answerOf(route)) as { pools: readonly Record<string, unknown>[] };
  const [told = {}] = pools;
  assert.deepEqual(told["scheduling"], {
    handler: "single-profile-handler",
    profiles: [{ name: "default", filters: ["f"], scorers: [{ plugin: "q", weight: 2 }], picker: "max" }],
    shadows: [{ name: "next", filters: [], scorers: [], picker: "random" }],
  });
  assert.deepEqual([told["endpoint_count"], told["ready"], told["waiting"]], [2, 1, 0]);
  const [shown, other] = told["endpoints"] as Record<string, Record<string, unknown>>[];
  assert.deepEqual(shown?.["load"], {
    requests: 4,
    prompt_tokens: 900,
    output_tokens: 0,
    sent_since_scrape: 0,
  });
  assert.deepEqual(
    ["age_ms", "waiting", "running", "kv_usage", "custom"].map((name) => shown?.["signals"]?.[name]),
    [80, 3, null, 0.512, { temperature: 71 }],
  );
  assert.equal(other?.["signals"]?.["age_ms"], null);
  const [scarce] = told["scarcity"] as Record<string, unknown>[];
  assert.deepEqual(
    [
      scarce?.["regime"],
      scarce?.["for_seconds"],
      scarce?.["replicas_wanted"],
      scarce?.["seconds_to_saturation"],
    ],
    ["tight", 2, 3, null],
  );
});

test("a large pool is shown in part, and counted whole", async () => {
  const pool = new PlainPool([]);
  const [model] = new PlainPool(["http://127.0.0.1:1"]).endpoints;
  assert.ok(model !== undefined);
  for (let i = 0; i < mostListed.endpoints + 5; i++) pool.endpoints.push(model);
  const route = createPickerRoute({ pools: () => [{ pool, scheduling }], clock: createManualClock() });
  const { pools } = (await answerOf(route)) as { pools: readonly Record<string, unknown>[] };
  const [told = {}] = pools;
  assert.equal(told["endpoint_count"], mostListed.endpoints + 5);
  assert.equal((told["endpoints"] as unknown[]).length, mostListed.endpoints);
});

test("a decision is told with its scheduling, also while the request is under way", async () => {
  const pool = new PlainPool(["http://127.0.0.1:1", "http://127.0.0.1:2"]);
  const log = new DecisionLog({ clock: createManualClock() });
  const tracer = log.tracer("chat");
  const request = { id: "a", model: "m" } as Parameters<typeof tracer.begin>[0];
  const { endpoints } = pool;
  const field = { endpoints, positions: Int32Array.of(0, 1), count: 2, keep: () => undefined };
  tracer.begin(request, field);
  tracer.profile("default");
  tracer.scored("queue", 2, field, Float64Array.of(0.5, 1));
  tracer.picked(field, Float64Array.of(1, 2), Int32Array.of(1), 1);
  tracer.end(request, endpoints.slice(1));
  const route = createDecisionRoute(new RecentRequests(), log);
  const told = (await answerOf(route, { id: "a" })) as {
    outcome: string | null;
    scheduling: readonly { chosen: string[]; profiles: readonly Record<string, unknown>[] }[];
  };
  assert.equal(told.outcome, null);
  assert.deepEqual(told.scheduling[0]?.chosen, ["chat/1"]);
  assert.equal(told.scheduling[0]?.profiles[0]?.["margin"], 1);
  const missing = await createDecisionRoute(new RecentRequests(), log).handle({
    params: { id: "none" },
  } as unknown as HttpCall);
  assert.ok(missing !== undefined && "code" in missing && missing.code === "not_found");
});
