/** Rows of pictures: promised ones and the ring of others. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { StoredPicture } from "../contracts/edge-store.ts";
import type { StoreLimits } from "./limits.ts";
import type { FileStamp, PictureFiles } from "./picture-files.ts";

/** Sums that bound the folder. */
interface Sums {
  kept: number;
  ring: number;
}

/** What a commit makes of files: they are deleted only after it. */
export interface FileChanges {
  /** Files that the group wrote. */
  readonly written: Map<string, FileStamp>;
  /** Files whose rows are gone once the group is committed. */
  readonly dropped: string[];
}

/** Rows of the table `pictures`. */
export class PictureTable {
  readonly #files: PictureFiles;
  readonly #limits: StoreLimits;
  readonly #put: StatementSync;
  readonly #get: StatementSync;
  readonly #delete: StatementSync;
  readonly #oldest: StatementSync;
  readonly #sum: StatementSync;
  #sums: Sums;
  #seq: number;

  constructor(db: DatabaseSync, files: PictureFiles, limits: StoreLimits) {
    this.#files = files;
    this.#limits = limits;
    this.#put = db.prepare("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?, ?, ?)");
    this.#get = db.prepare("SELECT * FROM pictures WHERE query_id = ?");
    this.#delete = db.prepare("DELETE FROM pictures WHERE query_id = ?");
    // What waits for the cloud is bounded by the outbox and never dropped here.
    this.#oldest = db.prepare(
      "SELECT query_id, bytes FROM pictures WHERE kept = ? AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.id = query_id) " +
        "ORDER BY seq LIMIT 64",
    );
    this.#sum = db.prepare(
      "SELECT coalesce(sum(bytes) FILTER (WHERE kept = 1), 0) AS kept, coalesce(sum(bytes) FILTER (WHERE kept = 0), 0) AS ring, " +
        "coalesce(max(seq), 0) AS seq FROM pictures",
    );
    this.#seq = 0;
    this.#sums = { kept: 0, ring: 0 };
    this.recount();
  }

  /** Takes the sums from the rows: at the start and after a commit that failed. */
  recount(): void {
    const row = this.#sum.get();
    this.#sums = { kept: Number(row?.["kept"]), ring: Number(row?.["ring"]) };
    this.#seq = Number(row?.["seq"]);
  }

  /** Bytes of the picture of a query; undefined where there is none. */
  bytesOf(queryId: string): number | undefined {
    const bytes = this.#get.get(queryId)?.["bytes"];
    return bytes === undefined ? undefined : Number(bytes);
  }

  /** The picture of a query, read and compared with what was written; undefined where it cannot be had. */
  read(queryId: string): StoredPicture | undefined {
    const row = this.#get.get(queryId);
    if (row === undefined) return undefined;
    const bytes = this.#files.read(queryId, { bytes: Number(row["bytes"]), crc: Number(row["crc"]) });
    return bytes && { bytes, mediaType: String(row["media_type"]) };
  }

  /** Adds the row of a file that was written, and drops the oldest beyond the bounds. */
  put(queryId: string, mediaType: string, kept: boolean, changes: FileChanges): void {
    const stamp = changes.written.get(queryId);
    if (stamp === undefined) return;
    const before = this.#get.get(queryId);
    if (before !== undefined) this.#subtract(Number(before["kept"]), Number(before["bytes"]));
    const promised = kept || before?.["kept"] === 1;
    this.#seq += 1;
    this.#put.run(queryId, this.#seq, promised ? 1 : 0, stamp.bytes, stamp.crc, mediaType);
    this.#add(promised ? 1 : 0, stamp.bytes);
    this.#bound(promised ? 1 : 0, changes);
  }

  /** A picture of the ring is promised from here on; its file has been synced. */
  promote(queryId: string, changes: FileChanges): void {
    const row = this.#get.get(queryId);
    if (row === undefined || row["kept"] === 1) return;
    const bytes = Number(row["bytes"]);
    this.#subtract(0, bytes);
    this.#seq += 1;
    this.#put.run(queryId, this.#seq, 1, bytes, Number(row["crc"]), String(row["media_type"]));
    this.#add(1, bytes);
    this.#bound(1, changes);
  }

  /** Drops the row, and the file after the commit. */
  drop(queryId: string, changes: FileChanges): void {
    const row = this.#get.get(queryId);
    if (row === undefined) return;
    this.#subtract(Number(row["kept"]), Number(row["bytes"]));
    this.#delete.run(queryId);
    changes.dropped.push(queryId);
  }

  #bound(kept: 0 | 1, changes: FileChanges): void {
    const excess = (): boolean =>
      kept === 1
        ? this.#sums.kept > this.#limits.maxKeptBytes + this.#limits.maxOutboxBytes
        : this.#sums.ring > this.#limits.ringBytes;
    while (excess()) {
      const oldest = this.#oldest.all(kept);
      if (oldest.length === 0) return;
      for (const row of oldest) if (excess()) this.drop(String(row["query_id"]), changes);
    }
  }

  #add(kept: number, bytes: number): void {
    if (kept === 1) this.#sums.kept += bytes;
    else this.#sums.ring += bytes;
  }

  #subtract(kept: number, bytes: number): void {
    this.#add(kept, -bytes);
  }
}
