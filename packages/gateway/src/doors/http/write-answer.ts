/** Puts answers on the wire with as few writes and copies as they need. */
import type { ServerResponse } from "node:http";
import { errorTable, type Failure } from "../../core/errors.ts";

/** Pieces up to this sum are joined: one small write is cheaper than several. */
const joinBytes = 16_384;

/** Bytes of all pieces. */
export function sizeOf(pieces: readonly Uint8Array[]): number {
  let size = 0;
  for (const piece of pieces) size += piece.length;
  return size;
}

/** False for answers that have no body by definition, and whose length is not said either. */
export function mayHaveBody(status: number): boolean {
  return status >= 200 && status !== 204 && status !== 304;
}

/** Writes the body after `writeHead` and ends the answer. */
export function endWith(response: ServerResponse, pieces: readonly Uint8Array[], size: number): void {
  if (size <= joinBytes) return endSmall(response, pieces);
  const last = pieces.length - 1;
  for (let i = 0; i < last; i++) response.write(pieces[i]);
  response.end(pieces[last]);
}

/** As text of one byte a character it goes out in one buffer together with the head. */
function endSmall(response: ServerResponse, pieces: readonly Uint8Array[]): void {
  const [first] = pieces;
  if (first === undefined) return void response.end();
  const joined =
    pieces.length > 1 ? Buffer.concat(pieces) : Buffer.from(first.buffer, first.byteOffset, first.byteLength);
  response.end(joined.toString("latin1"), "latin1");
}

/** `Retry-After` for a failure answered with this status: 429 and 503 always say one. */
export function retryAfterSeconds(status: number, { code, retryAfterMs }: Failure): string | undefined {
  const wanted = status === 429 || status === 503 || errorTable[code].retryable;
  if (retryAfterMs === undefined && !wanted) return undefined;
  return String(Math.max(1, Math.ceil((retryAfterMs ?? 1_000) / 1_000)));
}
