import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { KeyLimits } from "../../contracts/options.ts";
import type { Clock } from "../../core/clock.ts";
import { isFailure, type Failure } from "../../core/errors.ts";
import type { TokenUsage } from "../../core/forward.ts";
import type { Reservation } from "../../core/meter.ts";
import { createMetrics } from "../../telemetry/index.ts";
import { createManualClock } from "../../testing.ts";
import { defaultCompletionTokens, formatReset, KeyMeter } from "./key-meter.ts";
import { createKeyMeters } from "./key-metrics.ts";

const none: KeyLimits = {
  requestsPerMinute: undefined,
  burst: undefined,
  tokensPerMinute: undefined,
  concurrency: undefined,
};

function open(limits: Partial<KeyLimits>, clock: Clock = createManualClock()) {
  const metrics = createMetrics();
  const meters = createKeyMeters(metrics);
  const meter = new KeyMeter({ id: "a", limits: { ...none, ...limits }, clock, meters });
  return { meter, metrics };
}

function used(promptTokens: number, completionTokens: number): TokenUsage {
  return { promptTokens, completionTokens, cachedTokens: 0, estimated: false };
}

function entered(result: Reservation | Failure): Reservation {
  assert.ok(!isFailure(result), JSON.stringify(result));
  return result;
}

function refused(result: Reservation | Failure | undefined): Failure {
  assert.ok(result !== undefined && isFailure(result));
  assert.equal(result.code, "rate_limited");
  return result;
}

const headersOf = (meter: KeyMeter): Record<string, string> => Object.fromEntries(meter.headers());

describe("requests a minute", () => {
  it("come at once up to the burst, then evenly, and a refusal says when", () => {
    const clock = createManualClock();
    const { meter } = open({ requestsPerMinute: 60, burst: 3 }, clock);
    for (let i = 0; i < 3; i++) assert.equal(meter.admit(), undefined);
    const { retryAfterMs, message } = refused(meter.admit());
    assert.deepEqual([retryAfterMs, message], [1_000, "The key a may make 60 requests a minute, 3 at once"]);
    const { "x-ratelimit-limit-requests": limit, "x-ratelimit-remaining-requests": left } = headersOf(meter);
    assert.deepEqual([limit, left], ["60", "0"], "the limit is the rate, not the burst");
    clock.advance(400);
    assert.equal(refused(meter.admit()).retryAfterMs, 600);
    clock.advance(600);
    assert.equal(meter.admit(), undefined);
    refused(meter.admit());
  });

  it("are never more than the rate and one burst over any time", () => {
    const clock = createManualClock();
    const { meter } = open({ requestsPerMinute: 600, burst: 20 }, clock);
    let admitted = 0;
    for (let ms = 0; ms < 60_000; ms += 7) {
      for (let i = 0; i < 3; i++) if (meter.admit() === undefined) admitted++;
      clock.advance(7);
    }
    assert.ok(admitted <= 620 && admitted >= 618, String(admitted));
  });

  it("neither come back nor run away when the clock jumps", () => {
    let now = 1e6;
    const clock: Clock = { now: () => now, wallNow: () => 0, after: () => ({ cancel() {} }) };
    const { meter } = open({ requestsPerMinute: 60, burst: 2 }, clock);
    meter.admit();
    now -= 500_000;
    assert.equal(meter.admit(), undefined);
    refused(meter.admit());
    now = 1e6 + 500;
    refused(meter.admit());
    now += 1e12;
    assert.equal(meter.admit(), undefined);
    assert.equal(meter.admit(), undefined);
    refused(meter.admit());
  });
});

