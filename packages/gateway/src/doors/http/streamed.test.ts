import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { inTime } from "../../../../../test/harness/in-time.ts";
import type { BodyStream } from "../../contracts/body-stream.ts";
import type { HttpCall, Route, StreamedAnswer } from "../../contracts/route.ts";
import type { ResponseSink } from "../../contracts/sink.ts";
import type { CancelReason } from "../../core/cancellation.ts";
import { failure } from "../../core/errors.ts";
import { route, startDoor } from "../../../test/support/http-door.ts";

const withinMs = 100;

/** A handler whose answers a test writes by hand. */
class Played {
  readonly calls: HttpCall[] = [];
  readonly sinks: ResponseSink[] = [];
  readonly cancelled: CancelReason[] = [];
  /** When each was called off, on `performance.now()`. */
  readonly cancelledAt: number[] = [];
  resumed = 0;

  readonly handle: Route["handle"] = (call): StreamedAnswer => {
    this.calls.push(call);
    return {
      carry: (sink) => {
        this.sinks.push(sink);
        return {
          resume: () => void this.resumed++,
          cancel: (reason) => {
            this.cancelled.push(reason);
            this.cancelledAt.push(performance.now());
          },
        };
      },
    };
  };

  async sink(): Promise<ResponseSink> {
    await until(() => this.sinks.length > 0);
    const sink = this.sinks.at(-1);
    assert.ok(sink);
    return sink;
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(1);
}

describe("an answer that a handler streams", () => {
  it("goes out piece by piece, and whole where it is whole", async (t) => {
    const played = new Played();
    const { connect } = await startDoor(t, { routes: [route("/a", played.handle)] });
    const client = await connect();
    client.send("POST", "/a", { body: "x" });
    const sink = await played.sink();
    sink.head(200, [["content-type", "application/x-ndjson"]]);
    sink.data(Buffer.from("1\n"));
    const head = await client.head();
    assert.equal(head.headers["content-type"], "application/x-ndjson");
    assert.equal(String(await client.chunk()), "1\n");
    sink.data(Buffer.from("2\n"));
    assert.equal(String(await client.chunk()), "2\n");
    sink.end();
    assert.equal((await client.chunk()).length, 0);
    client.send("POST", "/a", { body: "x" });
    await until(() => played.sinks.length === 2);
    (await played.sink()).whole({ status: 201, headers: [], body: [Buffer.from("whole")] });
    assert.equal(String((await client.answer()).body), "whole");
  });

  it("leaves in one write, as far as it comes in one turn", async (t) => {
    const played = new Played();
    const { connect } = await startDoor(t, { routes: [route("/a", played.handle)] });
    const client = await connect();
    const reads: string[] = [];
    client.socket.on("data", (bytes) => reads.push(bytes.toString("latin1")));
    client.send("POST", "/a", { body: "x" });
    const sink = await played.sink();
    sink.head(200, []);
    sink.data(Buffer.from("1"));
    sink.data(Buffer.from("2"));
    await until(() => reads.length > 0);
    assert.ok(reads[0]?.endsWith("\r\n\r\n1\r\n1\r\n1\r\n2\r\n"), reads[0]);
    sink.data(Buffer.from("3"));
    await until(() => reads.length > 1);
    sink.gather?.();
    sink.data(Buffer.from("4"));
    sink.end();
    await until(() => reads.length > 2);
    assert.deepEqual(reads.slice(1), ["1\r\n3\r\n", "1\r\n4\r\n0\r\n\r\n"]);
  });

  it("is written before its connection is cut, however late in the turn it came", async (t) => {
    const played = new Played();
    const { connect } = await startDoor(t, { routes: [route("/a", played.handle)] });
    const client = await connect();
    client.send("POST", "/a", { body: "x" });
    const sink = await played.sink();
    sink.head(200, []);
    sink.data(Buffer.from("1"));
    sink.fail(failure("bad_upstream_answer"));
    await client.head();
    assert.equal(String(await client.chunk()), "1");
    await assert.rejects(client.chunk());
  });

  it("fails in the route's words before its head, and breaks off after it", async (t) => {
    const played = new Played();
    const { connect } = await startDoor(t, { routes: [route("/a", played.handle)] });
    const client = await connect();
    client.send("POST", "/a", { body: "x" });
    (await played.sink()).fail(failure("upstream_unreachable"));
    assert.equal((await client.answer()).status, 503);
    client.send("POST", "/a", { body: "x" });
    await until(() => played.sinks.length === 2);
    const sink = await played.sink();
    sink.head(200, []);
    sink.data(Buffer.from("x"));
    sink.fail(failure("bad_upstream_answer"));
    await client.head();
    await assert.rejects(async () => {
      while ((await client.chunk()).length > 0);
    });
  });

  it("is called off when the client leaves", async (t) => {
    const played = new Played();
    const { connect } = await startDoor(t, { routes: [route("/a", played.handle)] });
    const client = await connect();
    client.send("POST", "/a", { body: "x" });
    (await played.sink()).head(200, []);
    await inTime(
      "the departure is noticed",
      withinMs,
      () => client.leave(),
      () => played.cancelledAt[0],
    );
    assert.deepEqual(played.cancelled, ["client_gone"]);
  });
});

/** Takes an upload and counts it. */
class Taker {
  bytes = 0;
  ended = false;
  pauseEach = false;
  #stream: BodyStream | undefined;

