import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { wireAnswer } from "../../contracts/route.ts";
import {
  decisionFor,
  pipelineRequest,
  PlayedUpstream,
  route,
  startDoor,
} from "../../../test/support/http-door.ts";

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(1);
}

describe("a client that reads slowly", () => {
  it("holds back a streaming answer, and lets it go on", async (t) => {
    const upstream = new PlayedUpstream();
    const { connect } = await startDoor(t, {
      routes: [route("/a", pipelineRequest)],
      decide: decisionFor,
      carry: upstream.carry,
    });
    const client = await connect();
    client.socket.pause();
    client.send("POST", "/a", { body: "x" });
    const sink = await upstream.sink();
    sink.head(200, []);
    const piece = Buffer.alloc(1_048_576, 1);
    let sent = 0;
    // The kernel's buffers take several megabytes before the answer really stands still.
    for (let resumed = -1; resumed < upstream.resumed; await pause(100)) {
      resumed = upstream.resumed;
      do sent++;
      while (sink.data(piece));
    }
    assert.ok(sent * piece.length < 32_000_000, `${sent} pieces were taken`);
    const { resumed } = upstream;
    client.socket.resume();
    await until(() => upstream.resumed > resumed);
    sink.end();
    await client.head();
    let received = 0;
    for (let chunk = await client.chunk(); chunk.length > 0; chunk = await client.chunk())
      received += chunk.length;
    assert.equal(received, sent * piece.length);
  });

  it("keeps large answers counted until it has taken them, so that others are refused and not memory exceeded", async (t) => {
    const fixture = await startDoor(t, {
      routes: [
        route("/large", () => wireAnswer(200, "application/octet-stream", [Buffer.alloc(30_000_000)])),
        route("/small", (call) => wireAnswer(200, "text/plain", [Buffer.from(call.body)])),
      ],
      options: { maxTotalBodyBytes: 20_000_000 },
    });
    const slow = await fixture.connect();
    slow.socket.pause();
    slow.send("POST", "/large", { body: "x" });
    await until(() => fixture.heldBytes() >= 30_000_000);
    const other = await fixture.connect();
    other.send("POST", "/small", { body: "x" });
    assert.equal((await other.answer()).status, 503);
    slow.socket.resume();
    assert.equal((await slow.answer()).body.length, 30_000_000);
    await until(() => fixture.heldBytes() === 0);
    other.send("POST", "/small", { body: "x" });
    assert.equal((await other.answer()).status, 200);
  });

  it("is disconnected when it takes nothing at all for too long, while those who wait for a model are not", async (t) => {
    const upstream = new PlayedUpstream();
    const fixture = await startDoor(t, {
      routes: [
        route("/large", () => wireAnswer(200, "application/octet-stream", [Buffer.alloc(30_000_000)])),
        route("/model", pipelineRequest),
      ],
      decide: decisionFor,
      carry: upstream.carry,
      stallTimeoutMs: 150,
      options: { maxTotalBodyBytes: 100_000_000 },
    });
    const waiting = await fixture.connect();
    waiting.send("POST", "/model", { body: "x" });
    const sink = await upstream.sink();
    const slow = await fixture.connect();
    slow.socket.pause();
    slow.send("POST", "/large", { body: "x" });
    await until(() => fixture.heldBytes() > 1_000_000);
    await until(() => fixture.heldBytes() < 1_000_000);
    await pause(300);
    sink.whole(wireAnswer(200, "text/plain", [Buffer.from("here")]));
    assert.equal((await waiting.answer()).body.toString(), "here");
  });

  it("may idle as long as others once it has taken its answer", async (t) => {
    const fixture = await startDoor(t, {
      routes: [
        route("/large", () => wireAnswer(200, "application/octet-stream", [Buffer.alloc(30_000_000)])),
        route("/small", (call) => wireAnswer(200, "text/plain", [Buffer.from(call.body)])),
      ],
      stallTimeoutMs: 600,
      options: { maxTotalBodyBytes: 100_000_000 },
    });
    const client = await fixture.connect();
    client.socket.pause();
    client.send("POST", "/large", { body: "x" });
    await until(() => fixture.heldBytes() > 1_000_000);
    await pause(150);
    client.socket.resume();
    assert.equal((await client.answer()).body.length, 30_000_000);
    await pause(900);
    client.send("POST", "/small", { body: "x" });
    assert.equal((await client.answer()).status, 200);
  });
});
