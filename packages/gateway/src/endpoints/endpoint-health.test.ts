import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AttemptResult, HttpEndpointState } from "../contracts/http-endpoint.ts";
import { createManualClock, type ManualClock } from "../testing.ts";
import { EndpointHealth, type EjectionCause } from "./endpoint-health.ts";
import type { SurveyFailure } from "./survey.ts";

interface Patient {
  readonly clock: ManualClock;
  readonly health: EndpointHealth;
  readonly changes: HttpEndpointState[];
  readonly ejections: EjectionCause[];
  readonly probesWanted: () => number;
  readonly end: (kind: AttemptResult["kind"], more?: Partial<AttemptResult>) => void;
  readonly refuse: (status: number, retryAfterMs?: number) => void;
  readonly failProbe: (kind: SurveyFailure["kind"], status?: number, busy?: boolean) => void;
}

/** A server under judgement; random numbers are 1, so that back-offs are exactly as set. */
function examine(state: "loading" | "ready" = "ready"): Patient {
  const clock = createManualClock();
  const changes: HttpEndpointState[] = [];
  const ejections: EjectionCause[] = [];
  let wanted = 0;
  const health = new EndpointHealth({
    health: { intervalMs: 10_000, timeoutMs: 5_000, failures: 5, backoffMs: { initial: 1_000, max: 60_000 } },
    clock,
    random: { unit: () => 1, id: () => "" },
    listener: {
      changed: () => void changes.push(health.state),
      ejected: (cause) => void ejections.push(cause),
      probeWanted: () => void wanted++,
    },
  });
  if (state === "ready") health.probeSucceeded();
  const end = (kind: AttemptResult["kind"], more: Partial<AttemptResult> = {}): void =>
    health.attemptEnded({
      kind,
      status: undefined,
      retryAfterMs: undefined,
      firstTokenMs: undefined,
      durationMs: 0,
      usage: undefined,
      ...more,
    });
  return {
    clock,
    health,
    changes,
    ejections,
    end,
    probesWanted: () => wanted,
    refuse: (status, retryAfterMs) => end("refused", { status, retryAfterMs }),
    failProbe: (kind, status, busy = false) =>
      health.probeFailed({ kind, status, retryAfterMs: undefined, message: kind }, { busy }),
  };
}

function repeat(times: number, action: () => void): void {
  for (let index = 0; index < times; index++) action();
}

describe("probes", () => {
  test("a server is loading until it has said what it serves", () => {
    const { health, failProbe } = examine("loading");
    assert.equal(health.state, "loading");
    failProbe("loading", 503);
    assert.equal(health.state, "loading");
    health.probeSucceeded();
    assert.equal(health.state, "ready");
  });

  test("one that is not there at the start is unhealthy at once, and ready once it is there", () => {
    const { health, clock, failProbe, ejections } = examine("loading");
    failProbe("connect");
    assert.equal(health.state, "unhealthy");
    repeat(50, () => {
      assert.ok(health.probeDelayMs <= 1_000, "one that is away is asked every second");
      clock.advance(health.probeDelayMs);
      failProbe("connect");
    });
    assert.deepEqual(ejections, ["unreachable"], "one absence is one ejection");
    clock.advance(1_000);
    health.probeSucceeded();
    assert.equal(health.state, "ready");
  });

  test("a probe for which this process had no descriptor says nothing of the server", () => {
    const { health, changes } = examine();
    const failure = { kind: "connect", message: "connect EMFILE", isOurs: true } as const;
    repeat(5, () =>
      health.probeFailed({ ...failure, status: undefined, retryAfterMs: undefined }, { busy: false }),
    );
    assert.equal(health.state, "ready");
    assert.deepEqual(changes, ["ready"]);
  });

  test("a server whose engine died says so by its probe", () => {
    const { health, clock, failProbe } = examine();
    repeat(2, () => failProbe("refused", 503));
    assert.equal(health.state, "ready", "two may be chance");
    failProbe("refused", 503);
    assert.equal(health.state, "unhealthy");
    clock.advance(1_000);
    health.probeSucceeded();
    assert.equal(health.state, "ready");
  });

  test("a slow answer of a server that works says nothing", () => {
    const { health, failProbe } = examine();
    repeat(20, () => failProbe("timeout", undefined, true));
    assert.equal(health.state, "ready");
    repeat(3, () => failProbe("timeout"));
    assert.equal(health.state, "unhealthy");
  });

  test("refused credentials and another dialect are a wrong configuration, until it is corrected", () => {
    for (const [kind, status] of [
      ["refused", 401],
      ["refused", 403],
      ["refused", 404],
      ["malformed", 200],
    ] as const) {
      const { health, failProbe, ejections } = examine("loading");
      failProbe(kind, status);
      assert.equal(health.state, "misconfigured", `${kind} ${status}`);
      assert.deepEqual(ejections, ["misconfigured"]);
      health.probeSucceeded();
      assert.equal(health.state, "ready");
    }
  });

  test("a server that goes into loading again is no longer asked, and is not ejected", () => {
    const { health, failProbe, ejections } = examine();
    failProbe("loading", 503);
    assert.equal(health.state, "loading");
    assert.ok(health.probeDelayMs <= 1_000);
    health.probeSucceeded();
    assert.equal(health.state, "ready");
    assert.deepEqual(ejections, []);
  });
});

