/** Random conversations and answers in the neutral model, for tests: the same seed gives the same ones. */
import type {
  ChatEvents,
  ChatFinish,
  FinishReason,
  TokenLogprob,
} from "../../src/dialects/chat/chat-answer.ts";
import type {
  AnswerFormat,
  ChatMessage,
  ChatRequest,
  ImagePart,
  InputPart,
  OutputPart,
  Sampling,
  TextPart,
  ThinkingRequest,
  ToolCallPart,
  ToolChoice,
  ToolDefinition,
} from "../../src/dialects/chat/chat-request.ts";
import { defaultSampling } from "../../src/dialects/chat/chat-request.ts";
import type { TokenUsage } from "../../src/core/forward.ts";

/** Draws values. */
export interface Draw {
  /** A whole number from 0 to before `below`. */
  int(below: number): number;
  chance(share: number): boolean;
  pick<T>(values: readonly [T, ...T[]]): T;
  /** Between `least` and `most` of them. */
  many<T>(least: number, most: number, make: (index: number) => T): T[];
  maybe<T>(make: () => T): T | undefined;
}

/** Numerical Recipes' generator. */
export function createDraw(seed: number): Draw {
  let state = seed;
  const int = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const chance = (share: number): boolean => int(1000) < share * 1000;
  return {
    int,
    chance,
    pick: (values) => values[int(values.length)] ?? values[0],
    many: (least, most, make) => Array.from({ length: least + int(most - least + 1) }, (_, i) => make(i)),
    maybe: (make) => (chance(0.5) ? make() : undefined),
  };
}

const words = [
  "a",
  "Grüße",
  "🙂",
  "\u0000",
  '"quoted"',
  "\\",
  "data: x",
  "\n\n",
  "\r\n",
  "]]}",
  "日本",
  " ",
] as const;

/** A text that is not empty: of characters that formats stumble over. */
function drawText(draw: Draw): string {
  return draw.many(1, 6, () => draw.pick(words)).join("");
}

const bytes = ["iVBORw0KGgo=", "/9j/4AAQ", "R0lGODlh"] as const;
const types = ["image/png", "image/jpeg", "image/gif"] as const;

function drawImage(draw: Draw, allowsUrls: boolean): ImagePart {
  if (allowsUrls && draw.chance(0.3))
    return { kind: "image", source: { kind: "url", url: "https://a.example/b.png" } };
  const at = draw.int(3);
  return { kind: "image", source: { kind: "base64", mediaType: types[at], data: bytes[at] ?? bytes[0] } };
}

const textPart = (draw: Draw): TextPart => ({ kind: "text", text: drawText(draw) });

/** JSON as `JSON.stringify` writes it. */
function drawArguments(draw: Draw): string {
  return JSON.stringify(
    Object.fromEntries(
      draw.many(0, 3, (i) => [`k${i}`, draw.pick<unknown>([1, drawText(draw), [true], {}])]),
    ),
  );
}

/** What a dialect's servers take, so that what is drawn is never refused. */
export interface Carries {
  readonly imageUrls: boolean;
  readonly toolImages: boolean;
  readonly format: readonly AnswerFormat["kind"][];
  readonly toolChoices: readonly ToolChoice["kind"][];
  readonly onlyOneCall: boolean;
  readonly sampling: readonly (keyof Sampling)[];
  readonly topLogprobs: boolean;
}

class Conversation {
  readonly #draw: Draw;
  readonly #carries: Carries;
  #calls = 0;

  constructor(draw: Draw, carries: Carries) {
    this.#draw = draw;
    this.#carries = carries;
  }

