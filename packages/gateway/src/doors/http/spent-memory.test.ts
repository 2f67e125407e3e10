import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { wireAnswer } from "../../contracts/route.ts";
import {
  decisionFor,
  pipelineRequest,
  PlayedUpstream,
  route,
  startDoor,
} from "../../../test/support/http-door.ts";

const size = 3_000_000;

/** A request whose body the test gets to see, on its way to a model. */
async function ask(t: TestContext, headers: Record<string, string> = {}) {
  const upstream = new PlayedUpstream();
  const bodies: Uint8Array[] = [];
  const { connect } = await startDoor(t, {
    routes: [route("/a", (call) => (bodies.push(call.body), pipelineRequest(call)))],
    decide: decisionFor,
    carry: upstream.carry,
    options: { maxBodyBytes: 2 * size, maxTotalBodyBytes: 100 * size },
  });
  const client = await connect();
  client.send("POST", "/a", { headers, body: Buffer.alloc(size, 3) });
  const sink = await upstream.sink();
  const answer = Buffer.allocUnsafeSlow(size).fill(5);
  const [body] = bodies;
  assert.equal(body?.length, size);
  const wire = wireAnswer(200, "application/octet-stream", [answer.subarray(0, 50), answer.subarray(50)]);
  return { client, sink, answer, body, wire };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(1);
}

describe("memory that an answer leaves behind", () => {
  it("is freed when the client has taken the answer, not before", async (t) => {
    const { client, sink, answer, body, wire } = await ask(t);
    client.socket.pause();
    // The kernel does not take so much at once.
    const filler = Buffer.alloc(40_000_000);
    sink.whole({ ...wire, body: [...wire.body, filler] }, { answer, request: true });
    await pause(50);
    assert.deepEqual([answer.length, body.length], [size, size]);
    client.socket.resume();
    const received = await client.answer();
    assert.ok(received.body.subarray(0, size).equals(Buffer.alloc(size, 5)));
    await until(() => answer.length === 0 && body.length === 0);
  });

  it("is left alone as far as others use it", async (t) => {
    const { client, sink, answer, body, wire } = await ask(t);
    sink.whole(wire, { answer: undefined, request: false });
    assert.equal((await client.answer()).body.length, size);
    await pause(20);
    assert.deepEqual([answer.length, body.length], [size, size]);
  });

  it("is left alone when the client leaves before", async (t) => {
    const { client, sink, answer, body, wire } = await ask(t);
    client.socket.pause();
    sink.whole({ ...wire, body: [...wire.body, Buffer.alloc(40_000_000)] }, { answer, request: true });
    client.leave();
    await pause(50);
    assert.deepEqual([answer.length, body.length], [size, size]);
  });

  it("is not freed while it is compressed", async (t) => {
    const { client, sink, answer, body, wire } = await ask(t, { "accept-encoding": "gzip" });
    sink.whole(wire, { answer, request: true });
    assert.equal(answer.length, size);
    const received = await client.answer();
    assert.equal(received.headers["content-encoding"], "gzip");
    await until(() => answer.length === 0 && body.length === 0);
  });
});
