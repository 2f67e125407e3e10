/** What every chat API asks for, whatever its words, and how the model is made to answer. */
import { promptOfText } from "../engine/prompt.ts";
import type { Prompt } from "../engine/prompt.ts";
import type { Model } from "../model-spec.ts";
import { hashText, mix } from "../random.ts";
import type { Exchange } from "../server/exchange.ts";
import { planAnswer } from "../text/answer.ts";
import type { Answer, AnswerWish, Tool } from "../text/answer.ts";
import type { Schema } from "../text/sample.ts";
import type { World } from "./face.ts";
import { fields, isFields, items, number, text } from "./fields.ts";

/** A request for one or more answers. */
export interface ChatAsk {
  readonly model: string;
  /** What the model reads, in pieces: instructions and tools, then turns with their marks. */
  readonly prompt: readonly string[];
  readonly images: number;
  readonly tools: readonly Tool[];
  readonly toolChoice: "auto" | "none" | "required" | { readonly name: string };
  readonly userSpokeLast: boolean;
  readonly schema: Schema | undefined;
  readonly thinking: boolean;
  /** Undefined: as long as the context allows. */
  readonly maxTokens: number | undefined;
  readonly stop: readonly string[];
  readonly ignoreEnd: boolean;
  readonly seed: number | undefined;
  /** How many answers. */
  readonly choices: number;
  readonly stream: boolean;
}

/** An ask with nothing special. */
export const plainAsk: Omit<ChatAsk, "model" | "prompt" | "stream"> = {
  images: 0,
  tools: [],
  toolChoice: "auto",
  userSpokeLast: true,
  schema: undefined,
  thinking: false,
  maxTokens: undefined,
  stop: [],
  ignoreEnd: false,
  seed: undefined,
  choices: 1,
};

/** Tokens an image counts for: a 336 × 336 picture in patches of 14 pixels, as CLIP-based models see it. */
const IMAGE_TOKENS = 576;

/** The prompt as the engine sees it. */
export function promptOf(ask: ChatAsk, model: Model): Prompt {
  const adapter = ask.model === model.name ? 0 : hashText(ask.model);
  return promptOfText(ask.prompt, {
    blockTokens: model.engine.blockTokens,
    salt: mix(model.salt ^ adapter),
    extraTokens: ask.images * IMAGE_TOKENS,
  });
}

/** What the model will say, one answer a choice. */
export function answersTo(ask: ChatAsk, { model, world, exchange, promptTokens }: AnswerContext): Answer[] {
  const wish = wishOf(exchange, world);
  const room = Math.max(1, model.engine.maxContext - promptTokens);
  const prompt = ask.prompt.join("");
  return Array.from({ length: ask.choices }, (_, choice) =>
    planAnswer({
      seed: (ask.seed ?? world.seed) + 7919 * choice,
      prompt,
      maxTokens: Math.min(room, ask.maxTokens ?? room),
      stop: ask.stop,
      ignoreEnd: ask.ignoreEnd && ask.maxTokens !== undefined,
      thinking: ask.thinking || wish.thinkingTokens !== undefined,
      tools: ask.tools,
      toolChoice: ask.toolChoice,
      userSpokeLast: ask.userSpokeLast,
      schema: ask.schema,
      wish,
      alphabet: world.alphabet,
      length: { mean: model.answerTokens.mean, deviation: model.answerTokens.deviation },
    }),
  );
}

/** What an answer depends on beside the ask. */
export interface AnswerContext {
  readonly model: Model;
  readonly world: World;
  readonly exchange: Exchange;
  readonly promptTokens: number;
}

/** What the caller's `x-simulator-answer` header, else the one who started the simulator, wants said. */
function wishOf({ request, path, body }: Exchange, world: World): AnswerWish {
  const header = request.headers["x-simulator-answer"];
  if (typeof header !== "string") return world.answer({ path, body }) ?? {};
  const wish = fields(safeParse(header));
  const outputTokens = number(wish["outputTokens"]);
  const thinkingTokens = number(wish["thinkingTokens"]);
  const said = text(wish["text"]);
  const calls = Array.isArray(wish["toolCalls"]) ? wish["toolCalls"].filter(isFields) : undefined;
  return {
    ...(outputTokens !== undefined && { outputTokens }),
    ...(thinkingTokens !== undefined && { thinkingTokens }),
    ...(said !== undefined && { text: said }),
    ...(calls !== undefined && {
      toolCalls: calls.map((call) => ({ name: text(call["name"]) ?? "tool", arguments: call["arguments"] })),
    }),
  };
}

function safeParse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/** Message contents as text, in pieces, and the images among them: OpenAI, Anthropic and Ollama shapes. */
export function contentOf(content: unknown): { texts: string[]; images: number } {
  if (typeof content === "string") return { texts: [content], images: 0 };
  const texts: string[] = [];
  let images = 0;
  for (const part of items(content)) {
    const { type, ...rest } = fields(part);
    if (type === "image_url" || type === "input_image" || type === "image") images += 1;
    else if (typeof rest["text"] === "string") texts.push(rest["text"]);
    else if (isFields(part)) {
      const inner = contentOf(rest["content"] ?? []);
      texts.push(JSON.stringify({ type, ...rest, content: undefined }), ...inner.texts);
      images += inner.images;
    }
  }
  return { texts, images };
}

/** A conversation as the model reads it. The mark of the next answer comes last. */
export function renderMessages(
  messages: readonly unknown[],
  head: readonly string[] = [],
): { prompt: string[]; images: number; userSpokeLast: boolean } {
  const prompt = [...head];
  let images = 0;
  for (const each of messages) {
    const message = fields(each);
    const content = contentOf(message["content"]);
    prompt.push(`<|${text(message["role"]) ?? "user"}|>`, ...content.texts);
    if (message["tool_calls"] !== undefined) prompt.push(JSON.stringify(message["tool_calls"]));
    images += content.images + items(message["images"]).length;
  }
  prompt.push("<|assistant|>");
  const last = fields(messages.at(-1));
  const answersTool = items(last["content"]).some((part) => fields(part)["type"] === "tool_result");
  return { prompt, images, userSpokeLast: last["role"] === "user" && !answersTool };
}
