import assert from "node:assert/strict";
import { request, Agent } from "node:http";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { wireAnswer } from "../../contracts/route.ts";
import {
  createTestDoor,
  decisionFor,
  echoRoute,
  pipelineRequest,
  PlayedUpstream,
  route,
  startDoor,
} from "../../../test/support/http-door.ts";

describe("closing an HTTP door", () => {
  it("ends idle connections at once and resolves", async (t) => {
    const { door, connect, port } = await startDoor(t);
    const used = await connect();
    used.send("POST", "/echo", { body: "x" });
    await used.answer();
    const fresh = await connect();
    const start = performance.now();
    const closed = door.close({ graceMs: 30_000 });
    assert.equal(door.close({ graceMs: 30_000 }), closed);
    await Promise.all([used.ended, fresh.ended, closed]);
    assert.ok(performance.now() - start < 5_000);
    await assert.rejects(startDoor(t, { options: { host: "256.0.0.1", port } }));
    const late = await connect().catch((error: NodeJS.ErrnoException) => error.code);
    assert.equal(late, "ECONNREFUSED");
  });

  it("lets what runs finish, and ends each connection with its answer", async (t) => {
    const upstream = new PlayedUpstream();
    const { door, connect } = await startDoor(t, {
      routes: [route("/infer", pipelineRequest), echoRoute],
      decide: decisionFor,
      carry: upstream.carry,
    });
    const client = await connect();
    client.send("POST", "/infer", { body: "x" });
    const uploading = await connect();
    uploading.write("POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nab");
    const sink = await upstream.sink();
    const closed = door.close({ graceMs: 30_000 });
    await pause(200);
    uploading.write("cde");
    const echoed = await uploading.answer();
    assert.equal(echoed.body.toString(), "abcde");
    assert.equal(echoed.headers.connection, "close");
    const large = Buffer.alloc(5_000_000, 5);
    sink.whole(wireAnswer(200, "application/octet-stream", [large]));
    const answer = await client.answer();
    assert.ok(answer.body.equals(large));
    assert.equal(answer.headers.connection, "close");
    await Promise.all([client.ended, uploading.ended, closed]);
  });

  it("ends the connection of a stream that had begun before, when the stream ends", async (t) => {
    const upstream = new PlayedUpstream();
    const { door, connect } = await startDoor(t, {
      routes: [route("/infer", pipelineRequest)],
      decide: decisionFor,
      carry: upstream.carry,
    });
    const client = await connect();
    client.send("POST", "/infer", { body: "x" });
    const sink = await upstream.sink();
    sink.head(200, [["content-type", "text/event-stream"]]);
    sink.data(Buffer.from("data: 1\n\n"));
    await pause(50);
    const start = performance.now();
    const closed = door.close({ graceMs: 30_000 });
    await pause(200);
    sink.data(Buffer.from("data: 2\n\n"));
    sink.end();
    const answer = await client.answer();
    assert.equal(answer.body.toString(), "data: 1\n\ndata: 2\n\n");
    await Promise.all([client.ended, closed]);
    assert.ok(performance.now() - start < 10_000);
  });

  it("cuts what does not finish in time", async (t) => {
    const upstream = new PlayedUpstream();
    const { door, connect } = await startDoor(t, {
      routes: [route("/infer", pipelineRequest)],
      decide: decisionFor,
      carry: upstream.carry,
    });
    const client = await connect();
    client.send("POST", "/infer", { body: "x" });
    await upstream.sink();
    await door.close({ graceMs: 100 });
    await client.ended;
    assert.deepEqual(upstream.cancelled, ["client_gone"]);
  });

  it("resolves for a door that never listened", async (t) => {
    const { door } = await startDoor(t);
    await door.close({ graceMs: 0 });
    await door.close({ graceMs: 0 });
  });

  it("ends what was about to listen", async (t) => {
    const { port, door: first } = await startDoor(t);
    await first.close({ graceMs: 0 });
    const { door } = createTestDoor({ options: { port } });
    const listening = door.listen();
    await door.close({ graceMs: 0 });
    await assert.rejects(listening, /closed before it listened/);
    await startDoor(t, { options: { port } });
  });

  it("fails no request of clients that are busy", async (t) => {
    const { door, port } = await startDoor(t, {
      routes: [
        route("/work", async () => {
          await pause(5);
          return wireAnswer(200, "text/plain", [Buffer.alloc(2_000, "x")]);
        }),
      ],
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 16 });
    t.after(() => agent.destroy());
    const ask = () =>
      new Promise<string>((resolve) => {
        const sent = request({ port, host: "127.0.0.1", path: "/work", method: "POST", agent }, (answer) => {
          let bytes = 0;
          answer.on("data", (chunk: Buffer) => (bytes += chunk.length));
          answer.on("end", () => resolve(bytes === 2_000 ? "ok" : `cut at ${bytes}`));
          answer.on("error", (error) => resolve(error.message));
        });
        sent.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
        sent.end("{}");
      });
    const results: string[] = [];
    let closing = false;
    const caller = async () => {
      for (;;) {
        const result = await ask();
        results.push(result);
        if (result === "ECONNREFUSED") return;
        assert.ok(closing || result === "ok", result);
      }
    };
    const callers = Array.from({ length: 16 }, caller);
    while (results.length < 200) await pause(5);
    closing = true;
    await door.close({ graceMs: 5_000 });
    await Promise.all(callers);
    const failed = results.filter((result) => result !== "ok" && result !== "ECONNREFUSED");
    assert.deepEqual(failed, []);
  });
});
