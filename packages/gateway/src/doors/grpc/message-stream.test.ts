import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { RpcCall, RpcMethod } from "../../contracts/route.ts";
import { failure } from "../../core/errors.ts";
import { rpcMethod, rpcText, startGrpcDoor, type RawGrpcClient } from "../../../test/support/grpc-door.ts";

const path = "/test.Service/Stream";

/** A method of messages that answers `handle`'s text, later where it is a promise. */
function stream(
  handle: (call: RpcCall) => ReturnType<RpcMethod["handle"]>,
  changes: Partial<RpcMethod> = {},
) {
  return rpcMethod("Stream", handle, { kind: "messages", ...changes });
}

/** Collects what comes back. */
function open(client: RawGrpcClient, metadata: Record<string, string> = {}) {
  const call = client.stream(path, { metadata });
  const texts: string[] = [];
  call.on("data", (message: Buffer) => texts.push(message.toString()));
  const status = new Promise<{ code: number; details: string; metadata: Record<string, unknown> }>(
    (resolve) => {
      call.on("status", ({ code, details, metadata: trailers }) =>
        resolve({ code, details, metadata: trailers.getMap() }),
      );
      call.on("error", () => {});
    },
  );
  return { call, texts, status };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(1);
}

describe("a stream of messages", () => {
  it("answers in the order of the messages, whichever is ready first", async (t) => {
    const { client, metric } = await startGrpcDoor(t, {
      methods: [
        stream(async (call) => {
          const text = Buffer.from(call.message).toString();
          if (text === "slow") await pause(30);
          return rpcText(`${text} ${call.requestId}`);
        }),
      ],
    });
    const { call, texts, status } = open(client, { "x-request-id": "s" });
    for (const text of ["slow", "a", "b", "slow", "c"]) call.write(Buffer.from(text));
    call.end();
    assert.equal((await status).code, 0);
    assert.equal((await status).metadata["x-request-id"], "s");
    assert.deepEqual(texts, ["slow s", "a s", "b s", "slow s", "c s"]);
    assert.equal(metric(`spillway_grpc_requests_total{method="${path}",status="0"}`), 5);
  });

  it("answers at once, without waiting for the end", async (t) => {
    const { client } = await startGrpcDoor(t, {
      methods: [stream((call) => rpcText(Buffer.from(call.message).toString()))],
    });
    const { call, texts, status } = open(client);
    for (let i = 0; i < 3; i++) {
      call.write(Buffer.from(`m${i}`));
      await until(() => texts.length === i + 1);
    }
    call.end();
    await status;
  });

  it("says failures inside where the method has words for them, and goes on", async (t) => {
    const handle = (call: RpcCall) =>
      Buffer.from(call.message).toString() === "bad" ? failure("invalid_tensor", "bad one") : rpcText("ok");
    const { client } = await startGrpcDoor(t, {
      methods: [stream(handle, { writeFailure: (reason) => [Buffer.from(`error: ${reason.message}`)] })],
    });
    const { call, texts, status } = open(client);
    for (const text of ["a", "bad", "b"]) call.write(Buffer.from(text));
    call.end();
    assert.equal((await status).code, 0);
    assert.deepEqual(texts, ["ok", "error: bad one", "ok"]);
  });

  it("ends with the status of a failure without words, and calls off what follows", async (t) => {
    const calls: RpcCall[] = [];
    const { client, metric } = await startGrpcDoor(t, {
      methods: [
        stream((call) => {
          calls.push(call);
          if (calls.length === 1) return rpcText("ok");
          return calls.length === 2
            ? pause(20).then(() => failure("queue_full", "full"))
            : new Promise(() => {});
        }),
      ],
    });
    const { call, texts, status } = open(client);
    for (const text of ["a", "b", "c"]) call.write(Buffer.from(text));
    const { code, details, metadata } = await status;
    assert.equal(code, 14);
    assert.equal(details, "full");
    assert.equal(metadata["grpc-retry-pushback-ms"], "1000");
    assert.deepEqual(texts, ["ok"]);
    await until(() => calls[2]?.cancellation.reason !== undefined);
    assert.equal(metric("spillway_grpc_requests_in_flight"), 0);
  });

  it("calls everything off when the client leaves", async (t) => {
    const calls: RpcCall[] = [];
    const { client, metric } = await startGrpcDoor(t, {
      methods: [
        stream((call) => {
          calls.push(call);
          return new Promise(() => {});
        }),
      ],
    });
    const { call, status } = open(client);
    for (let i = 0; i < 5; i++) call.write(Buffer.from("x"));
    await until(() => calls.length === 5);
    call.cancel();
    assert.equal((await status).code, 1);
    await until(() => calls.every(({ cancellation }) => cancellation.reason === "client_gone"));
    assert.equal(metric("spillway_grpc_requests_in_flight"), 0);
  });

  it("ends when the door closes, once what was sent is answered", async (t) => {
    const go = Promise.withResolvers<void>();
    let running = 0;
    const { client, door } = await startGrpcDoor(t, {
      methods: [
        stream(async () => {
          running++;
          await go.promise;
          return rpcText("ok");
        }),
      ],
    });
    const busy = open(client);
    busy.call.write(Buffer.from("x"));
    busy.call.write(Buffer.from("y"));
    await until(() => running === 2);
    const closed = door.close({ graceMs: 30_000 });
    go.resolve();
    assert.equal((await busy.status).code, 14);
    assert.deepEqual(busy.texts, ["ok", "ok"]);
    await closed;
  });

  it("works on a bounded number of messages at once", async (t) => {
    let running = 0;
    let most = 0;
    let go = (): void => {};
    const gate = new Promise<void>((resolve) => (go = resolve));
    const { client } = await startGrpcDoor(t, {
      methods: [
        stream(async () => {
          running++;
          most = Math.max(most, running);
          await gate;
          running--;
          return rpcText("ok");
        }),
      ],
    });
    const { call, texts, status } = open(client);
    for (let i = 0; i < 500; i++) call.write(Buffer.from("x"));
    call.end();
    await until(() => running === 64);
    await pause(50);
    assert.equal(running, 64);
    go();
    assert.equal((await status).code, 0);
    assert.equal(texts.length, 500);
    assert.ok(most <= 64, String(most));
  });

  it("holds answers back from a client that takes none", async (t) => {
    let answered = 0;
    const { port } = await startGrpcDoor(t, {
      methods: [
        stream(() => {
          answered++;
          return { status: 200, headers: [], body: [Buffer.alloc(100_000, 1)] };
        }),
      ],
    });
    const session = connect(`http://127.0.0.1:${port}`);
    t.after(() => session.destroy());
    // Nothing of the answer is read, so that its window stays shut.
    const call = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
    });
    const message = Buffer.from([0, 0, 0, 0, 1, 120]);
    for (let i = 0; i < 2_000; i++) call.write(message);
    call.end();
    await until(() => answered > 0);
    await pause(200);
    assert.ok(answered <= 66, `${answered} answers of 100 kB were made`);
    let received = 0;
    call.on("data", (bytes: Buffer) => (received += bytes.length));
    await once(call, "end");
    assert.equal(received, 2_000 * 100_005);
  });
});
