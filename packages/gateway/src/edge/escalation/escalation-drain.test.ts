/** What the drain sends, in which order, and what becomes of what fails: over a real store, with a scripted cloud. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { until } from "../../../../../test/harness/until.ts";
import {
  answerOf,
  failureOf,
  scriptedCloud,
  type ScriptedCloud,
} from "../../../test/support/scripted-cloud.ts";
import type { CloudFailure } from "../../contracts/cloud.ts";
import type {
  AgreementObservation,
  DeliveryObservation,
  EdgeObserver,
} from "../../contracts/edge-observer.ts";
import type { LabelPayload, QueryPayload, QueryRecord } from "../../contracts/edge-records.ts";
import type { EdgeStore, RejectedEscalation } from "../../contracts/edge-store.ts";
import type { LogFields } from "../../contracts/telemetry.ts";
import type { EscalationReason, ImageQuery } from "../../core/detector.ts";
import { failure, isFailure } from "../../core/errors.ts";
import { openEdgeStore } from "../../store/open-edge-store.ts";
import { createManualClock, type ManualClock } from "../../testing.ts";
import { EscalationDrain, type DrainLimits } from "./escalation-drain.ts";

const silent = { error() {}, warn() {}, info() {}, debug() {} };
/** Without jitter: 1, 5, 10, 30 s. */
const random = { unit: () => 0.5, id: () => "id" };

interface World {
  readonly folder: string;
  readonly clock: ManualClock;
  readonly store: EdgeStore;
  readonly cloud: ScriptedCloud;
  readonly drain: EscalationDrain;
  readonly delivered: DeliveryObservation[];
  readonly compared: AgreementObservation[];
  /** What was logged for information. */
  readonly told: (readonly [event: string, fields: LogFields | undefined])[];
}

