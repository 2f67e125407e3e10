/** Brings the keys of configuration and keys file into the ring, and keeps them as the file has them. */
import { loadKeys } from "../config/index.ts";
import type { AccessOptions, KeyOptions } from "../contracts/options.ts";
import type { Logger } from "../contracts/telemetry.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import type { KeyRing } from "../stages/admission/key-ring.ts";
import { WatchedFiles } from "./watched-files.ts";

/** How often the file is looked at: a revoked key is refused within twice that. */
const pollMs = 500;

/** What keeping keys needs. */
export interface KeyKeeping {
  readonly ring: KeyRing;
  readonly clock: Clock;
  readonly logger: Logger;
}

type KeySource = Pick<AccessOptions, "keys" | "keysFile">;

/** Keys that were read and may take the place of those before. One of the two is called, once. */
export interface PreparedKeys {
  commit(): void;
  discard(): void;
}

/** Keeps the keys of one configuration after the other. A file that is wrong later, or gone, changes nothing and is logged. */
export class KeyKeeper {
  readonly #keeping: KeyKeeping;
  #isClosed = false;
  /** The file that keys were read from; undefined: none was there. */
  #file: string | undefined;
  #watched: WatchedFiles | undefined;

  constructor(keeping: KeyKeeping) {
    this.#keeping = keeping;
  }

  /**
   * Reads them. Rejects with a `GatewayError` where their file is wrong, or was there before and is gone; one that was
   * never there has none.
   */
  async prepare({ keys, keysFile }: KeySource): Promise<PreparedKeys> {
    if (keysFile === undefined) {
      return { commit: () => this.#take(keys, undefined, undefined), discard: () => {} };
    }
    const { ring, clock, logger } = this.#keeping;
    const mayMiss = keysFile !== this.#file;
    let isRead = false;
    let held: HeldKeys = { keys: [], isMissing: false };
    const watched = new WatchedFiles({
      clock,
      files: [keysFile],
      everyMs: pollMs,
      load: async () => {
        held = await readKeys(keysFile, keys, mayMiss && !isRead);
        // Others may have taken its place meanwhile, or it has not taken theirs yet.
        if (this.#watched !== watched) return;
        this.#file = keysFile;
        ring.replace(held.keys);
        logger.info("keys_changed", { file: keysFile, keys: ring.size });
      },
      onProblem: (error) =>
        logger.error("keys_not_read", {
          file: keysFile,
          error: error instanceof Error ? error.message : String(error),
          kept: ring.size,
        }),
    });
    await watched.start();
    isRead = true;
    return {
      commit: () => this.#take(held.keys, held.isMissing ? undefined : keysFile, watched),
      discard: () => watched.close(),
    };
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#watched?.close();
  }

  #take(keys: readonly KeyOptions[], file: string | undefined, watched: WatchedFiles | undefined): void {
    this.#watched?.close();
    if (this.#isClosed) watched?.close();
    this.#watched = watched;
    this.#file = file;
    this.#keeping.ring.replace(keys);
  }
}

interface HeldKeys {
  readonly keys: readonly KeyOptions[];
  readonly isMissing: boolean;
}

async function readKeys(file: string, inline: readonly KeyOptions[], mayMiss: boolean): Promise<HeldKeys> {
  const result = await loadKeys({ file, inline });
  if ("errors" in result) throw new GatewayError("internal", result.errors.join("\n"));
  if (result.missing && !mayMiss) throw new GatewayError("internal", `${file} is gone`);
  return { keys: [...inline, ...result.keys], isMissing: result.missing };
}
