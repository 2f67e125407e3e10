import assert from "node:assert/strict";
import { test } from "node:test";
import { WorkerEvents } from "./worker-events.ts";

function line(event: string, pid: number, worker = "digits/1#0"): string {
  return JSON.stringify({ time: "2026-01-02T03:04:05.678Z", level: "info", event, worker, pid });
}

test("workers are followed by place; other lines and broken ones are passed over", () => {
  const events = new WorkerEvents();
  for (const text of ["listening", '{"event":', line("worker_listening", 1), '{"event":"worker_ready"}'])
    events.read(text);
  assert.deepEqual(events.all, []);
  events.read(line("worker_ready", 1));
  events.read(line("worker_ready", 2, "digits/1#1"));
  events.read(line("worker_ended", 1));
  assert.deepEqual([...events.running], [["digits/1#1", 2]]);
  assert.deepEqual(events.all.at(-1), {
    kind: "ended",
    worker: "digits/1#0",
    pid: 1,
    timeMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
  });
});

test("an event is found whether it has been or is to come, and waited for only so long", async () => {
  const events = new WorkerEvents();
  events.read(line("worker_ready", 1));
  const any = { after: 0, timeoutMs: 1000 };
  assert.equal((await events.find(({ kind }) => kind === "ready", any)).pid, 1);
  const again = events.find(({ kind }) => kind === "ready", { after: 1, timeoutMs: 1000 });
  events.read(line("worker_ended", 1));
  await assert.rejects(events.haveRunning(1, 10), /within 10 ms/);
  events.read(line("worker_ready", 2));
  assert.equal((await again).pid, 2);
  await events.haveRunning(1, 1000);
  await assert.rejects(
    events.find(({ pid }) => pid === 3, { after: 0, timeoutMs: 10 }),
    /no such worker event within 10 ms/,
  );
});
