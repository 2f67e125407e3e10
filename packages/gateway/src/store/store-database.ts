/** The database and the pictures of a data directory: runs groups of operations, each group in one commit. Everything blocks. */
import path from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { failure, isFailure, type Failure } from "../core/errors.ts";
import { CalibrationTables } from "./calibration-tables.ts";
import type { StoreLimits } from "./limits.ts";
import { isDamage, openDatabase } from "./open-database.ts";
import { operations } from "./operations.ts";
import type { Group, Operation, OperationName, StoreTables } from "./operations.ts";
import { OutboxTable } from "./outbox-table.ts";
import { namesPicture, PictureFiles } from "./picture-files.ts";
import { PictureTable } from "./picture-table.ts";
import { RecordTables } from "./record-tables.ts";

/** An operation that waits for its group. */
export interface Entry {
  readonly name: OperationName;
  readonly input: unknown;
  /** Milliseconds since the Unix epoch when it was asked for. */
  readonly now: number;
}

const pruneEveryMs = 60_000;

/** An operation whose name is not known before it runs. */
function operationOf(name: OperationName): Operation<OperationName> {
  return operations[name] as unknown as Operation<OperationName>;
}

/** How an operation is kept. */
export function durabilityOf(name: OperationName): Operation<OperationName>["durability"] {
  return operationOf(name).durability;
}

/** The owner of a data directory, in one thread. */
export class StoreDatabase {
  /** What had to be done at the start, in sentences for people. */
  readonly notices: readonly string[];
  readonly #db: DatabaseSync;
  readonly #lock: DatabaseSync;
  readonly #tables: StoreTables;
  #synchronous: "FULL" | "NORMAL" = "FULL";
  #prunedAt = -Infinity;

