import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import type { ComparedAnswers, ComparedKind, ComparedPage, EdgeStore } from "../contracts/edge-store.ts";
import { isFailure, type Failure } from "../core/errors.ts";
import { createManualClock, type ManualClock } from "../testing.ts";
import type { StoreLimits } from "./limits.ts";
import { openEdgeStore } from "./open-edge-store.ts";

const silent = { error() {}, warn() {}, info() {}, debug() {} };

function newFolder(test: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), "spc-"));
  test.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function open(
  test: TestContext,
  folder: string,
  limits: Partial<StoreLimits> = {},
): Promise<{ store: EdgeStore; clock: ManualClock }> {
  const clock = createManualClock();
  const store = await openEdgeStore({ folder, clock, log: silent, limits });
  if (isFailure(store)) assert.fail(store.message);
  test.after(() => store.close());
  return { store, clock };
}

async function good<Value>(answer: Promise<Value | Failure>): Promise<Value> {
  const value = await answer;
  if (typeof value === "object" && value !== null && isFailure(value)) assert.fail(value.message);
  return value;
}

function compared(
  model: string,
  kind: ComparedKind,
  confidences: readonly number[],
  at = Date.UTC(2026, 0, 1),
): ComparedAnswers {
  return {
    detectorId: "det_a",
    model,
    at,
    pairs: confidences.map((confidence) => ({ kind, confidence, agreed: confidence > 0.5, weight: 2 })),
    answers: { escalation: 10, audit: 100 },
  };
}

function page(store: EdgeStore, model: string, kind: ComparedKind, before?: number): Promise<ComparedPage> {
  return good(store.calibrations.pairs({ detectorId: "det_a", model, kind, before }));
}

describe("comparisons", () => {
  it("are there after a restart, newest first, each model and kind by itself", async (test) => {
    const folder = newFolder(test);
    const first = await open(test, folder);
    first.store.calibrations.keepPairs(compared("m@1", "audit", [0.1, 0.9]));
    first.store.calibrations.keepPairs(compared("m@1", "audit", [0.7]));
    first.store.calibrations.keepPairs(compared("m@2", "escalation", [0.3]));
    await first.store.close();
    const { store } = await open(test, folder);
    const audits = await page(store, "m@1", "audit");
    assert.deepEqual([...audits.confidence], [0.7, 0.9, 0.1]);
    assert.deepEqual([...audits.agreed], [1, 1, 0]);
    assert.deepEqual([...audits.weight], [2, 2, 2]);
    assert.deepEqual([audits.next, audits.answers], [undefined, 200]);
    const none = await page(store, "m@1", "escalation");
    assert.deepEqual([none.confidence.length, none.answers], [0, 20]);
    assert.deepEqual([...(await page(store, "m@2", "escalation")).confidence], [0.3]);
    assert.deepEqual((await page(store, "m@3", "audit")).answers, 0);
  });

  it("come in pages, and the oldest of a kind make room", async (test) => {
    const { store } = await open(test, newFolder(test), { maxPairsOfKind: 5000 });
    const confidences = Array.from({ length: 6000 }, (_, place) => place / 6000);
    store.calibrations.keepPairs(compared("m@1", "audit", confidences));
    const newest = await page(store, "m@1", "audit");
    assert.equal(newest.confidence.length, 4096);
    assert.equal(newest.confidence[0], 5999 / 6000);
    const rest = await page(store, "m@1", "audit", newest.next);
    assert.deepEqual([rest.confidence.length, rest.next], [5000 - 4096, undefined]);
    assert.equal(rest.confidence.at(-1), 1000 / 6000);
  });

  it("of models that got none for longest go first", async (test) => {
    const { store, clock } = await open(test, newFolder(test), { maxPairs: 20 });
    const many = Array.from({ length: 15 }, (_, place) => place / 15);
    store.calibrations.keepPairs(compared("old@1", "audit", many, clock.wallNow()));
    clock.advance(1000);
    store.calibrations.keepPairs(compared("new@1", "audit", many, clock.wallNow()));
    for (let minute = 0; minute < 4; minute += 1) {
      await page(store, "new@1", "audit");
      clock.advance(61_000);
      store.calibrations.keepPairs(compared("new@1", "audit", [], clock.wallNow()));
    }
    assert.equal((await page(store, "new@1", "audit")).confidence.length, 15);
    const old = await page(store, "old@1", "audit");
    assert.deepEqual([old.confidence.length, old.answers], [0, 0]);
  });
});

describe("calibrations", () => {
  it("are kept by detector and model, the newest of each detector", async (test) => {
    const folder = newFolder(test);
    const first = await open(test, folder);
    for (let version = 1; version <= 10; version += 1)
      await good(
        first.store.calibrations.keep({
          detectorId: "det_a",
          model: `m@${version}`,
          fittedAt: version,
          record: "{}",
        }),
      );
    await good(
      first.store.calibrations.keep({ detectorId: "det_a", model: "m@5", fittedAt: 20, record: '"new"' }),
    );
    await good(
      first.store.calibrations.keep({ detectorId: "det_b", model: "m@1", fittedAt: 0, record: "{}" }),
    );
    await first.store.close();
    const { store } = await open(test, folder);
    const all = await good(store.calibrations.all());
    assert.deepEqual(
      all.map(({ detectorId, model }) => `${detectorId} ${model}`),
      ["m@5", "m@10", "m@9", "m@8", "m@7", "m@6", "m@4", "m@3"]
        .map((model) => `det_a ${model}`)
        .concat("det_b m@1"),
    );
    assert.equal(all[0]?.record, '"new"');
  });
});