  messages(): ChatMessage[] {
    const draw = this.#draw;
    const turns = draw.many(1, 4, () => this.#turn()).flat();
    return draw.chance(0.5) ? [this.#system(), ...turns] : turns;
  }

  #turn(): ChatMessage[] {
    const draw = this.#draw;
    const messages: ChatMessage[] = [{ role: "user", content: draw.many(1, 3, () => this.#input(true)) }];
    if (draw.chance(0.2)) messages.push(this.#system());
    if (draw.chance(0.3)) return messages;
    const calls = draw.many(0, 2, (): ToolCallPart => {
      const index = this.#calls++;
      return {
        kind: "tool_call",
        id: `c${index}`,
        name: draw.pick(["f", "g"]),
        arguments: drawArguments(draw),
      };
    });
    const said = draw.many(calls.length === 0 ? 1 : 0, 2, (): OutputPart => {
      if (draw.chance(0.7)) return textPart(draw);
      return { kind: "thinking", text: drawText(draw), signature: draw.maybe(() => "c2ln") };
    });
    messages.push({ role: "assistant", content: [...said, ...calls] });
    for (const { id, name } of calls) {
      const content = draw.many(0, 2, () => this.#input(this.#carries.toolImages));
      messages.push({
        role: "tool",
        callId: id,
        name: draw.maybe(() => name),
        content,
        isError: draw.chance(0.2),
      });
    }
    return messages;
  }

  #system(): ChatMessage {
    return { role: "system", content: this.#draw.many(1, 2, () => textPart(this.#draw)) };
  }

  #input(allowsImages: boolean): InputPart {
    const draw = this.#draw;
    return allowsImages && draw.chance(0.3) ? drawImage(draw, this.#carries.imageUrls) : textPart(draw);
  }
}

function drawTool(draw: Draw, index: number): ToolDefinition {
  return {
    name: ["f", "g"][index] ?? "h",
    description: draw.maybe(() => drawText(draw)),
    parameters: { type: "object", properties: { a: { type: "number" } } },
    strict: draw.maybe(() => draw.chance(0.5)),
  };
}

function drawChoice(draw: Draw, { toolChoices }: Carries): ToolChoice | undefined {
  const kind = toolChoices[draw.int(toolChoices.length + 1)];
  return kind === "tool" ? { kind, name: "f" } : kind === undefined ? undefined : { kind };
}

function drawFormat(draw: Draw, { format }: Carries): AnswerFormat | undefined {
  const kind = format[draw.int(format.length + 1)];
  if (kind !== "json_schema") return kind === undefined ? undefined : { kind };
  return {
    kind,
    name: draw.maybe(() => "n"),
    description: draw.maybe(() => drawText(draw)),
    schema: { type: "object", properties: {} },
    strict: draw.maybe(() => draw.chance(0.5)),
  };
}

function drawThinking(draw: Draw): ThinkingRequest {
  if (draw.chance(0.2)) return { enabled: false, effort: undefined, budgetTokens: undefined };
  const effort = draw.maybe(() => draw.pick(["minimal", "low", "medium", "high", "xhigh"]));
  return { enabled: true, effort, budgetTokens: draw.maybe(() => draw.pick([500, 2000, 20_000])) };
}

/** A request that servers of that kind take. */
export function drawRequest(draw: Draw, carries: Carries): ChatRequest {
  const thinking = draw.maybe(() => drawThinking(draw));
  const drawn = Object.fromEntries(
    carries.sampling
      .filter(() => draw.chance(0.5))
      .map((name) => [name, name === "logitBias" ? { "1": 5 } : 0.5]),
  );
  return {
    model: "m",
    messages: new Conversation(draw, carries).messages(),
    raw: undefined,
    tools: draw.many(0, 2, (i) => drawTool(draw, i)),
    toolChoice: drawChoice(draw, carries),
    parallelToolCalls: draw.maybe(() => !carries.onlyOneCall || draw.chance(0.5)),
    format: drawFormat(draw, carries),
    thinking,
    sampling: { ...defaultSampling, ...drawn },
    maxTokens: draw.maybe(() => 30_000 + draw.int(100)),
    stop: draw.many(0, 2, () => drawText(draw)),
    stream: draw.chance(0.5),
    streamUsage: true,
    topLogprobs: carries.topLogprobs ? draw.maybe(() => draw.int(3)) : undefined,
    user: draw.maybe(() => "u"),
    fields: {},
  };
}

/** One event of an answer. */
export type AnswerEvent =
  | { readonly kind: "text" | "thinking" | "signature"; readonly text: string }
  | { readonly kind: "call"; readonly id: string; readonly name: string; readonly args: string }
  | { readonly kind: "finish"; readonly finish: ChatFinish }
  | { readonly kind: "usage"; readonly tokens: TokenUsage };

/** The content of an answer, how it ends and what it took. */
export function drawAnswer(draw: Draw): AnswerEvent[] {
  let calls = 0;
  const content = draw.many(0, 6, (): AnswerEvent => {
    if (draw.chance(0.25)) return { kind: "call", id: `c${calls++}`, name: "f", args: drawArguments(draw) };
    return { kind: draw.chance(0.3) ? "thinking" : "text", text: drawText(draw) };
  });
  const signed = content.flatMap((event, i): AnswerEvent[] => {
    const isLast = event.kind === "thinking" && content[i + 1]?.kind !== "thinking";
    return isLast && draw.chance(0.5) ? [event, { kind: "signature", text: "c2ln" }] : [event];
  });
  const reason = calls > 0 ? "tool_calls" : draw.pick<FinishReason>(["stop", "length", "content_filter"]);
  const stopSequence = reason === "stop" ? draw.maybe(() => "END") : undefined;
  const promptTokens = 100 + draw.int(100);
  const tokens = {
    promptTokens,
    cachedTokens: draw.int(100),
    completionTokens: draw.int(100),
    estimated: false,
  };
  return [...signed, { kind: "finish", finish: { reason, stopSequence } }, { kind: "usage", tokens }];
}

/** Hears events and puts what belongs together into one, however it was cut. */
export class HeardEvents implements ChatEvents {
  readonly heard: AnswerEvent[] = [];
  ended = false;
  failed = false;

  start(): void {}

  text(delta: string, _logprobs?: readonly TokenLogprob[]): void {
    this.#add("text", delta);
  }

  thinking(delta: string): void {
    this.#add("thinking", delta);
  }

  thinkingSignature(text: string): void {
    this.heard.push({ kind: "signature", text });
  }

  toolCall({ id, name }: { readonly id: string; readonly name: string }): void {
    this.heard.push({ kind: "call", id, name, args: "" });
  }

  toolArguments(_index: number, delta: string): void {
    const last = this.heard.at(-1);
    if (last?.kind !== "call") throw new Error("arguments without a call");
    this.heard[this.heard.length - 1] = { ...last, args: last.args + delta };
  }

  toolCallEnd(): void {
    if (this.heard.at(-1)?.kind !== "call") throw new Error("the end of no call");
  }

  finish(finish: ChatFinish): void {
    this.heard.push({ kind: "finish", finish });
  }

  usage(tokens: TokenUsage): void {
    this.heard.push({ kind: "usage", tokens });
  }

  end(): void {
    this.ended = true;
  }

  fail(): void {
    this.failed = true;
  }

  #add(kind: "text" | "thinking", text: string): void {
    const last = this.heard.at(-1);
    if (last?.kind === kind) this.heard[this.heard.length - 1] = { kind, text: last.text + text };
    else this.heard.push({ kind, text });
  }
}

/** Tells events to a writer or hearer, texts and arguments cut anywhere. */
export function tell(
  draw: Draw,
  events: readonly AnswerEvent[],
  to: Omit<ChatEvents, "finish" | "usage" | "end" | "fail">,
): void {
  let calls = 0;
  to.start({ id: undefined, promptTokens: undefined });
  for (const event of events) {
    if (event.kind === "text") for (const piece of cutText(draw, event.text)) to.text(piece, undefined);
    else if (event.kind === "thinking") for (const piece of cutText(draw, event.text)) to.thinking(piece);
    else if (event.kind === "signature") to.thinkingSignature(event.text);
    else if (event.kind === "call") {
      const index = calls++;
      to.toolCall({ index, id: event.id, name: event.name });
      for (const piece of cutText(draw, event.args)) to.toolArguments(index, piece);
      to.toolCallEnd(index);
    }
  }
}

/** Pieces of whole characters. */
function cutText(draw: Draw, text: string): string[] {
  const pieces: string[] = [];
  for (const letter of text) {
    if (pieces.length === 0 || draw.chance(0.3)) pieces.push(letter);
    else pieces[pieces.length - 1] += letter;
  }
  return pieces;
}

/** The bytes in pieces of random length, some of them one byte. */
export function cutBytes(draw: Draw, whole: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < whole.length;) {
    const length = draw.chance(0.3) ? 1 : 1 + draw.int(40);
    pieces.push(whole.slice(at, at + length));
    at += length;
  }
  return pieces;
}
