/** One client connection: who is at the other end, and which requests would miss it. */
import type { Socket } from "node:net";
import type { Failure } from "../../core/errors.ts";

/** A request as its connection sees it. */
export interface Attached {
  /** The client has left. */
  gone(): void;
  /** What follows on the connection cannot be read: the request ends it with its answer. */
  broken(reason: Failure): void;
}

/** Requests are nearly always alone on their connection; only a pipelining client has several under way. */
export class Connection {
  readonly socket: Socket;
  /** Without the port; empty when the peer left before it could be asked. */
  readonly remoteAddress: string;
  /** When it was accepted or its last request arrived, ms on the door's clock. */
  lastSeenAt: number;
  readonly #attached = new Set<Attached>();

  constructor(socket: Socket, acceptedAt: number) {
    this.socket = socket;
    this.lastSeenAt = acceptedAt;
    this.remoteAddress = socket.remoteAddress ?? "";
  }

  /** Requests under way. */
  get size(): number {
    return this.#attached.size;
  }

  attach(request: Attached): void {
    this.#attached.add(request);
  }

  detach(request: Attached): void {
    this.#attached.delete(request);
  }

  /** Tells the youngest request, the only one that can still be arriving. False when there is none. */
  broken(reason: Failure): boolean {
    let youngest: Attached | undefined;
    for (const request of this.#attached) youngest = request;
    youngest?.broken(reason);
    return youngest !== undefined;
  }

  /** Tells all requests that the client has left. */
  lost(): void {
    for (const request of this.#attached) request.gone();
    this.#attached.clear();
  }
}
