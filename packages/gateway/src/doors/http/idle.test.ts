import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { createManualClock } from "../../testing.ts";
import {
  decisionFor,
  pipelineRequest,
  PlayedUpstream,
  route,
  startDoor,
} from "../../../test/support/http-door.ts";
import { wireAnswer } from "../../contracts/route.ts";

/** Lets time pass, and the door read what has come meanwhile. */
async function pass(clock: ReturnType<typeof createManualClock>, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 2_500) {
    clock.advance(2_500);
    await pause(1);
  }
}

describe("a connection without a request", () => {
  it("says with its answer how long it is kept, and ends after it and a little more", async (t) => {
    const clock = createManualClock();
    const { connect, door } = await startDoor(t, { clock });
    const client = await connect();
    client.send("POST", "/echo", { body: "x" });
    assert.equal((await client.answer()).headers["keep-alive"], "timeout=90");
    await pass(clock, 90_000);
    client.send("POST", "/echo", { body: "y" });
    const again = await client.answer();
    assert.equal(again.body.toString(), "y");
    assert.equal(again.headers.connection, "keep-alive");
    await pass(clock, 90_000);
    assert.equal((door.inspect() as { connections: number }).connections, 1);
    await pass(clock, 10_000);
    await client.ended;
  });

  it("is as new after an answer that took long", async (t) => {
    const clock = createManualClock();
    const upstream = new PlayedUpstream();
    const { connect } = await startDoor(t, {
      clock,
      routes: [route("/model", pipelineRequest)],
      decide: decisionFor,
      carry: upstream.carry,
    });
    const client = await connect();
    client.send("POST", "/model", { body: "x" });
    const first = await upstream.sink();
    await pass(clock, 300_000);
    first.whole(wireAnswer(200, "text/plain", [Buffer.from("late")]));
    assert.equal((await client.answer()).body.toString(), "late");
    await pass(clock, 85_000);
    client.send("POST", "/model", { body: "x" });
    while (upstream.sinks.length < 2) await pause(1);
    upstream.sinks[1]?.whole(wireAnswer(200, "text/plain", [Buffer.from("again")]));
    assert.equal((await client.answer()).body.toString(), "again");
  });
});
