// Further attempts: which requests get one, where it goes, when, and how many there are at most.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inTime } from "../../../../../test/harness/in-time.ts";
import { until } from "../../../../../test/harness/until.ts";
import { atRest, codeOf, startStages } from "../../../test/support/forward-stages.ts";
import type { Script } from "../../../test/support/scripted-server.ts";

const good: Script = ({ response }) => response.writeHead(200).end('{"ok":true}');
const goodStream: Script = ({ response }) =>
  response.writeHead(200, { "content-type": "text/event-stream" }).end("data: one\n\ndata: [DONE]\n\n");
const answering =
  (status: number, headers: Record<string, string> = {}): Script =>
  ({ response }) =>
    response.writeHead(status, headers).end(`status ${status}`);
const reset: Script = ({ socket }) => void socket.resetAndDestroy();
const silence: Script = () => undefined;

/** Sends all first attempts to the first server: it looks fastest. */
function preferFirst({ pool }: Awaited<ReturnType<typeof startStages>>): void {
  const [first] = pool.endpoints;
  for (const endpoint of pool.endpoints) endpoint.speed = endpoint === first ? 1_000 : 1;
}

describe("a failed attempt is followed by another, unseen by the caller", () => {
  const cases: readonly (readonly [string, Script])[] = [
    ["429", answering(429)],
    ["502", answering(502)],
    ["503", answering(503)],
    ["504", answering(504)],
    ["a reset connection", reset],
    [
      "a stream that ends before its first content",
      ({ response }) => response.writeHead(200).end(": hi\n\n"),
    ],
    ["a stream that begins with an error", ({ response }) => response.end('data: {"error":"x"}\n\n')],
    ["no first token in time", silence],
  ];
  for (const [name, script] of cases) {
    test(name, async (t) => {
      const stages = await startStages(t, [script, goodStream], {
        timeouts: { firstTokenMs: 100 },
        retry: { backoffMs: 60_000 },
      });
      preferFirst(stages);
      const { sink, ended } = stages.call({ stream: true });
      assert.equal(await ended(), "end");
      assert.equal(sink.text, "data: one\n\ndata: [DONE]\n\n");
      assert.equal(sink.header("x-spillway-attempts"), "2");
      assert.equal(sink.header("x-spillway-endpoint"), "chat/1");
      assert.equal(stages.pool.endpoints[0]?.results.length, 1);
      await atRest(stages);
    });
  }

  test("500 and 400 are not, since they would come again", async (t) => {
    for (const status of [400, 404, 413, 500]) {
      const stages = await startStages(t, [answering(status), good]);
      preferFirst(stages);
      const { sink, ended } = stages.call();
      assert.equal(await ended(), "whole");
      assert.equal(sink.status, status);
      assert.equal(sink.text, `status ${status}`);
      assert.equal(stages.servers[1]?.requests.length, 0);
      await atRest(stages);
    }
  });

  test("nothing is repeated after the first content", async (t) => {
    const cut: Script = ({ response, socket }) =>
      void response.writeHead(200).write("data: one\n\n", () => socket.destroy());
    const stages = await startStages(t, [cut, goodStream]);
    preferFirst(stages);
    const { sink, ended } = stages.call({ stream: true });
    assert.equal(await ended(), "end");
    assert.match(sink.text, /^data: one\n\n\n\nevent: error/);
    assert.equal(stages.servers[1]?.requests.length, 0);
    await atRest(stages);
  });
});

describe("a call that leaves something behind on the server", () => {
  test("is not repeated once a byte was sent", async (t) => {
    for (const script of [reset, answering(503)]) {
      const stages = await startStages(t, [script, good]);
      preferFirst(stages);
      await stages.call({ repeatable: false }).ended();
      assert.equal(stages.servers[1]?.requests.length, 0);
      await atRest(stages);
    }
  });

  test("is repeated where none was", async (t) => {
    const stages = await startStages(t, [good, good]);
    preferFirst(stages);
    await stages.servers[0]?.close();
    const { sink, ended } = stages.call({ repeatable: false });
    assert.equal(await ended(), "whole");
    assert.equal(sink.status, 200);
    await atRest(stages);
  });
});

describe("the last word, when all attempts fail", () => {
  test("is the last server's own", async (t) => {
    const busy = answering(503, { "retry-after": "7" });
    const stages = await startStages(t, [busy, busy, busy, busy]);
    const { sink, ended } = stages.call();
    assert.equal(await ended(), "whole");
    assert.equal(sink.status, 503);
    assert.equal(sink.header("retry-after"), "7");
    assert.equal(sink.header("x-spillway-attempts"), "3");
    assert.equal(stages.servers.flatMap(({ requests }) => requests).length, 3);
    await atRest(stages);
  });

  test("tells that no server could be reached", async (t) => {
    const stages = await startStages(t, [good, good]);
    for (const server of stages.servers) await server.close();
    const ending = await stages.call().ended();
    assert.equal(codeOf(ending), "upstream_unreachable");
    await atRest(stages);
  });
});