describe("attempts", () => {
  test("a killed server: the first refused connection asks for a probe, which settles it", () => {
    const { health, end, failProbe, probesWanted } = examine();
    end("connect");
    assert.equal(health.state, "ready");
    assert.equal(probesWanted(), 1);
    failProbe("connect");
    assert.equal(health.state, "unhealthy");
  });

  test("failures in a row eject; then one place is there to try it, and a good answer brings it back", () => {
    const { health, clock, refuse, end, ejections } = examine();
    repeat(4, () => refuse(500));
    end("ok");
    repeat(4, () => refuse(500));
    assert.equal(health.state, "ready", "a good answer in between starts the count anew");
    refuse(500);
    assert.equal(health.state, "unhealthy");
    assert.equal(health.halfOpen, false);
    health.probeSucceeded();
    assert.equal(health.state, "unhealthy", "that it lists its models proves nothing");
    clock.advance(1_000);
    assert.equal(health.halfOpen, true);
    assert.equal(health.state, "unhealthy");
    end("cancelled");
    assert.equal(health.halfOpen, true, "a trial that nobody waited for proves nothing");
    end("ok");
    assert.equal(health.state, "ready");
    assert.deepEqual(ejections, ["failing"]);
  });

  test("a trial that fails doubles the time, up to the longest", () => {
    const { health, clock, end } = examine();
    repeat(5, () => end("closed"));
    for (const wait of [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]) {
      clock.advance(wait - 1);
      assert.equal(health.halfOpen, false, `still open before ${wait}`);
      clock.advance(1);
      assert.equal(health.halfOpen, true, `half open after ${wait}`);
      end("timeout");
    }
  });

  test("flapping is punished longer each time; a long calm forgives", () => {
    const { health, clock, end } = examine();
    const eject = (): number => {
      repeat(5, () => end("closed"));
      const { resumesAt = 0 } = health;
      const wait = resumesAt - clock.now();
      clock.advance(wait);
      end("ok");
      assert.equal(health.state, "ready");
      return wait;
    };
    assert.deepEqual([eject(), eject(), eject()], [1_000, 2_000, 4_000]);
    clock.advance(40_001);
    assert.equal(eject(), 1_000);
  });

  test("half of the attempts failing is enough, though never five in a row", () => {
    const { health, end, refuse } = examine();
    repeat(9, () => {
      end("ok");
      refuse(502);
    });
    assert.equal(health.state, "ready", "eighteen say too little");
    end("ok");
    refuse(502);
    assert.equal(health.state, "unhealthy");
  });

  test("old failures are forgotten after half a minute", () => {
    const { health, clock, end, refuse } = examine();
    repeat(9, () => {
      end("ok");
      refuse(502);
    });
    clock.advance(33_000);
    repeat(10, () => end("ok"));
    refuse(502);
    assert.equal(health.state, "ready");
  });

  test("what callers do wrong, and what nobody waited for, is no failure", () => {
    const { health, end, refuse } = examine();
    for (const status of [400, 404, 413, 422, 501]) repeat(10, () => refuse(status));
    repeat(50, () => end("cancelled", { durationMs: 100 }));
    assert.equal(health.state, "ready");
  });

  test("a cold model load is no failure: minutes to the first token, probes answered", () => {
    const { health, clock, end, changes } = examine();
    repeat(12, () => {
      clock.advance(10_000);
      health.probeSucceeded();
    });
    end("ok", { durationMs: 120_000, firstTokenMs: 119_000 });
    assert.deepEqual(changes, ["ready"]);
  });

  test("attempts that began before an ejection change nothing after it", () => {
    const { health, clock, end, refuse } = examine();
    clock.advance(10_000);
    repeat(5, () => refuse(500));
    clock.advance(500);
    repeat(20, () => end("closed", { durationMs: 5_000 }));
    clock.advance(500);
    assert.equal(health.halfOpen, true);
    end("ok", { durationMs: 9_000 });
    assert.equal(health.halfOpen, true, "an answer from before is no trial");
    end("ok");
    assert.equal(health.state, "ready");
  });

  test("401 is a wrong configuration at once, a single 403 is not", () => {
    const { health, clock, refuse, end } = examine();
    repeat(2, () => refuse(403));
    end("ok");
    repeat(2, () => refuse(403));
    assert.equal(health.state, "ready");
    refuse(401);
    assert.equal(health.state, "misconfigured");
    health.probeSucceeded();
    assert.equal(health.state, "misconfigured", "its list of models may need no key");
    clock.advance(1_000);
    assert.equal(health.halfOpen, true);
    refuse(401);
    assert.equal(health.state, "misconfigured");
    assert.equal(health.halfOpen, false);
  });
});

