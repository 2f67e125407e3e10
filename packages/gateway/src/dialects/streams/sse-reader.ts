/**
 * Server-sent events, read as bytes (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 * Every byte is looked at once to find the ends of events, however the chunks are cut; nothing is
 * decoded. Unlike the standard, a last event without its blank line is told too, as a tail: servers
 * leave it out behind `[DONE]`.
 */
import { asBuffer } from "../json/parse-json.ts";
import {
  defaultMaxFrameBytes,
  FrameCarry,
  type Frame,
  type FrameHandler,
  type FrameReader,
} from "./frame.ts";

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const colon = 0x3a;
const space = 0x20;

const nothing = new Uint8Array(0);

/** One event. `event` and `id` are empty where the server gives none. */
export interface SseFrame extends Frame {
  readonly event: string;
  readonly id: string;
}

/** The frame that a reader uses again and again. */
class ReadFrame implements SseFrame {
  bytes: Uint8Array = nothing;
  start = 0;
  end = 0;
  data: Uint8Array = nothing;
  dataStart = 0;
  dataEnd = 0;
  isTail = false;
  #eventStart = 0;
  #eventEnd = 0;
  #idStart = 0;
  #idEnd = 0;
  #hasData = false;

  get event(): string {
    return asBuffer(this.bytes).toString("utf8", this.#eventStart, this.#eventEnd);
  }

  get id(): string {
    return asBuffer(this.bytes).toString("utf8", this.#idStart, this.#idEnd);
  }

  /** Reads the fields of the event that lies there. */
  set(bytes: Uint8Array, start: number, end: number): void {
    this.bytes = bytes;
    this.data = bytes;
    this.start = start;
    this.end = end;
    this.dataStart = this.dataEnd = 0;
    this.#eventStart = this.#eventEnd = this.#idStart = this.#idEnd = 0;
    this.#hasData = false;
  }

  /** Reads the line from `from` to before `to`, without its end. */
  line(from: number, to: number): void {
    const { bytes } = this;
    let mark = from;
    while (mark < to && bytes[mark] !== colon) mark++;
    let value = mark + 1;
    if (value < to && bytes[value] === space) value++;
    if (value > to) value = to;
    // The names `data`, `event`, `id` and `retry` differ in their first letters.
    switch (bytes[from]) {
      case 0x64:
        if (isName(bytes, from, mark, "data")) this.#addData(value, to);
        break;
      case 0x65:
        if (!isName(bytes, from, mark, "event")) break;
        this.#eventStart = value;
        this.#eventEnd = to;
        break;
      case 0x69:
        if (!isName(bytes, from, mark, "id")) break;
        this.#idStart = value;
        this.#idEnd = to;
        break;
      default:
    }
  }

  #addData(from: number, to: number): void {
    if (!this.#hasData) {
      this.#hasData = true;
      this.dataStart = from;
      this.dataEnd = to;
      return;
    }
    const before = this.dataEnd - this.dataStart;
    const joined = new Uint8Array(before + 1 + to - from);
    joined.set(this.data.subarray(this.dataStart, this.dataEnd));
    joined[before] = lineFeed;
    joined.set(this.bytes.subarray(from, to), before + 1);
    this.data = joined;
    this.dataStart = 0;
    this.dataEnd = joined.length;
  }
}

function isName(bytes: Uint8Array, from: number, to: number, name: string): boolean {
  if (to - from !== name.length) return false;
  for (let i = 0; i < name.length; i++) if (bytes[from + i] !== name.charCodeAt(i)) return false;
  return true;
}

/** Tells each event, once its blank line has come. */
export class SseReader implements FrameReader {
  readonly #handler: FrameHandler<SseFrame>;
  readonly #maxBytes: number;
  readonly #frame = new ReadFrame();
  readonly #carry = new FrameCarry();
  /** Lines with something on them in the event at hand, the one being read included. */
  #lines = 0;
  #isLineEmpty = true;
  #isAfterReturn = false;
  #isFirst = true;
  #isStopped = false;

  constructor(handler: FrameHandler<SseFrame>, maxBytes: number = defaultMaxFrameBytes) {
    this.#handler = handler;
    this.#maxBytes = maxBytes;
  }

