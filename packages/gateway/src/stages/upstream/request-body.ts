/** Puts a request on its socket: head and small body in one write, uploads as they come. */
import type { Socket } from "node:net";
import type { BodyStream } from "../../contracts/body-stream.ts";

/** Bodies up to this are copied behind their head: one small write is cheaper than two buffers in one. */
const joinBytes = 16_384;

const chunkEnd = Buffer.from("\r\n");
const lastChunk = Buffer.from("0\r\n\r\n");

/** Sends the head, and the body where it is there. */
export function writeRequest(socket: Socket, head: string, body: Uint8Array | undefined): void {
  if (body === undefined) {
    socket.write(head, "latin1");
  } else if (body.length <= joinBytes) {
    const bytes = Buffer.allocUnsafe(head.length + body.length);
    bytes.write(head, 0, "latin1");
    bytes.set(body, head.length);
    socket.write(bytes);
  } else {
    socket.cork();
    socket.write(head, "latin1");
    socket.write(body);
    socket.uncork();
  }
}

/** A body that is sent as it comes, after its head. */
export class UploadWriter {
  readonly #socket: Socket;
  readonly #body: BodyStream;
  readonly #onMismatch: () => void;
  #sent = 0;
  #isStopped = false;
  /** True once all of it was handed to the socket. */
  isComplete = false;

  /** `onMismatch`: it is not as long as its head says, so the connection is of no more use. */
  constructor(socket: Socket, body: BodyStream, onMismatch: () => void) {
    this.#socket = socket;
    this.#body = body;
    this.#onMismatch = onMismatch;
  }

  /** Begins. May take all of it at once. */
  start(): void {
    this.#body.read({ data: (piece) => this.#data(piece), end: () => this.#end() });
  }

  /** The server takes more. */
  resume(): void {
    if (!this.#isStopped && !this.isComplete) this.#body.resume();
  }

  /** What still comes is not sent. */
  stop(): void {
    this.#isStopped = true;
  }

  #data(piece: Uint8Array): void {
    if (this.#isStopped || piece.length === 0) return;
    const { length } = this.#body;
    this.#sent += piece.length;
    if (length !== undefined && this.#sent > length) return this.#onMismatch();
    const takesMore = length === undefined ? this.#chunk(piece) : this.#socket.write(piece);
    if (!takesMore) this.#body.pause();
  }

  #chunk(piece: Uint8Array): boolean {
    const socket = this.#socket;
    socket.cork();
    socket.write(`${piece.length.toString(16)}\r\n`, "latin1");
    socket.write(piece);
    const takesMore = socket.write(chunkEnd);
    socket.uncork();
    return takesMore;
  }

  #end(): void {
    if (this.#isStopped) return;
    const { length } = this.#body;
    if (length !== undefined && this.#sent !== length) return this.#onMismatch();
    if (length === undefined) this.#socket.write(lastChunk);
    this.isComplete = true;
  }
}

/** Whether nothing of the request is left to send. */
export function isSent(socket: Socket, upload: UploadWriter | undefined): boolean {
  return socket.writableLength === 0 && (upload === undefined || upload.isComplete);
}
