/** The outbox: order for each detector, turns over detectors, what is claimed. */
import type { DatabaseSync, SQLOutputValue, StatementSync } from "node:sqlite";
import type {
  Claim,
  ClaimedEscalation,
  Escalation,
  OutboxState,
  RejectedEscalation,
  StoredPicture,
} from "../contracts/edge-store.ts";
import { failure, type Failure } from "../core/errors.ts";
import type { StoreLimits } from "./limits.ts";

type Row = Record<string, SQLOutputValue>;

/** What a row costs beside its payload and picture. */
const rowBytes = 512;

/** Rows of the tables `outbox`, `rejected` and `settled`. */
export class OutboxTable {
  readonly #limits: StoreLimits;
  readonly #statements: ReturnType<typeof prepare>;
  /** Ids that are out; forgotten with the process, so that they are sent again. At most one a detector. */
  readonly #claimed = new Map<string, string>();
  /** The detector that had its turn last. */
  #turn = "";
  #bytes = 0;
  #waiting = 0;

  constructor(db: DatabaseSync, limits: StoreLimits) {
    this.#limits = limits;
    this.#statements = prepare(db);
    this.recount();
  }

  /** Takes the sums from the rows: at the start and after a commit that failed. */
  recount(): void {
    const row = this.#statements.sum.get();
    this.#bytes = Number(row?.["bytes"]);
    this.#waiting = Number(row?.["waiting"]);
  }

  /** Where an id stands. */
  find(id: string): "already_queued" | "settled" | undefined {
    if (this.#statements.byId.get(id) !== undefined) return "already_queued";
    return this.#statements.settledById.get(id) === undefined ? undefined : "settled";
  }

  /** Why there is no room for so many more bytes, undefined where there is. */
  refusal(bytes: number): Failure | undefined {
    if (this.#bytes + bytes <= this.#limits.maxOutboxBytes) return undefined;
    const { maxOutboxBytes } = this.#limits;
    return failure(
      "queue_full",
      `The escalation outbox is full: ${this.#waiting} escalations of ${Math.round(this.#bytes / 1e6)} MB wait for the cloud, ` +
        `of at most ${Math.round(maxOutboxBytes / 1e6)} MB`,
      30_000,
    );
  }

  /** Adds an escalation whose id is not known. */
  add(escalation: Escalation, pictureBytes: number | undefined, now: number): void {
    const { id, detectorId, kind, payload } = escalation;
    const bytes = escalationBytes(escalation, pictureBytes);
    this.#statements.insert.run(
      id,
      detectorId,
      kind,
      payload,
      now,
      bytes,
      pictureBytes === undefined ? 0 : 1,
    );
    this.#bytes += bytes;
    this.#waiting += 1;
  }

  /** See `EscalationOutbox.claim`. */
  claim(limit: number, now: number, read: (id: string) => StoredPicture | undefined): Claim {
    const items: ClaimedEscalation[] = [];
    let nextAt = Infinity;
    const first = this.#nextDetector(this.#turn);
    for (let detector = first; detector !== undefined && items.length < limit;) {
      if (!this.#claimed.has(detector)) {
        const head = this.#statements.head.get(detector);
        const notBefore = Number(head?.["not_before"] ?? 0);
        if (head !== undefined && notBefore > now) nextAt = Math.min(nextAt, notBefore);
        else if (head !== undefined) items.push(this.#take(head, detector, read));
      }
      detector = this.#nextDetector(detector);
      if (detector === first) break;
    }
    return { items, nextAt: nextAt === Infinity ? undefined : nextAt };
  }

  #nextDetector(after: string): string | undefined {
    const row = this.#statements.nextDetector.get(after) ?? this.#statements.nextDetector.get("");
    return row === undefined ? undefined : String(row["detector_id"]);
  }

  #take(row: Row, detectorId: string, read: (id: string) => StoredPicture | undefined): ClaimedEscalation {
    const id = String(row["id"]);
    const picture = row["has_picture"] === 1 ? read(id) : undefined;
    this.#claimed.set(detectorId, id);
    this.#turn = detectorId;
    return {
      id,
      detectorId,
      kind: String(row["kind"]),
      payload: String(row["payload"]),
      attempts: Number(row["attempts"]),
      enqueuedAt: Number(row["enqueued_at"]),
      picture,
      pictureLost: row["has_picture"] === 1 && picture === undefined,
    };
  }

