/** How quickly a server answers, for choosing among servers. */
import type { AttemptResult } from "../contracts/http-endpoint.ts";

/** Weight of the newest answer: about the last twenty count. */
const weight = 0.1;

/**
 * Average speed of single answers: completion tokens a second from sending to the end, or answers a
 * second where none are told. That of an answer, not of the whole server: a server that is given more
 * would look faster and be given still more, while its answers get slower.
 */
export class SpeedMeter {
  #tokens = 0;
  #answers = 0;

  /** 0 while unknown. */
  get speed(): number {
    return this.#tokens > 0 ? this.#tokens : this.#answers;
  }

  /** Counts a good answer. */
  add({ durationMs, usage }: AttemptResult): void {
    const seconds = Math.max(durationMs, 1) / 1_000;
    this.#answers = average(this.#answers, 1 / seconds);
    const tokens = usage?.completionTokens ?? 0;
    if (tokens > 0) this.#tokens = average(this.#tokens, tokens / seconds);
  }
}

function average(old: number, value: number): number {
  return old === 0 ? value : old + weight * (value - old);
}
