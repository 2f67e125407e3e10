/** Why something could not be fetched. */

/** A value, not an exception: bad links and wrong files are what fetching is about. */
export interface TransferFailure {
  readonly failed: true;
  /** For people, at most 500 characters. */
  readonly reason: string;
  /** What was fetched is itself at fault: the same again would be no better. */
  readonly isFinal: boolean;
  /** By the server's `Retry-After`; undefined where it did not say. */
  readonly retryAfterMs: number | undefined;
}

/** Makes a failure that may pass. */
export function transferFailure(reason: string, retryAfterMs?: number): TransferFailure {
  return { failed: true, reason: reason.slice(0, 500), isFinal: false, retryAfterMs };
}

/** Makes a failure that stays as long as the file is what it is. */
export function badPackage(reason: string): TransferFailure {
  return { failed: true, reason: reason.slice(0, 500), isFinal: true, retryAfterMs: undefined };
}

/** Tells a failure from a value. */
export function isTransferFailure(value: unknown): value is TransferFailure {
  return typeof value === "object" && value !== null && "failed" in value && value.failed === true;
}

/** What went wrong, of anything that was thrown, without addresses' queries: they may be signed. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
