/** The seam between what decides when a request is sent (the driver) and what carries it (HTTP/1.1, gRPC). */
import type { FailureKind } from "./load-result.ts";

/** An answer that arrived whole, or the end of the attempt. Called at most once for each `send`, never inside it. */
export interface TransportEvents {
  /** `ok`: a 2xx status or grpc-status 0. */
  answered(slot: number, status: number, ok: boolean): void;
  failed(slot: number, kind: FailureKind): void;
  /** An event of a stamped stream arrived, stamped by the server behind with `monotonicUs`. `first` of its answer. */
  event(slot: number, stampUs: number, first: boolean): void;
}

/** Carries one request a slot at a time. */
export interface Transport {
  /** Connects every connection and resolves when each is up or has failed; a failed one connects again with `send`. */
  open(events: TransportEvents): Promise<void>;
  /** Sends the next request of the list on an idle slot. */
  send(slot: number): void;
  /** Gives a request up: its slot is idle afterwards and no event follows. */
  abandon(slot: number): void;
  /** Connections opened so far. */
  readonly connects: number;
  /** Ends every connection. Idempotent. */
  close(): void;
}

/** The failure kind of a socket error. */
export function failureOf(error: NodeJS.ErrnoException): FailureKind {
  switch (error.code) {
    case "ECONNREFUSED":
    case "ENOENT":
      return "refused";
    case "ECONNRESET":
    case "EPIPE":
      return "reset";
    case "ETIMEDOUT":
      return "timeout";
    default:
      return "other";
  }
}
