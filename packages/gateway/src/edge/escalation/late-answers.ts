/** Fetches answers that the cloud had not found yet when it took a query, so that it is known whether the edge was right. */
import { isCloudFailure, type Cloud, type CloudFailure } from "../../contracts/cloud.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import type { Cancellation } from "../../core/cancellation.ts";
import type { ImageQuery } from "../../core/detector.ts";
import { isAnswered, type Compared } from "./merge-answer.ts";

/** After how long each attempt is made, counted from the one before, ms. Then the answer is given up. */
const delaysMs = [2_000, 10_000, 60_000, 600_000];

/** So many are waited for; more are not looked after. */
const maxWaiting = 1_000;

/** What fetching needs. */
export interface LateAnswerParts {
  readonly cloud: Cloud;
  readonly clock: Clock;
  readonly tokenOf: (detectorId: string) => string | undefined;
  readonly timeoutMs: number;
  readonly cancellation: Cancellation;
  /** Called with each answer that came. */
  readonly onAnswer: (asked: Compared, answer: ImageQuery) => void;
}

interface Waiting {
  readonly asked: Compared;
  readonly at: number;
  readonly attempts: number;
}

/** One question at a time, the earliest due first; kept in memory: a restart forgets them. */
export class LateAnswers {
  readonly #parts: LateAnswerParts;
  readonly #waiting: Waiting[] = [];
  #timer: Timer | undefined;
  #isAsking = false;

  constructor(parts: LateAnswerParts) {
    this.#parts = parts;
  }

  /** How many are waited for. */
  get size(): number {
    return this.#waiting.length + (this.#isAsking ? 1 : 0);
  }

  /** Looks after a query; does nothing where too many are waited for. */
  expect(asked: Compared): void {
    if (this.#waiting.length < maxWaiting) this.#wait(asked, 0);
  }

  /** Idempotent. */
  close(): void {
    this.#timer?.cancel();
    this.#waiting.length = 0;
  }

  #wait(asked: Compared, attempts: number): void {
    const delayMs = delaysMs[attempts];
    if (delayMs === undefined || this.#parts.cancellation.reason !== undefined) return;
    this.#waiting.push({ asked, attempts, at: this.#parts.clock.now() + delayMs });
    this.#schedule();
  }

  #schedule(): void {
    this.#timer?.cancel();
    if (this.#isAsking || this.#waiting.length === 0) return;
    const { clock } = this.#parts;
    const at = this.#waiting.reduce((least, each) => Math.min(least, each.at), Infinity);
    this.#timer = clock.after(Math.max(0, at - clock.now()), () => void this.#ask());
  }

  async #ask(): Promise<void> {
    const next = this.#takeDue();
    if (next === undefined) return this.#schedule();
    const { cancellation, onAnswer } = this.#parts;
    this.#isAsking = true;
    const { asked, attempts } = next;
    const answer = await this.#fetch(asked);
    this.#isAsking = false;
    if (cancellation.reason !== undefined) return;
    if (answer !== undefined && !isCloudFailure(answer) && isAnswered(answer)) onAnswer(asked, answer);
    else this.#wait(asked, attempts + 1);
    this.#schedule();
  }

  /** Undefined where there is no token. */
  async #fetch({ queryId, detectorId }: Compared): Promise<ImageQuery | CloudFailure | undefined> {
    const { cloud, tokenOf, timeoutMs } = this.#parts;
    try {
      return await cloud.imageQuery(queryId, { timeoutMs, token: tokenOf(detectorId) });
    } catch {
      return undefined;
    }
  }

  #takeDue(): Waiting | undefined {
    const now = this.#parts.clock.now();
    let found = -1;
    for (const [at, each] of this.#waiting.entries()) {
      const best = this.#waiting[found];
      if (each.at <= now && (best === undefined || each.at < best.at)) found = at;
    }
    return found < 0 ? undefined : this.#waiting.splice(found, 1)[0];
  }
}