  take({ upload }: HttpCall): void {
    assert.ok(upload);
    this.#stream = upload;
    upload.read({
      data: (piece) => {
        this.bytes += piece.length;
        if (this.pauseEach) upload.pause();
      },
      end: () => void (this.ended = true),
    });
  }

  goOn(): void {
    this.#stream?.resume();
  }
}

describe("an upload that is handed on as it arrives", () => {
  const size = 40_000_000;
  const uploadRoute = (played: Played): Route => route("/up", played.handle, { body: "stream" });
  const head = (length: number): string =>
    `POST /up HTTP/1.1\r\nhost: a\r\ncontent-length: ${length}\r\n\r\n`;

  it("is larger than any bound and is answered on its connection", async (t) => {
    const played = new Played();
    const { connect, heldBytes } = await startDoor(t, { routes: [uploadRoute(played)] });
    const client = await connect();
    for (let round = 1; round <= 2; round++) {
      const taker = new Taker();
      client.write(head(size));
      await until(() => played.calls.length === round);
      const call = played.calls.at(-1);
      assert.ok(call);
      assert.equal(call.upload?.length, size);
      taker.take(call);
      client.write(Buffer.alloc(size));
      await until(() => taker.ended);
      assert.equal(taker.bytes, size);
      (await played.sink()).whole({ status: 201, headers: [], body: [] });
      assert.equal((await client.answer()).status, 201);
      assert.equal(heldBytes(), 0);
    }
  });

  it("halts its client when it is taken slowly, loses nothing and holds little", async (t) => {
    const played = new Played();
    const { connect, heldBytes } = await startDoor(t, {
      routes: [uploadRoute(played)],
      options: { maxTotalBodyBytes: 64_000_000 },
    });
    const client = await connect();
    client.write(head(size));
    await until(() => played.calls.length === 1);
    const [call] = played.calls;
    assert.ok(call);
    const taker = new Taker();
    taker.pauseEach = true;
    taker.take(call);
    client.write(Buffer.alloc(size));
    let most = 0;
    while (!taker.ended) {
      most = Math.max(most, heldBytes());
      taker.goOn();
      await pause(0);
    }
    assert.equal(taker.bytes, size);
    assert.ok(most > 1_000_000 && most < 9_000_000, `held ${most}`);
    assert.equal(heldBytes(), 0);
  });

  for (const mode of ["taken", "halted by its taker"] as const) {
    it(`notices within ${withinMs} ms that the client left while it is ${mode}`, async (t) => {
      const played = new Played();
      const { connect, heldBytes } = await startDoor(t, {
        routes: [uploadRoute(played)],
        options: { maxTotalBodyBytes: 64_000_000 },
      });
      for (let round = 1; round <= 20; round++) {
        const client = await connect();
        client.write(head(size));
        await until(() => played.calls.length === round);
        const call = played.calls.at(-1);
        assert.ok(call);
        const taker = new Taker();
        taker.pauseEach = mode !== "taken";
        taker.take(call);
        client.write(Buffer.alloc(3_000_000));
        await until(() => taker.bytes + heldBytes() >= 3_000_000);
        await inTime(
          "the departure is noticed",
          withinMs,
          () => (round % 2 === 0 ? client.leave() : client.reset()),
          () => played.cancelledAt[round - 1],
        );
        assert.equal(heldBytes(), 0);
      }
    });
  }

  it("is asked for only when it is wanted, and refused without being sent", async (t) => {
    const played = new Played();
    const refusing = route("/no", () => failure("bad_request", "no"), { body: "stream" });
    const { connect } = await startDoor(t, { routes: [uploadRoute(played), refusing] });
    const client = await connect();
    client.send("POST", "/no", { headers: { expect: "100-continue", "content-length": "5000000" } });
    assert.equal((await client.answer()).status, 400);
    const second = await connect();
    second.send("POST", "/up", { headers: { expect: "100-continue", "content-length": "3" } });
    await until(() => played.calls.length === 1);
    const [call] = played.calls;
    assert.ok(call);
    const taker = new Taker();
    taker.take(call);
    assert.equal((await second.head()).status, 100);
    second.write("abc");
    await until(() => taker.ended);
    (await played.sink()).whole({ status: 200, headers: [], body: [] });
    assert.equal((await second.answer()).status, 200);
  });

  it("may take longer than a body that is kept; broken framing ends it", async (t) => {
    const played = new Played();
    const { connect } = await startDoor(t, {
      routes: [uploadRoute(played)],
      options: { receiveTimeoutMs: 100 },
    });
    const client = await connect();
    client.write(head(4));
    await until(() => played.calls.length === 1);
    const taker = new Taker();
    const [call] = played.calls;
    assert.ok(call);
    taker.take(call);
    client.write("ab");
    await pause(300);
    client.write("cd");
    await until(() => taker.ended);
    (await played.sink()).whole({ status: 200, headers: [], body: [] });
    assert.equal((await client.answer()).status, 200);
    const other = await connect();
    other.write("POST /up HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n");
    await until(() => played.calls.length === 2);
    other.write("no size\r\n");
    assert.equal((await other.answer()).status, 400);
    assert.equal(played.cancelled.length, 1);
  });
});
