/** The load of one forwarded request: it moves from endpoint to endpoint and is released exactly once. */
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

/** Holds one attempt's place at one endpoint. */
export class RequestLease implements ForwardLease {
  readonly enqueuedAt: number;
  readonly grantedAt: number;
  readonly #onRoom: () => void;
  #endpoint: HttpEndpoint;
  #held = true;

  /** Takes the place. `onRoom` is called whenever one has come free. */
  constructor(
    endpoint: HttpEndpoint,
    times: { readonly enqueuedAt: number; readonly grantedAt: number },
    onRoom: () => void,
  ) {
    this.enqueuedAt = times.enqueuedAt;
    this.grantedAt = times.grantedAt;
    this.#endpoint = endpoint;
    this.#onRoom = onRoom;
    endpoint.acquire();
  }

  get endpoint(): HttpEndpoint {
    return this.#endpoint;
  }

  move(next: HttpEndpoint, result: AttemptResult): void {
    const before = this.#endpoint;
    const held = this.#held;
    this.#endpoint = next;
    this.#held = true;
    next.acquire();
    if (held) before.release(result);
    this.#onRoom();
  }

  finish(result: AttemptResult): void {
    if (!this.#held) return;
    this.#held = false;
    this.#endpoint.release(result);
    this.#onRoom();
  }

  settle(_outcome: Outcome): void {
    this.finish(neverSent);
  }
}
