/** Where the addresses of the dialects have their prompts. */

/** One address's body, as far as its prompt goes. */
export interface PromptShape {
  /** Member that holds the conversation: a list of messages, or where `isText` says so a text. */
  readonly list: string;
  /** The member may be a text instead: a plain prompt. `only`: it is never a list of messages. */
  readonly isText: "never" | "also" | "only";
  /** Member for the model's instructions; undefined: they are messages of the list. */
  readonly instructions: string | undefined;
  /** Member that takes the place for instructions away where it is true. */
  readonly raw?: string;
  /** Messages of the list may be instructions, by their role. */
  readonly hasSystemMessages: boolean;
  /** Type of a message's part that is text. */
  readonly textPart: string;
}

const chat: PromptShape = {
  list: "messages",
  isText: "never",
  instructions: undefined,
  hasSystemMessages: true,
  textPart: "text",
};

/** By dialect and operation; an operation without an entry has no prompt. */
export const promptShapes = {
  openaiChat: chat,
  openaiCompletions: { ...chat, list: "prompt", isText: "only", hasSystemMessages: false },
  openaiResponses: {
    list: "input",
    isText: "also",
    instructions: "instructions",
    hasSystemMessages: true,
    textPart: "input_text",
  },
  ollamaChat: chat,
  ollamaGenerate: {
    ...chat,
    list: "prompt",
    isText: "only",
    instructions: "system",
    raw: "raw",
    hasSystemMessages: false,
  },
  anthropicMessages: { ...chat, instructions: "system", hasSystemMessages: false },
} as const satisfies Record<string, PromptShape>;

/** True where instructions for the model have a place. */
export function takesInstructions({ instructions, hasSystemMessages }: PromptShape): boolean {
  return instructions !== undefined || hasSystemMessages;
}
