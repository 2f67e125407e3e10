/** Detectors, queries, labels, spending and activity: small records with bounds by count and age. */
import type { DatabaseSync, SQLOutputValue, StatementSync } from "node:sqlite";
import type {
  Activity,
  QueryListing,
  QueryPage,
  Spending,
  StoredDetector,
  StoredLabel,
  StoredQuery,
} from "../contracts/edge-store.ts";
import { failure, type Failure } from "../core/errors.ts";
import type { StoreLimits } from "./limits.ts";

type Row = Record<string, SQLOutputValue>;

/** What is added to counters of a detector. */
export interface AddedCounts {
  readonly detectorId: string;
  readonly added: Readonly<Record<string, number>>;
  /** Hours since the Unix epoch; undefined: the current one. */
  readonly hour: number | undefined;
}

/** Rows that one commit prunes at most, so that it stays short. */
const pruneRows = 512;

const hour = 3_600_000;
const maxActivityRows = 50_000;
const maxListed = 1_000;

/** The tables of records. */
export class RecordTables {
  readonly #limits: StoreLimits;
  readonly #statements: ReturnType<typeof prepare>;
  #queries = 0;

  constructor(db: DatabaseSync, limits: StoreLimits) {
    this.#limits = limits;
    this.#statements = prepare(db);
    this.recount();
  }

  /** Takes counts from the rows: at the start and after a commit that failed. */
  recount(): void {
    this.#queries = Number(this.#statements.countQueries.get()?.["total"]);
  }

  /** Adds or replaces a detector; `queue_full` beyond the bound. */
  putDetector({ id, record }: StoredDetector): Failure | undefined {
    const known = this.#statements.hasDetector.get(id) !== undefined;
    const total = Number(this.#statements.countDetectors.get()?.["total"]);
    if (!known && total >= this.#limits.maxDetectors)
      return failure("queue_full", `${total} detectors are kept, which is the most`);
    this.#statements.putDetector.run(id, record);
    return undefined;
  }

  /** Forgets a detector. */
  deleteDetector(id: string): void {
    this.#statements.deleteDetector.run(id);
  }

  /** All detectors. */
  detectors(): StoredDetector[] {
    return this.#statements.detectors
      .all()
      .map((row) => ({ id: String(row["id"]), record: String(row["record"]) }));
  }

  /** Adds or replaces an image query. */
  putQuery({ id, detectorId, createdAt, record }: StoredQuery): void {
    if (this.#statements.query.get(id) === undefined) this.#queries += 1;
    this.#statements.putQuery.run(id, detectorId, Math.trunc(createdAt), record);
  }

  /** An image query. */
  query(id: string): StoredQuery | undefined {
    const row = this.#statements.query.get(id);
    return row && queryOf(row);
  }

  /** A page of image queries, newest first. */
  queries({ detectorId, offset, limit }: QueryListing): QueryPage {
    const range = [Math.min(limit, maxListed), offset] as const;
    const { page, pageOf, countOf } = this.#statements;
    const rows = detectorId === undefined ? page.all(...range) : pageOf.all(detectorId, ...range);
    const total = detectorId === undefined ? this.#queries : Number(countOf.get(detectorId)?.["total"]);
    return { queries: rows.map(queryOf), total };
  }

  /** Ids of queries that are too many or too old, a bounded number of them, their rows deleted. */
  pruneQueries(now: number): string[] {
    const excess = Math.min(Math.max(0, this.#queries - this.#limits.maxQueries), pruneRows);
    const ids = [
      ...this.#statements.oldQueries.all(Math.trunc(now - this.#limits.maxAgeMs), pruneRows),
      ...this.#statements.oldestQueries.all(excess),
    ].map((row) => String(row["id"]));
    for (const id of ids) this.#queries -= Number(this.#statements.deleteQuery.run(id).changes);
    return ids;
  }

  /** Drops what is too old or too many in the other tables, a bounded number of rows each. */
  pruneOthers(now: number): void {
    const { maxAgeMs, maxLabels, maxActivityAgeMs } = this.#limits;
    this.#statements.oldLabels.run(Math.trunc(now - maxAgeMs), pruneRows);
    this.#statements.excessLabels.run(maxLabels);
    this.#statements.oldSettled.run(Math.trunc(now - maxAgeMs), pruneRows);
    this.#statements.oldSpending.run(Math.trunc(now - maxActivityAgeMs));
    this.#statements.oldActivity.run(Math.trunc((now - maxActivityAgeMs) / hour));
  }

  /** Adds or replaces a label. */
  putLabel({ id, queryId, createdAt, record }: StoredLabel): void {
    this.#statements.putLabel.run(id, queryId, Math.trunc(createdAt), record);
  }

  /** Labels of a query, oldest first. */
  labels(queryId: string): StoredLabel[] {
    return this.#statements.labels.all(queryId, maxListed).map((row) => ({
      id: String(row["id"]),
      queryId: String(row["query_id"]),
      createdAt: Number(row["created_at"]),
      record: String(row["record"]),
    }));
  }

  /** Adds to a budget's counter. */
  spend({ detectorId, period, escalations, lastAt }: Spending): void {
    this.#statements.spend.run(detectorId, period, escalations, Math.trunc(lastAt));
  }

  /** All counters of budgets. */
  spending(): Spending[] {
    return this.#statements.spending.all().map((row) => ({
      detectorId: String(row["detector_id"]),
      period: String(row["period"]),
      escalations: Number(row["escalations"]),
      lastAt: Number(row["last_at"]),
    }));
  }

  /** Adds to counters of an hour. */
  count({ detectorId, added, hour: given }: AddedCounts, now: number): void {
    const current = Math.trunc(given ?? now / hour);
    for (const [name, value] of Object.entries(added))
      this.#statements.count.run(current, detectorId, name, value);
  }

  /** Counters of hours. */
  activity(fromHour: number, toHour: number): Activity[] {
    return this.#statements.activity.all(fromHour, toHour, maxActivityRows).map((row) => ({
      detectorId: String(row["detector_id"]),
      hour: Number(row["hour"]),
      name: String(row["name"]),
      value: Number(row["value"]),
    }));
  }
}

