/** Which token a detector's escalations go with, where no caller waits for them. */
import type { EdgePolicy } from "../../contracts/edge-options.ts";
import type { Secret } from "../../core/secret.ts";

/** What choosing needs. */
export interface TokenParts {
  /** Policy of a detector; undefined for one that is not known. */
  readonly policyOf: (detectorId: string) => EdgePolicy | undefined;
  /** The device has a token of its own. */
  readonly hasDeviceToken: boolean;
  /** Throws where a file cannot be read. */
  readonly reveal: (secret: Secret) => string;
}

/** Detectors whose callers' tokens are remembered; those used longest ago go first. */
const maxRemembered = 1_000;

/**
 * The policy's token, else the device's, else the one that a caller of the detector used last. Callers' tokens are kept in
 * memory alone: after a restart what waits for the cloud waits for such a caller.
 */
export class CloudTokens {
  readonly #parts: TokenParts;
  readonly #ofCallers = new Map<string, string>();

  constructor(parts: TokenParts) {
    this.#parts = parts;
  }

  /** A caller used this token for a detector. Does nothing where the device has its own. */
  remember(detectorId: string, token: string | undefined): void {
    if (this.#parts.hasDeviceToken || token === undefined) return;
    const key = detectorId.toLowerCase();
    if (this.#ofCallers.get(key) === token) return;
    this.#ofCallers.delete(key);
    this.#ofCallers.set(key, token);
    const [oldest] = this.#ofCallers.keys();
    if (this.#ofCallers.size > maxRemembered && oldest !== undefined) this.#ofCallers.delete(oldest);
  }

  /** Undefined: the device's. Throws where the file of a policy's token cannot be read. */
  of(detectorId: string): string | undefined {
    const { policyOf, reveal } = this.#parts;
    const own = policyOf(detectorId)?.apiToken;
    return own === undefined ? this.#ofCallers.get(detectorId.toLowerCase()) : reveal(own);
  }
}