describe("pauses", () => {
  test("429 means to wait as long as the server says", () => {
    const { health, clock, refuse, end } = examine();
    refuse(429, 20_000);
    assert.equal(health.state, "rate-limited");
    refuse(429, 5_000);
    assert.equal(health.resumesAt, 20_000, "a shorter wait does not shorten it");
    end("ok");
    assert.equal(health.state, "rate-limited", "an answer that was under way does not end it");
    clock.advance(19_999);
    assert.equal(health.state, "rate-limited");
    clock.advance(1);
    assert.equal(health.state, "ready");
  });

  test("429 without a time: longer and longer, up to a minute", () => {
    const { health, clock, refuse } = examine();
    for (const wait of [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]) {
      refuse(429);
      assert.equal((health.resumesAt ?? 0) - clock.now(), wait);
      clock.advance(wait);
      assert.equal(health.state, "ready");
    }
  });

  test("503 is busy until a place comes free or a moment has passed; it ejects nobody", () => {
    const { health, clock, refuse, end, ejections } = examine();
    refuse(503);
    assert.equal(health.state, "busy");
    end("ok");
    assert.equal(health.state, "ready", "an answer has ended: there is room");
    refuse(503);
    clock.advance(500);
    assert.equal(health.state, "ready");
    repeat(30, () => refuse(503, 2_000));
    assert.equal(health.state, "busy");
    assert.deepEqual(ejections, []);
  });

  test("a trial that is told to come back later has shown that the server answers", () => {
    const { health, clock, end, refuse } = examine();
    repeat(5, () => end("malformed"));
    clock.advance(1_000);
    refuse(429, 3_000);
    assert.equal(health.state, "rate-limited");
    clock.advance(3_000);
    assert.equal(health.state, "ready");
  });
});

test("mistakes of callers that are answered like failures eject nobody, and show that the server answers", () => {
  const { health, end, refuse } = examine();
  repeat(4, () => refuse(500));
  end("refused", { status: 500, isCallersMistake: true });
  repeat(4, () => refuse(500));
  repeat(20, () => end("refused", { status: 500, isCallersMistake: true }));
  assert.equal(health.state, "ready");
  repeat(5, () => refuse(500));
  assert.equal(health.state, "unhealthy");
  health.close();
});

test("a draining server stays so whatever happens, until it is back", () => {
  const { health, end, changes } = examine();
  health.setDraining(true);
  repeat(5, () => end("closed"));
  assert.equal(health.state, "draining");
  assert.equal(health.halfOpen, false);
  health.setDraining(false);
  assert.equal(health.state, "unhealthy");
  assert.deepEqual(changes, ["ready", "draining", "unhealthy"]);
  health.close();
  health.close();
});