  /** Opens or makes the data directory. Throws what `openDatabase` throws. */
  constructor(folder: string, limits: StoreLimits, stamp: string, checkAll: boolean) {
    const { db, lock, damagedAs, notices } = openDatabase(folder, stamp, checkAll);
    this.#db = db;
    this.#lock = lock;
    try {
      const files = new PictureFiles(path.join(folder, "pictures"));
      const outbox = new OutboxTable(db, limits);
      const pictures = new PictureTable(db, files, limits);
      const records = new RecordTables(db, limits);
      this.#tables = { outbox, pictures, files, records, calibrations: new CalibrationTables(db, limits) };
      const aside = damagedAs === undefined ? undefined : `${damagedAs}.pictures`;
      const moved = files.sweep((id) => pictures.bytesOf(id) !== undefined, aside);
      this.notices =
        moved === 0 ? notices : [...notices, `${moved} pictures without a record were moved to ${aside}.`];
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * Runs operations in order: the writes among them in one commit, then the reads. Answers stand at the places of their
   * operations. Throws where the database turns out to be damaged.
   */
  execute(entries: readonly Entry[]): unknown[] {
    const answers = Array.from<unknown>({ length: entries.length });
    const writes: number[] = [];
    entries.forEach(({ name }, place) => {
      if (durabilityOf(name) !== "read") writes.push(place);
    });
    if (writes.length > 0) this.#write(entries, writes, answers);
    entries.forEach((entry, place) => {
      if (durabilityOf(entry.name) === "read") answers[place] = this.#read(entry);
    });
    return answers;
  }

  #read({ name, input, now }: Entry): unknown {
    try {
      return operationOf(name).run(this.#tables, input as never, now, newGroup());
    } catch (error) {
      return refusalOf(error);
    }
  }

  #write(entries: readonly Entry[], places: readonly number[], answers: unknown[]): void {
    const group = newGroup();
    let ready: readonly number[] = [];
    try {
      ready = places.filter((place) => this.#prepare(entries, place, answers, group));
      if (group.syncFolder) this.#tables.files.syncFolder();
      this.#commit(entries, ready, answers, group);
    } catch (error) {
      this.#undo();
      const refused = refusalOf(error);
      // One bad operation must not cost the others their commit; where the disk is the reason, each would fail alike.
      if (ready.length > 1 && !concernsDisk(error))
        for (const place of ready) this.#commitAlone(entries, place, answers, group);
      else for (const place of ready) answers[place] = refused;
    }
    this.#removeFiles(group);
  }

  #prepare(entries: readonly Entry[], place: number, answers: unknown[], group: Group): boolean {
    const entry = entries[place];
    if (entry === undefined) return false;
    try {
      const refused =
        checkIds(entry) ?? operationOf(entry.name).prepare?.(this.#tables, entry.input as never, group);
      if (refused === undefined) return true;
      answers[place] = refused;
    } catch (error) {
      answers[place] = refusalOf(error);
    }
    return false;
  }

  #commitAlone(entries: readonly Entry[], place: number, answers: unknown[], group: Group): void {
    try {
      this.#commit(entries, [place], answers, group);
    } catch (error) {
      this.#undo();
      answers[place] = refusalOf(error);
    }
  }

  #commit(entries: readonly Entry[], places: readonly number[], answers: unknown[], group: Group): void {
    const chosen = places.flatMap((place) => {
      const entry = entries[place];
      return entry === undefined ? [] : [{ place, entry }];
    });
    const last = chosen.at(-1);
    if (last === undefined) return;
    const promised = chosen.some(({ entry }) => durabilityOf(entry.name) === "promised");
    this.#setSynchronous(promised ? "FULL" : "NORMAL");
    this.#db.exec("BEGIN IMMEDIATE");
    for (const { place, entry } of chosen)
      answers[place] = operationOf(entry.name).run(this.#tables, entry.input as never, entry.now, group);
    this.#prune(last.entry.now, group);
    this.#db.exec("COMMIT");
    for (const { entry } of chosen) operationOf(entry.name).after?.(this.#tables, entry.input as never);
  }

  /** A commit that promises nothing costs flash no flush; the next promised one brings it to the disk as well. */
  #setSynchronous(mode: "FULL" | "NORMAL"): void {
    if (mode === this.#synchronous) return;
    this.#db.exec(`PRAGMA synchronous = ${mode}`);
    this.#synchronous = mode;
  }

  #prune(now: number, group: Group): void {
    const { records, outbox, pictures, calibrations } = this.#tables;
    for (const id of records.pruneQueries(now))
      if (outbox.find(id) !== "already_queued") pictures.drop(id, group);
    if (now - this.#prunedAt < pruneEveryMs) return;
    this.#prunedAt = now;
    records.pruneOthers(now);
    calibrations.prune(now);
  }

  #undo(): void {
    if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
    const { outbox, pictures, records } = this.#tables;
    for (const table of [outbox, pictures, records]) table.recount();
  }

  /** Files of rows that are gone, and files whose rows were never committed. One that stays is swept at the next start. */
  #removeFiles({ dropped, written }: Group): void {
    const { files, pictures } = this.#tables;
    for (const id of [...dropped, ...written.keys()]) {
      try {
        if (pictures.bytesOf(id) === undefined) files.remove(id);
      } catch (error) {
        if (isDamage(error)) throw error;
      }
    }
  }

  /** Closes the database and gives the data directory back. Idempotent. */
  close(): void {
    for (const db of [this.#db, this.#lock]) if (db.isOpen) db.close();
  }
}

function newGroup(): Group {
  return { written: new Map(), dropped: [], outboxBytes: 0, syncFolder: false };
}

/** Ids name files and stand in the outbox's turns. */
function checkIds({ name, input }: Entry): Failure | undefined {
  if (typeof input !== "object" || input === null) return undefined;
  const id =
    name === "enqueue" && "id" in input
      ? input.id
      : "picture" in input && "queryId" in input && input.queryId;
  if (typeof id === "string" && !namesPicture(id))
    return failure(
      "bad_request",
      `The id ${JSON.stringify(id.slice(0, 100))} may have letters, digits, _ and - only`,
    );
  if (name === "enqueue" && "detectorId" in input && input.detectorId === "")
    return failure("bad_request", "An escalation needs a detector");
  return undefined;
}

/** What an error of SQLite or of files is for who asked; throws it where the database is damaged. */
function refusalOf(error: unknown): Failure {
  if (isDamage(error)) throw error;
  if (typeof error === "object" && error !== null && isFailure(error)) return error;
  const text = error instanceof Error ? error.message : String(error);
  return failure("storage_unavailable", `The data directory cannot be written or read: ${text}`, 5_000);
}

/** SQLITE_FULL, SQLITE_IOERR, SQLITE_READONLY, SQLITE_CANTOPEN and errors of files: nothing else will work either. */
function concernsDisk(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if ("errcode" in error && typeof error.errcode === "number")
    return [8, 10, 13, 14].includes(error.errcode & 0xff);
  return "syscall" in error;
}