describe("tokens a minute", () => {
  it("are reserved on entry and charged as used", () => {
    const { meter, metrics } = open({ tokensPerMinute: 1_000 });
    const first = entered(meter.enter({ promptTokens: 100, maxCompletionTokens: 500 }));
    assert.equal(headersOf(meter)["x-ratelimit-remaining-tokens"], "400");
    refused(meter.enter({ promptTokens: 1, maxCompletionTokens: 400 }));
    first.settle(used(90, 10));
    assert.equal(headersOf(meter)["x-ratelimit-remaining-tokens"], "900");
    entered(meter.enter({ promptTokens: 1, maxCompletionTokens: 400 })).settle(undefined);
    assert.match(metrics.render(), /spillway_key_tokens_total\{key="a",kind="prompt"\} 90\n/);
    assert.match(metrics.render(), /spillway_key_tokens_total\{key="a",kind="completion"\} 10\n/);
    assert.match(metrics.render(), /spillway_key_requests_in_flight\{key="a"\} 0\n/);
  });

  it("are given back whole when a request used none, once", () => {
    const { meter } = open({ tokensPerMinute: 1_000 });
    const reservation = entered(meter.enter({ promptTokens: 300, maxCompletionTokens: 300 }));
    reservation.settle(undefined);
    reservation.settle(used(500, 500));
    reservation.settle(undefined);
    assert.equal(headersOf(meter)["x-ratelimit-remaining-tokens"], "1000");
  });

  it("go into debt by what was used, never by what is asked for", () => {
    const clock = createManualClock();
    const { meter } = open({ tokensPerMinute: 600 }, clock);
    entered(meter.enter({ promptTokens: 10, maxCompletionTokens: 10 })).settle(used(10, 1_190));
    assert.equal(headersOf(meter)["x-ratelimit-remaining-tokens"], "0");
    // 600 under: a minute until there is nothing, and a tenth of a second for one token.
    assert.equal(refused(meter.enter({ promptTokens: 0, maxCompletionTokens: 1 })).retryAfterMs, 60_100);
    clock.advance(60_100);
    entered(meter.enter({ promptTokens: 0, maxCompletionTokens: 1 }));
  });

  it("wait for a full bucket where a request asks for more than there ever is", () => {
    const clock = createManualClock();
    const { meter } = open({ tokensPerMinute: 600 }, clock);
    entered(meter.enter({ promptTokens: 5_000, maxCompletionTokens: undefined })).settle(used(5_000, 100));
    refused(meter.enter({ promptTokens: 5_000, maxCompletionTokens: undefined }));
    clock.advance(510_000);
    entered(meter.enter({ promptTokens: 5_000, maxCompletionTokens: undefined }));
  });

  it("reserve a usual answer for who does not say how long it may be", () => {
    const { meter } = open({ tokensPerMinute: 10_000 });
    entered(meter.enter({ promptTokens: 6, maxCompletionTokens: undefined }));
    assert.equal(
      headersOf(meter)["x-ratelimit-remaining-tokens"],
      String(10_000 - 6 - defaultCompletionTokens),
    );
  });

  it("do not concern requests without tokens", () => {
    const { meter } = open({ tokensPerMinute: 1 });
    entered(meter.enter({ promptTokens: 1, maxCompletionTokens: 0 })).settle(used(1_000, 0));
    entered(meter.enter(undefined));
  });
});

describe("requests at once", () => {
  it("are held under the limit by many that race, and each place comes back once", () => {
    const { meter } = open({ concurrency: 7 });
    const held: Reservation[] = [];
    let most = 0;
    let seed = 1;
    for (let i = 0; i < 20_000; i++) {
      seed = (seed * 48_271) % 2_147_483_647;
      if (seed % 3 > 0) {
        const result = meter.enter(undefined);
        if (isFailure(result)) assert.equal(held.length, 7);
        else held.push(result);
      } else {
        const [one] = held.splice(seed % Math.max(1, held.length), 1);
        one?.settle(undefined);
        one?.settle(undefined);
      }
      most = Math.max(most, held.length);
    }
    assert.equal(most, 7);
    for (const each of held) each.settle(undefined);
    for (let i = 0; i < 7; i++) entered(meter.enter(undefined));
    assert.equal(refused(meter.enter(undefined)).retryAfterMs, 1_000);
  });

  it("reserve no tokens when refused", () => {
    const { meter } = open({ concurrency: 1, tokensPerMinute: 100 });
    entered(meter.enter({ promptTokens: 10, maxCompletionTokens: 10 }));
    refused(meter.enter({ promptTokens: 10, maxCompletionTokens: 10 }));
    assert.equal(headersOf(meter)["x-ratelimit-remaining-tokens"], "80");
  });
});

describe("limits that change", () => {
  it("keep what was used", () => {
    const { meter } = open({ requestsPerMinute: 10 });
    for (let i = 0; i < 10; i++) meter.admit();
    meter.configure({ ...none, requestsPerMinute: 12, concurrency: 1 });
    assert.equal(meter.admit(), undefined);
    assert.equal(meter.admit(), undefined);
    refused(meter.admit());
    meter.configure({ ...none });
    assert.equal(meter.admit(), undefined);
    assert.deepEqual(meter.headers(), []);
  });
});

describe("the time until a limit is full again", () => {
  it("is written as OpenAI does", () => {
    const cases: [number, string][] = [
      [0, "0s"],
      [0.2, "1ms"],
      [120, "120ms"],
      [1_000, "1s"],
      [8_640, "8.64s"],
      [60_000, "1m0s"],
      [359_001, "6m0s"],
    ];
    for (const [ms, text] of cases) assert.equal(formatReset(ms), text);
  });
});
