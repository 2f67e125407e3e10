/** Files that are read again when they change. */
import { stat } from "node:fs/promises";
import type { Clock, Timer } from "../core/clock.ts";

/** What is watched, and what follows. */
export interface WatchedFilesParts {
  readonly clock: Clock;
  readonly files: readonly string[];
  /** Ms between two looks. */
  readonly everyMs: number;
  /** Reads the files; may reject. */
  readonly load: () => Promise<void>;
  /** Told why a later load rejected. The files are tried again at their next change. */
  readonly onProblem: (error: unknown) => void;
}

/**
 * Looks at size, times and inode: that finds files that are replaced by renaming and links that lead
 * elsewhere (mounted secrets), for which a system's own notices differ.
 */
export class WatchedFiles {
  readonly #parts: WatchedFilesParts;
  #seen = "";
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(parts: WatchedFilesParts) {
    this.#parts = parts;
  }

  /** Loads, and watches from there on. Rejects as the load does. */
  async start(): Promise<void> {
    // Looked at before they are read: what is written meanwhile is a change.
    this.#seen = await fingerprint(this.#parts.files);
    await this.#parts.load();
    this.#schedule();
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    if (this.#isClosed) return;
    this.#timer = this.#parts.clock.after(this.#parts.everyMs, () => void this.#look());
  }

  async #look(): Promise<void> {
    const { files, load, onProblem } = this.#parts;
    const seen = await fingerprint(files);
    if (seen !== this.#seen && !this.#isClosed) {
      this.#seen = seen;
      try {
        await load();
      } catch (error) {
        onProblem(error);
      }
    }
    this.#schedule();
  }
}

async function fingerprint(files: readonly string[]): Promise<string> {
  const prints = await Promise.all(files.map(fingerprintOf));
  return prints.join(" ");
}

/** A text that is another once the file is another; `unreadable` where there is none. */
export async function fingerprintOf(file: string): Promise<string> {
  try {
    const { mtimeNs, ctimeNs, size, ino } = await stat(file, { bigint: true });
    return [mtimeNs, ctimeNs, size, ino].join(":");
  } catch {
    return "unreadable";
  }
}
