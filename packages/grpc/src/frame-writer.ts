/**
 * Writes HTTP/2 frames to a socket. Headers and small payloads are copied side by side into a shared
 * slab; large pieces are passed on as they are. Everything written in one turn of the loop reaches the
 * kernel in one call.
 */
import type { Socket } from "node:net";
import { frameFlag, frameHeaderBytes, frameType } from "./http2-codes.ts";

/** Pieces shorter than this are copied: cheaper than one more entry in the vector of a write. */
const copyBelowBytes = 4096;
const slabBytes = 65_536;

/** One slab serves all connections of the process, so that an idle connection holds none. */
const shared = { slab: Buffer.alloc(0), used: 0 };

/** The sending half of a connection, below flow control. */
export class FrameWriter {
  readonly #socket: Socket;
  readonly #flushBound = (): void => this.flush();
  #slab = shared.slab;
  /** The part of the slab written but not yet put on the list. */
  #start = 0;
  #end = 0;
  #list: Uint8Array[] = [];
  #listBytes = 0;
  #flushPlanned = false;
  /** Who wants to know when the kernel has what is on the list. */
  #waiting: (() => void)[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Bytes that the kernel has not taken yet. */
  get backlogBytes(): number {
    return this.#socket.writableLength + this.#listBytes + (this.#end - this.#start);
  }

  /** A frame with its whole payload. */
  frame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    this.header(payload.length, type, flags, streamId);
    this.bytes(payload, 0, payload.length);
  }

  /** The nine bytes before a payload of `length` bytes, which the caller writes next. */
  header(length: number, type: number, flags: number, streamId: number): void {
    const at = this.#reserve(frameHeaderBytes);
    const slab = this.#slab;
    slab[at] = length >>> 16;
    slab[at + 1] = length >>> 8;
    slab[at + 2] = length;
    slab[at + 3] = type;
    slab[at + 4] = flags;
    slab[at + 5] = streamId >>> 24;
    slab[at + 6] = streamId >>> 16;
    slab[at + 7] = streamId >>> 8;
    slab[at + 8] = streamId;
  }

  /** Payload bytes `start` to `end` of a piece. Long ones are kept by reference until the kernel has them. */
  bytes(piece: Uint8Array, start: number, end: number): void {
    const count = end - start;
    if (count >= copyBelowBytes) {
      this.#closeSegment();
      this.#list.push(count === piece.length ? piece : piece.subarray(start, end));
      this.#listBytes += count;
      return;
    }
    const at = this.#reserve(count);
    this.#slab.set(count === piece.length ? piece : piece.subarray(start, end), at);
  }

  /** HEADERS, and CONTINUATION where the block does not fit one frame. `more` is appended to the block. */
  headers(
    streamId: number,
    block: Uint8Array,
    options: {
      readonly more: Uint8Array | undefined;
      readonly endStream: boolean;
      readonly maxFrameBytes: number;
    },
  ): void {
    const { more, maxFrameBytes } = options;
    const total = block.length + (more?.length ?? 0);
    const end = options.endStream ? frameFlag.endStream : 0;
    if (total > maxFrameBytes) {
      this.#splitHeaders(streamId, more ? Buffer.concat([block, more]) : block, end, maxFrameBytes);
      return;
    }
    this.header(total, frameType.headers, frameFlag.endHeaders | end, streamId);
    this.bytes(block, 0, block.length);
    if (more) this.bytes(more, 0, more.length);
  }

  #splitHeaders(streamId: number, block: Uint8Array, endFlag: number, maxFrameBytes: number): void {
    for (let at = 0; at < block.length; at += maxFrameBytes) {
      const end = Math.min(at + maxFrameBytes, block.length);
      const flags = (at === 0 ? endFlag : 0) | (end === block.length ? frameFlag.endHeaders : 0);
      this.header(end - at, at === 0 ? frameType.headers : frameType.continuation, flags, streamId);
      this.bytes(block, at, end);
    }
  }

  /** Calls back once the kernel has all that was written so far; not at all when the socket breaks before. */
  whenTaken(callback: () => void): void {
    this.#waiting.push(callback);
  }

  /** Flushes at the end of the present turn unless `flush` comes first. */
  planFlush(): void {
    if (this.#flushPlanned) return;
    this.#flushPlanned = true;
    process.nextTick(this.#flushBound);
  }

  /** Gives everything to the socket in one go. */
  flush(): void {
    this.#flushPlanned = false;
    this.#closeSegment();
    const list = this.#list;
    const first = list[0];
    if (!first) return;
    this.#list = [];
    this.#listBytes = 0;
    const taken = this.#takenCallback();
    const socket = this.#socket;
    if (!socket.writable) return;
    if (list.length === 1) {
      socket.write(first, taken);
      return;
    }
    const last = list.pop();
    socket.cork();
    for (const piece of list) socket.write(piece);
    socket.write(last ?? first, taken);
    socket.uncork();
  }

  #takenCallback(): ((error?: Error | null) => void) | undefined {
    const waiting = this.#waiting;
    if (waiting.length === 0) return undefined;
    this.#waiting = [];
    return (error) => {
      if (!error) for (const callback of waiting) callback();
    };
  }

  /** Makes room for `count` bytes after what is already there and gives their position. */
  #reserve(count: number): number {
    if (this.#slab !== shared.slab || this.#end !== shared.used || shared.used + count > this.#slab.length) {
      this.#closeSegment();
      if (shared.used + count > shared.slab.length) {
        shared.slab = Buffer.allocUnsafeSlow(slabBytes);
        shared.used = 0;
      }
      this.#slab = shared.slab;
      this.#start = shared.used;
      this.#end = shared.used;
    }
    const at = this.#end;
    this.#end += count;
    shared.used = this.#end;
    return at;
  }

  #closeSegment(): void {
    if (this.#end === this.#start) return;
    this.#list.push(this.#slab.subarray(this.#start, this.#end));
    this.#listBytes += this.#end - this.#start;
    this.#start = this.#end;
  }
}
