/** Escalations through an hour without the cloud, kill -9 and copies of the folder: none is lost, each is one query at the cloud. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { it } from "node:test";
import { runOutboxTrial } from "../harness/outbox-trial.ts";

it(
  "loses no escalation, and makes no second query of one, over an outage, kills and cut answers",
  { timeout: 150_000 },
  async (test) => {
    const folder = mkdtempSync(path.join(tmpdir(), "spo-"));
    test.after(() => rmSync(folder, { recursive: true, force: true }));
    const outcome = await runOutboxTrial({
      folder,
      escalations: 400,
      detectors: 8,
      pictureBytes: 2_000,
      outageMs: 3_600_000,
      factor: 900,
      kills: 5,
      copies: 6,
      cutShare: 0.05,
      seed: 5,
      log: (line) => test.diagnostic(line),
    });
    test.diagnostic(JSON.stringify(outcome));
    const { promised, lost, left, twice, outOfOrder, lostInCopies, kills, copies } = outcome;
    assert.deepEqual(
      { promised, lost, left, twice, outOfOrder, lostInCopies, kills, copies },
      { promised: 440, lost: 0, left: 0, twice: 0, outOfOrder: 0, lostInCopies: 0, kills: 5, copies: 6 },
    );
    // Four at once before each kill, and one for every cut answer.
    assert.ok(outcome.repetitions <= 5 * 4 + 0.05 * 440 * 3, `${outcome.repetitions} repetitions`);
    // Pauses of 30 s, give and take a fifth, begun anew by each start; a request that is cut is made once more.
    const most = (outcome.awayMs / 24_000) * 2 + kills * 20;
    assert.ok(outcome.attemptsInOutage <= most, `${outcome.attemptsInOutage} attempts of at most ${most}`);
  },
);
