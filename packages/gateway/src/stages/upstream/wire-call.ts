/** A running request on a connection of its own. */
import type { Socket } from "node:net";
import type { ServerCall, ServerHandler, ServerRequest } from "../../contracts/connection.ts";
import { HeldBody } from "./held-body.ts";
import { isSent, UploadWriter, writeRequest } from "./request-body.ts";
import type { ResponseHead } from "./response-head.ts";
import type { ServerWire, WireUser } from "./server-wire.ts";

/** Bodies from this size on may still be on their way when the call is called off; smaller ones have left at once. */
const largeBodyBytes = 65_536;

/** Larger bodies are handed to the system in turns. */
const sentAtOnceBytes = 1_048_576;

/** What the system says where this process, or the whole machine, can have no further connection. */
const ownShortages: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]);

/** The user of a connection on one side, the caller's handle on the other. */
export class WireCall implements ServerCall, WireUser {
  readonly #request: ServerRequest;
  readonly #handler: ServerHandler;
  readonly #head: string;
  #wire: ServerWire | undefined;
  /** Set once the request is written. */
  #socket: Socket | undefined;
  #upload: UploadWriter | undefined;
  #isAnswered = false;
  #hasEnded = false;

  constructor(request: ServerRequest, handler: ServerHandler, head: string) {
    this.#request = request;
    this.#handler = handler;
    this.#head = head;
  }

  get sent(): boolean {
    return this.#socket !== undefined;
  }

  get isSent(): boolean {
    const socket = this.#socket;
    return socket !== undefined && isSent(socket, this.#upload);
  }

  get borrows(): boolean {
    return this.#request.borrowsChunks === true;
  }

  /** Begins. */
  start(wire: ServerWire): void {
    this.#wire = wire;
    wire.use(this, this.#request.method === "HEAD");
  }

  /** Ends the call before anything was sent. */
  refused(message: string): void {
    this.#hasEnded = true;
    this.#handler.failed({ kind: "connect", sent: false, message });
  }

  pause(): void {
    if (!this.#hasEnded && this.sent) this.#wire?.pause();
  }

  resume(): void {
    if (!this.#hasEnded && this.sent) this.#wire?.resume();
  }

  cancel(): void {
    if (this.#hasEnded) return;
    this.#finish();
    const { body, rest, upload } = this.#request;
    const isLarge =
      upload !== undefined || rest !== undefined || (body !== undefined && body.length >= largeBodyBytes);
    this.#wire?.leave(isLarge && this.sent && !this.#isAnswered ? "reset" : "close");
  }

  connected(socket: Socket): void {
    this.#socket = socket;
    const { body, rest } = this.#request;
    const isInTurns = body !== undefined && (rest !== undefined || body.length > sentAtOnceBytes);
    writeRequest(socket, this.#head, isInTurns ? undefined : body);
    const upload = isInTurns ? new HeldBody(body, rest) : this.#request.upload;
    if (upload === undefined) return;
    this.#upload = new UploadWriter(socket, upload, () => socket.destroy());
    this.#upload.start();
  }

  unreachable(error: NodeJS.ErrnoException): void {
    const isOurs = ownShortages.has(error.code ?? "");
    this.#hasEnded = true;
    this.#handler.failed({ kind: "connect", sent: false, message: error.message, isOurs });
  }

  head({ status, headers }: ResponseHead): void {
    this.#isAnswered = true;
    this.#handler.head(status, headers);
  }

  body(piece: Buffer, isLast: boolean): void {
    this.#handler.data(piece, isLast);
  }

  ended(): void {
    this.#finish();
    this.#handler.end();
  }

  broken(kind: "closed" | "malformed", message: string): void {
    this.#finish();
    this.#handler.failed({ kind, sent: true, message });
  }

  drained(): void {
    this.#upload?.resume();
  }

  #finish(): void {
    this.#hasEnded = true;
    this.#upload?.stop();
  }
}
