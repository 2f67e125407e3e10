// Routes that escalate, through a whole gateway: what one pool cannot answer another is asked for, with the reason told
// in headers, metrics and the record, and what must stay stays.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { callers } from "../harness/chat-wire.ts";
import {
  askRoute as ask,
  countedBy as counted,
  countOf as count,
  cutOff as cut,
  refuseWith as refuse,
  saysNothing as silent,
  startEscalationBench as startBench,
  toldBy as told,
  untilIdle as idle,
  type EscalationBench as Bench,
} from "../harness/escalation-bench.ts";
import { startCall, type ForwardCall } from "../harness/forward-call.ts";
import { answerWhole, openWithContent, type ScriptedModel } from "../harness/scripted-model.ts";
import { until } from "../harness/until.ts";

describe("without a reason a request stays", () => {
  for (const stream of [false, true]) {
    it(stream ? "streamed" : "whole", async (t) => {
      const bench = await startBench(t);
      const call = await ask(bench, { stream }).ended();
      assert.deepEqual(told(call), [200, "edge", undefined, undefined]);
      assert.ok(callers.chat.isWhole(call.text) || !stream, call.text);
      assert.equal(bench.cloud.calls.length, 0);
      assert.deepEqual(await counted(bench), []);
    });
  }

  it("also where the server refuses what the caller sent", async (t) => {
    const bench = await startBench(t, { edge: refuse(400) });
    assert.deepEqual(told(await ask(bench).ended()), [400, "edge", undefined, undefined]);
    assert.equal(bench.cloud.calls.length, 0);
  });
});

describe("a place that cannot answer", () => {
  for (const caller of ["chat", "ollama chat", "messages"] as const) {
    for (const stream of [false, true]) {
      it(`is left for the other: ${caller}, ${stream ? "streamed" : "whole"}`, async (t) => {
        const bench = await startBench(t, { edge: cut, dialects: ["openai", "ollama"] });
        const call = await ask(bench, { caller, stream }).ended();
        assert.deepEqual(told(call), [200, "cloud", "offline", undefined], call.text);
        assert.ok(!stream || callers[caller].isWhole(call.text), call.text);
        assert.ok(call.text.includes("one "), call.text);
        assert.equal(bench.cloud.calls.length, 1);
        assert.deepEqual(await counted(bench), [count("offline", "answered")]);
        await idle(bench);
      });
    }
  }

  it("that answers 500, too; one that answers 503 is overloaded", async (t) => {
    const bench = await startBench(t, { edge: refuse(500) });
    assert.deepEqual(told(await ask(bench).ended()), [200, "cloud", "offline", undefined]);
    bench.edge.script = refuse(503);
    assert.deepEqual(told(await ask(bench).ended()), [200, "cloud", "overload", undefined]);
  });

  it("is not asked at all once it is known to be away", async (t) => {
    const bench = await startBench(t);
    await bench.edge.server.close();
    for (let turn = 0; turn < 8; turn++) {
      assert.deepEqual(told(await ask(bench, { stream: turn % 2 === 0 }).ended()), [
        200,
        "cloud",
        "offline",
        undefined,
      ]);
    }
    assert.deepEqual(await counted(bench), [count("offline", "answered", 8)]);
  });

  it("is what the caller hears of where the other cannot either", async (t) => {
    const bench = await startBench(t, { edge: cut, cloud: refuse(401) });
    const call = await ask(bench).ended();
    assert.deepEqual(told(call), [502, undefined, "offline", "cloud_failed"].with(0, call.status), call.text);
    assert.ok(call.status >= 500, String(call.status));
    assert.match(call.text, /failed too/);
    assert.deepEqual(await counted(bench), [count("offline", "failed")]);
    await idle(bench);
  });

  it("is no reason where the route says so", async (t) => {
    const bench = await startBench(t, { edge: cut, escalate: { when: { offline: false } } });
    const call = await ask(bench).ended();
    assert.ok(call.status >= 500);
    assert.equal(bench.cloud.calls.length, 0);
  });

  it("that breaks after its first word is not replaced", async (t) => {
    const bench = await startBench(t, {
      edge: (call) => {
        openWithContent(call);
        setTimeout(() => call.socket.destroy(), 50);
      },
    });
    const call = await ask(bench, { stream: true }).ended();
    assert.deepEqual(told(call), [200, "edge", undefined, undefined]);
    assert.ok(!callers.chat.isWhole(call.text));
    assert.equal(bench.cloud.calls.length, 0);
    await idle(bench);
  });
});

