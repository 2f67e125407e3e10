/**
 * Cuts a stream's bytes into gRPC messages: one byte of flags, four of length, the message
 * (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). A message is assembled once into a
 * buffer of its own: chunks are never kept.
 */
import { gunzip } from "node:zlib";
import type { MemoryAccount } from "./memory-account.ts";
import { grpcStatus } from "./types.ts";
import type { GrpcStatusCode } from "./types.ts";

/** Receives the messages, in order, one at a time. */
export interface MessageSink {
  /** A whole message. Its bytes stay on the account until `release`. */
  takeMessage(message: Buffer): void;
  /** All messages have been given. */
  takeMessagesEnd(): void;
  /** The stream's bytes cannot be read on: too large, malformed, or memory is used up. Nothing follows. */
  takeMessageError(code: GrpcStatusCode, text: string): void;
}

/** What bounds the messages of a stream. */
export interface MessageLimits {
  readonly maxMessageBytes: number;
  readonly account: MemoryAccount;
  /** The peer's `grpc-encoding` is gzip: flagged messages are inflated. Otherwise a flag is an error. */
  readonly gzip: boolean;
}

/** Bytes before each message. */
export const messagePrefixBytes = 5;

/** A buffer holds at most this many times what has arrived: announcing a size costs its sender a share of it. */
const growthFactor = 32;
/** Sizes of a buffer that does not hold the whole message yet; few, so that their memory is used again. */
const smallestStepBytes = 65_536;

type Entry = { readonly message: Buffer; readonly compressed: boolean } | "end";

/** Reads the messages of one half of a stream. */
export class MessageReader {
  readonly #sink: MessageSink;
  readonly #limits: MessageLimits;
  #prefix: Buffer | undefined;
  #prefixFilled = 0;
  #compressed = false;
  /** Length of the message being received; −1 between messages. */
  #length = -1;
  #filled = 0;
  #body: Buffer | undefined;
  #charged = 0;
  #state: "reading" | "ended" | "stopped" = "reading";
  #paused = false;
  #inflating = false;
  /** What waits behind a pause or an inflation; bounded by the account. */
  #waiting: Entry[] = [];

  constructor(sink: MessageSink, limits: MessageLimits) {
    this.#sink = sink;
    this.#limits = limits;
  }

  /** Takes the next bytes of the stream. */
  feed(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length && this.#state === "reading")
      at = this.#length < 0 ? this.#readPrefix(bytes, at) : this.#readBody(bytes, at);
  }

