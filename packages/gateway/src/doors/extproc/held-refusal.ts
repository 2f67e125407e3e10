/** A server's refusal of a request that was translated: held until it is whole, and told in the caller's API. */
import type { HeaderMap } from "../../core/headers.ts";
import type { WireAnswer } from "../../core/wire-answer.ts";
import type { AnswerRelay } from "./answer-relay.ts";

/** Longest refusal that is held, bytes; a longer one goes on as it came. */
const maxBytes = 65_536;

/** One refusal. */
export class HeldRefusal {
  readonly headers: HeaderMap;
  readonly #relay: AnswerRelay;
  readonly #status: number;
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  constructor(relay: AnswerRelay, status: number, headers: HeaderMap) {
    this.#relay = relay;
    this.#status = status;
    this.headers = headers;
  }

  /** As they came. */
  get pieces(): readonly Uint8Array[] {
    return this.#pieces;
  }

  /** Takes a piece. False: it is too long to be held. */
  add(piece: Uint8Array): boolean {
    if (piece.length > 0) this.#pieces.push(piece);
    this.#bytes += piece.length;
    return this.#bytes <= maxBytes;
  }

  /** The same in the caller's API; undefined where it would have another status: Envoy's credentials are its caller's own. */
  told(): WireAnswer | undefined {
    const answer = this.#relay.refused({
      status: this.#status,
      headers: this.headers,
      body: Buffer.concat(this.#pieces),
    });
    return answer?.status === this.#status ? answer : undefined;
  }
}
