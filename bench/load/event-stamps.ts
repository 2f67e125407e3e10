/**
 * Finds the send times that events of a stream carry. The server under test passes events on as they
 * are, so the reader can tell how long each was on its way: both ends of a run are on one machine and
 * share its monotonic clock.
 */

/** What goes before a stamp in an event: the content of an OpenAI chunk begins with it. */
const MARK = Buffer.from('"content":"@');
const DIGITS = 16;
const ZERO = 48;
const NINE = 57;

/** Microseconds of the machine's monotonic clock, the same in every process. */
export function monotonicUs(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

/** The text of a stamp, as events carry it in their content. */
export function stampText(us: number): string {
  return `@${String(Math.round(us)).padStart(DIGITS, "0")}`;
}

/** Scans the bytes of one stream; stamps may be split over pieces. */
export class EventStamps {
  #matched = 0;
  #digits = 0;
  #value = 0;

  /** Makes ready for another stream. */
  reset(): void {
    this.#matched = 0;
    this.#digits = 0;
    this.#value = 0;
  }

  /** Calls `found` with each stamp, in microseconds. */
  read(bytes: Buffer, start: number, end: number, found: (us: number) => void): void {
    // A view, so that a search ends with the piece and not with the buffer it lies in.
    const piece = bytes.subarray(start, end);
    let at = 0;
    while (at < piece.length) {
      if (this.#matched === MARK.length) at = this.#readDigits(piece, at, found);
      else if (this.#matched > 0) this.#match(piece[at++] ?? 0);
      else at = this.#seek(piece, at);
    }
  }

  /** Position behind the next whole mark, or the end with the part of a mark that is there matched. */
  #seek(bytes: Buffer, at: number): number {
    const end = bytes.length;
    const found = bytes.indexOf(MARK, at);
    if (found >= 0) {
      this.#matched = MARK.length;
      return found + MARK.length;
    }
    for (let from = Math.max(at, end - MARK.length + 1); from < end; from += 1) this.#match(bytes[from] ?? 0);
    return end;
  }

  #match(byte: number): void {
    if (byte === MARK[this.#matched]) this.#matched += 1;
    else this.#matched = byte === MARK[0] ? 1 : 0;
  }

  #readDigits(bytes: Buffer, start: number, found: (us: number) => void): number {
    const end = bytes.length;
    for (let at = start; at < end; at += 1) {
      const byte = bytes[at] ?? 0;
      if (byte < ZERO || byte > NINE) {
        this.reset();
        return at;
      }
      this.#value = this.#value * 10 + byte - ZERO;
      this.#digits += 1;
      if (this.#digits < DIGITS) continue;
      const stamp = this.#value;
      this.reset();
      found(stamp);
      return at + 1;
    }
    return end;
  }
}
