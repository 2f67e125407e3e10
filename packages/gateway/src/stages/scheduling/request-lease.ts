/** The load of one forwarded request: a place at each endpoint where an attempt runs, given back exactly once. */
import type { AttemptResult, ForwardLease, HttpEndpoint } from "../../contracts/http-endpoint.ts";
import type { Outcome } from "../../core/outcome.ts";

/** The end of an attempt that never began. */
const neverSent: AttemptResult = {
  kind: "cancelled",
  status: undefined,
  retryAfterMs: undefined,
  firstTokenMs: undefined,
  durationMs: 0,
  usage: undefined,
};

/** What is known of the request. */
export interface LeasedRequest {
  /** The model's name in the pool. */
  readonly model: string;
  /** When it got in line, and when it left it, on the clock. */
  readonly enqueuedAt: number;
  readonly grantedAt: number;
}

/** Holds one place at most times, two while a hedge runs. */
export class RequestLease implements ForwardLease {
  readonly enqueuedAt: number;
  readonly grantedAt: number;
  /** Where the request goes first. */
  readonly endpoint: HttpEndpoint;
  readonly #model: string;
  readonly #onRoom: () => void;
  #first: HttpEndpoint | undefined;
  #second: HttpEndpoint | undefined;

  /** Takes the first place. `onRoom` is called whenever one has come free. */
  constructor(endpoint: HttpEndpoint, { model, enqueuedAt, grantedAt }: LeasedRequest, onRoom: () => void) {
    this.enqueuedAt = enqueuedAt;
    this.grantedAt = grantedAt;
    this.#model = model;
    this.endpoint = endpoint;
    this.#first = endpoint;
    this.#onRoom = onRoom;
    endpoint.acquire();
  }

  acquire(endpoint: HttpEndpoint): void {
    if (this.#first === undefined) this.#first = endpoint;
    else if (this.#second === undefined) this.#second = endpoint;
    else throw new RangeError("a request runs at two endpoints at most");
    endpoint.acquire();
  }

  release(endpoint: HttpEndpoint, result: AttemptResult): void {
    if (this.#first === endpoint) this.#first = undefined;
    else if (this.#second === endpoint) this.#second = undefined;
    else return;
    endpoint.release(result);
    // The server loaded it for this request: those that follow are to find it there.
    if (result.kind === "ok" && !endpoint.isLoaded(this.#model)) endpoint.refresh();
    this.#onRoom();
  }

  settle(_outcome: Outcome): void {
    if (this.#first !== undefined) this.release(this.#first, neverSent);
    if (this.#second !== undefined) this.release(this.#second, neverSent);
  }
}