async function world(
  t: TestContext,
  {
    limits = {},
    tokenOf = () => undefined,
  }: { limits?: Partial<DrainLimits>; tokenOf?: (id: string) => string | undefined } = {},
): Promise<World> {
  const folder = mkdtempSync(path.join(tmpdir(), "spd-"));
  const clock = createManualClock();
  const store = await openEdgeStore({ folder, clock, log: silent, limits: { answerMs: 1e12 } });
  assert.ok(!isFailure(store));
  const cloud = scriptedCloud();
  const delivered: DeliveryObservation[] = [];
  const compared: AgreementObservation[] = [];
  const told: [event: string, fields: LogFields | undefined][] = [];
  const observer: EdgeObserver = {
    answered() {},
    delivered: (each) => void delivered.push(each),
    compared: (each) => void compared.push(each),
  };
  const drain = new EscalationDrain({
    store,
    cloud,
    clock,
    random,
    logger: { ...silent, info: (event, fields) => void told.push([event, fields]) },
    observer,
    tokenOf,
    limits,
  });
  t.after(async () => {
    await drain.close();
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { folder, clock, store, cloud, drain, delivered, compared, told };
}

/** Moves the clock step by step: what waits for time sets its timers in between. */
async function advanceUntil(
  { clock }: World,
  stepMs: number,
  what: string,
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  await until(what, async () => {
    if (await holds()) return true;
    clock.advance(stepMs);
    return false;
  });
}

const local = {
  finding: { mode: "BINARY", label: "NO" },
  confidence: 0.6,
  rawConfidence: 0.7,
  outOfDomain: undefined,
  probabilities: undefined,
  model: { name: "door", version: "3" },
} as const;

function imageQuery(id: string, detectorId: string): ImageQuery {
  const result = { finding: local.finding, confidence: 0.6, source: "ALGORITHM", fromEdge: true };
  return { ...answerOf({ imageQueryId: id, detectorId }), result, doneProcessing: false };
}

async function queue(
  { store, clock }: World,
  id: string,
  detectorId: string,
  { reason = "unsure", label = "" }: { reason?: EscalationReason; label?: string } = {},
): Promise<void> {
  const payload: QueryPayload = {
    detectorId,
    imageQueryId: id,
    patienceTime: 7,
    confidenceThreshold: 0.8,
    humanReview: "DEFAULT",
    inspectionId: "i",
    metadata: { a: 1 },
    reason,
    local,
  };
  const query = imageQuery(id, detectorId);
  const record: QueryRecord = {
    query:
      label === ""
        ? query
        : {
            ...query,
            result: {
              finding: { mode: "BINARY", label: "NO" },
              confidence: 1,
              source: "USER",
              fromEdge: false,
            },
          },
    local,
    escalation: { reason, how: "queued" },
    withheld: undefined,
    cloud: undefined,
    pending: undefined,
  };
  const queued = await store.outbox.enqueue({
    id,
    detectorId,
    kind: "query",
    payload: JSON.stringify(payload),
    picture: { bytes: Buffer.from(`picture ${id}`), mediaType: "image/png" },
    query: { id, detectorId, createdAt: clock.wallNow(), record: JSON.stringify(record) },
  });
  assert.equal(queued, "queued");
}

async function queueLabel({ store }: World, id: string, detectorId: string, queryId: string): Promise<void> {
  const payload: LabelPayload = { imageQueryId: queryId, label: "YES", rois: undefined };
  const queued = await store.outbox.enqueue({
    id,
    detectorId,
    kind: "label",
    payload: JSON.stringify(payload),
  });
  assert.equal(queued, "queued");
}

const ids = (cloud: ScriptedCloud): string[] => cloud.came.map(({ imageQueryId }) => imageQueryId);

async function waiting({ store }: World): Promise<number> {
  const state = await store.outbox.state();
  return isFailure(state) ? -1 : state.waiting;
}

async function rejected({ store }: World): Promise<readonly RejectedEscalation[]> {
  const list = await store.outbox.rejected(100);
  return Array.isArray(list) ? list : [];
}

async function recordOf({ store }: World, id: string): Promise<QueryRecord> {
  const stored = await store.query(id);
  assert.ok(stored !== undefined && !isFailure(stored));
  return JSON.parse(stored.record) as QueryRecord;
}

describe("what waits is sent", () => {
  it("with all that was said, under its own id, and with the detector's token", async (t) => {
    const here = await world(t, { tokenOf: (id) => (id === "det_a" ? "api_policy" : undefined) });
    const tokens: (string | undefined)[] = [];
    const submit = here.cloud.submit.bind(here.cloud);
    here.cloud.submit = (submission, options) => {
      tokens.push(options.token);
      return submit(submission, options);
    };
    await queue(here, "iq_1", "det_a");
    here.drain.start();
    await until("sent", async () => (await waiting(here)) === 0);
    const [came] = here.cloud.came;
    assert.ok(came !== undefined && "picture" in came);
    assert.deepEqual(
      { ...came, picture: Buffer.from(came.picture).toString() },
      {
        detectorId: "det_a",
        imageQueryId: "iq_1",
        patienceTime: 7,
        confidenceThreshold: 0.8,
        humanReview: "DEFAULT",
        inspectionId: "i",
        metadata: { a: 1 },
        reason: "unsure",
        local: JSON.parse(JSON.stringify(local)) as unknown,
        picture: "picture iq_1",
        mediaType: "image/png",
        wantAsync: false,
      },
    );
    assert.deepEqual(tokens, ["api_policy"]);
    assert.deepEqual(
      here.delivered.map(({ detectorId, kind, outcome, failure: why }) => [detectorId, kind, outcome, why]),
      [["det_a", "query", "sent", undefined]],
    );
  });

  it("in order for each detector, one of each at a time, at most four at once", async (t) => {
    const here = await world(t);
    const open = new Map<string, number>();
    here.cloud.onSubmit = async (submission) => {
      const { detectorId } = submission;
      open.set(detectorId, (open.get(detectorId) ?? 0) + 1);
      assert.equal(open.get(detectorId), 1, "one of a detector at a time");
      await delay(3);
      open.set(detectorId, 0);
      return answerOf(submission);
    };
    for (let n = 0; n < 5; n++)
      for (const detector of ["a", "b", "c", "d", "e", "f"])
        await queue(here, `iq_${detector}${n}`, `det_${detector}`);
    here.drain.start();
    await until("all sent", async () => (await waiting(here)) === 0);
    assert.equal(here.cloud.mostOpen, 4);
    for (const detector of ["a", "b", "c", "d", "e", "f"])
      assert.deepEqual(
        ids(here.cloud).filter((id) => id.startsWith(`iq_${detector}`)),
        [0, 1, 2, 3, 4].map((n) => `iq_${detector}${n}`),
      );
    await queue(here, "iq_later", "det_a");
    here.drain.wake();
    await until("what came later is sent at once", () => ids(here.cloud).includes("iq_later"));
  });

  it("a label after its query", async (t) => {
    const here = await world(t);
    here.cloud.onSubmit = () => failureOf("throttled", 429);
    await queue(here, "iq_1", "det_a");
    await queueLabel(here, "lb_1", "det_a", "iq_1");
    here.drain.start();
    await until("tried", () => here.delivered.length === 1);
    here.cloud.onSubmit = (submission) => answerOf(submission);
    await advanceUntil(here, 500, "both are sent", async () => (await waiting(here)) === 0);
    assert.deepEqual(
      here.cloud.came.map((each) => ("label" in each ? each.label : each.imageQueryId)),
      ["iq_1", "iq_1", "YES"],
    );
    assert.deepEqual(
      here.delivered.map(({ kind, outcome }) => `${kind} ${outcome}`),
      ["query postponed", "query sent", "label sent"],
    );
  });
});

describe("what fails", () => {
  it("waits 1, 5, 10, 30 s, or as long as the cloud asks, and stalls no other detector", async (t) => {
    const here = await world(t);
    here.cloud.onSubmit = (submission) =>
      submission.detectorId === "det_slow" ? failureOf("throttled", 429) : answerOf(submission);
    await queue(here, "iq_slow", "det_slow");
    for (let n = 0; n < 10; n++) await queue(here, `iq_${n}`, "det_quick");
    here.drain.start();
    await until("the others are sent", async () => (await waiting(here)) === 1);
    const tries = () => ids(here.cloud).filter((id) => id === "iq_slow").length;
    const waitsFor = (ms: number): Promise<true> =>
      until(`it waits ${ms} ms`, () => here.clock.dueInMs() === ms);
    for (const [at, pauseMs] of [1_000, 5_000, 10_000, 30_000, 30_000].entries()) {
      await waitsFor(pauseMs);
      here.clock.advance(pauseMs - 1);
      await delay(10);
      assert.equal(tries(), at + 1);
      here.clock.advance(1);
      await until("tried again", () => tries() === at + 2);
    }
    await waitsFor(30_000);
    here.cloud.onSubmit = () => failureOf("throttled", 429, 120_000);
    here.clock.advance(30_000);
    await until(
      "asked how long",
      () => here.delivered.filter(({ outcome }) => outcome === "postponed").length === 7,
    );
    here.clock.advance(119_000);
    await waitsFor(1_000);
    assert.equal(tries(), 7, "the cloud's own pause holds");
    here.cloud.onSubmit = (submission) => answerOf(submission);
    here.clock.advance(1_000);
    await until("sent", async () => (await waiting(here)) === 0);
  });

  it("for want of a cloud leaves one to find out when it is back", async (t) => {
    const here = await world(t);
    for (const detector of ["a", "b", "c", "d", "e", "f"])
      for (let n = 0; n < 3; n++) await queue(here, `iq_${detector}${n}`, `det_${detector}`);
    here.cloud.onSubmit = () => failureOf("unreachable");
    here.drain.start();
    await until("tried", () => here.cloud.came.length === 4 && here.cloud.open === 0);
    let before = here.cloud.came.length;
    for (let second = 0; second < 300; second += 5) {
      here.clock.advance(5_000);
      await delay(3);
      assert.ok(here.cloud.came.length - before <= 1, "one at a time");
      before = here.cloud.came.length;
    }
    assert.ok(before < 20, `${before} attempts in 5 minutes`);
    here.cloud.onSubmit = (submission) => answerOf(submission);
    await advanceUntil(here, 1_000, "all sent", async () => (await waiting(here)) === 0);
    const good = here.delivered.filter(({ outcome }) => outcome === "sent");
    assert.equal(good.length, 18);
    await until("told", () => here.told.length > 0);
    assert.deepEqual(
      here.told.map(([event, fields]) => [event, fields?.["sent"]]),
      [["edge_outbox_empty", 18]],
    );
  });

  it("is tried at once when a caller found the cloud back", async (t) => {
    const here = await world(t);
    here.cloud.onSubmit = () => failureOf("unreachable");
    await queue(here, "iq_1", "det_a");
    here.drain.start();
    await until("tried", () => here.delivered.length === 1);
    await queue(here, "iq_2", "det_b");
    here.drain.wake();
    await delay(20);
    assert.equal(here.cloud.came.length, 1, "the cloud is away");
    here.cloud.onSubmit = (submission) => answerOf(submission);
    here.cloud.setHealth("reachable");
    await until("sent", () => ids(here.cloud).includes("iq_2"));
  });

  it("for good is given up with its reason, and what comes behind it is sent", async (t) => {
    const here = await world(t);
    const answers: Readonly<Record<string, CloudFailure>> = {
      iq_400: failureOf("refused", 400),
      iq_403: failureOf("unauthorized", 403),
      iq_404: failureOf("refused", 404),
    };
    here.cloud.onSubmit = (submission) => answers[submission.imageQueryId] ?? answerOf(submission);
    here.cloud.onLabel = () => failureOf("refused", 404);
    for (const id of Object.keys(answers)) await queue(here, id, "det_a");
    await queueLabel(here, "lb_1", "det_a", "iq_404");
    await here.store.outbox.enqueue({ id: "x_1", detectorId: "det_a", kind: "smoke signal", payload: "{}" });
    for (const [at, payload] of ["{", "3", "{}", "null"].entries())
      await here.store.outbox.enqueue({ id: `bad_${at}`, detectorId: "det_a", kind: "query", payload });
    await here.store.outbox.enqueue({
      id: "no_picture",
      detectorId: "det_a",
      kind: "query",
      payload: JSON.stringify({ detectorId: "det_a", imageQueryId: "iq_p" }),
    });
    await queue(here, "iq_good", "det_a");
    here.drain.start();
    await until("the last is sent", async () => (await waiting(here)) === 0);
    assert.equal(ids(here.cloud).at(-1), "iq_good");
    const reasons = Object.fromEntries((await rejected(here)).map(({ id, reason }) => [id, reason]));
    assert.equal(Object.keys(reasons).length, 10);
    assert.match(reasons["iq_400"] ?? "", /refused 400/);
    assert.match(reasons["iq_403"] ?? "", /403/);
    assert.match(reasons["lb_1"] ?? "", /404/);
    assert.match(reasons["x_1"] ?? "", /smoke signal/);
    assert.match(reasons["bad_0"] ?? "", /cannot be read/);
    assert.match(reasons["no_picture"] ?? "", /picture/);
  });

  it("for a picture that is gone from the disk is given up", async (t) => {
    const here = await world(t);
    await queue(here, "iq_1", "det_a");
    await queue(here, "iq_2", "det_a");
    const pictures = path.join(here.folder, "pictures");
    const files = readdirSync(pictures, { recursive: true, withFileTypes: true }).filter((each) =>
      each.isFile(),
    );
    const file = files.find(({ name }) => name.includes("iq_1"));
    assert.ok(file !== undefined, files.map(({ name }) => name).join());
    writeFileSync(path.join(file.parentPath, file.name), "");
    here.drain.start();
    await until("done", async () => (await waiting(here)) === 0);
    assert.deepEqual(ids(here.cloud), ["iq_2"]);
    assert.match((await rejected(here))[0]?.reason ?? "", /picture is missing/);
  });

  it("for a token that is not accepted waits for another one, and a week at most", async (t) => {
    const here = await world(t);
    here.cloud.onSubmit = () => failureOf("unauthorized", 401);
    await queue(here, "iq_1", "det_a");
    here.drain.start();
    await until("tried", () => here.delivered.length === 1);
    assert.equal(here.delivered[0]?.outcome, "postponed");
    here.clock.advance(8 * 86_400_000);
    await advanceUntil(here, 1_000, "given up", () => here.delivered.length === 2);
    assert.match((await rejected(here))[0]?.reason ?? "", /for too long: unauthorized 401/);
  });
});

describe("the cloud's answer", () => {
  it("becomes the query's, stands beside an audit's, gives way to a person's; and is compared", async (t) => {
    const here = await world(t);
    await queue(here, "iq_unsure", "det_a");
    await queue(here, "iq_audit", "det_a", { reason: "audit" });
    await queue(here, "iq_label", "det_a", { label: "NO" });
    here.drain.start();
    await until("sent", async () => (await waiting(here)) === 0);
    const unsure = await recordOf(here, "iq_unsure");
    assert.deepEqual([unsure.query.result?.source, unsure.query.doneProcessing], ["CLOUD", true]);
    assert.equal(unsure.cloud?.source, "CLOUD");
    const audit = await recordOf(here, "iq_audit");
    assert.deepEqual([audit.query.result?.source, audit.cloud?.source], ["ALGORITHM", "CLOUD"]);
    const labelled = await recordOf(here, "iq_label");
    assert.deepEqual([labelled.query.result?.source, labelled.cloud?.source], ["USER", "CLOUD"]);
    assert.deepEqual(
      here.compared.map(({ queryId, kind, agreed, edge, cloud }) => [
        queryId,
        kind,
        agreed,
        edge.rawConfidence,
        cloud.confidence,
      ]),
      [
        ["iq_unsure", "escalation", false, 0.7, 0.97],
        ["iq_audit", "audit", false, 0.7, 0.97],
        ["iq_label", "escalation", false, 0.7, 0.97],
      ],
    );
  });

  it("that comes later is fetched a few times", async (t) => {
    const here = await world(t);
    here.cloud.onSubmit = (submission) =>
      answerOf(submission, { mode: "BINARY", label: "UNCLEAR" }, "STILL_PROCESSING");
    await queue(here, "iq_1", "det_a");
    await queue(here, "iq_2", "det_a");
    here.drain.start();
    await until("sent", async () => (await waiting(here)) === 0 && here.drain.expected === 2);
    assert.equal((await recordOf(here, "iq_1")).query.result?.source, "ALGORITHM", "no answer is none");
    here.cloud.onAsk = (id) =>
      id === "iq_1"
        ? answerOf({ imageQueryId: id, detectorId: "det_a" }, { mode: "BINARY", label: "NO" })
        : failureOf("unreachable");
    here.clock.advance(2_000);
    await advanceUntil(here, 30_000, "given up", () => here.drain.expected === 0);
    await until("learnt", async () => (await recordOf(here, "iq_1")).query.result?.source === "CLOUD");
    assert.deepEqual(
      here.compared.map(({ queryId, agreed }) => [queryId, agreed]),
      [["iq_1", true]],
    );
    assert.equal(here.cloud.asked.filter((id) => id === "iq_2").length, 4);
    assert.equal(here.drain.expected, 0);
  });
});

describe("an end", () => {
  it("gives back what is on its way, uncounted, and a new start sends it", async (t) => {
    const here = await world(t);
    here.cloud.onSubmit = () => new Promise(() => {});
    await queue(here, "iq_1", "det_a");
    await queue(here, "iq_2", "det_b");
    here.drain.start();
    await until("on their way", () => here.cloud.open === 2);
    await here.drain.close();
    await here.drain.close();
    assert.equal(here.drain.inFlight, 0);
    assert.deepEqual(here.delivered, []);
    const claim = await here.store.outbox.claim(4);
    assert.ok(!isFailure(claim));
    assert.deepEqual(
      claim.items.map(({ id, attempts }) => [id, attempts]),
      [
        ["iq_1", 0],
        ["iq_2", 0],
      ],
    );
    here.drain.wake();
    await delay(10);
    assert.equal(here.cloud.came.length, 2);
  });

  it("of the store for a while holds a detector back, and loses and repeats nothing", async (t) => {
    const here = await world(t);
    const { outbox } = here.store;
    let broken = 3;
    const acknowledge = outbox.acknowledge.bind(outbox);
    const claim = outbox.claim.bind(outbox);
    outbox.acknowledge = (id, query) =>
      broken-- > 0 ? Promise.resolve(failure("storage_unavailable")) : acknowledge(id, query);
    await queue(here, "iq_1", "det_a");
    await queue(here, "iq_2", "det_a");
    here.drain.start();
    await advanceUntil(here, 1_000, "sent", async () => (await waiting(here)) === 0);
    assert.deepEqual(ids(here.cloud), ["iq_1", "iq_2"]);
    assert.equal(await waiting(here), 0);
    let unclaimable = 2;
    outbox.claim = (limit) =>
      unclaimable-- > 0 ? Promise.resolve(failure("storage_unavailable")) : claim(limit);
    await queue(here, "iq_3", "det_a");
    here.drain.wake();
    await advanceUntil(here, 1_000, "sent", async () => (await waiting(here)) === 0);
    assert.equal(ids(here.cloud).at(-1), "iq_3");
  });
});