describe("a place with a line", () => {
  const narrow = { concurrency: 1 };

  it("is left after the longest wait", async (t) => {
    const bench = await startBench(t, {
      edge: silent,
      pool: narrow,
      escalate: { when: { overload: "100ms" } },
    });
    const first = ask(bench);
    await until("the place is taken", () => bench.edge.calls.length === 1);
    const second = await ask(bench, { stream: true }).ended();
    assert.deepEqual(told(second), [200, "cloud", "overload", undefined]);
    const [only] = bench.edge.calls;
    assert.ok(only !== undefined);
    answerWhole(only);
    assert.deepEqual(told(await first.ended()), [200, "edge", undefined, undefined]);
    assert.equal(bench.edge.calls.length, 1);
    await idle(bench);
  });

  it("is gone back to where the other place fails", async (t) => {
    const bench = await startBench(t, {
      edge: silent,
      cloud: cut,
      pool: narrow,
      escalate: { when: { overload: "50ms" } },
    });
    const first = ask(bench);
    await until("the place is taken", () => bench.edge.calls.length === 1);
    bench.edge.script = answerWhole;
    const second = ask(bench);
    await until("the other place was asked", () => bench.cloud.calls.length === 1);
    const [only] = bench.edge.calls;
    assert.ok(only !== undefined);
    answerWhole(only);
    assert.deepEqual(told(await second.ended()), [200, "edge", "overload", "cloud_failed"]);
    await first.ended();
    assert.deepEqual(await counted(bench), [count("overload", "kept")]);
    await idle(bench);
  });

  it("keeps who must not go elsewhere, and says so when it gives up", async (t) => {
    const bench = await startBench(t, {
      edge: silent,
      pool: narrow,
      escalate: { when: { overload: "50ms" }, privacy: { value: "local" } },
    });
    const first = ask(bench);
    await until("the place is taken", () => bench.edge.calls.length === 1);
    const kept = startCall(bench.gateway.url, {
      path: callers.chat.path,
      body: callers.chat.body("m", false),
      headers: { "x-spillway-privacy": "eu, Local" },
    });
    await until("somebody waits", () => bench.gateway.forward.pools()[0]?.line.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 150));
    assert.equal(bench.cloud.calls.length, 0);
    const [only] = bench.edge.calls;
    assert.ok(only !== undefined);
    bench.edge.script = refuse(503);
    answerWhole(only);
    await first.ended();
    await kept.ended();
    assert.deepEqual(told(kept), [503, "edge", "overload", "privacy"]);
    assert.equal(bench.cloud.calls.length, 0);
    assert.deepEqual(await counted(bench), [count("overload", "withheld")]);
  });
});

describe("a caller", () => {
  it("asks for the other place, and privacy goes before that", async (t) => {
    const bench = await startBench(t);
    const always = { "x-spillway-escalate": "always" };
    assert.deepEqual(told(await ask(bench, { headers: always }).ended()), [200, "cloud", "asked", undefined]);
    const both = { ...always, "x-spillway-privacy": "anything" };
    assert.deepEqual(told(await ask(bench, { headers: both }).ended()), [200, "edge", undefined, undefined]);
    assert.equal(bench.cloud.calls.length, 1);
    const unknown = { "x-spillway-escalate": "perhaps" };
    assert.equal((await ask(bench, { headers: unknown }).ended()).status, 400);
  });

  it("gets the first place's answer where the other fails", async (t) => {
    const bench = await startBench(t, { cloud: refuse(500) });
    const call = await ask(bench, { headers: { "x-spillway-escalate": "always" }, stream: true }).ended();
    assert.deepEqual(told(call), [200, "edge", "asked", "cloud_failed"]);
    assert.deepEqual(await counted(bench), [count("asked", "kept")]);
  });

  it("forbids it", async (t) => {
    const bench = await startBench(t, { edge: cut });
    const call = await ask(bench, { headers: { "x-spillway-escalate": "never" } }).ended();
    assert.deepEqual(told(call).slice(2), ["offline", "caller"]);
    assert.equal(bench.cloud.calls.length, 0);
    assert.match(call.text, /caller asked/);
  });

  it("needs leave to ask for it", async (t) => {
    const anybody = { mode: "none", hosts: [], origins: [], keys: [], keysFile: undefined } as const;
    const headers = { "x-spillway-escalate": "always" };
    const strict = await startBench(t, { config: { access: anybody } });
    assert.equal((await ask(strict, { headers }).ended()).status, 403);
    const open = await startBench(t, { config: { access: anybody }, escalate: { when: { asked: true } } });
    assert.deepEqual(told(await ask(open, { headers }).ended()), [200, "cloud", "asked", undefined]);
  });
});

