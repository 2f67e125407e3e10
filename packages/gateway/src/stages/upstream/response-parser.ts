/** Answers of an HTTP/1.1 connection, read as their bytes come, one after the other. */
import { ChunkedBody } from "./chunked-body.ts";
import { readResponseHead, type ResponseHead } from "./response-head.ts";

/** Longest head of an answer, bytes. */
export const maxHeadBytes = 32_768;

/** Interim answers (1xx) before an answer that are passed over. */
const maxInterim = 64;

const endOfHead = Buffer.from("\r\n\r\n");
const beginning = Buffer.from("HTTP/1.");

/** Who hears of an answer, synchronously. */
export interface ResponseReceiver {
  onHead(head: ResponseHead): void;
  /** A piece of the body. Its memory is the receiver's. `isLast`: `onEnd` follows at once. */
  onBody(piece: Buffer, isLast: boolean): void;
  /** The answer is complete. `isClean`: nothing has come behind it. */
  onEnd(isClean: boolean): void;
}

/** Reads one answer at a time: `begin`, then pieces until it has ended. */
export class ResponseParser {
  readonly #receiver: ResponseReceiver;
  readonly #chunks = new ChunkedBody();
  /** A head of which more is to come. */
  #partial: Buffer | undefined;
  #head: ResponseHead | undefined;
  /** Bytes of the body that are still to come, where their number is known. */
  #rest = 0;
  #interim = 0;
  #isHeadOnly = false;
  #isEnded = true;

  constructor(receiver: ResponseReceiver) {
    this.#receiver = receiver;
  }

  /** True between answers. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Makes ready for the answer to a request. `isHeadOnly`: to a HEAD, which has no body whatever its head says. */
  begin(isHeadOnly: boolean): void {
    this.#partial = undefined;
    this.#head = undefined;
    this.#interim = 0;
    this.#isHeadOnly = isHeadOnly;
    this.#isEnded = false;
  }

  /** Nobody wants the rest. */
  stop(): void {
    this.#isEnded = true;
  }

  /** Reads a piece; its memory is the parser's. Gives back what is wrong with it. What stands behind the answer is left out. */
  push(piece: Buffer): string | undefined {
    let at = 0;
    while (this.#head === undefined && at < piece.length) {
      const end = this.#findHead(piece, at);
      if (typeof end === "string") return end;
      if (end < 0) return undefined;
      at = end;
    }
    return this.#isEnded || at >= piece.length ? undefined : this.#body(piece, at);
  }

  /** The connection has ended. True where that is the end of the answer. */
  close(): boolean {
    if (this.#isEnded || this.#head?.framing !== "until-close") return false;
    this.#end(true);
    return true;
  }

  /** Reads a head. Gives back the position in the piece behind it, -1 where more is to come, or what is wrong. */
  #findHead(piece: Buffer, from: number): number | string {
    const held = this.#partial;
    const bytes = held === undefined ? piece : Buffer.concat([held, piece]);
    const start = held === undefined ? from : 0;
    const mark = bytes.indexOf(endOfHead, held === undefined ? from : Math.max(0, held.length - 3));
    const length = (mark < 0 ? bytes.length : mark) - start;
    if (length > maxHeadBytes) return "the head of the answer is too long";
    if (mark < 0) {
      this.#partial = held === undefined ? Buffer.from(bytes.subarray(from)) : bytes;
      return isBeginning(bytes, start) ? -1 : "the server sent what is no HTTP head";
    }
    this.#partial = undefined;
    const head = readResponseHead(bytes.toString("latin1", start, mark));
    if (typeof head === "string") return head;
    const end = mark + endOfHead.length - (held?.length ?? 0);
    return this.#take(head, end === piece.length) ?? end;
  }

  #take(head: ResponseHead, isLast: boolean): string | undefined {
    const { status, framing } = head;
    if (status < 200) {
      if (status === 101) return "the server wants to speak another protocol";
      return ++this.#interim > maxInterim ? "the server sent too many interim answers" : undefined;
    }
    this.#head = head;
    const hasNoBody = this.#isHeadOnly || status === 204 || status === 304;
    this.#rest = hasNoBody || typeof framing !== "number" ? 0 : framing;
    if (framing === "chunked") this.#chunks.reset();
    this.#receiver.onHead(head);
    if (hasNoBody || framing === 0) this.#end(isLast);
    return undefined;
  }

  #body(piece: Buffer, from: number): string | undefined {
    const framing = this.#head?.framing;
    if (framing === "chunked") return this.#chunked(piece, from);
    const length =
      framing === "until-close" ? piece.length - from : Math.min(this.#rest, piece.length - from);
    const end = from + length;
    const bytes = from === 0 && end === piece.length ? piece : piece.subarray(from, end);
    if (framing !== "until-close") this.#rest -= length;
    this.#receiver.onBody(bytes, framing !== "until-close" && this.#rest === 0);
    if (framing === "until-close") return undefined;
    if (this.#rest === 0) this.#end(end === piece.length);
    return undefined;
  }

  #chunked(piece: Buffer, from: number): string | undefined {
    const chunks = this.#chunks;
    const payload = chunks.decode(piece, from);
    if (payload !== undefined) this.#receiver.onBody(payload, chunks.isDone);
    if (chunks.problem !== undefined) return chunks.problem;
    if (chunks.isDone) this.#end(chunks.endsAt === piece.length);
    return undefined;
  }

  #end(isClean: boolean): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#receiver.onEnd(isClean);
  }
}

/** Whether the bytes may become a head. */
function isBeginning(bytes: Buffer, from: number): boolean {
  const length = Math.min(bytes.length - from, beginning.length);
  return bytes.compare(beginning, 0, length, from, from + length) === 0;
}
