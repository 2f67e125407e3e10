/** The files of pictures, one a query, in one folder. Everything here blocks and runs in the database's thread. */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { crc32 } from "node:zlib";

/** What a row keeps of a file, so that a damaged one is noticed. */
export interface FileStamp {
  readonly bytes: number;
  readonly crc: number;
}

const temporary = ".part";

/** What an id may be to name a file. */
const plainName = /^[A-Za-z0-9_-]{1,100}$/;

/** Whether an id can name a picture. */
export function namesPicture(id: string): boolean {
  return plainName.test(id);
}

/** A folder of pictures. */
export class PictureFiles {
  readonly folder: string;

  /** Makes the folder where it is missing. */
  constructor(folder: string) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  /** Writes a file under a temporary name and renames it. With `promised` its content has reached the disk; `syncFolder` does that for its name. */
  write(id: string, bytes: Uint8Array, promised: boolean): FileStamp {
    const target = path.join(this.folder, id);
    const file = openSync(target + temporary, "w", 0o600);
    try {
      writeFileSync(file, bytes);
      if (promised) fsyncSync(file);
    } catch (error) {
      rmSync(target + temporary, { force: true });
      throw error;
    } finally {
      closeSync(file);
    }
    renameSync(target + temporary, target);
    return { bytes: bytes.byteLength, crc: crc32(bytes) };
  }

  /** Brings the content of a file to the disk that was written without promise. False where it is missing. */
  promise(id: string): boolean {
    try {
      const file = openSync(path.join(this.folder, id), "r+");
      try {
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      return true;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
      throw error;
    }
  }

  /** Brings names that were made to the disk. */
  syncFolder(): void {
    const folder = openSync(this.folder, "r");
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  }

  /** The content; undefined where it is missing or differs from its stamp. */
  read(id: string, stamp: FileStamp): Uint8Array | undefined {
    try {
      const bytes = readFileSync(path.join(this.folder, id));
      return bytes.byteLength === stamp.bytes && crc32(bytes) === stamp.crc ? bytes : undefined;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
      throw error;
    }
  }

  /** Deletes a file; one that is missing is no error. */
  remove(id: string): void {
    rmSync(path.join(this.folder, id), { force: true });
  }

  /**
   * Files of writes that no row speaks of: deleted, or moved to `aside` where the rows were lost with a damaged database.
   * Returns how many were moved.
   */
  sweep(hasRow: (id: string) => boolean, aside: string | undefined): number {
    let moved = 0;
    for (const name of readdirSync(this.folder)) {
      if (!name.endsWith(temporary) && hasRow(name)) continue;
      if (aside === undefined || name.endsWith(temporary)) this.remove(name);
      else {
        mkdirSync(aside, { recursive: true });
        renameSync(path.join(this.folder, name), path.join(aside, name));
        moved += 1;
      }
    }
    return moved;
  }
}
