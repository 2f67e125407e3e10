/**
 * Lines of JSON (NDJSON), read as bytes. Every byte is looked at once, however the chunks are cut. A
 * line ends at a line feed; spaces, tabs and carriage returns around it are no data. A last line
 * without its line feed is told as a tail.
 */
import {
  defaultMaxFrameBytes,
  FrameCarry,
  type Frame,
  type FrameHandler,
  type FrameReader,
} from "./frame.ts";

const lineFeed = 0x0a;

const nothing = new Uint8Array(0);

interface ReadLine extends Frame {
  bytes: Uint8Array;
  start: number;
  end: number;
  data: Uint8Array;
  dataStart: number;
  dataEnd: number;
  isTail: boolean;
}

/** Tells each line; an empty one is a frame without data. */
export class LineReader implements FrameReader {
  readonly #handler: FrameHandler;
  readonly #maxBytes: number;
  readonly #carry = new FrameCarry();
  readonly #frame: ReadLine = {
    bytes: nothing,
    start: 0,
    end: 0,
    data: nothing,
    dataStart: 0,
    dataEnd: 0,
    isTail: false,
  };
  #isFirst = true;
  #isStopped = false;

  constructor(handler: FrameHandler, maxBytes: number = defaultMaxFrameBytes) {
    this.#handler = handler;
    this.#maxBytes = maxBytes;
  }

  push(chunk: Uint8Array): void {
    let start = 0;
    while (!this.#isStopped) {
      const at = chunk.indexOf(lineFeed, start);
      if (at < 0) break;
      this.#tell(chunk, start, at + 1);
      start = at + 1;
    }
    if (this.#isStopped) return;
    this.#carry.hold(chunk, start);
    if (this.#carry.length <= this.#maxBytes) return;
    this.stop();
    this.#handler.tooLong(this.#maxBytes);
  }

  end(): void {
    if (this.#isStopped) return;
    this.#frame.isTail = true;
    if (this.#carry.length > 0) this.#tell(nothing, 0, 0);
    this.#isStopped = true;
  }

  stop(): void {
    this.#isStopped = true;
  }

  #tell(chunk: Uint8Array, start: number, end: number): void {
    const isCarried = this.#carry.length > 0;
    const bytes = isCarried ? this.#carry.join(chunk, end) : chunk;
    const frame = this.#frame;
    frame.bytes = frame.data = bytes;
    frame.start = isCarried ? 0 : start;
    frame.end = isCarried ? bytes.length : end;
    let from = frame.start;
    let to = frame.end;
    if (this.#isFirst) {
      this.#isFirst = false;
      if (bytes[from] === 0xef && bytes[from + 1] === 0xbb && bytes[from + 2] === 0xbf) from += 3;
    }
    while (to > from && isBlank(bytes[to - 1])) to--;
    while (from < to && isBlank(bytes[from])) from++;
    frame.dataStart = from < to ? from : 0;
    frame.dataEnd = from < to ? to : 0;
    this.#handler.frame(frame);
  }
}

function isBlank(byte: number | undefined): boolean {
  return byte === lineFeed || byte === 0x0d || byte === 0x20 || byte === 0x09;
}
