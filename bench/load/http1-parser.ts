/** Incremental parser of HTTP/1.1 responses, one at a time (RFC 9112): status, framing, nothing kept but what is asked. */

/** Where a parser stands after a piece of input. */
export type ParseState =
  /** The response is not whole yet. */
  | "partial"
  /** It is whole and ended with the last byte given. */
  | "complete"
  /** It breaks the protocol, or bytes follow it that nobody asked for. The connection is of no more use. */
  | "malformed";

type Phase =
  | "head"
  | "length"
  | "chunk-size"
  | "chunk-extension"
  | "chunk-data"
  | "chunk-end"
  | "trailer"
  | "until-close"
  | "done"
  | "bad";

/** A head longer than this is malformed. */
const MAX_HEAD_BYTES = 65_536;
/** Hexadecimal digits of a chunk size: up to 4 GiB. */
const MAX_SIZE_DIGITS = 8;
const CR = 13;
const LF = 10;
const SPACE = 32;
const COLON = 58;
const SEMICOLON = 59;
const ZERO = 48;
const NINE = 57;
const CONTENT_LENGTH = Buffer.from("content-length");
const TRANSFER_ENCODING = Buffer.from("transfer-encoding");
const CONNECTION = Buffer.from("connection");
const CLOSE = Buffer.from("close");
const CHUNKED = Buffer.from("chunked");
const EMPTY = Buffer.alloc(0);

/** Reads responses of one connection. `start` before each request, then `read` for every piece that arrives. */
export class Http1ResponseParser {
  #phase: Phase = "done";
  #status = 0;
  #keepAlive = true;
  #bodiless = false;
  #remaining = 0;
  #sizeDigits = 0;
  /** Length of the current trailer line without its line end. */
  #lineLength = 0;
  /** A head that arrived in pieces; empty in the common case. */
  #head: Buffer = EMPTY;
  #chunks: Buffer[] | null = null;
  readonly #onBody: ((bytes: Buffer, start: number, end: number) => void) | undefined;

  /** `onBody` is called with each piece of a body as it arrives, inside `read`. */
  constructor(onBody?: (bytes: Buffer, start: number, end: number) => void) {
    this.#onBody = onBody;
  }

  /** Status of the response last read. */
  get status(): number {
    return this.#status;
  }

  /** Whether the connection may carry another request. */
  get keepAlive(): boolean {
    return this.#keepAlive;
  }

  /** The body so far; empty unless `start` asked to keep it. */
  get body(): Buffer {
    return this.#chunks === null ? EMPTY : Buffer.concat(this.#chunks);
  }

  /** Makes ready for one response. `bodiless`: the request was HEAD. `keepBody`: copy the body for `body`. */
  start(options: { readonly bodiless: boolean; readonly keepBody: boolean }): void {
    this.#bodiless = options.bodiless;
    this.#chunks = options.keepBody ? [] : null;
    this.#startHead();
  }

  /** Takes the bytes from `start` up to `end` of a buffer that may be reused afterwards. */
  read(bytes: Buffer, start: number, end: number): ParseState {
    let at = start;
    while (at < end && this.#phase !== "done" && this.#phase !== "bad") at = this.#step(bytes, at, end);
    if (this.#phase === "done") return at < end ? "malformed" : "complete";
    return this.#phase === "bad" ? "malformed" : "partial";
  }

  /** The server has ended the connection: `complete` when the body was to end so, otherwise `partial`. */
  end(): ParseState {
    return this.#phase === "until-close" ? "complete" : "partial";
  }

  #step(bytes: Buffer, at: number, end: number): number {
    switch (this.#phase) {
      case "head":
        return this.#readHead(bytes, at, end);
      case "length":
      case "chunk-data":
        return this.#readData(bytes, at, end);
      case "chunk-size":
        return this.#readSize(bytes, at);
      case "chunk-extension":
        return this.#readExtension(bytes, at);
      case "chunk-end":
        return this.#readChunkEnd(bytes, at);
      case "trailer":
        return this.#readTrailer(bytes, at);
      default:
        this.#keep(bytes, at, end);
        return end;
    }
  }

  #startHead(): void {
    this.#phase = "head";
    this.#head = EMPTY;
  }

  #readHead(bytes: Buffer, at: number, end: number): number {
    if (this.#head.length > 0) return this.#readSplitHead(bytes, at, end);
    const headEnd = findHeadEnd(bytes, at, end);
    if (headEnd < 0) {
      this.#keepHead(bytes.subarray(at, end));
      return end;
    }
    this.#parseHead(bytes, at, headEnd);
    return headEnd;
  }

  #readSplitHead(bytes: Buffer, at: number, end: number): number {
    const before = this.#head.length;
    this.#keepHead(bytes.subarray(at, end));
    const head = this.#head;
    const headEnd = findHeadEnd(head, 0, head.length);
    if (headEnd < 0 || this.#phase === "bad") return end;
    this.#parseHead(head, 0, headEnd);
    return at + headEnd - before;
  }

  #keepHead(piece: Buffer): void {
    this.#head = Buffer.concat([this.#head, piece]);
    if (this.#head.length > MAX_HEAD_BYTES) this.#phase = "bad";
  }

