/** One request of the fleet simulation, and what became of it. */
import type { PromptText } from "./prompt-text.ts";

/** What a workload asks. */
export interface Ask {
  readonly text: PromptText;
  readonly outputTokens: number;
  /** What the caller allows at most; undefined: it does not say. */
  readonly maxOutputTokens?: number;
  /** LoRA adapter; undefined is the base model. */
  readonly adapter?: string;
  readonly tenant?: string;
  readonly priority?: number;
  readonly session?: string;
  /** Called when the request has ended, with the tokens of its answer: a conversation goes on from here. */
  readonly onEnd?: (answer: Uint32Array, at: number) => void;
}

/** `refused`: no server ever saw it. */
export type FleetEnd = "finished" | "refused" | "cut off";

/** A request on its way. Times are simulated milliseconds, NaN until they happened. */
export class FleetRequest {
  readonly index: number;
  readonly ask: Ask;
  readonly arrivedAt: number;
  /** The place of the server that runs it; -1 before. */
  server = -1;
  /** When it left the gateway for its server. */
  sentAt = Number.NaN;
  firstTokenAt = Number.NaN;
  endedAt = Number.NaN;
  produced = 0;
  cachedTokens = 0;
  /** Time in the gateway's line and in the server's. */
  waitedMs = 0;
  preemptions = 0;
  end: FleetEnd | undefined;

  constructor(index: number, ask: Ask, arrivedAt: number) {
    this.index = index;
    this.ask = ask;
    this.arrivedAt = arrivedAt;
  }

  get ttftMs(): number {
    return this.firstTokenAt - this.arrivedAt;
  }

  /** Mean time of each token after the first; 0 for answers of one token. */
  get tpotMs(): number {
    return this.produced > 1 ? (this.endedAt - this.firstTokenAt) / (this.produced - 1) : 0;
  }

  /** The ids of the answer's tokens, which the next turn of a conversation repeats. */
  answer(): Uint32Array {
    const answer = new Uint32Array(this.produced);
    for (let at = 0; at < this.produced; at++) answer[at] = answerToken(this.index, at);
    return answer;
  }
}

/** Id of a token of an answer. */
export function answerToken(request: number, at: number): number {
  return (Math.imul(request + 1, 0x9e3779b1) ^ Math.imul(at + 1, 0x85ebca6b)) >>> 0;
}
