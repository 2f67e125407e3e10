/** What the parts of this folder hand each other. */
import type { ChatHistoryItem, ChatModelFunctions, ChatWrapper, LlamaGrammar, Token } from "node-llama-cpp";
import type { Generation, Prepared } from "../port.ts";

/** A generation as tokens, with what making its answer takes. */
export interface LlamaPrepared extends Prepared {
  readonly tokens: readonly Token[];
  readonly generation: Generation;
  /** Undefined for a plain text. */
  readonly chat:
    | {
        readonly history: ChatHistoryItem[];
        readonly functions: ChatModelFunctions | undefined;
        readonly wrapper: ChatWrapper;
      }
    | undefined;
  readonly grammar: LlamaGrammar | undefined;
  /** Most tokens of the answer: what was asked for, within what the context has room for. */
  readonly maxTokens: number;
}