describe("a server's Retry-After", () => {
  test("is waited for where no other server is left", async (t) => {
    const script: Script = (request) =>
      request.index === 0 ? answering(429, { "retry-after": "0.3" })(request) : good(request);
    const stages = await startStages(t, [script], { retry: { backoffMs: 1 } });
    const startedAt = performance.now();
    assert.equal(await stages.call().ended(), "whole");
    assert.ok(performance.now() - startedAt >= 295);
    assert.equal(stages.servers[0]?.requests.length, 2);
    await atRest(stages);
  });

  test("is passed on where it is too long to be waited for", async (t) => {
    const stages = await startStages(t, [answering(429, { "retry-after": "30" })]);
    const { sink, ended } = stages.call();
    assert.equal(await ended(), "whole");
    assert.equal(sink.status, 429);
    assert.equal(sink.header("retry-after"), "30");
    assert.equal(stages.servers[0]?.requests.length, 1);
    await atRest(stages);
  });

  test("is not waited for beyond the request's deadline", async (t) => {
    const stages = await startStages(t, [answering(429, { "retry-after": "3" })]);
    const startedAt = performance.now();
    assert.equal(await stages.call({ deadlineMs: 1_000 }).ended(), "whole");
    assert.ok(performance.now() - startedAt < 900);
    await atRest(stages);
  });
});

describe("the retry budget", () => {
  test("bounds how an outage of servers that answer is amplified", async (t) => {
    const outage = answering(503);
    const stages = await startStages(t, [outage, outage, outage], {
      retryBudget: { share: 0.2, minPerSecond: 1 },
      retry: { backoffMs: 1, maxRetries: 5 },
    });
    const calls = Array.from({ length: 500 }, () => stages.call());
    await Promise.all(calls.map((call) => call.ended()));
    const seen = stages.servers.flatMap(({ requests }) => requests).length;
    assert.ok(seen >= 500 && seen <= 500 + 0.2 * 500 + 10, `${seen} requests reached the servers`);
    assert.ok(stages.metric('spillway_forward_retry_budget_exhausted_total{pool="chat"}') > 0);
    assert.equal(stages.metric("spillway_forward_retry_budget_attempts"), 0);
    await atRest(stages);
  });

  test("is not drawn for what no server has seen", async (t) => {
    const stages = await startStages(t, [good, good, good], {
      retryBudget: { share: 0, minPerSecond: 0 },
    });
    preferFirst(stages);
    await stages.servers[0]?.close();
    const calls = Array.from({ length: 50 }, () => stages.call());
    await Promise.all(calls.map((call) => call.ended()));
    assert.ok(calls.every(({ sink }) => sink.status === 200));
    await atRest(stages);
  });
});

describe("a keep-alive connection that closes just as it is used again", () => {
  // The server answers one request a connection and closes it without having said so.
  const once: Script = ({ response, socket }) => {
    response.writeHead(200, { "content-length": "2" }).end("{}", () => setImmediate(() => socket.destroy()));
  };

  test("costs no call that may be repeated its answer", async (t) => {
    const stages = await startStages(t, [once]);
    for (let turn = 0; turn < 100; turn++) {
      const { sink, ended } = stages.call();
      await ended();
      assert.equal(sink.status, 200);
    }
    await atRest(stages);
  });

  test("is told from one of which nothing was sent", async (t) => {
    const stages = await startStages(t, [once]);
    for (let turn = 0; turn < 100; turn++) await stages.call({ repeatable: false }).ended();
    const lost = stages.records.filter(({ outcome }) => outcome !== "ok");
    // What was sent may have been worked on: the server has seen each request at most once.
    assert.ok((stages.servers[0]?.requests.length ?? 0) <= 100);
    assert.ok(lost.every(({ outcome }) => outcome === "bad_upstream_answer"));
    await atRest(stages);
  });
});

