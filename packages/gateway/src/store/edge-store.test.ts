import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it, type TestContext } from "node:test";
import type { Claim, EdgeStore, Escalation } from "../contracts/edge-store.ts";
import type { Logger } from "../contracts/telemetry.ts";
import { isFailure, type Failure } from "../core/errors.ts";
import { createManualClock, type ManualClock } from "../testing.ts";
import { openEdgeStore } from "./open-edge-store.ts";
import type { StoreLimits } from "./limits.ts";

interface Opened {
  readonly store: EdgeStore;
  readonly clock: ManualClock;
  readonly said: string[];
}

function newFolder(test: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), "sps-"));
  test.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function logInto(said: string[]): Logger {
  const say = (event: string, fields?: object): void => void said.push(`${event} ${JSON.stringify(fields)}`);
  return { error: say, warn: say, info: say, debug: say };
}

async function tryOpen(
  test: TestContext,
  folder: string,
  limits: Partial<StoreLimits> = {},
): Promise<Opened | Failure> {
  const clock = createManualClock();
  const said: string[] = [];
  const store = await openEdgeStore({ folder, clock, log: logInto(said), limits });
  if (isFailure(store)) return store;
  test.after(() => store.close());
  return { store, clock, said };
}

async function open(test: TestContext, folder: string, limits?: Partial<StoreLimits>): Promise<Opened> {
  const opened = await tryOpen(test, folder, limits);
  if (isFailure(opened)) throw new Error(opened.message);
  return opened;
}

/** A good answer, or the test fails with the failure's text. */
async function good<Value>(answer: Promise<Value | Failure>): Promise<Value> {
  const value = await answer;
  if (typeof value === "object" && value !== null && isFailure(value)) throw new Error(value.message);
  return value;
}

