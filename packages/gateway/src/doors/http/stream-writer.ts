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

/** Takes the pieces. False: no more until the socket has drained. */
export type StreamWriter = (piece: Uint8Array) => boolean;

/**
 * The writer of an answer whose head is written. In chunks of HTTP/1.1 (RFC 9112, 7.1) a piece goes to
 * the socket in a frame of ours, with one write: Node frames with four, a turn of the tick queue later.
 * Everything else goes through Node: what is not in chunks, and what waits behind another answer.
 */
export function streamWriter(response: ServerResponse, method: string): StreamWriter {
  const { socket } = response;
  if (socket === null || !response.chunkedEncoding || method === "HEAD") {
    return (piece) => response.write(piece);
  }
  return (piece) => (piece.length === 0 || !socket.writable ? true : writeChunk(socket, piece));
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
  const isIdle = socket.writableLength === 0;
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
