/** Opens the database of a data directory, whatever state it is in. */
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { migrate, migrations, salvagedTables, versionOf } from "./schema.ts";

/** A data directory that cannot be used, in a sentence for who runs the gateway. */
export class UnusableStoreError extends Error {}

/** A database that is open, and what had to be done for it. */
export interface OpenedDatabase {
  readonly db: DatabaseSync;
  /** Holds the data directory until it is closed. */
  readonly lock: DatabaseSync;
  /** Where a damaged database was moved; pictures without a row belong there. */
  readonly damagedAs: string | undefined;
  /** What people must hear of, in sentences. */
  readonly notices: readonly string[];
}

/** A database that was closed in order and is larger is not read through at the start. */
const checkedBytes = 64 * 1024 * 1024;

/** Result codes of SQLite (https://sqlite.org/rescode.html): CORRUPT and NOTADB. */
const damageCodes: readonly number[] = [11, 26];

/** Whether an error of SQLite says that the file is damaged. */
export function isDamage(error: unknown): boolean {
  return (
    error instanceof Error &&
    "errcode" in error &&
    typeof error.errcode === "number" &&
    damageCodes.includes(error.errcode & 0xff)
  );
}

/**
 * Opens `<folder>/spillway.db`, made or brought up to date where needed. A damaged one is moved aside and what can be read of
 * it taken over. Throws `UnusableStoreError` for a folder that another process uses and for a database of a newer Spillway.
 * @param stamp ends the name of what is moved aside
 */
export function openDatabase(folder: string, stamp: string, checkAll: boolean): OpenedDatabase {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const lock = lockFolder(folder);
  try {
    return { lock, ...openLocked(folder, stamp, checkAll) };
  } catch (error) {
    lock.close();
    throw error;
  }
}

function lockFolder(folder: string): DatabaseSync {
  const lock = new DatabaseSync(path.join(folder, "spillway.lock"), { timeout: 0 });
  try {
    lock.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    return lock;
  } catch (error) {
    lock.close();
    if (error instanceof Error && /locked/.test(error.message))
      throw new UnusableStoreError(
        `Another process uses the data directory ${folder}. Stop it, or set SPILLWAY_DATA to another folder.`,
      );
    throw error;
  }
}

function openLocked(folder: string, stamp: string, checkAll: boolean): Omit<OpenedDatabase, "lock"> {
  const file = path.join(folder, "spillway.db");
  const unclean = existsSync(`${file}-wal`);
  const small = !existsSync(file) || statSync(file).size <= checkedBytes;
  try {
    return { db: openSound(file, checkAll || unclean || small), damagedAs: undefined, notices: [] };
  } catch (error) {
    if (!isDamage(error)) throw error;
    const damagedAs = moveAside(file, stamp);
    const db = openSound(file, false);
    const taken = salvage(db, damagedAs);
    const why = error instanceof Error ? error.message : String(error);
    return {
      db,
      damagedAs,
      notices: [`${file} is damaged (${why}) and was moved to ${damagedAs}. ${taken}`],
    };
  }
}

function openSound(file: string, check: boolean): DatabaseSync {
  const db = new DatabaseSync(file);
  try {
    const version = versionOf(db);
    if (version > migrations.length)
      throw new UnusableStoreError(
        `${file} was written by a newer Spillway (version ${version}, this one reads up to ${migrations.length}). ` +
          "Install that version again, or set SPILLWAY_DATA to another folder.",
      );
    if (check) checkDatabase(db);
    // Exclusive: without a shared-memory file, which a full disk could take away under the mapping.
    db.exec(
      "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY",
    );
    migrate(db);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function checkDatabase(db: DatabaseSync): void {
  const found = String(db.prepare("PRAGMA quick_check(1)").get()?.["quick_check"]);
  if (found !== "ok") throw Object.assign(new Error(found), { errcode: 11 });
}

function moveAside(file: string, stamp: string): string {
  let aside = `${file}.damaged-${stamp}`;
  for (let count = 2; existsSync(aside); count += 1) aside = `${file}.damaged-${stamp}-${count}`;
  // The log is copied first: SQLite ignores and removes one whose database is missing, so no crash in between loses either.
  if (existsSync(`${file}-wal`)) copyFileSync(`${file}-wal`, `${aside}-wal`);
  renameSync(file, aside);
  rmSync(`${file}-wal`, { force: true });
  return aside;
}

/** Copies what can be read, row by row, and says how much it was. */
function salvage(db: DatabaseSync, damaged: string): string {
  const counts: string[] = [];
  let all = 0;
  try {
    const old = new DatabaseSync(damaged, { readOnly: true });
    try {
      for (const table of salvagedTables) {
        const { rows, whole } = copyTable(old, db, table);
        all += rows;
        if (rows > 0 || !whole) counts.push(`${table} ${rows}${whole ? "" : " (not all)"}`);
      }
    } finally {
      old.close();
    }
  } catch {
    // Not a database at all: `counts` says that nothing was read.
  }
  return all === 0 ? "Nothing in it could be read." : `Taken over from it, in rows: ${counts.join(", ")}.`;
}

function copyTable(old: DatabaseSync, db: DatabaseSync, table: string): { rows: number; whole: boolean } {
  let rows = 0;
  db.exec("BEGIN");
  try {
    const reader = old.prepare(`SELECT * FROM ${table}`);
    const names = reader.columns().map(({ name }) => name);
    const places = names.map(() => "?").join(", ");
    const insert = db.prepare(`INSERT OR IGNORE INTO ${table} (${names.join(", ")}) VALUES (${places})`);
    for (const row of reader.iterate()) rows += Number(insert.run(...Object.values(row)).changes);
    return { rows, whole: true };
  } catch {
    return { rows, whole: false };
  } finally {
    db.exec("COMMIT");
  }
}