  /** Takes an escalation out; it is not taken in again. */
  settle(id: string, now: number): void {
    const row = this.#statements.byId.get(id);
    if (row === undefined) return;
    this.#statements.delete.run(id);
    this.#statements.settle.run(id, now);
    this.#bytes -= Number(row["bytes"]);
    this.#waiting -= 1;
  }

  /** Counts an attempt. The claim ends with `release`. */
  postpone(id: string, notBefore: number): void {
    this.#statements.postpone.run(notBefore, id);
  }

  /** Ends a claim. Done after the commit, so that a failed one leaves it claimed and nothing is sent twice at once. */
  release(id: string): void {
    for (const [detector, claimed] of this.#claimed) if (claimed === id) this.#claimed.delete(detector);
  }

  /** Moves an escalation to those given up, of which the oldest beyond the bound is dropped. */
  reject(id: string, reason: string, now: number): void {
    const row = this.#statements.byId.get(id);
    if (row === undefined) return;
    this.#statements.reject.run(reason.slice(0, 1_000), now, id);
    this.#statements.boundRejected.run(this.#limits.maxRejected);
    this.settle(id, now);
  }

  /** The last ones given up, newest first. */
  rejected(limit: number): RejectedEscalation[] {
    return this.#statements.rejected.all(Math.min(limit, this.#limits.maxRejected)).map((row) => ({
      id: String(row["id"]),
      detectorId: String(row["detector_id"]),
      kind: String(row["kind"]),
      payload: String(row["payload"]),
      reason: String(row["reason"]),
      attempts: Number(row["attempts"]),
      rejectedAt: Number(row["rejected_at"]),
    }));
  }

  /** Fill of the tables. */
  state(): OutboxState {
    const oldest = this.#statements.oldest.get()?.["enqueued_at"];
    return {
      waiting: this.#waiting,
      bytes: this.#bytes,
      rejected: Number(this.#statements.countRejected.get()?.["rejected"]),
      oldestAt: oldest === undefined ? undefined : Number(oldest),
    };
  }
}

/** Bytes an escalation takes of the outbox. */
export function escalationBytes({ payload }: Escalation, pictureBytes = 0): number {
  return rowBytes + Buffer.byteLength(payload) + pictureBytes;
}

function prepare(
  db: DatabaseSync,
): Record<
  | "sum"
  | "byId"
  | "settledById"
  | "insert"
  | "nextDetector"
  | "head"
  | "delete"
  | "settle"
  | "postpone"
  | "reject"
  | "boundRejected"
  | "rejected"
  | "countRejected"
  | "oldest",
  StatementSync
> {
  return {
    sum: db.prepare("SELECT coalesce(sum(bytes), 0) AS bytes, count(*) AS waiting FROM outbox"),
    byId: db.prepare("SELECT id, bytes FROM outbox WHERE id = ?"),
    settledById: db.prepare("SELECT 1 FROM settled WHERE id = ?"),
    insert: db.prepare(
      "INSERT INTO outbox (id, detector_id, kind, payload, enqueued_at, bytes, has_picture) VALUES (?, ?, ?, ?, ?, ?, ?)",
    ),
    nextDetector: db.prepare(
      "SELECT detector_id FROM outbox WHERE detector_id > ? ORDER BY detector_id LIMIT 1",
    ),
    head: db.prepare("SELECT * FROM outbox WHERE detector_id = ? ORDER BY seq LIMIT 1"),
    delete: db.prepare("DELETE FROM outbox WHERE id = ?"),
    settle: db.prepare("INSERT OR REPLACE INTO settled VALUES (?, ?)"),
    postpone: db.prepare("UPDATE outbox SET attempts = attempts + 1, not_before = ? WHERE id = ?"),
    reject: db.prepare(
      "INSERT INTO rejected (id, detector_id, kind, payload, reason, attempts, rejected_at) " +
        "SELECT id, detector_id, kind, payload, ?, attempts, ? FROM outbox WHERE id = ?",
    ),
    boundRejected: db.prepare(
      "DELETE FROM rejected WHERE seq <= (SELECT seq FROM rejected ORDER BY seq DESC LIMIT 1 OFFSET ?)",
    ),
    rejected: db.prepare("SELECT * FROM rejected ORDER BY seq DESC LIMIT ?"),
    countRejected: db.prepare("SELECT count(*) AS rejected FROM rejected"),
    oldest: db.prepare("SELECT enqueued_at FROM outbox ORDER BY seq LIMIT 1"),
  };
}