  /** The stream's bytes are complete. */
  end(): void {
    if (this.#state !== "reading") return;
    if (this.#length >= 0 || this.#prefixFilled > 0) {
      this.#stop(grpcStatus.internal, "the stream ended inside a message");
      return;
    }
    this.#state = "ended";
    this.#deliver("end");
  }

  /** Holds messages back until `resume`. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#drain();
  }

  /** Stops for good and gives back what is on the account. Idempotent. */
  release(): void {
    this.#state = "stopped";
    this.#waiting = [];
    this.#body = undefined;
    this.#limits.account.release(this.#charged);
    this.#charged = 0;
  }

  /** Gives back a message's bytes: it is no longer kept on the call's behalf. */
  releaseMessage(message: Buffer): void {
    const bytes = Math.min(message.length, this.#charged);
    this.#charged -= bytes;
    this.#limits.account.release(bytes);
  }

  #readPrefix(bytes: Buffer, start: number): number {
    if (this.#prefixFilled === 0 && bytes.length - start >= messagePrefixBytes) {
      this.#begin(bytes[start] ?? 0, bytes.readUInt32BE(start + 1));
      return start + messagePrefixBytes;
    }
    this.#prefix ??= Buffer.allocUnsafe(messagePrefixBytes);
    const count = Math.min(messagePrefixBytes - this.#prefixFilled, bytes.length - start);
    bytes.copy(this.#prefix, this.#prefixFilled, start, start + count);
    this.#prefixFilled += count;
    if (this.#prefixFilled === messagePrefixBytes) {
      this.#prefixFilled = 0;
      this.#begin(this.#prefix[0] ?? 0, this.#prefix.readUInt32BE(1));
    }
    return start + count;
  }

  #begin(flags: number, length: number): void {
    if (flags > 1) {
      this.#stop(grpcStatus.internal, `invalid message flags ${flags}`);
      return;
    }
    this.#compressed = flags === 1;
    if (this.#compressed && !this.#limits.gzip) {
      this.#stop(grpcStatus.internal, "a compressed message without a grpc-encoding");
      return;
    }
    const max = this.#limits.maxMessageBytes;
    if (length > max) {
      this.#stop(grpcStatus.resourceExhausted, `message of ${length} bytes, at most ${max} are accepted`);
      return;
    }
    this.#length = length;
    this.#filled = 0;
    if (length === 0) this.#finish(Buffer.alloc(0));
  }

  #readBody(bytes: Buffer, start: number): number {
    const count = Math.min(this.#length - this.#filled, bytes.length - start);
    const body = this.#bodyFor(this.#filled + count);
    if (body) {
      bytes.copy(body, this.#filled, start, start + count);
      this.#filled += count;
      if (this.#filled === this.#length) this.#finish(body);
    }
    return start + count;
  }

  /** The buffer the message is assembled in, with room for `needed` bytes. */
  #bodyFor(needed: number): Buffer | undefined {
    const present = this.#body;
    if (present && present.length >= needed) return present;
    const bytes = bufferBytes(this.#length, needed);
    if (!this.#charge(bytes - (present?.length ?? 0))) return undefined;
    const grown = bytes < smallestStepBytes ? Buffer.allocUnsafe(bytes) : Buffer.allocUnsafeSlow(bytes);
    present?.copy(grown, 0, 0, this.#filled);
    this.#body = grown;
    return grown;
  }

  #charge(bytes: number): boolean {
    if (this.#limits.account.take(bytes)) {
      this.#charged += bytes;
      return true;
    }
    this.#stop(grpcStatus.resourceExhausted, "too many bytes are being kept, try again later");
    return false;
  }

  #finish(message: Buffer): void {
    this.#length = -1;
    this.#body = undefined;
    this.#deliver({ message, compressed: this.#compressed });
  }

  #stop(code: GrpcStatusCode, text: string): void {
    this.release();
    this.#sink.takeMessageError(code, text);
  }

  #deliver(entry: Entry): void {
    if (this.#waiting.length > 0 || this.#paused || this.#inflating) this.#waiting.push(entry);
    else this.#give(entry);
  }

  #drain(): void {
    while (!this.#paused && !this.#inflating && this.#state !== "stopped") {
      const entry = this.#waiting.shift();
      if (entry === undefined) return;
      this.#give(entry);
    }
  }

  #give(entry: Entry): void {
    if (entry === "end") this.#sink.takeMessagesEnd();
    else if (entry.compressed) this.#inflate(entry.message);
    else this.#sink.takeMessage(entry.message);
  }

  /**
   * Inflates off the loop. The size a gzip stream claims for itself (RFC 1952, ISIZE) is put on the
   * account first and is the bound of the output, so a bomb costs what it says or fails.
   */
  #inflate(message: Buffer): void {
    const claimed = message.length < 4 ? 0 : message.readUInt32LE(message.length - 4);
    const max = this.#limits.maxMessageBytes;
    if (claimed > max) {
      this.#stop(
        grpcStatus.resourceExhausted,
        `message inflates to ${claimed} bytes, at most ${max} are accepted`,
      );
      return;
    }
    if (!this.#charge(claimed)) return;
    this.#inflating = true;
    gunzip(message, { maxOutputLength: Math.max(claimed, 1) }, (error, inflated) => {
      this.#inflating = false;
      if (this.#state === "stopped") return;
      if (error) this.#stop(grpcStatus.internal, "the gzip message cannot be inflated");
      else {
        this.releaseMessage(message);
        this.#sink.takeMessage(inflated);
        this.#drain();
      }
    });
  }
}

/** Size of the buffer for a message of `length` bytes of which `needed` are here. */
function bufferBytes(length: number, needed: number): number {
  if (needed * growthFactor >= length) return length;
  let step = smallestStepBytes;
  while (step < needed) step *= growthFactor;
  return Math.min(step, length);
}

/** The five bytes before an uncompressed message made of pieces. */
export function messagePrefix(pieces: readonly Uint8Array[]): Buffer {
  let bytes = 0;
  for (const piece of pieces) bytes += piece.length;
  const prefix = Buffer.allocUnsafe(messagePrefixBytes);
  prefix[0] = 0;
  prefix.writeUInt32BE(bytes, 1);
  return prefix;
}
