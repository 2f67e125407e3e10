/** The database's thread dies, crashes or hangs: calls say so, what was promised is there, and the store works again by itself. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { it, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import type { EdgeStore, Enqueued, Escalation } from "../contracts/edge-store.ts";
import { isFailure, type Failure } from "../core/errors.ts";
import { createManualClock, type ManualClock } from "../testing.ts";
import { openEdgeStore } from "./open-edge-store.ts";

interface Opened {
  readonly folder: string;
  readonly store: EdgeStore;
  readonly clock: ManualClock;
  readonly said: string[];
  /** Every thread of the store, the running one last. */
  readonly threads: Worker[];
}

async function open(test: TestContext): Promise<Opened> {
  const folder = mkdtempSync(path.join(tmpdir(), "spt-"));
  const clock = createManualClock();
  const said: string[] = [];
  const say = (event: string): void => void said.push(event);
  const threads: Worker[] = [];
  const seen = (worker: Worker): void => void threads.push(worker);
  process.on("worker", seen);
  const log = { error: say, warn: say, info: say, debug: say };
  const store = await openEdgeStore({ folder, clock, log });
  if (isFailure(store)) throw new Error(store.message);
  test.after(async () => {
    process.off("worker", seen);
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { folder, store, clock, said, threads };
}

function escalation(n: number): Escalation {
  const picture = { bytes: new TextEncoder().encode(`picture ${n}`), mediaType: "image/png" };
  return { id: `iq_${n}`, detectorId: `det_${n % 3}`, kind: "query", payload: String(n), picture };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let n = 0; n < 2_000; n++) {
    if (holds()) return;
    await delay(5);
  }
  assert.fail(`in vain: ${what}`);
}

/** What waits, each once, with its picture. */
async function drained({ store }: Opened): Promise<Set<string>> {
  const ids = new Set<string>();
  for (;;) {
    const claim = await store.outbox.claim(64);
    assert.ok(!isFailure(claim), JSON.stringify(claim));
    if (claim.items.length === 0) return ids;
    for (const { id, picture, payload } of claim.items) {
      assert.ok(!ids.has(id));
      assert.equal(Buffer.from(picture?.bytes ?? []).toString(), `picture ${payload}`);
      ids.add(id);
      void store.outbox.acknowledge(id);
    }
  }
}

function promisedOf(answers: readonly (Enqueued | Failure)[]): string[] {
  return answers.flatMap((answer, n) => (typeof answer === "string" ? [`iq_${n}`] : []));
}

const ends: readonly (readonly [what: string, end: (thread: Worker) => unknown])[] = [
  ["is ended", (thread) => thread.terminate()],
  // Not what the store sends: reading it throws in the thread.
  ["crashes", (thread) => thread.postMessage(42)],
];

for (const [what, end] of ends)
  it(`a thread that ${what} amid promises keeps those it gave, and another takes its place`, async (test) => {
    const opened = await open(test);
    const { store, clock, threads, said } = opened;
    const first = await Promise.all(
      Array.from({ length: 100 }, (_, n) => store.outbox.enqueue(escalation(n))),
    );
    assert.equal(promisedOf(first).length, 100);
    const rest = Array.from({ length: 200 }, (_, n) => store.outbox.enqueue(escalation(n + 100)));
    await rest[0];
    const [thread] = threads;
    assert.ok(thread !== undefined);
    end(thread);
    const answers = [...first, ...(await Promise.all(rest))];
    const failures = answers.filter((answer): answer is Failure => typeof answer === "object");
    assert.ok(failures.every(({ code }) => code === "storage_unavailable"));
    await until("the end is noticed", () => said.includes("store_unavailable"));
    const refused = await store.outbox.state();
    assert.ok(isFailure(refused) && refused.code === "storage_unavailable");
    clock.advance(100);
    await until("another thread has opened", () => said.includes("store_available"));
    assert.equal(store.counters.restarts, 1);
    // Who got no answer asks again: in the outbox already or not, it is there once.
    const again = answers.map((answer, n) =>
      typeof answer === "string" ? Promise.resolve(answer) : store.outbox.enqueue(escalation(n)),
    );
    assert.equal(promisedOf(await Promise.all(again)).length, 300);
    assert.equal((await drained(opened)).size, 300);
  });

it("a thread whose disk hangs fails calls in time, and goes on with all of them done when the disk does", async (test) => {
  const opened = await open(test);
  const { store, clock, folder, threads } = opened;
  for (const n of [0, 1]) assert.equal(await store.outbox.enqueue(escalation(n)), "queued");
  const pictures = readdirSync(path.join(folder, "pictures"), { recursive: true, withFileTypes: true });
  const file = pictures.find((each) => each.isFile() && each.name.includes("iq_0"));
  assert.ok(file !== undefined);
  const place = path.join(file.parentPath, file.name);
  rmSync(place);
  // Whoever opens it for reading stands still until somebody writes.
  execFileSync("mkfifo", [place]);
  const reading = store.picture("iq_0");
  await delay(50);
  const writing = store.outbox.enqueue(escalation(2));
  const late = store.keepLabel({ id: "lb_1", queryId: "iq_1", createdAt: clock.wallNow(), record: "{}" });
  clock.advance(29_999);
  await delay(20);
  clock.advance(1);
  for (const answer of [await reading, await writing, await late])
    assert.ok(typeof answer === "object" && isFailure(answer) && answer.code === "storage_unavailable");
  const descriptor = openSync(place, "w");
  writeSync(descriptor, "picture 0");
  closeSync(descriptor);
  assert.equal(await store.outbox.enqueue(escalation(2)), "already_queued");
  assert.equal(((await store.labels("iq_1")) as readonly unknown[]).length, 1);
  assert.equal(store.counters.restarts, 0);
  assert.equal(threads.length, 1);
  rmSync(place);
  const claim = await store.outbox.claim(8);
  assert.ok(!isFailure(claim));
  assert.deepEqual(
    claim.items.map(({ id, pictureLost }) => [id, pictureLost]),
    [
      ["iq_0", true],
      ["iq_1", false],
      ["iq_2", false],
    ],
  );
});
