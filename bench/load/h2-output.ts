/** Gathers the frames of one turn of the event loop into few writes on a socket. */
import type { Socket } from "node:net";
import { FRAME_HEADER_BYTES, writeFrameHeader } from "./h2-frames.ts";

const BUFFER_BYTES = 65_536;
/** Payloads larger than this are written from where they lie instead of being copied. */
const COPY_MAX_BYTES = 4096;

/** Collects frames between `begin` and `flush`. Its buffer is used again once the socket has taken its bytes. */
export class FrameOutput {
  readonly #socket: Socket;
  #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #start = 0;
  #at = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Nothing goes out before `flush`. */
  begin(): void {
    this.#socket.cork();
  }

  /** Adds a frame with the bytes [from, to) of `payload`, which must not change afterwards. */
  add(type: number, flags: number, stream: number, payload: Buffer, from: number, to: number): void {
    const length = to - from;
    const copied = length <= COPY_MAX_BYTES ? length : 0;
    if (this.#at + FRAME_HEADER_BYTES + copied > BUFFER_BYTES) this.#renew();
    this.#at = writeFrameHeader(this.#buffer, this.#at, { length, type, flags, stream });
    if (length <= COPY_MAX_BYTES) this.#at += payload.copy(this.#buffer, this.#at, from, to);
    else {
      this.#writeBuffered();
      this.#socket.write(payload.subarray(from, to));
    }
  }

  /** Hands everything to the socket. */
  flush(): void {
    this.#writeBuffered();
    this.#socket.uncork();
    if (this.#socket.writableLength > 0) this.#renew();
    else this.#start = this.#at = 0;
  }

  #writeBuffered(): void {
    if (this.#at > this.#start) this.#socket.write(this.#buffer.subarray(this.#start, this.#at));
    this.#start = this.#at;
  }

  #renew(): void {
    this.#writeBuffered();
    this.#buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
    this.#start = this.#at = 0;
  }
}