async function refused(answer: Promise<unknown>): Promise<Failure> {
  const value = await answer;
  assert.ok(typeof value === "object" && value !== null && isFailure(value), JSON.stringify(value));
  return value;
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

function escalation(id: string, detectorId: string, picture?: string): Escalation {
  const base = { id, detectorId, kind: "query", payload: `{"id":"${id}"}` };
  return picture === undefined
    ? base
    : { ...base, picture: { bytes: bytesOf(picture), mediaType: "image/jpeg" } };
}

const idsOf = ({ items }: Claim): string[] => items.map(({ id }) => id);

describe("records", () => {
  it("are there after a restart, detectors, queries, labels, spending and activity", async (test) => {
    const folder = newFolder(test);
    const first = await open(test, folder);
    const at = first.clock.wallNow();
    await good(first.store.keepDetector({ id: "det_a", record: "{}" }));
    await good(first.store.keepDetector({ id: "det_b", record: "{}" }));
    await good(first.store.forgetDetector("det_b"));
    for (const n of [1, 2, 3])
      first.store.keepQuery({
        id: `iq_${n}`,
        detectorId: n === 3 ? "det_c" : "det_a",
        createdAt: at + n,
        record: `{"n":${n}}`,
      });
    await good(first.store.keepLabel({ id: "lb_1", queryId: "iq_1", createdAt: at, record: '"YES"' }));
    await good(first.store.spend({ detectorId: "det_a", period: "2026-01", escalations: 1, lastAt: at + 7 }));
    await good(first.store.spend({ detectorId: "det_a", period: "2026-01", escalations: 2, lastAt: at + 6 }));
    first.store.count("det_a", { queries: 2, seconds: 0.5 });
    first.store.count("det_a", { queries: 3 });
    first.store.count("det_a", { queries: 1 }, Math.trunc(at / 3_600_000) - 1);
    await first.store.close();
    assert.equal((await refused(first.store.detectors())).code, "draining");
    assert.deepEqual(readdirSync(folder).toSorted(), ["pictures", "spillway.db", "spillway.lock"]);

    const { store, clock } = await open(test, folder);
    assert.deepEqual(await store.detectors(), [{ id: "det_a", record: "{}" }]);
    assert.deepEqual(await store.query("iq_2"), {
      id: "iq_2",
      detectorId: "det_a",
      createdAt: at + 2,
      record: '{"n":2}',
    });
    assert.equal(await store.query("iq_9"), undefined);
    const page = await good(store.queries({ offset: 0, limit: 2 }));
    assert.deepEqual([page.queries.map(({ id }) => id), page.total], [["iq_3", "iq_2"], 3]);
    const ofOne = await good(store.queries({ detectorId: "det_a", offset: 1, limit: 2 }));
    assert.deepEqual([ofOne.queries.map(({ id }) => id), ofOne.total], [["iq_1"], 2]);
    assert.deepEqual(await store.labels("iq_1"), [
      { id: "lb_1", queryId: "iq_1", createdAt: at, record: '"YES"' },
    ]);
    assert.deepEqual(await store.spending(), [
      { detectorId: "det_a", period: "2026-01", escalations: 3, lastAt: at + 7 },
    ]);
    const hour = clock.wallNow() / 3_600_000;
    assert.deepEqual(await store.activity(hour, hour), [
      { detectorId: "det_a", hour, name: "queries", value: 5 },
      { detectorId: "det_a", hour, name: "seconds", value: 0.5 },
    ]);
    assert.deepEqual(await store.activity(hour - 9, hour - 1), [
      { detectorId: "det_a", hour: hour - 1, name: "queries", value: 1 },
    ]);
    assert.deepEqual(await store.activity(hour + 1, hour + 9), []);
  });

  it("of queries are a ring by count and by age, and take their pictures along", async (test) => {
    const folder = newFolder(test);
    const { store, clock } = await open(test, folder, { maxQueries: 10, maxAgeMs: 60_000 });
    const now = clock.wallNow();
    for (let n = 0; n < 25; n += 1) {
      store.keepQuery({ id: `iq_${n}`, detectorId: "det_a", createdAt: now + n, record: "{}" });
      if (n < 2) await good(store.keepPicture(`iq_${n}`, { bytes: bytesOf("x"), mediaType: "image/png" }));
    }
    const page = await good(store.queries({ offset: 0, limit: 100 }));
    assert.equal(page.total, 10);
    assert.deepEqual(page.queries.map(({ id }) => id).at(-1), "iq_15");
    assert.equal(await store.picture("iq_0"), undefined);
    assert.deepEqual(readdirSync(path.join(folder, "pictures")), []);
    clock.advance(60_020);
    store.count("det_a", { queries: 1 });
    assert.equal((await good(store.queries({ offset: 0, limit: 100 }))).total, 5);
  });

  it("of detectors have a bound", async (test) => {
    const { store } = await open(test, newFolder(test), { maxDetectors: 1 });
    await good(store.keepDetector({ id: "det_a", record: "1" }));
    const failed = await refused(store.keepDetector({ id: "det_b", record: "1" }));
    assert.equal(failed.code, "queue_full");
    await good(store.keepDetector({ id: "det_a", record: "2" }));
  });
});

describe("the outbox", () => {
  it("takes an id once, also after it was sent, and keeps order, attempts and times over a restart", async (test) => {
    const folder = newFolder(test);
    const first = await open(test, folder);
    const { outbox } = first.store;
    assert.equal(await outbox.enqueue(escalation("iq_1", "det_a", "one")), "queued");
    assert.equal(await outbox.enqueue(escalation("iq_1", "det_a", "other")), "already_queued");
    assert.equal(await outbox.enqueue(escalation("iq_2", "det_a", "two")), "queued");
    assert.equal(await outbox.enqueue(escalation("iq_3", "det_b")), "queued");
    const claimed = await good(outbox.claim(10));
    assert.deepEqual(idsOf(claimed), ["iq_1", "iq_3"]);
    assert.deepEqual(Buffer.from(claimed.items[0]!.picture!.bytes).toString(), "one");
    assert.deepEqual(idsOf(await good(outbox.claim(10))), [], "one of a detector at a time");
    const now = first.clock.wallNow();
    await good(outbox.postpone("iq_1", now + 1_000));
    await good(
      outbox.acknowledge("iq_3", { id: "iq_3", detectorId: "det_b", createdAt: now, record: '"done"' }),
    );
    const waiting = await good(outbox.claim(10));
    assert.deepEqual([idsOf(waiting), waiting.nextAt], [[], now + 1_000], "iq_2 does not overtake iq_1");
    await first.store.close();

    const { store, clock } = await open(test, folder);
    assert.equal(await store.outbox.enqueue(escalation("iq_3", "det_b")), "settled");
    assert.equal((await good(store.query("iq_3")))?.record, '"done"');
    assert.deepEqual(idsOf(await good(store.outbox.claim(10))), []);
    clock.advance(1_000);
    const again = await good(store.outbox.claim(10));
    assert.deepEqual([idsOf(again), again.items[0]?.attempts], [["iq_1"], 1]);
    await good(store.outbox.release("iq_1"));
    assert.deepEqual(idsOf(await good(store.outbox.claim(10))), ["iq_1"]);
    await good(store.outbox.reject("iq_1", "400: the cloud does not know the detector"));
    assert.deepEqual(idsOf(await good(store.outbox.claim(10))), ["iq_2"]);
    const [given] = await good(store.outbox.rejected(10));
    assert.deepEqual(
      [given?.id, given?.reason, given?.attempts],
      ["iq_1", "400: the cloud does not know the detector", 1],
    );
    const { waiting: left, rejected } = await good(store.outbox.state());
    assert.deepEqual([left, rejected], [1, 1]);
  });

  it("is refused beyond its bytes with the numbers, and takes more when some were sent", async (test) => {
    const folder = newFolder(test);
    const { store } = await open(test, folder, { maxOutboxBytes: 3_000_000 });
    const large = "x".repeat(900_000);
    const answers = await Promise.all(
      [1, 2, 3, 4].map((n) => store.outbox.enqueue(escalation(`iq_${n}`, "det_a", large))),
    );
    assert.deepEqual(answers.slice(0, 3), ["queued", "queued", "queued"]);
    const failed = await refused(Promise.resolve(answers[3]));
    assert.equal(failed.code, "queue_full");
    assert.match(failed.message, /of at most 3 MB/);
    assert.deepEqual(readdirSync(path.join(folder, "pictures")).toSorted(), ["iq_1", "iq_2", "iq_3"]);
    await good(store.outbox.claim(1));
    await good(store.outbox.acknowledge("iq_1"));
    assert.equal(await store.outbox.enqueue(escalation("iq_4", "det_a", large)), "queued");
  });

  it("says that a picture is lost when its file was damaged, and sends nothing in its place", async (test) => {
    const folder = newFolder(test);
    const { store } = await open(test, folder);
    await good(store.outbox.enqueue(escalation("iq_1", "det_a", "picture")));
    writeFileSync(path.join(folder, "pictures", "iq_1"), Buffer.alloc(7));
    const [item] = (await good(store.outbox.claim(1))).items;
    assert.deepEqual([item?.picture, item?.pictureLost], [undefined, true]);
  });

  it("refuses ids that could leave the folder", async (test) => {
    const { store } = await open(test, newFolder(test));
    assert.equal((await refused(store.outbox.enqueue(escalation("../x", "det_a", "p")))).code, "bad_request");
    const picture = { bytes: bytesOf("p"), mediaType: "image/png" };
    assert.equal((await refused(store.keepPicture("a/b", picture))).code, "bad_request");
  });

  it("drains 10,000 escalations of detectors of very different size in turn, in order, each once", async (test) => {
    const { store } = await open(test, newFolder(test));
    const sizes = [4_000, 3_000, 2_000, 900, 100];
    for (const [detector, size] of sizes.entries())
      for (let n = 0; n < size; n += 1_000) {
        const count = Math.min(1_000, size - n);
        const ids = Array.from({ length: count }, (_, index) => `iq_${detector}_${n + index}`);
        await Promise.all(ids.map((id) => good(store.outbox.enqueue(escalation(id, `det_${detector}`)))));
      }
    const sent: string[] = [];
    const acknowledged: Promise<unknown>[] = [];
    for (;;) {
      const { items } = await good(store.outbox.claim(8));
      if (items.length === 0) break;
      sent.push(...items.map(({ id }) => id));
      // Not waited for: the next claim sees them.
      acknowledged.push(...items.map(({ id }) => good(store.outbox.acknowledge(id))));
    }
    await Promise.all(acknowledged);
    assert.equal(sent.length, 10_000);
    assert.equal(new Set(sent).size, 10_000);
    for (const [detector, size] of sizes.entries()) {
      const own = sent.filter((id) => id.startsWith(`iq_${detector}_`));
      assert.deepEqual(
        own,
        Array.from({ length: size }, (_, n) => `iq_${detector}_${n}`),
      );
      // While all have something waiting, each has its turn: the last of a small one leaves within five turns of its size.
      assert.ok(sent.indexOf(own.at(-1)!) < size * sizes.length + sizes.length, `det_${detector}`);
    }
  });
});

describe("pictures", () => {
  it("of the ring are bounded in bytes and in bytes a second; promised ones stay", async (test) => {
    const folder = newFolder(test);
    const { store, clock } = await open(test, folder, { ringBytes: 10_000, ringBytesPerSecond: 1_000 });
    const picture = (): { bytes: Uint8Array; mediaType: string } => ({
      bytes: new Uint8Array(1_000).fill(7),
      mediaType: "image/png",
    });
    await good(store.keepPicture("iq_kept", picture()));
    const taken = Array.from({ length: 10 }, (_, n) => store.offerPicture(`iq_${n}`, picture()));
    assert.deepEqual(taken.filter(Boolean).length, 4, "four seconds' worth at once");
    assert.equal(store.counters.skippedPictures, 6);
    await good(store.keepLabel({ id: "lb_1", queryId: "iq_0", createdAt: 1, record: "{}" }));
    for (let n = 10; n < 30; n += 1) {
      clock.advance(1_000);
      assert.ok(store.offerPicture(`iq_${n}`, picture()));
    }
    assert.equal((await good(store.picture("iq_0")))?.bytes.byteLength, 1_000, "labelled: promised");
    assert.equal((await good(store.picture("iq_kept")))?.mediaType, "image/png");
    assert.equal(await store.picture("iq_1"), undefined);
    assert.equal(readdirSync(path.join(folder, "pictures")).length, 12);
    assert.equal(store.counters.lostRecords, 0);
  });

  it("take along the memory that is handed over and leave the rest as it is", async (test) => {
    const { store } = await open(test, newFolder(test));
    const kept = new Uint8Array(100_000).fill(1);
    const given = new Uint8Array(100_000).fill(2);
    await good(store.keepPicture("iq_1", { bytes: kept, mediaType: "image/png" }));
    const done = store.keepPicture("iq_2", { bytes: given, mediaType: "image/png", handOver: true });
    await good(done);
    assert.deepEqual([kept.byteLength, given.byteLength], [100_000, 0]);
    assert.equal((await good(store.picture("iq_2")))?.bytes[99_999], 2);
  });

  it("without a row are swept at the start", async (test) => {
    const folder = newFolder(test);
    mkdirSync(path.join(folder, "pictures"));
    for (const name of ["iq_9", "iq_8.part"]) writeFileSync(path.join(folder, "pictures", name), "x");
    await open(test, folder);
    assert.deepEqual(readdirSync(path.join(folder, "pictures")), []);
  });
});

describe("a data directory", () => {
  it("that another store uses is refused in a sentence, and free after it", async (test) => {
    const folder = newFolder(test);
    const first = await open(test, folder);
    const failed = await tryOpen(test, folder);
    assert.ok(isFailure(failed));
    assert.match(failed.message, /^Another process uses the data directory .*SPILLWAY_DATA/);
    await first.store.close();
    await open(test, folder);
  });

  it("of a newer Spillway is refused and left as it is", async (test) => {
    const folder = newFolder(test);
    const file = path.join(folder, "spillway.db");
    const db = new DatabaseSync(file);
    db.exec("PRAGMA user_version = 999");
    db.close();
    const before = readFileSync(file);
    const failed = await tryOpen(test, folder);
    assert.ok(isFailure(failed));
    assert.match(failed.message, /written by a newer Spillway \(version 999, this one reads up to \d+\)/);
    assert.deepEqual(readFileSync(file), before);
  });

  it("whose database is not one starts anew; the file and the pictures are set aside and told", async (test) => {
    const folder = newFolder(test);
    const first = await open(test, folder);
    await good(first.store.outbox.enqueue(escalation("iq_1", "det_a", "picture")));
    await first.store.close();
    writeFileSync(path.join(folder, "spillway.db"), "this is not a database ".repeat(1_000));
    const { store, said } = await open(test, folder);
    assert.deepEqual(await store.detectors(), []);
    const aside = "spillway.db.damaged-2026-01-01T00-00-00-000Z";
    assert.match(said.join("\n"), /is damaged .* was moved to .*Nothing in it could be read/);
    assert.match(said.join("\n"), /1 pictures without a record were moved to/);
    assert.ok(existsSync(path.join(folder, aside)));
    assert.deepEqual(readdirSync(path.join(folder, `${aside}.pictures`)), ["iq_1"]);
  });

  it("with a damaged page keeps what can be read", async (test) => {
    const folder = newFolder(test);
    const first = await open(test, folder);
    for (let n = 0; n < 300; n += 1)
      first.store.keepQuery({
        id: `iq_${n}`,
        detectorId: "det_a",
        createdAt: n + 1e13,
        record: "q".repeat(500),
      });
    await good(first.store.outbox.enqueue(escalation("iq_out", "det_a", "picture")));
    await first.store.close();
    const file = path.join(folder, "spillway.db");
    const bytes = readFileSync(file);
    const at = bytes.lastIndexOf("q".repeat(400));
    bytes.fill(0xff, at - (at % 4096), at - (at % 4096) + 4096);
    writeFileSync(file, bytes);
    const { store, said } = await open(test, folder);
    assert.match(said.join("\n"), /is damaged .*Taken over from it, in rows: outbox 1/);
    const [item] = (await good(store.outbox.claim(1))).items;
    assert.equal(item?.id, "iq_out");
    assert.equal(Buffer.from(item.picture!.bytes).toString(), "picture");
  });
});