test("a server that is killed under load costs no caller an error", async (t) => {
  const slowly: Script = (request) => void setTimeout(() => good(request), 5 + (request.index % 20));
  const stages = await startStages(t, [slowly, slowly, slowly]);
  const statuses: number[] = [];
  let going = true;
  const one = async (): Promise<void> => {
    while (going) {
      const { sink, ended } = stages.call();
      await ended();
      statuses.push(sink.status);
    }
  };
  const all = Array.from({ length: 32 }, one);
  await until("load", () => statuses.length > 200);
  await stages.servers[1]?.close();
  const dead = stages.pool.endpoints[1];
  await until("it is noticed", () => dead?.results.some((result) => result.kind === "connect"));
  const before = statuses.length;
  await until("more load", () => statuses.length > before + 300);
  going = false;
  await Promise.all(all);
  assert.deepEqual(
    statuses.filter((status) => status !== 200),
    [],
  );
  await atRest(stages);
});

describe("a hedge", () => {
  const quick: Script = (request) => void setTimeout(() => goodStream(request), 5);

  async function startHedging(t: Parameters<typeof startStages>[0], second: Script = quick) {
    let slow = false;
    const first: Script = (request) => (slow ? silence(request) : quick(request));
    const stages = await startStages(t, [first, second], { retry: { hedging: { maxShare: 0.05 } } });
    preferFirst(stages);
    // Without room there is no hedge while the times are learnt.
    const [, other] = stages.pool.endpoints;
    if (other !== undefined) other.capacity = 0;
    for (let turn = 0; turn < 60; turn++) await stages.call({ stream: true }).ended();
    if (other !== undefined) other.capacity = 1_000;
    slow = true;
    return stages;
  }

  test("answers in place of a slow first attempt, which is closed at its server", async (t) => {
    const stages = await startHedging(t);
    const { sink, ended } = stages.call({ stream: true });
    assert.equal(await ended(), "end");
    assert.equal(sink.header("x-spillway-endpoint"), "chat/1");
    assert.equal(sink.header("x-spillway-attempts"), "2");
    const [server] = stages.servers;
    await inTime(
      "the loser is closed",
      100,
      () => undefined,
      () => (server?.sockets.size === 0 ? performance.now() : undefined),
    );
    assert.equal(stages.metric('spillway_forward_hedges_total{pool="chat",result="launched"}'), 1);
    assert.equal(stages.metric('spillway_forward_hedges_total{pool="chat",result="won"}'), 1);
    assert.equal(stages.pool.endpoints[0]?.results.at(-1)?.kind, "cancelled");
    await atRest(stages);
  });

  test("is made for a small share of requests only", async (t) => {
    const stages = await startHedging(t, silence);
    const calls = Array.from({ length: 40 }, () => stages.call({ stream: true }));
    await until("the share is drawn", () => stages.servers[1]?.requests.length === 5);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(stages.servers[1]?.requests.length, 5);
    for (const call of calls) call.leave();
    const phase = 'spillway_forward_cancellations_total{pool="chat",phase="hedge"}';
    assert.equal(stages.metric(phase), 5);
    assert.equal(stages.metric('spillway_forward_hedges_total{pool="chat",result="cancelled"}'), 5);
    await until("all are closed", () => stages.servers.every(({ sockets }) => sockets.size === 0));
    await atRest(stages);
  });

  test("is not made while the pool is half full", async (t) => {
    const stages = await startHedging(t);
    for (const endpoint of stages.pool.endpoints) endpoint.capacity = 1;
    const call = stages.call({ stream: true });
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(stages.servers[1]?.requests.length, 0);
    call.leave();
    await atRest(stages);
  });

  test("that fails leaves the first attempt alone", async (t) => {
    const stages = await startHedging(t, reset);
    const { sink, ended } = stages.call({ stream: true });
    const [first, second] = stages.servers;
    await until("the hedge has failed", () => second?.closedAt.length === 1);
    const waiting = first?.requests.at(-1);
    assert.ok(waiting !== undefined);
    goodStream(waiting);
    assert.equal(await ended(), "end");
    assert.equal(sink.header("x-spillway-endpoint"), "chat/0");
    await atRest(stages);
  });

  test("takes over where the first attempt fails", async (t) => {
    const stages = await startHedging(t, silence);
    const { sink, ended } = stages.call({ stream: true });
    const [first, second] = stages.servers;
    await until("both wait", () => second?.requests.length === 1);
    first?.requests.at(-1)?.socket.resetAndDestroy();
    await until("the first has failed", () => stages.pool.endpoints[0]?.inFlight === 0);
    const waiting = second?.requests[0];
    assert.ok(waiting !== undefined);
    goodStream(waiting);
    assert.equal(await ended(), "end");
    assert.equal(sink.header("x-spillway-endpoint"), "chat/1");
    await atRest(stages);
  });

  test("is never made for a call that leaves something behind", async (t) => {
    const stages = await startHedging(t);
    const call = stages.call({ stream: true, repeatable: false });
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(stages.servers[1]?.requests.length, 0);
    call.leave();
    await atRest(stages);
  });
});
