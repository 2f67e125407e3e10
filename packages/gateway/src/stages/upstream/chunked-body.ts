/** A body in chunks (RFC 9112, 7.1), read however its pieces are cut. */

/** Longest size, extensions or trailer of a body, bytes: what nobody reads must not go on for ever. */
const maxControlBytes = 32_768;

const carriageReturn = 0x0d;
const lineFeed = 0x0a;

/** What stands at a place of the encoding. */
type Place =
  | "size"
  | "extension"
  | "size-end"
  | "data"
  | "data-end"
  | "data-line"
  | "trailer"
  | "field"
  | "last"
  | "done";

/**
 * Takes the framing out. The payload of one piece comes out in one view of it: what stands behind a
 * chunk's frame is moved up to the chunk before, so the piece's memory is the decoder's to change.
 */
export class ChunkedBody {
  /** Why the body cannot be read; undefined while it can. */
  problem: string | undefined;
  /** Position behind the body in the piece that it ended in. */
  endsAt = 0;
  #place: Place = "size";
  #size = 0;
  #digits = 0;
  #control = 0;

  get isDone(): boolean {
    return this.#place === "done";
  }

  /** Makes ready for another body. */
  reset(): void {
    this.problem = undefined;
    this.#place = "size";
    this.#size = this.#digits = this.#control = 0;
  }

  /** The payload in the piece from `from` on; undefined where there is none. */
  decode(piece: Buffer, from: number): Buffer | undefined {
    let at = from;
    let start = -1;
    let end = -1;
    while (at < piece.length && this.problem === undefined && this.#place !== "done") {
      if (this.#place !== "data") {
        this.#step(piece[at++] ?? 0);
        continue;
      }
      const length = Math.min(this.#size, piece.length - at);
      if (start < 0) start = end = at;
      else piece.copyWithin(end, at, at + length);
      end += length;
      at += length;
      this.#size -= length;
      if (this.#size === 0) this.#place = "data-end";
    }
    this.endsAt = at;
    return start < 0 ? undefined : piece.subarray(start, end);
  }

  /** One byte of the framing. */
  #step(byte: number): void {
    switch (this.#place) {
      case "size":
        return this.#readSize(byte);
      case "extension":
        return this.#skipTo("size-end", byte);
      case "size-end":
        return this.#endSize(byte);
      case "data-end":
        return this.#expect(byte, carriageReturn, "data-line");
      case "data-line":
        return this.#expect(byte, lineFeed, "size");
      case "trailer":
        if (byte === carriageReturn) this.#place = "last";
        else this.#skip("field", byte);
        return;
      case "field":
        if (byte === lineFeed) this.#place = "trailer";
        else this.#skip("field", byte);
        return;
      case "last":
        return this.#expect(byte, lineFeed, "done");
      case "data":
      case "done":
    }
  }

  #readSize(byte: number): void {
    const digit = hexDigit(byte);
    if (digit >= 0) {
      this.#size = this.#size * 16 + digit;
      if (++this.#digits > 12) this.problem = "a chunk is impossibly long";
    } else if (this.#digits === 0) this.problem = "a chunk has no size";
    else if (byte === carriageReturn) this.#place = "size-end";
    else if (byte === 0x3b || byte === 0x20 || byte === 0x09) this.#place = "extension";
    else this.problem = "a chunk has no size";
  }

  #endSize(byte: number): void {
    this.#digits = 0;
    this.#expect(byte, lineFeed, this.#size === 0 ? "trailer" : "data");
  }

  #expect(byte: number, wanted: number, next: Place): void {
    if (byte === wanted) this.#place = next;
    else this.problem = "a chunk does not end where it says";
  }

  #skipTo(next: Place, byte: number): void {
    if (byte === carriageReturn) this.#place = next;
    else this.#skip("extension", byte);
  }

  #skip(place: Place, byte: number): void {
    this.#place = place;
    if (byte === lineFeed) this.problem = "a line of a chunk ends wrongly";
    else if (++this.#control > maxControlBytes) this.problem = "the framing of the answer is too long";
  }
}

/** -1 for another byte. */
function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
