import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ServerError, ServerHandler } from "../../contracts/connection.ts";
import type { LlmEngineState } from "../../contracts/llm-engine.ts";
import { createManualClock } from "../../testing.ts";
import { EngineConnection } from "./engine-connection.ts";

const request = { method: "GET", path: "/", headers: [], body: undefined } as const;
const refused: ServerError = { kind: "connect", sent: false, message: "ECONNREFUSED" };

function setUp(state: LlmEngineState) {
  const clock = createManualClock();
  const engine = { state, reason: undefined as string | undefined };
  const sent: ServerHandler[] = [];
  let cancelled = 0;
  const inner = {
    send(_request: unknown, handler: ServerHandler) {
      sent.push(handler);
      return { sent: true, pause() {}, resume() {}, cancel: () => void cancelled++ };
    },
    close() {},
  };
  const connection = new EngineConnection(engine, inner, clock);
  const become = (next: LlmEngineState, reason?: string): void => {
    Object.assign(engine, { state: next, reason });
    connection.engineChanged();
  };
  const heard: (string | number)[] = [];
  const handler: ServerHandler = {
    head: (status) => void heard.push(status),
    data: (chunk) => void heard.push(String(chunk)),
    end: () => void heard.push("end"),
    failed: ({ kind, sent: was, message }) => void heard.push(`${kind} ${was} ${message}`),
  };
  const ask = () => connection.send(request, handler);
  return { clock, connection, sent, become, heard, ask, cancelled: () => cancelled };
}

/** Refusals are told later, as by any connection. */
const later = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("a request to the engine", () => {
  test("goes out at once while it listens, and its answer comes back", () => {
    const { ask, sent, heard } = setUp("ready");
    assert.equal(ask().sent, true);
    sent[0]?.head(200, {});
    sent[0]?.data(Buffer.from("x"), false);
    sent[0]?.end();
    assert.deepEqual(heard, [200, "x", "end"]);
  });

  test("waits while it starts", () => {
    const { ask, sent, become } = setUp("starting");
    const call = ask();
    assert.deepEqual([sent.length, call.sent], [0, false]);
    become("ready");
    assert.deepEqual([sent.length, call.sent], [1, true]);
    become("ready");
    assert.equal(sent.length, 1);
  });

  test("that finds nobody waits for the next process", () => {
    const { ask, sent, become, heard, clock } = setUp("ready");
    ask();
    sent[0]?.failed(refused);
    become("starting");
    clock.advance(60_000);
    become("ready");
    sent[1]?.end();
    assert.deepEqual(heard, ["end"]);
  });

  test("that finds nobody gives up where no end of the process follows", async () => {
    const { ask, sent, heard, clock } = setUp("ready");
    ask();
    sent[0]?.failed(refused);
    await later();
    assert.deepEqual(heard, []);
    clock.advance(1_000);
    await later();
    assert.deepEqual(heard, ["connect false ECONNREFUSED"]);
  });

  test("whose process dies under it is not sent again by itself", () => {
    const { ask, sent, heard, become } = setUp("ready");
    ask();
    sent[0]?.failed({ kind: "closed", sent: true, message: "reset" });
    become("starting");
    become("ready");
    assert.deepEqual([heard, sent.length], [["closed true reset"], 1]);
  });

  test("is refused, and never within the call, while restarts back off", async () => {
    const { ask, sent, become, heard } = setUp("starting");
    ask();
    become("failed", "no such thread");
    assert.deepEqual(heard, []);
    ask();
    await later();
    assert.deepEqual(heard, ["connect false no such thread", "connect false no such thread"]);
    assert.equal(sent.length, 0);
  });

  test("that is called off says nothing more, wherever it is", async () => {
    const { ask, sent, become, heard, clock, cancelled, connection } = setUp("starting");
    ask().cancel();
    become("ready");
    assert.equal(sent.length, 0);
    ask().cancel();
    assert.equal(cancelled(), 1);
    const call = ask();
    sent[1]?.failed(refused);
    call.cancel();
    clock.advance(5_000);
    connection.close();
    await later();
    assert.deepEqual(heard, []);
  });

  test("that waits when the gateway closes is refused", async () => {
    const { ask, heard, connection } = setUp("starting");
    ask();
    connection.close();
    await later();
    assert.match(String(heard[0]), /^connect false/);
  });

  test("that is answered by nothing, not even a probe, makes the engine silent", () => {
    const { ask, sent, connection, clock, become } = setUp("ready");
    clock.advance(90_000);
    assert.equal(connection.silentMs, 0);
    ask();
    clock.advance(30_000);
    ask().cancel();
    clock.advance(30_000);
    assert.equal(connection.silentMs, 60_000);
    sent[0]?.data(Buffer.from("x"), false);
    assert.equal(connection.silentMs, 0);
    ask();
    clock.advance(5_000);
    become("starting");
    assert.equal(connection.silentMs, 0);
  });
});
