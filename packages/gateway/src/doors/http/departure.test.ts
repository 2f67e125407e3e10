import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { CancelReason } from "../../core/cancellation.ts";
import { failure } from "../../core/errors.ts";
import type { HttpCall } from "../../contracts/route.ts";
import {
  decisionFor,
  pipelineRequest,
  PlayedUpstream,
  route,
  startDoor,
  type DoorFixture,
  type DoorSetup,
} from "../../../test/support/http-door.ts";
import type { RawHttpClient } from "../../../test/support/raw-http-client.ts";

/** A busy machine may delay one of several; the rule is for the door. */
const rounds = 5;
const withinMs = 50;

interface Phase {
  readonly setup: DoorSetup;
  /** Brings the request into the phase; resolves once it is there. */
  enter(client: RawHttpClient, fixture: DoorFixture): Promise<void>;
  /** Resolves when the departure was noticed. */
  noticed(fixture: DoorFixture): Promise<void>;
}

/** Runs the phase with FIN and RST by turns and gives the times to notice, ms, ascending. */
async function timesOf(t: TestContext, phase: Phase): Promise<{ times: number[]; fixture: DoorFixture }> {
  const fixture = await startDoor(t, phase.setup);
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const client = await fixture.connect();
    await phase.enter(client, fixture);
    const noticed = phase.noticed(fixture);
    const start = performance.now();
    if (round % 2 === 0) client.leave();
    else client.reset();
    await noticed;
    times.push(performance.now() - start);
  }
  return { times: times.toSorted((a, b) => a - b), fixture };
}

function assertPrompt(times: readonly number[]): void {
  assert.ok((times[2] ?? Infinity) < withinMs, `noticed after ${times.join(", ")} ms`);
}

/** Resolves with the reason once the call is called off. */
function watch(call: HttpCall): Promise<CancelReason> {
  return new Promise((resolve) => call.cancellation.listen(resolve));
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(1);
}

describe("a client that leaves", () => {
  it("while its body arrives gives back what was held", async (t) => {
    const phase: Phase = {
      setup: { routes: [route("/a", () => assert.fail("the body never ended"))] },
      async enter(client, { heldBytes }) {
        client.write("POST /a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 900000\r\n\r\n");
        client.write(Buffer.alloc(400_000));
        await until(() => heldBytes() === 400_000);
      },
      noticed: ({ heldBytes }) => until(() => heldBytes() === 0),
    };
    const { times, fixture } = await timesOf(t, phase);
    assertPrompt(times);
    assert.equal(fixture.metric('spillway_http_requests_total{route="/a",method="POST",status="499"}'), 5);
    assert.equal(fixture.metric("spillway_http_body_bytes"), 0);
  });

  it("while its route works", async (t) => {
    let entered = Promise.withResolvers<HttpCall>();
    let reason: Promise<CancelReason>;
    const phase: Phase = {
      setup: {
        routes: [
          route("/a", (call) => {
            entered.resolve(call);
            return new Promise(() => {});
          }),
        ],
      },
      async enter(client) {
        entered = Promise.withResolvers();
        client.send("POST", "/a", { body: "x" });
        reason = watch(await entered.promise);
      },
      noticed: async () => assert.equal(await reason, "client_gone"),
    };
    assertPrompt((await timesOf(t, phase)).times);
  });

  it("while it waits in line, even behind a large upload", async (t) => {
    let waiting = Promise.withResolvers<HttpCall>();
    let reason: Promise<CancelReason>;
    const upstream = new PlayedUpstream();
    const phase: Phase = {
      setup: {
        routes: [
          route("/a", (call) => {
            waiting.resolve(call);
            return pipelineRequest(call);
          }),
        ],
        decide: () => new Promise(() => {}),
        carry: upstream.carry,
      },
      async enter(client) {
        waiting = Promise.withResolvers();
        client.send("POST", "/a", { body: Buffer.alloc(700_000) });
        reason = watch(await waiting.promise);
      },
      noticed: async () => assert.equal(await reason, "client_gone"),
    };
    const { times, fixture } = await timesOf(t, phase);
    assertPrompt(times);
    assert.equal(upstream.sinks.length, 0);
    assert.equal(fixture.heldBytes(), 0);
  });

  it("before its decision came is called off where it was decided", async (t) => {
    const upstream = new PlayedUpstream();
    const granted = Promise.withResolvers<void>();
    const waiting = Promise.withResolvers<HttpCall>();
    const { connect } = await startDoor(t, {
      routes: [
        route("/a", (call) => {
          waiting.resolve(call);
          return pipelineRequest(call);
        }),
      ],
      decide: async (request) => {
        await granted.promise;
        return decisionFor(request);
      },
      carry: upstream.carry,
    });
    const client = await connect();
    client.send("POST", "/a", { body: "x" });
    const reason = watch(await waiting.promise);
    client.leave();
    await reason;
    granted.resolve();
    const sink = await upstream.sink();
    await until(() => upstream.cancelled.length > 0);
    assert.deepEqual(upstream.cancelled, ["client_gone"]);
    sink.whole({ status: 200, headers: [], body: [] });
    sink.fail(failure("client_gone"));
  });

  it("while its model works, and while its answer streams", async (t) => {
    for (const streaming of [false, true]) {
      const upstream = new PlayedUpstream();
      const phase: Phase = {
        setup: { routes: [route("/a", pipelineRequest)], decide: decisionFor, carry: upstream.carry },
        async enter(client) {
          upstream.sinks.length = 0;
          upstream.cancelled.length = 0;
          client.send("POST", "/a", { body: "x" });
          const sink = await upstream.sink();
          if (!streaming) return;
          sink.head(200, []);
          sink.data(Buffer.from("x"));
          await client.head();
        },
        async noticed() {
          await until(() => upstream.cancelled.length > 0);
          assert.deepEqual(upstream.cancelled, ["client_gone"]);
        },
      };
      assertPrompt((await timesOf(t, phase)).times);
    }
  });

  it("while it takes nothing of a streaming answer", async (t) => {
    const upstream = new PlayedUpstream();
    const phase: Phase = {
      setup: { routes: [route("/a", pipelineRequest)], decide: decisionFor, carry: upstream.carry },
      async enter(client) {
        upstream.sinks.length = 0;
        upstream.cancelled.length = 0;
        client.socket.pause();
        client.send("POST", "/a", { body: "x" });
        const sink = await upstream.sink();
        sink.head(200, []);
        while (sink.data(Buffer.alloc(65_536)));
      },
      async noticed() {
        await until(() => upstream.cancelled.length > 0);
      },
    };
    assertPrompt((await timesOf(t, phase)).times);
  });

  it("with several requests under way calls all of them off", async (t) => {
    const calls: HttpCall[] = [];
    const { connect } = await startDoor(t, {
      routes: [
        route("/a", (call) => {
          calls.push(call);
          return new Promise(() => {});
        }),
      ],
    });
    const client = await connect();
    for (let i = 0; i < 3; i++) client.send("POST", "/a", { body: "x" });
    await until(() => calls.length === 3);
    const reasons = Promise.all(calls.map(watch));
    client.leave();
    assert.deepEqual(await reasons, ["client_gone", "client_gone", "client_gone"]);
  });
});
