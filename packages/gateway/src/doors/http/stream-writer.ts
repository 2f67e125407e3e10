/** Puts the pieces of a streamed answer on the wire. */
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Pieces up to this are copied into their frame: one write of one buffer costs less than one of three. */
const joinBytes = 4_096;

const lineEnd = Buffer.from("\r\n");

/**
 * Where frames are built. A socket that has nothing else to send takes a write at once, so that the
 * memory can be used for the next frame; what it does not take keeps it, and there is another.
 */
let scratch = Buffer.allocUnsafeSlow(joinBytes + 16);

/**
 * Writes an answer. In chunks of HTTP/1.1 (RFC 9112, 7.1) a piece goes to the
 * socket in a frame of ours, with one write: Node frames with four, a turn of the tick queue later.
 * Everything else goes through Node: what is not in chunks, and what waits behind another answer.
 */
export class StreamWriter {
  readonly #response: ServerResponse;
  readonly #socket: Socket | null;
  readonly #isChunked: boolean;
  #isGathering = false;

  /** Sends the head, with what is written in the same turn. */
  constructor(response: ServerResponse, method: string) {
    const { socket } = response;
    this.#response = response;
    this.#socket = socket;
    this.#isChunked = socket !== null && response.chunkedEncoding && method !== "HEAD";
    this.gather();
    response.flushHeaders();
  }

  /** False: no more until the socket has drained. */
  write(piece: Uint8Array): boolean {
    const socket = this.#socket;
    if (socket === null || !this.#isChunked) return this.#response.write(piece);
    return piece.length === 0 || !socket.writable ? true : writeChunk(socket, piece);
  }

  /** Until the callback at hand is over, what is written is held together and leaves in one write. */
  gather(): void {
    const socket = this.#socket;
    if (socket === null || this.#isGathering) return;
    this.#isGathering = true;
    socket.cork();
    process.nextTick(endGathering, this);
  }

  /** Writes what was gathered. */
  gathered(): void {
    if (!this.#isGathering) return;
    this.#isGathering = false;
    this.#socket?.uncork();
  }

  /** Ends the connection so that nobody takes the part for the whole: HTTP/1.0 knows no other end than a reset. */
  abort(socket: Socket): void {
    this.gathered();
    // A reset is for bare TCP; under TLS an end without its closing message says as much.
    if (this.#response.req.httpVersion === "1.0" && !("encrypted" in socket)) socket.resetAndDestroy();
    else socket.destroy();
  }
}

function endGathering(writer: StreamWriter): void {
  writer.gathered();
}

function writeChunk(socket: Socket, piece: Uint8Array): boolean {
  const size = piece.length.toString(16);
  if (piece.length > joinBytes) {
    socket.cork();
    socket.write(`${size}\r\n`, "latin1");
    socket.write(piece);
    const takesMore = socket.write(lineEnd);
    socket.uncork();
    return takesMore;
  }
  const length = size.length + piece.length + 4;
  const isIdle = socket.writableLength === 0 && socket.writableCorked === 0;
  const bytes = isIdle ? scratch.subarray(0, length) : Buffer.allocUnsafe(length);
  fillFrame(bytes, size, piece);
  const takesMore = socket.write(bytes);
  if (isIdle && socket.writableLength > 0) scratch = Buffer.allocUnsafeSlow(scratch.length);
  return takesMore;
}

function fillFrame(bytes: Buffer, size: string, piece: Uint8Array): void {
  let at = 0;
  while (at < size.length) bytes[at] = size.charCodeAt(at++);
  bytes[at++] = 0x0d;
  bytes[at++] = 0x0a;
  bytes.set(piece, at);
  at += piece.length;
  bytes[at++] = 0x0d;
  bytes[at] = 0x0a;
}
