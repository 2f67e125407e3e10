/** Runs an ask through host and engine, and tells a writer token by token. */
import { tokenId } from "../engine/prompt.ts";
import type { Prompt } from "../engine/prompt.ts";
import type { Claim } from "../engine/model-host.ts";
import type { Sequence, SequenceListener } from "../engine/sequence.ts";
import type { Model } from "../model-spec.ts";
import type { Exchange } from "../server/exchange.ts";
import type { Answer, AnswerPart } from "../text/answer.ts";
import type { World } from "./face.ts";

/** How a face writes a stream. `choice` counts from 0. */
export interface StreamWriter {
  /** Before the first token of any choice. */
  begin?(job: Job): void;
  /** A part begins. */
  partStart?(choice: number, part: AnswerPart): void;
  /** Text of a part; more than one token when the client was slow. `tokens`: of the choice so far. */
  piece(choice: number, part: AnswerPart, text: string, tokens: number): void;
  /** A part is complete. */
  partEnd?(choice: number, part: AnswerPart): void;
  /** A choice is complete. */
  choiceEnd?(choice: number, answer: Answer): void;
  /** All choices are complete; ends the stream. */
  end(job: Job): void;
}

/** What is to be done. */
export interface JobOptions {
  readonly exchange: Exchange;
  readonly world: World;
  readonly model: Model;
  readonly adapter?: string | undefined;
  readonly prompt: Prompt;
  readonly answers: readonly Answer[];
  readonly keepAliveMs?: number | undefined;
  /** Of a stream. */
  readonly writer?: StreamWriter | undefined;
  /** Of a whole answer: called when all choices are complete. */
  done?: (job: Job) => void;
  /** The queue is full. */
  refused: () => void;
}

/** One request at work. The model is given back and the record filled whichever way it ends. */
export class Job {
  readonly options: JobOptions;
  readonly sequences: Sequence[] = [];
  readonly startedAt: number;
  claim: Claim | undefined;
  #choices: Choice[] = [];
  #open: number;
  #ended = false;
  #begun = false;

  constructor(options: JobOptions) {
    this.options = options;
    this.#open = options.answers.length;
    this.startedAt = options.world.clock.now();
    options.exchange.onClose(() => this.#end());
    options.world.load.active += 1;
  }

  /** Claims the model and starts. */
  start(): void {
    const { world, model, keepAliveMs, refused } = this.options;
    this.claim = world.host.claim(model, { keepAliveMs, ready: ({ engine }) => this.#submit(engine) });
    if (this.claim === undefined) {
      this.#end();
      refused();
    } else if (this.#ended) this.claim.release();
  }

  /** Answer tokens made so far, all choices together. */
  get produced(): number {
    return this.sequences.reduce((sum, { produced }) => sum + produced, 0);
  }

  /** Prompt tokens of the request. */
  get promptTokens(): number {
    return this.options.prompt.tokens;
  }

  /** Prompt tokens that were cached. */
  get cachedTokens(): number {
    return this.sequences[0]?.cachedTokens ?? 0;
  }

  /** Called by a choice at each token. */
  began(): void {
    if (this.#begun) return;
    this.#begun = true;
    this.options.writer?.begin?.(this);
  }

  /** Called by a choice that is complete. */
  choiceDone(): void {
    this.#open -= 1;
    if (this.#open > 0 || this.#ended) return;
    this.#end();
    const { writer, done } = this.options;
    if (writer !== undefined) writer.end(this);
    else done?.(this);
  }

  #submit(engine: NonNullable<Claim["runner"]>["engine"]): void {
    const { answers, prompt, adapter, refused, exchange } = this.options;
    for (const [at, answer] of answers.entries()) {
      const choice = new Choice(this, at, answer);
      const sequence = engine.submit({
        prompt,
        outputTokens: answer.tokens,
        listener: choice,
        ...(adapter !== undefined && { adapter }),
      });
      if (sequence === undefined) {
        this.#end();
        setImmediate(() => exchange.closed || refused());
        return;
      }
      this.#choices.push(choice);
      this.sequences.push(sequence);
    }
    exchange.response.on("drain", () => {
      for (const choice of this.#choices) choice.flush();
    });
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.options.world.load.active -= 1;
    const engine = this.claim?.runner?.engine;
    for (const sequence of this.sequences) engine?.abort(sequence);
    this.options.exchange.record.tokens = this.produced;
    this.claim?.release();
  }
}

/** One answer being told. Holds tokens back while the client does not read. */
class Choice implements SequenceListener {
  readonly #job: Job;
  readonly #index: number;
  readonly #answer: Answer;
  #sequence: Sequence | undefined;
  #part = 0;
  #told = 0;

  constructor(job: Job, index: number, answer: Answer) {
    this.#job = job;
    this.#index = index;
    this.#answer = answer;
  }

  token(sequence: Sequence): void {
    this.#sequence = sequence;
    this.#job.began();
    if (!this.#job.options.exchange.blocked) this.flush();
  }

  finished(sequence: Sequence): void {
    this.#sequence = sequence;
    this.flush();
    this.#job.options.writer?.choiceEnd?.(this.#index, this.#answer);
    this.#job.choiceDone();
  }

  tokenId(index: number): number {
    const part = this.#answer.parts.find(({ end }) => index < end);
    return part === undefined ? 0 : tokenId(part.piece(index - part.start));
  }

  /** Tells what was made and not told. */
  flush(): void {
    const { writer } = this.#job.options;
    if (writer === undefined || this.#sequence === undefined) return;
    const { produced } = this.#sequence;
    while (this.#told < produced) {
      const part = this.#answer.parts[this.#part];
      if (part === undefined) return;
      if (this.#told === part.start) writer.partStart?.(this.#index, part);
      const until = Math.min(produced, part.end);
      let text = part.piece(this.#told - part.start);
      for (let at = this.#told + 1; at < until; at++) text += part.piece(at - part.start);
      this.#told = until;
      writer.piece(this.#index, part, text, until);
      if (until < part.end) return;
      writer.partEnd?.(this.#index, part);
      this.#part += 1;
    }
  }
}
