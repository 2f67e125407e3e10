/** A model loaded by node-llama-cpp. */
import type {
  ChatWrapper,
  GgufInsights,
  Llama,
  LlamaContext,
  LlamaEmbeddingContext,
  LlamaGrammar,
  LlamaModel,
  Token,
} from "node-llama-cpp";
import type { ChatPrompt, FileFacts, Format, Generation, RuntimeModel } from "../port.ts";
import { errorText, Refusal } from "../refusal.ts";
import { toFunctions, toHistory, withForcedCall } from "./chat-history.ts";
import type { LlamaLibrary } from "./library.ts";
import type { LlamaPrepared } from "./prepared.ts";
import { LlamaSlot } from "./slot.ts";

/** What a loaded model is made of. */
export interface LlamaModelParts {
  readonly library: LlamaLibrary;
  readonly llama: Llama;
  readonly model: LlamaModel;
  readonly context: LlamaContext;
}

/** Tokens a context keeps free: it starts to forget when it is full. */
const reservedTokens = 2;

/** A loaded model with its context, which computes all slots in one batch. */
export class LlamaModelAdapter implements RuntimeModel {
  readonly facts: FileFacts;
  readonly contextSize: number;
  readonly chatFormat: string;
  readonly memoryBytes: number;
  readonly slots: readonly LlamaSlot[];
  readonly #parts: LlamaModelParts;
  readonly #wrapper: ChatWrapper;
  #embeddings: Promise<LlamaEmbeddingContext> | undefined;

  constructor(parts: LlamaModelParts) {
    const { library, model, context } = parts;
    this.#parts = parts;
    this.#wrapper = library.resolveChatWrapper(model, { warningLogs: false });
    this.facts = factsOf(library, model.fileInsights);
    this.contextSize = context.contextSize;
    this.chatFormat = this.#wrapper.wrapperName;
    this.memoryBytes = model.size + memoryOf(context.memoryUsage);
    this.slots = Array.from(
      { length: context.totalSequences },
      () => new LlamaSlot(library, context.getSequence()),
    );
  }

  async prepare(generation: Generation): Promise<LlamaPrepared> {
    const { prompt } = generation;
    const { contextSize } = this;
    const chat = prompt.kind === "chat" ? this.#chatOf(prompt) : undefined;
    const tokens = prompt.kind === "text" ? this.#textTokens(prompt.text) : this.#chatTokens(chat);
    const room = contextSize - reservedTokens - tokens.length;
    if (room < 1) {
      const text = `The prompt has ${tokens.length} tokens; this model's context has room for ${contextSize - reservedTokens - 1}`;
      throw new Refusal("context_length_exceeded", text, prompt.kind === "chat" ? "messages" : "prompt");
    }
    const grammar = await this.#grammarOf(generation.format);
    const maxTokens = Math.min(generation.maxTokens ?? room, room);
    return { tokens, generation, chat, grammar, maxTokens };
  }

  async embed(text: string, signal: AbortSignal): Promise<{ vector: readonly number[]; tokens: number }> {
    const { contextSize } = this;
    const { model } = this.#parts;
    this.#embeddings ??= model.createEmbeddingContext({ contextSize, batchSize: contextSize });
    const embeddings = await this.#embeddings.catch((error: unknown) => {
      this.#embeddings = undefined;
      throw new Refusal("unsupported", `This model makes no embeddings: ${errorText(error)}`, "model");
    });
    const tokens = embeddings.calculateInputLength(text);
    if (tokens >= embeddings.model.trainContextSize || tokens >= contextSize) {
      const most = Math.min(contextSize, model.trainContextSize) - 1;
      throw new Refusal(
        "context_length_exceeded",
        `The text has ${tokens} tokens, at most ${most} fit`,
        "input",
      );
    }
    signal.throwIfAborted();
    const { vector } = await embeddings.getEmbeddingFor(text);
    return { vector: toUnitLength(vector), tokens };
  }

  async close(): Promise<void> {
    const embeddings = await this.#embeddings?.catch(() => undefined);
    await embeddings?.dispose();
    await this.#parts.context.dispose();
    await this.#parts.model.dispose();
  }

  #textTokens(text: string): Token[] {
    const { model } = this.#parts;
    const { bos, shouldPrependBosToken } = model.tokens;
    const begins = shouldPrependBosToken && bos !== null;
    const tokens = model.tokenize(text, false, begins ? "trimLeadingSpace" : undefined);
    if (begins) tokens.unshift(bos);
    if (tokens.length > 0) return tokens;
    throw new Refusal("invalid_request", "prompt: is empty", "prompt");
  }

  #chatOf({ messages, tools, mustCall }: ChatPrompt): LlamaPrepared["chat"] {
    const wrapper = mustCall ? withForcedCall(this.#wrapper) : this.#wrapper;
    return { history: toHistory(messages), functions: toFunctions(tools), wrapper };
  }

  #chatTokens(chat: LlamaPrepared["chat"]): Token[] {
    const { history = [], functions } = chat ?? {};
    try {
      const { contextText } = this.#wrapper.generateContextState({
        chatHistory: history,
        ...(functions === undefined ? {} : { availableFunctions: functions, documentFunctionParams: true }),
      });
      return contextText.tokenize(this.#parts.model.tokenizer);
    } catch (error) {
      const text = `This conversation does not fit the model's chat template: ${errorText(error)}`;
      throw new Refusal("invalid_request", text, "messages");
    }
  }

  async #grammarOf(format: Format | undefined): Promise<LlamaGrammar | undefined> {
    const { llama } = this.#parts;
    if (format === undefined) return undefined;
    if (format.kind === "json") return llama.getGrammarFor("json");
    try {
      // Any schema: the parameter's own type is inferred from literals and takes one form only.
      return await llama.createGrammarForJsonSchema(format.schema as { readonly const: string });
    } catch (error) {
      const text = `No grammar can be made of the schema: ${errorText(error)}`;
      throw new Refusal("unsupported", text, "response_format.json_schema.schema");
    }
  }
}

function memoryOf({ ram, vram }: { readonly ram: number; readonly vram: number }): number {
  return ram + vram;
}

/** What a model's file says. */
export function factsOf({ GgufFileType }: LlamaLibrary, insights: GgufInsights): FileFacts {
  const { metadata } = insights.ggufFileInfo;
  const fileType = metadata.general.file_type;
  return {
    architecture: metadata.general.architecture,
    parameters: insights.totalParameters,
    quantization: fileType === undefined ? "" : GgufFileType[fileType].replace(/^(MOSTLY|ALL)_/, ""),
    trainContextSize: insights.trainContextSize ?? 0,
    embeddingLength: insights.embeddingVectorSize ?? 0,
    chatTemplate: metadata.tokenizer.chat_template,
  };
}

/** Length 1, as OpenAI and Ollama give vectors; a vector of zeros stays. */
function toUnitLength(vector: readonly number[]): number[] {
  const length = Math.hypot(...vector);
  return length === 0 ? [...vector] : vector.map((value) => value / length);
}
