/** Comparisons of edge and cloud, and the calibrations made from them. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type {
  ComparedAnswers,
  ComparedListing,
  ComparedPage,
  StoredCalibration,
} from "../contracts/edge-store.ts";
import type { StoreLimits } from "./limits.ts";

const pageRows = 4_096;
const kinds = ["escalation", "audit"] as const;

/** Models of one detector whose calibrations are kept: for going back to an earlier one. */
const maxModels = 8;
const maxCalibrations = 2_000;

/** The tables of calibration. */
export class CalibrationTables {
  readonly #limits: StoreLimits;
  readonly #statements: ReturnType<typeof prepare>;

  constructor(db: DatabaseSync, limits: StoreLimits) {
    this.#limits = limits;
    this.#statements = prepare(db);
  }

  /** Adds comparisons; the oldest of their model and kind make room. */
  putPairs({ detectorId, model, at, pairs, answers }: ComparedAnswers): void {
    const { addAnswers, nextSeq, putPair, dropPairs } = this.#statements;
    for (const kind of kinds) addAnswers.run(detectorId, model, kind, answers[kind], Math.trunc(at));
    for (const { kind, confidence, agreed, weight } of pairs) {
      const seq = Number(nextSeq.get(detectorId, model, kind)?.["last_seq"]);
      putPair.run(detectorId, model, kind, seq, confidence, agreed ? 1 : 0, weight, Math.trunc(at));
      dropPairs.run(detectorId, model, kind, seq - this.#limits.maxPairsOfKind);
    }
  }

  /** A page of comparisons, newest first. */
  pairs({ detectorId, model, kind, before, since }: ComparedListing): ComparedPage {
    const { stratum, page } = this.#statements;
    const answers = Number(stratum.get(detectorId, model, kind)?.["answers"] ?? 0);
    const rows = page.all(detectorId, model, kind, before ?? Number.MAX_SAFE_INTEGER, since ?? 0, pageRows);
    return {
      confidence: Float64Array.from(rows, (row) => Number(row["confidence"])),
      agreed: Uint8Array.from(rows, (row) => Number(row["agreed"])),
      weight: Float64Array.from(rows, (row) => Number(row["weight"])),
      next: rows.length < pageRows ? undefined : Number(rows.at(-1)?.["seq"]),
      answers,
    };
  }

  /** Adds or replaces a calibration; the detector's oldest make room. */
  putCalibration({ detectorId, model, fittedAt, record }: StoredCalibration): void {
    this.#statements.putCalibration.run(detectorId, model, Math.trunc(fittedAt), record);
    this.#statements.dropModels.run(detectorId, detectorId, maxModels);
    this.#statements.dropCalibrations.run(maxCalibrations);
  }

  /** All calibrations, newest first. */
  calibrations(): StoredCalibration[] {
    return this.#statements.calibrations.all(maxCalibrations).map((row) => ({
      detectorId: String(row["detector_id"]),
      model: String(row["model"]),
      fittedAt: Number(row["fitted_at"]),
      record: String(row["record"]),
    }));
  }

  /** Drops comparisons of models that got none for long, a bounded number of rows. */
  prune(now: number): void {
    const { maxPairs, maxPairsOfKind, maxActivityAgeMs } = this.#limits;
    const { countPairs, oldest, dropSome, dropStratum } = this.#statements;
    const total = Number(countPairs.get(maxPairsOfKind)?.["total"] ?? 0);
    const old = oldest.get();
    if (old === undefined) return;
    if (total <= maxPairs && Number(old["at"]) >= now - maxActivityAgeMs) return;
    const key = [String(old["detector_id"]), String(old["model"]), String(old["kind"])] as const;
    if (Number(dropSome.run(...key, ...key, pageRows).changes) < pageRows) dropStratum.run(...key);
  }
}

const ofKind = "detector_id = ? AND model = ? AND kind = ?";

const statements = {
  addAnswers:
    "INSERT INTO calibration_strata VALUES (?, ?, ?, ?, 0, ?) ON CONFLICT DO UPDATE SET " +
    "answers = answers + excluded.answers, at = max(at, excluded.at)",
  nextSeq: `UPDATE calibration_strata SET last_seq = last_seq + 1 WHERE ${ofKind} RETURNING last_seq`,
  stratum: `SELECT answers FROM calibration_strata WHERE ${ofKind}`,
  putPair: "INSERT OR REPLACE INTO calibration_pairs VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
  dropPairs: `DELETE FROM calibration_pairs WHERE ${ofKind} AND seq <= ?`,
  page: `SELECT * FROM calibration_pairs WHERE ${ofKind} AND seq < ? AND at >= ? ORDER BY seq DESC LIMIT ?`,
  putCalibration: "INSERT OR REPLACE INTO calibrations VALUES (?, ?, ?, ?)",
  dropModels:
    "DELETE FROM calibrations WHERE detector_id = ? AND model IN " +
    "(SELECT model FROM calibrations WHERE detector_id = ? ORDER BY fitted_at DESC LIMIT -1 OFFSET ?)",
  dropCalibrations:
    "DELETE FROM calibrations WHERE (detector_id, model) IN " +
    "(SELECT detector_id, model FROM calibrations ORDER BY fitted_at DESC LIMIT -1 OFFSET ?)",
  calibrations: "SELECT * FROM calibrations ORDER BY fitted_at DESC LIMIT ?",
  countPairs: "SELECT sum(min(last_seq, ?)) AS total FROM calibration_strata",
  oldest: "SELECT * FROM calibration_strata ORDER BY at LIMIT 1",
  dropSome: `DELETE FROM calibration_pairs WHERE ${ofKind} AND seq IN (SELECT seq FROM calibration_pairs WHERE ${ofKind} ORDER BY seq LIMIT ?)`,
  dropStratum: `DELETE FROM calibration_strata WHERE ${ofKind}`,
} as const;

function prepare(db: DatabaseSync): Record<keyof typeof statements, StatementSync> {
  const entries = Object.entries(statements).map(([name, sql]) => [name, db.prepare(sql)] as const);
  return Object.fromEntries(entries) as Record<keyof typeof statements, StatementSync>;
}