  push(chunk: Uint8Array): void {
    if (this.#isStopped) return;
    const isPlain = !this.#isAfterReturn && chunk.indexOf(carriageReturn) < 0;
    const rest = isPlain ? this.#scanPlain(chunk) : this.#scan(chunk);
    if (this.#isStopped) return;
    this.#carry.hold(chunk, rest);
    if (this.#carry.length <= this.#maxBytes) return;
    this.stop();
    this.#handler.tooLong(this.#maxBytes);
  }

  end(): void {
    if (this.#isStopped) return;
    if (this.#carry.length > 0) {
      this.#frame.isTail = true;
      this.#tell(nothing, 0, 0);
    }
    this.#isStopped = true;
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** As `#scan`, for a chunk whose lines all end in a line feed alone: most do, and their ends are searched natively. */
  #scanPlain(chunk: Uint8Array): number {
    let isLineEmpty = this.#isLineEmpty;
    let start = 0;
    let lineStart = 0;
    for (let at = chunk.indexOf(lineFeed); at >= 0; at = chunk.indexOf(lineFeed, lineStart)) {
      const isBlank = isLineEmpty && at === lineStart;
      if (at > lineStart && isLineEmpty) this.#lines++;
      isLineEmpty = true;
      lineStart = at + 1;
      if (!isBlank) continue;
      this.#tell(chunk, start, lineStart);
      if (this.#isStopped) return chunk.length;
      start = lineStart;
    }
    if (lineStart < chunk.length) {
      if (isLineEmpty) this.#lines++;
      isLineEmpty = false;
    }
    this.#isLineEmpty = isLineEmpty;
    return start;
  }

  /** Tells the events that end in the chunk; gives back where the rest begins. */
  #scan(chunk: Uint8Array): number {
    let isLineEmpty = this.#isLineEmpty;
    let isAfterReturn = this.#isAfterReturn;
    let start = 0;
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i] ?? 0;
      if (byte > carriageReturn || (byte !== lineFeed && byte !== carriageReturn)) {
        if (isLineEmpty) this.#lines++;
        isLineEmpty = false;
        isAfterReturn = false;
        continue;
      }
      // The second half of a CRLF that was cut between chunks, or of a line's.
      if (byte === lineFeed && isAfterReturn) {
        isAfterReturn = false;
        continue;
      }
      isAfterReturn = byte === carriageReturn;
      if (!isLineEmpty) {
        isLineEmpty = true;
        continue;
      }
      if (isAfterReturn && chunk[i + 1] === lineFeed) {
        isAfterReturn = false;
        i++;
      }
      this.#tell(chunk, start, i + 1);
      if (this.#isStopped) return chunk.length;
      start = i + 1;
    }
    this.#isLineEmpty = isLineEmpty;
    this.#isAfterReturn = isAfterReturn;
    return start;
  }

  #tell(chunk: Uint8Array, start: number, end: number): void {
    const frame = this.#frame;
    if (this.#carry.length === 0) frame.set(chunk, start, end);
    else {
      const joined = this.#carry.join(chunk, end);
      frame.set(joined, 0, joined.length);
    }
    const lines = this.#lines;
    this.#lines = 0;
    this.#readLines(lines);
    this.#handler.frame(frame);
  }

  #readLines(lines: number): void {
    const frame = this.#frame;
    const { bytes } = frame;
    let { start: at, end } = frame;
    if (this.#isFirst) {
      this.#isFirst = false;
      if (bytes[at] === 0xef && bytes[at + 1] === 0xbb && bytes[at + 2] === 0xbf) at += 3;
    }
    while (end > at && isLineEnd(bytes[end - 1])) end--;
    while (at < end && isLineEnd(bytes[at])) at++;
    if (lines === 1) return frame.line(at, end);
    while (at < end) {
      let to = at;
      while (to < end && !isLineEnd(bytes[to])) to++;
      frame.line(at, to);
      at = to;
      while (at < end && isLineEnd(bytes[at])) at++;
    }
  }
}

function isLineEnd(byte: number | undefined): boolean {
  return byte === lineFeed || byte === carriageReturn;
}