it("a budget that is spent keeps requests here", async (t) => {
  const bench = await startBench(t, { edge: cut, escalate: { budget: { perMonth: 2 } } });
  const calls: (readonly unknown[])[] = [];
  for (let turn = 0; turn < 3; turn++) calls.push(told(await ask(bench).ended()).slice(1));
  assert.deepEqual(calls, [
    ["cloud", "offline", undefined],
    ["cloud", "offline", undefined],
    [undefined, "offline", "budget"],
  ]);
  assert.equal(bench.cloud.calls.length, 2);
  assert.deepEqual(await counted(bench), [count("offline", "answered", 2), count("offline", "withheld")]);
});

it("the record tells of both places and the reason", async (t) => {
  const bench = await startBench(t, { edge: refuse(500) });
  await ask(bench, { headers: { "x-request-id": "told-1" } }).ended();
  const response = await fetch(`${bench.gateway.url}/admin/decisions/told-1`);
  const { escalation } = (await response.json()) as {
    escalation: { reason: string; withheld: unknown; outcome: string; asked: Record<string, unknown>[] };
  };
  assert.deepEqual(
    [escalation.reason, escalation.withheld, escalation.outcome],
    ["offline", null, "answered"],
  );
  assert.deepEqual(
    escalation.asked.map(({ pool, model, outcome }) => [pool, model, outcome === "ok"]),
    [
      ["edge", "small", false],
      ["cloud", "large", true],
    ],
  );
});

describe("a caller who leaves", () => {
  const leaveWhen = async (bench: Bench, call: ForwardCall, asked: ScriptedModel): Promise<void> => {
    await until("the server is asked", () => asked.calls.length === 1);
    call.leave();
    const leftAt = performance.now();
    await until("the server's connection is closed", () => asked.calls[0]?.closedAt !== undefined);
    assert.ok(performance.now() - leftAt < 1_000);
    await idle(bench);
  };

  it("while the first place is asked", async (t) => {
    const bench = await startBench(t, { edge: silent });
    await leaveWhen(bench, ask(bench), bench.edge);
    assert.equal(bench.cloud.calls.length, 0);
  });

  for (const stream of [false, true]) {
    it(`while the other place is asked, ${stream ? "streamed" : "whole"}`, async (t) => {
      const bench = await startBench(t, { edge: refuse(500), cloud: silent });
      await leaveWhen(bench, ask(bench, { stream }), bench.cloud);
      await until("it is counted", async () => (await counted(bench))[0] === count("offline", "client_gone"));
    });
  }

  it("while it waits at the other place", async (t) => {
    const bench = await startBench(t, {
      edge: refuse(500),
      cloud: silent,
      cloudPool: { concurrency: 2 },
    });
    const cloud = bench.gateway.forward.pools().find(({ name }) => name === "cloud");
    assert.ok(cloud !== undefined);
    const calls = Array.from({ length: 6 }, () => ask(bench));
    await until("somebody waits there", () => cloud.line.length > 0);
    for (const call of calls) call.leave();
    await until("nobody waits", () => cloud.line.length === 0);
    await idle(bench);
  });

  it("in the middle of the other place's stream", async (t) => {
    const bench = await startBench(t, { edge: refuse(500), cloud: (call) => void openWithContent(call) });
    const call = ask(bench, { stream: true });
    await until("it begins", () => call.chunks.length > 0);
    await leaveWhen(bench, call, bench.cloud);
  });
});
