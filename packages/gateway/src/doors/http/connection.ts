/** One client connection: who is at the other end, and which requests would miss it. */
import type { Socket } from "node:net";
import type { Clock } from "../../core/clock.ts";
import type { Failure } from "../../core/errors.ts";

/** A client that may be about to send its next request has this long to do so before its connection ends, ms. */
export const restMs = 150;

/** A request as its connection sees it. */
export interface Attached {
  /** The client has left. */
  gone(): void;
  /** What follows on the connection cannot be read: the request ends it with its answer. */
  broken(reason: Failure): void;
  /** The client has taken what was written. */
  drained(): void;
}

/** Requests are nearly always alone on their connection; only a pipelining client has several under way. */
export class Connection {
  readonly socket: Socket;
  /** Without the port; empty when the peer left before it could be asked. */
  readonly remoteAddress: string;
  /** When it was accepted or its last request arrived, ms on the door's clock. */
  lastSeenAt: number;
  #attached: Attached[] = [];
  /** Its socket has a timeout of ours. */
  #isTimed = false;
  /** Bytes that had come at the last look. */
  #bytesRead = 0;
  /** First look at which it was idle, ms; undefined while it is not. */
  #idleSince: number | undefined;

  constructor(socket: Socket, acceptedAt: number) {
    this.socket = socket;
    this.lastSeenAt = acceptedAt;
    this.remoteAddress = socket.remoteAddress ?? "";
  }

  /** Requests under way. */
  get size(): number {
    return this.#attached.length;
  }

  /**
   * Gives the socket a timeout while its client has something to take, and takes it away again. One that is always
   * there would be put off with every write of every stream.
   */
  watchStall(timeoutMs: number): void {
    const { socket } = this;
    const isWaiting = socket.writableLength > 0;
    if (isWaiting === this.#isTimed) return;
    this.#isTimed = isWaiting;
    if (isWaiting) socket.setTimeout(timeoutMs);
    else socket.setTimeout(0);
  }

  /**
   * Ends the connection once it has been idle for so long: no request under way, and nothing came between two looks.
   * Looks cost less than a timer for each connection that is set and cleared with every request.
   */
  watchIdle(keepAliveMs: number, now: number): void {
    const { bytesRead } = this.socket;
    const isIdle = this.size === 0 && bytesRead === this.#bytesRead;
    this.#bytesRead = bytesRead;
    this.#idleSince = isIdle ? (this.#idleSince ?? now) : undefined;
    if (this.#idleSince !== undefined && now - this.#idleSince >= keepAliveMs) this.socket.destroySoon();
  }

  attach(request: Attached): void {
    this.#attached.push(request);
  }

  detach(request: Attached): void {
    const index = this.#attached.indexOf(request);
    if (index >= 0) this.#attached.splice(index, 1);
  }

  /** Ends the connection unless another request comes first: one that was not told so has to be given the time. */
  endSoon(clock: Clock): void {
    clock.after(restMs, () => {
      if (this.size === 0) this.socket.destroySoon();
    });
  }

  /** Tells the youngest request, the only one that can still be arriving. False when there is none. */
  broken(reason: Failure): boolean {
    const youngest = this.#attached.at(-1);
    youngest?.broken(reason);
    return youngest !== undefined;
  }

  /** Tells the eldest request, whose answer is the one that is being written. */
  drained(): void {
    this.#attached[0]?.drained();
  }

  /** Tells all requests that the client has left. */
  lost(): void {
    const requests = this.#attached;
    this.#attached = [];
    for (const request of requests) request.gone();
  }
}
