import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { failure, type Failure } from "../../core/errors.ts";
import type { TokenUsage } from "../../core/forward.ts";
import type { CallerMeter, Reservation } from "../../core/meter.ts";
import type { InferenceRequest } from "../../core/request.ts";
import {
  decisionFor,
  pipelineRequest,
  PlayedUpstream,
  route,
  startDoor,
  type DoorSetup,
} from "../../../test/support/http-door.ts";

const usage: TokenUsage = { promptTokens: 3, completionTokens: 4, cachedTokens: 0, estimated: false };

/** A limited caller, and what its requests settled. */
function limitedCaller() {
  const settled: (TokenUsage | undefined)[] = [];
  const reservation = (): Reservation => {
    let isOpen = true;
    return {
      settle(used) {
        if (isOpen) settled.push(used);
        isOpen = false;
      },
    };
  };
  const meter: CallerMeter = {
    admit: () => undefined,
    forbidden: () => {},
    enter: reservation,
    headers: () => [["x-ratelimit-remaining-requests", "7"]],
  };
  return { caller: { id: "a", scopes: ["infer"], meter } as const, settled, reservation };
}

type Decide = NonNullable<DoorSetup["decide"]>;

async function start(test: TestContext, decide: Decide, handle?: Parameters<typeof route>[1]) {
  const { caller, settled, reservation } = limitedCaller();
  const upstream = new PlayedUpstream();
  const fixture = await startDoor(test, {
    admit: () => caller,
    routes: [route("/ask", handle ?? pipelineRequest)],
    carry: upstream.carry,
    decide: (request) => {
      request.reservation = reservation();
      return decide(request);
    },
  });
  const client = await fixture.connect();
  const ask = () => client.write("POST /ask HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}");
  return { fixture, client, settled, upstream, ask };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(1);
}

describe("what a request holds of its caller's limits", () => {
  it("is settled with what was used when the answer is whole", async (test) => {
    let request: InferenceRequest | undefined;
    const { ask, settled, upstream, client } = await start(test, (each) => decisionFor((request = each)));
    ask();
    const sink = await upstream.sink();
    assert.deepEqual(settled, []);
    if (request !== undefined) request.usage = usage;
    sink.whole({ status: 200, headers: [], body: [] });
    const answer = await client.answer();
    assert.equal(answer.headers["x-ratelimit-remaining-requests"], "7");
    assert.deepEqual(settled, [usage]);
  });

  it("is settled once a stream ends or breaks, not before", async (test) => {
    for (const end of ["end", "fail"] as const) {
      const { ask, settled, upstream } = await start(test, (request) => {
        request.usage = usage;
        return decisionFor(request);
      });
      ask();
      const sink = await upstream.sink();
      sink.head(200, []);
      sink.data(Buffer.from("x"));
      await pause(5);
      assert.deepEqual(settled, []);
      if (end === "end") sink.end();
      else sink.fail(failure("internal"));
      assert.deepEqual(settled, [usage], end);
    }
  });

  it("is given back when the request is refused, in line or at once, or something throws", async (test) => {
    const refusal: Failure = failure("queue_full");
    const decides: Decide[] = [
      () => refusal,
      () => Promise.resolve(refusal),
      () => {
        throw new Error("broken");
      },
      () => Promise.reject(new Error("broken later")),
    ];
    for (const decide of decides) {
      const { ask, settled, client } = await start(test, decide);
      ask();
      const { status, headers } = await client.answer();
      assert.ok(status >= 500);
      assert.equal(headers["x-ratelimit-remaining-requests"], "7");
      assert.deepEqual(settled, [undefined]);
    }
  });

  it("is given back when the client leaves in line, once, though the decision comes later", async (test) => {
    const line = Promise.withResolvers<ReturnType<typeof decisionFor>>();
    let request: InferenceRequest | undefined;
    const { ask, settled, client, upstream } = await start(test, (each) => {
      request = each;
      return line.promise;
    });
    ask();
    await until(() => request !== undefined);
    client.leave();
    await until(() => settled.length > 0);
    if (request !== undefined) line.resolve(decisionFor(request));
    await until(() => upstream.cancelled.length > 0);
    assert.deepEqual(settled, [undefined]);
  });

  it("is charged with what was used until the client left", async (test) => {
    let request: InferenceRequest | undefined;
    const { ask, settled, client, upstream } = await start(test, (each) => decisionFor((request = each)));
    ask();
    (await upstream.sink()).head(200, []);
    request?.cancellation.listen(() => {
      // As a lease does that is called off.
      if (request !== undefined) request.usage = usage;
    });
    client.leave();
    await until(() => settled.length > 0);
    assert.deepEqual(settled, [usage]);
  });
});

describe("what a failure says beside its text", () => {
  it("is sent as headers", async (test) => {
    const { client, ask } = await start(
      test,
      () => failure("internal"),
      () => ({ ...failure("unauthorized"), headers: [["www-authenticate", "Bearer"]] }),
    );
    ask();
    const { status, headers } = await client.answer();
    assert.equal(status, 401);
    assert.equal(headers["www-authenticate"], "Bearer");
  });

  it("comes with Retry-After where a limit is reached", async (test) => {
    const { client, ask } = await start(
      test,
      () => failure("internal"),
      () => failure("rate_limited", undefined, 1_234),
    );
    ask();
    const { status, headers } = await client.answer();
    assert.equal(status, 429);
    assert.equal(headers["retry-after"], "2");
  });
});