function queryOf(row: Row): StoredQuery {
  return {
    id: String(row["id"]),
    detectorId: String(row["detector_id"]),
    createdAt: Number(row["created_at"]),
    record: String(row["record"]),
  };
}

const statements = {
  putDetector: "INSERT OR REPLACE INTO detectors VALUES (?, ?)",
  hasDetector: "SELECT 1 FROM detectors WHERE id = ?",
  countDetectors: "SELECT count(*) AS total FROM detectors",
  deleteDetector: "DELETE FROM detectors WHERE id = ?",
  detectors: "SELECT * FROM detectors",
  putQuery: "INSERT OR REPLACE INTO queries VALUES (?, ?, ?, ?)",
  query: "SELECT * FROM queries WHERE id = ?",
  countQueries: "SELECT count(*) AS total FROM queries",
  countOf: "SELECT count(*) AS total FROM queries WHERE detector_id = ?",
  page: "SELECT * FROM queries ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?",
  pageOf: "SELECT * FROM queries WHERE detector_id = ? ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?",
  oldQueries: "SELECT id FROM queries WHERE created_at < ? ORDER BY created_at LIMIT ?",
  oldestQueries: "SELECT id FROM queries ORDER BY created_at LIMIT ?",
  deleteQuery: "DELETE FROM queries WHERE id = ?",
  putLabel: "INSERT OR REPLACE INTO labels VALUES (?, ?, ?, ?)",
  labels: "SELECT * FROM labels WHERE query_id = ? ORDER BY created_at LIMIT ?",
  oldLabels:
    "DELETE FROM labels WHERE id IN (SELECT id FROM labels WHERE created_at < ? ORDER BY created_at LIMIT ?)",
  excessLabels:
    "DELETE FROM labels WHERE id IN (SELECT id FROM labels ORDER BY created_at DESC LIMIT 512 OFFSET ?)",
  oldSettled: "DELETE FROM settled WHERE id IN (SELECT id FROM settled WHERE at < ? ORDER BY at LIMIT ?)",
  spend:
    "INSERT INTO spending VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET " +
    "escalations = escalations + excluded.escalations, last_at = max(last_at, excluded.last_at)",
  spending: "SELECT * FROM spending",
  oldSpending: "DELETE FROM spending WHERE last_at < ?",
  count: "INSERT INTO activity VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value",
  activity: "SELECT * FROM activity WHERE hour BETWEEN ? AND ? ORDER BY hour LIMIT ?",
  oldActivity: "DELETE FROM activity WHERE hour < ?",
} as const;

function prepare(db: DatabaseSync): Record<keyof typeof statements, StatementSync> {
  const entries = Object.entries(statements).map(([name, sql]) => [name, db.prepare(sql)] as const);
  return Object.fromEntries(entries) as Record<keyof typeof statements, StatementSync>;
}
