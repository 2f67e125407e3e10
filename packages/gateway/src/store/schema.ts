/** The tables, as a list of steps from an empty database to the present one. */
import type { DatabaseSync } from "node:sqlite";

/** Step `n` takes a database of `user_version` n to n + 1. Steps are never changed once they were released. */
export const migrations: readonly string[] = [
  `
  CREATE TABLE detectors (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE queries (id TEXT PRIMARY KEY, detector_id TEXT NOT NULL, created_at INTEGER NOT NULL, record TEXT NOT NULL) STRICT;
  CREATE INDEX queries_by_time ON queries (created_at);
  CREATE INDEX queries_by_detector ON queries (detector_id, created_at);
  CREATE TABLE labels (id TEXT PRIMARY KEY, query_id TEXT NOT NULL, created_at INTEGER NOT NULL, record TEXT NOT NULL) STRICT;
  CREATE INDEX labels_by_query ON labels (query_id);
  CREATE INDEX labels_by_time ON labels (created_at);
  CREATE TABLE pictures (
    query_id TEXT PRIMARY KEY, seq INTEGER NOT NULL, kept INTEGER NOT NULL, bytes INTEGER NOT NULL, crc INTEGER NOT NULL,
    media_type TEXT NOT NULL) STRICT;
  CREATE INDEX pictures_by_age ON pictures (kept, seq);
  CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, detector_id TEXT NOT NULL, kind TEXT NOT NULL,
    payload TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, not_before INTEGER NOT NULL DEFAULT 0,
    enqueued_at INTEGER NOT NULL, bytes INTEGER NOT NULL, has_picture INTEGER NOT NULL) STRICT;
  CREATE INDEX outbox_by_detector ON outbox (detector_id, seq);
  CREATE TABLE rejected (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, detector_id TEXT NOT NULL, kind TEXT NOT NULL,
    payload TEXT NOT NULL, reason TEXT NOT NULL, attempts INTEGER NOT NULL, rejected_at INTEGER NOT NULL) STRICT;
  CREATE TABLE settled (id TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE INDEX settled_by_time ON settled (at);
  CREATE TABLE spending (
    detector_id TEXT NOT NULL, period TEXT NOT NULL, escalations INTEGER NOT NULL, last_at INTEGER NOT NULL,
    PRIMARY KEY (detector_id, period)) STRICT, WITHOUT ROWID;
  CREATE TABLE activity (
    hour INTEGER NOT NULL, detector_id TEXT NOT NULL, name TEXT NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (hour, detector_id, name)) STRICT, WITHOUT ROWID;
  `,
  `
  CREATE TABLE calibration_strata (
    detector_id TEXT NOT NULL, model TEXT NOT NULL, kind TEXT NOT NULL, answers REAL NOT NULL, last_seq INTEGER NOT NULL,
    at INTEGER NOT NULL, PRIMARY KEY (detector_id, model, kind)) STRICT, WITHOUT ROWID;
  CREATE TABLE calibration_pairs (
    detector_id TEXT NOT NULL, model TEXT NOT NULL, kind TEXT NOT NULL, seq INTEGER NOT NULL, confidence REAL NOT NULL,
    agreed INTEGER NOT NULL, weight REAL NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (detector_id, model, kind, seq)) STRICT, WITHOUT ROWID;
  CREATE TABLE calibrations (
    detector_id TEXT NOT NULL, model TEXT NOT NULL, fitted_at INTEGER NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (detector_id, model)) STRICT, WITHOUT ROWID;
  CREATE INDEX calibrations_by_time ON calibrations (fitted_at);
  `,
];

/** The tables a damaged database is read for, with what was promised first. */
export const salvagedTables = [
  "outbox",
  "rejected",
  "settled",
  "labels",
  "spending",
  "detectors",
  "pictures",
  "queries",
  "activity",
  "calibrations",
  "calibration_strata",
  "calibration_pairs",
] as const;

/** The version of a database; 0 for an empty one. */
export function versionOf(db: DatabaseSync): number {
  return Number(db.prepare("PRAGMA user_version").get()?.["user_version"]);
}

/** Brings a database to the version of `steps`, each step in a transaction of its own. */
export function migrate(db: DatabaseSync, steps: readonly string[] = migrations): void {
  for (let version = versionOf(db); version < steps.length; version += 1)
    db.exec(`BEGIN IMMEDIATE; ${steps[version] ?? ""} PRAGMA user_version = ${version + 1}; COMMIT;`);
}
