/** One sequence of a context: a place in its batch, with the tokens of its last request in memory. */
import type {
  LlamaChatResponseChunk,
  LlamaCompletion,
  LlamaContextSequence,
  LLamaContextualRepeatPenalty,
  Token,
} from "node-llama-cpp";
import type { GenerationEvents, GenerationResult, Prepared, RuntimeSlot, Sampling } from "../port.ts";
import type { LlamaLibrary } from "./library.ts";
import type { LlamaPrepared } from "./prepared.ts";

/** Tokens of a prompt that are computed before the client's departure is looked at again. */
const prefillStep = 256;

/** Thrown where the library would forget the beginning of a conversation to go on. */
class ContextFullError extends Error {}

/** Answers one request at a time. */
export class LlamaSlot implements RuntimeSlot {
  readonly #library: LlamaLibrary;
  readonly #sequence: LlamaContextSequence;

  constructor(library: LlamaLibrary, sequence: LlamaContextSequence) {
    this.#library = library;
    this.#sequence = sequence;
  }

  sharedPrefix(tokens: readonly number[]): number {
    return this.#sequence.compareContextTokens(tokens as Token[]).firstDifferentIndex;
  }

  async generate(
    prepared: Prepared,
    events: GenerationEvents,
    signal: AbortSignal,
  ): Promise<GenerationResult> {
    const ready = prepared as LlamaPrepared;
    const cachedTokens = await this.#prefill(ready.tokens, signal);
    const before = this.#sequence.tokenMeter.getState();
    const finish =
      ready.chat === undefined
        ? await this.#complete(ready, events, signal)
        : await this.#chat(ready, ready.chat, { events, signal });
    signal.throwIfAborted();
    const { usedOutputTokens } = this.#sequence.tokenMeter.diff(before);
    return { finish, cachedTokens, completionTokens: usedOutputTokens };
  }

  /** Computes all of the prompt but its last token. Returns how many tokens were in memory. */
  async #prefill(tokens: readonly Token[], signal: AbortSignal): Promise<number> {
    const wanted = tokens.slice(0, -1);
    await this.#sequence.adaptStateToTokens(wanted, false);
    const cached = this.#sequence.nextTokenIndex;
    for (let at = cached; at < wanted.length; at += prefillStep) {
      signal.throwIfAborted();
      await this.#sequence.evaluateWithoutGeneratingNewTokens(wanted.slice(at, at + prefillStep));
    }
    signal.throwIfAborted();
    return cached;
  }

  async #chat(
    { generation, grammar, maxTokens }: LlamaPrepared,
    { history, functions, wrapper }: NonNullable<LlamaPrepared["chat"]>,
    { events, signal }: { readonly events: GenerationEvents; readonly signal: AbortSignal },
  ): Promise<GenerationResult["finish"]> {
    const many = generation.prompt.kind === "chat" && generation.prompt.manyCalls;
    const conversation = new this.#library.LlamaChat({
      contextSequence: this.#sequence,
      chatWrapper: wrapper,
    });
    const strategy = (): never => {
      throw new ContextFullError();
    };
    try {
      const { metadata } = await conversation.generateResponse(history, {
        ...optionsOf(generation.sampling),
        maxTokens,
        signal,
        customStopTriggers: generation.stop,
        contextShift: { strategy },
        onResponseChunk: (chunk) => tell(chunk, events),
        ...(generation.think ? {} : { budgets: { thoughtTokens: 0 } }),
        ...(functions === undefined
          ? grammar && { grammar }
          : {
              functions,
              documentFunctionParams: true,
              ...(many ? {} : { maxParallelFunctionCalls: 1 }),
              onFunctionCall: ({ functionName, params }: { functionName: string; params: unknown }) =>
                events.call({ name: functionName, arguments: JSON.stringify(params ?? {}) }),
            }),
      });
      return finishOf(metadata.stopReason);
    } catch (error) {
      if (error instanceof ContextFullError) return "length";
      throw error;
    } finally {
      conversation.dispose();
    }
  }

  async #complete(
    { tokens, generation, grammar, maxTokens }: LlamaPrepared,
    events: GenerationEvents,
    signal: AbortSignal,
  ): Promise<GenerationResult["finish"]> {
    const completion: LlamaCompletion = new this.#library.LlamaCompletion({
      contextSequence: this.#sequence,
    });
    const { bos, shouldPrependBosToken } = this.#sequence.model.tokens;
    const begins = shouldPrependBosToken && tokens[0] === bos;
    try {
      // The library puts the token that begins a text before the others itself.
      const { metadata } = await completion.generateCompletionWithMeta(tokens.slice(begins ? 1 : 0), {
        ...optionsOf(generation.sampling),
        maxTokens,
        signal,
        customStopTriggers: generation.stop,
        contextShiftSize: 1,
        disableContextShift: true,
        onTextChunk: (text) => events.text(text),
        ...(grammar === undefined ? {} : { grammar }),
      });
      return finishOf(metadata.stopReason);
    } finally {
      completion.dispose();
    }
  }
}

function tell(chunk: LlamaChatResponseChunk, events: GenerationEvents): void {
  if (chunk.text === "") return;
  if (chunk.segmentType === "thought") events.thought(chunk.text);
  else if (chunk.type === undefined) events.text(chunk.text);
}

function finishOf(reason: string): GenerationResult["finish"] {
  if (reason === "maxTokens") return "length";
  return reason === "functionCalls" ? "tool_calls" : "stop";
}

/** Sampling in the library's terms: nothing is penalised unless asked. */
function optionsOf(sampling: Sampling) {
  const { temperature, topP, topK, minP, seed } = sampling;
  return {
    temperature,
    topP,
    topK,
    minP,
    repeatPenalty: penaltyOf(sampling),
    ...(seed === undefined ? {} : { seed: Math.abs(seed) % 2 ** 32 }),
  };
}

function penaltyOf(sampling: Sampling): false | LLamaContextualRepeatPenalty {
  const { frequencyPenalty, presencePenalty, repeatPenalty: penalty } = sampling;
  if (frequencyPenalty === 0 && presencePenalty === 0 && penalty === 1) return false;
  return { penalty, frequencyPenalty, presencePenalty };
}
