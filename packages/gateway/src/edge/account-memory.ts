/** Whose token the device has, as the cloud last said: clients are told so with the cloud away, after a restart, too. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "../contracts/telemetry.ts";
import type { JsonObject } from "../core/detector.ts";
import { isMissing, textOf, writeWholeFile } from "./whole-file.ts";

const fileName = "account.json";

/** What it needs. */
export interface AccountMemoryParts {
  /** Data directory; made when there is something to keep. */
  readonly folder: string;
  /** Address of the cloud. */
  readonly origin: string;
  /** The device's token; undefined: none, or it cannot be read now. */
  readonly token: () => string | undefined;
  readonly logger: Logger;
}

/** Of one cloud and one token: what was said of another token is nothing to go by. */
export class AccountMemory {
  readonly #parts: AccountMemoryParts;
  #told: { readonly basis: string; readonly me: JsonObject } | undefined;

  constructor(parts: AccountMemoryParts) {
    this.#parts = parts;
  }

  /** Undefined until the cloud has said it once. */
  get me(): JsonObject | undefined {
    return this.#told?.basis === this.#basis() ? this.#told?.me : undefined;
  }

  /** Reads what an earlier process kept; a file that cannot be read is logged and passed over. */
  async load(): Promise<void> {
    try {
      const value: unknown = JSON.parse(await readFile(join(this.#parts.folder, fileName), "utf8"));
      if (this.#told === undefined && isAccount(value)) this.#told = value;
    } catch (error) {
      if (!isMissing(error)) this.#warn("edge_account_unreadable", textOf(error));
    }
  }

  /** Keeps what the cloud says now; written only where that is something new. */
  async keep(me: JsonObject): Promise<void> {
    const basis = this.#basis();
    if (basis === undefined) return;
    const told = { basis, me };
    const text = JSON.stringify(told);
    if (text === JSON.stringify(this.#told)) return;
    this.#told = told;
    const problem = await writeWholeFile(this.#parts.folder, fileName, text);
    if (problem !== undefined) this.#warn("edge_account_not_kept", problem.message);
  }

  /** The token is not to be found from it: tokens are long and random. */
  #basis(): string | undefined {
    const token = this.#parts.token();
    if (token === undefined) return undefined;
    return createHash("sha256").update(`spillway account ${this.#parts.origin} ${token}`).digest("hex");
  }

  #warn(event: string, reason: string): void {
    this.#parts.logger.warn(event, { reason });
  }
}

function isAccount(value: unknown): value is { readonly basis: string; readonly me: JsonObject } {
  if (typeof value !== "object" || value === null || !("basis" in value) || !("me" in value)) return false;
  return typeof value.basis === "string" && typeof value.me === "object" && value.me !== null;
}