  #parseHead(bytes: Buffer, start: number, end: number): void {
    this.#status = parseStatus(bytes, start);
    this.#keepAlive = bytes[start + 7] === ZERO + 1;
    this.#phase = "until-close";
    let line = bytes.indexOf(LF, start) + 1;
    while (line > 0 && line < end && bytes[line] !== CR) {
      this.#parseHeader(bytes, line);
      line = bytes.indexOf(LF, line) + 1;
    }
    this.#settleFraming();
  }

  #parseHeader(bytes: Buffer, line: number): void {
    if (isHeader(bytes, line, CONTENT_LENGTH)) {
      const length = parseDecimal(bytes, valueStart(bytes, line + CONTENT_LENGTH.length));
      this.#remaining = length;
      if (this.#phase !== "chunk-size") this.#phase = length < 0 ? "bad" : "length";
    } else if (isHeader(bytes, line, TRANSFER_ENCODING)) {
      const value = valueStart(bytes, line + TRANSFER_ENCODING.length);
      if (matches(bytes, value, CHUNKED)) this.#phase = "chunk-size";
    } else if (isHeader(bytes, line, CONNECTION)) {
      if (matches(bytes, valueStart(bytes, line + CONNECTION.length), CLOSE)) this.#keepAlive = false;
    }
  }

  /** Decides what follows the head (RFC 9112 section 6.3). */
  #settleFraming(): void {
    if (this.#status < 100 || this.#status > 999) this.#phase = "bad";
    else if (this.#status < 200) this.#startHead();
    else if (this.#bodiless || this.#status === 204 || this.#status === 304) this.#phase = "done";
    else if (this.#phase === "length" && this.#remaining === 0) this.#phase = "done";
    else if (this.#phase === "chunk-size") this.#startChunkSize();
    else if (this.#phase === "until-close") this.#keepAlive = false;
  }

  #readData(bytes: Buffer, at: number, end: number): number {
    const size = Math.min(this.#remaining, end - at);
    this.#keep(bytes, at, at + size);
    this.#remaining -= size;
    if (this.#remaining === 0) this.#phase = this.#phase === "length" ? "done" : "chunk-end";
    return at + size;
  }

  #startChunkSize(): void {
    this.#phase = "chunk-size";
    this.#remaining = 0;
    this.#sizeDigits = 0;
  }

  /** One byte of the digits of a chunk-size line. */
  #readSize(bytes: Buffer, at: number): number {
    const byte = bytes[at] ?? 0;
    const digit = hexDigit(byte);
    if (digit >= 0 && this.#sizeDigits < MAX_SIZE_DIGITS) {
      this.#remaining = this.#remaining * 16 + digit;
      this.#sizeDigits += 1;
      return at + 1;
    }
    const ends = byte === CR || byte === LF || byte === SEMICOLON || byte === SPACE;
    this.#phase = ends && this.#sizeDigits > 0 ? "chunk-extension" : "bad";
    return at;
  }

  /** Skips to the end of a chunk-size line. */
  #readExtension(bytes: Buffer, at: number): number {
    if (bytes[at] !== LF) return at + 1;
    if (this.#remaining === 0) this.#startTrailer();
    else this.#phase = "chunk-data";
    return at + 1;
  }

  #readChunkEnd(bytes: Buffer, at: number): number {
    const byte = bytes[at];
    if (byte === LF) this.#startChunkSize();
    else if (byte !== CR) this.#phase = "bad";
    return at + 1;
  }

  #startTrailer(): void {
    this.#phase = "trailer";
    this.#lineLength = 0;
  }

  #readTrailer(bytes: Buffer, at: number): number {
    const byte = bytes[at];
    if (byte === LF) {
      if (this.#lineLength === 0) this.#phase = "done";
      this.#lineLength = 0;
    } else if (byte !== CR) this.#lineLength += 1;
    return at + 1;
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    if (end > start) this.#onBody?.(bytes, start, end);
    if (this.#chunks !== null && end > start) this.#chunks.push(Buffer.from(bytes.subarray(start, end)));
  }
}

/** Position after the empty line that ends a head, or -1. */
function findHeadEnd(bytes: Buffer, start: number, end: number): number {
  let at = bytes.indexOf(LF, start);
  while (at >= 0 && at + 2 < end) {
    if (bytes[at + 1] === CR && bytes[at + 2] === LF) return at + 3;
    at = bytes.indexOf(LF, at + 1);
  }
  return -1;
}

/** The three digits after "HTTP/1.x ", or -1. */
function parseStatus(bytes: Buffer, start: number): number {
  const known = bytes[start] === 72 && bytes[start + 4] === 47 && bytes[start + 8] === SPACE;
  return known ? parseDecimal(bytes, start + 9) : -1;
}

function isHeader(bytes: Buffer, line: number, name: Buffer): boolean {
  return bytes[line + name.length] === COLON && matches(bytes, line, name);
}

function valueStart(bytes: Buffer, colon: number): number {
  let at = colon + 1;
  while (bytes[at] === SPACE) at += 1;
  return at;
}

/** The decimal number at a position, or -1 when there is none or it is no safe integer. */
function parseDecimal(bytes: Buffer, start: number): number {
  let value = 0;
  let at = start;
  for (let byte = bytes[at] ?? 0; byte >= ZERO && byte <= NINE; byte = bytes[at] ?? 0) {
    value = value * 10 + byte - ZERO;
    at += 1;
  }
  return at === start || !Number.isSafeInteger(value) ? -1 : value;
}

/** Whether the lower-case word stands at a position in any case. */
function matches(bytes: Buffer, at: number, word: Buffer): boolean {
  for (let index = 0; index < word.length; index += 1) {
    if (((bytes[at + index] ?? 0) | 0x20) !== word[index]) return false;
  }
  return true;
}

function hexDigit(byte: number): number {
  if (byte >= ZERO && byte <= NINE) return byte - ZERO;
  const letter = (byte | 0x20) - 97;
  return letter >= 0 && letter < 6 ? letter + 10 : -1;
}
