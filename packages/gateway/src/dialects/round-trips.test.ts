/** Random conversations and answers, written in a dialect and read again: the same, but for what it cannot say. Seeded. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { testContext } from "../../test/support/answers.ts";
import {
  createDraw,
  cutBytes,
  drawAnswer,
  drawRequest,
  HeardEvents,
  tell,
  type AnswerEvent,
  type Carries,
} from "../../test/support/random-chats.ts";
import { isFailure } from "../core/errors.ts";
import { anthropicMessages, anthropicServer } from "./anthropic/codecs.ts";
import type { ChatFinish } from "./chat/chat-answer.ts";
import type {
  ChatMessage,
  ChatRequest,
  InputPart,
  OutputPart,
  TextPart,
  ThinkingRequest,
} from "./chat/chat-request.ts";
import type { CallerCodec, ServerCodec } from "./chat/codec.ts";
import { ollamaChat, ollamaServer } from "./ollama/codecs.ts";
import { openAiChat } from "./openai/openai-callers.ts";
import { openAiServer } from "./openai/openai-server.ts";

/** A dialect: what it carries, and what of a request and an answer is left behind it. */
interface Dialect {
  readonly caller: CallerCodec;
  readonly server: ServerCodec;
  readonly carries: Carries;
  readonly request: (request: ChatRequest) => ChatRequest;
  readonly answer: (events: readonly AnswerEvent[]) => readonly AnswerEvent[];
}

const texts = (content: readonly { readonly kind: string }[]): TextPart[] =>
  content.filter((part): part is TextPart => part.kind === "text");
const joined = (content: readonly TextPart[], between: string): TextPart[] =>
  content.length === 0 ? [] : [{ kind: "text", text: content.map(({ text }) => text).join(between) }];
const others = (content: readonly OutputPart[], kind: OutputPart["kind"]): OutputPart[] =>
  content.filter((part) => part.kind === kind);
const unsigned = (events: readonly AnswerEvent[]): readonly AnswerEvent[] =>
  merged(events.filter(({ kind }) => kind !== "signature"));

/** Texts and thinking that follow each other as one. */
function merged(events: readonly AnswerEvent[]): readonly AnswerEvent[] {
  const heard = new HeardEvents();
  tell(createDraw(1), events, heard);
  return [...heard.heard, ...events.filter(({ kind }) => kind === "finish" || kind === "usage")];
}

function withFinish(
  events: readonly AnswerEvent[],
  change: (finish: ChatFinish) => ChatFinish,
): AnswerEvent[] {
  return events.map((event) =>
    event.kind === "finish" ? { kind: "finish", finish: change(event.finish) } : event,
  );
}

const everySampling = [
  "temperature",
  "topP",
  "topK",
  "minP",
  "frequencyPenalty",
  "presencePenalty",
  "repetitionPenalty",
  "seed",
] as const;

const openAi: Dialect = {
  caller: openAiChat,
  server: openAiServer,
  carries: {
    imageUrls: true,
    toolImages: false,
    format: ["json", "json_schema"],
    toolChoices: ["auto", "none", "required", "tool"],
    onlyOneCall: true,
    sampling: [...everySampling, "logitBias"],
    topLogprobs: true,
  },
  request: (request) => ({
    ...request,
    messages: request.messages.map(openAiMessage),
    ...(request.tools.length === 0 ? { toolChoice: undefined, parallelToolCalls: undefined } : {}),
    format:
      request.format?.kind === "json_schema"
        ? { ...request.format, name: request.format.name ?? "answer" }
        : request.format,
    thinking: openAiThinking(request.thinking),
    streamUsage: request.stream,
  }),
  // The words that were met are told by vLLM alone.
  answer: (events) => withFinish(unsigned(events), ({ reason }) => ({ reason, stopSequence: undefined })),
};

/** Texts of a message are one, thinking has no place, and failures of tools are texts. */
function openAiMessage(message: ChatMessage): ChatMessage {
  switch (message.role) {
    case "system":
      return { ...message, content: joined(message.content, "\n") };
    case "user":
      return message.content.some(({ kind }) => kind === "image")
        ? message
        : { ...message, content: joined(texts(message.content), "\n") };
    case "tool":
      return { ...message, name: undefined, isError: false, content: joined(texts(message.content), "\n") };
    case "assistant":
      return {
        ...message,
        content: [...joined(texts(message.content), "\n"), ...others(message.content, "tool_call")],
      };
  }
}

/** A budget is one of three efforts, and no word of either the middle one. */
function openAiThinking(thinking: ThinkingRequest | undefined): ThinkingRequest | undefined {
  if (thinking === undefined || !thinking.enabled) return thinking;
  const { budgetTokens: budget = 10_000, effort } = thinking;
  const level = budget < 4096 ? "low" : budget < 16_384 ? "medium" : "high";
  const step = effort === "xhigh" ? "high" : effort;
  return { enabled: true, effort: step ?? level, budgetTokens: undefined };
}

const anthropic: Dialect = {
  caller: anthropicMessages,
  server: anthropicServer,
  carries: {
    imageUrls: true,
    toolImages: true,
    format: ["json_schema"],
    toolChoices: ["auto", "none", "required", "tool"],
    onlyOneCall: true,
    sampling: ["temperature", "topP", "topK"],
    topLogprobs: false,
  },
  request: (request) => ({
    ...request,
    messages: anthropicMessagesOf(request.messages),
    ...anthropicTools(request),
    format:
      request.format?.kind === "json_schema"
        ? { ...request.format, name: undefined, description: undefined, strict: true }
        : undefined,
    thinking: anthropicThinking(request.thinking),
    maxTokens: request.maxTokens ?? 4096 + Math.max(0, budgetOf(request.thinking)),
  }),
  answer: merged,
};

function budgetOf(thinking: ThinkingRequest | undefined): number {
  const budget = thinking?.enabled === true ? thinking.budgetTokens : undefined;
  return budget === undefined ? 0 : Math.max(1024, budget);
}

function anthropicThinking(thinking: ThinkingRequest | undefined): ThinkingRequest | undefined {
  if (thinking === undefined || !thinking.enabled) return thinking;
  const budget = budgetOf(thinking);
  const effort = thinking.effort === "minimal" ? "low" : thinking.effort;
  if (budget === 0 && effort === undefined) return undefined;
  if (budget === 0) return { enabled: true, effort, budgetTokens: undefined, isAdaptive: true };
  return { enabled: true, effort, budgetTokens: budget };
}

/** "One call at most" is part of the choice. */
function anthropicTools({ tools, toolChoice, parallelToolCalls }: ChatRequest): Partial<ChatRequest> {
  const isOne = parallelToolCalls === false && toolChoice?.kind !== "none";
  if (tools.length === 0) return { toolChoice: undefined, parallelToolCalls: undefined };
  return {
    toolChoice: toolChoice ?? (isOne ? { kind: "auto" } : undefined),
    parallelToolCalls: isOne ? false : undefined,
  };
}

/** Rules go to the front, thinking needs its signature, and what one side says in a row is one turn. */
function anthropicMessagesOf(messages: readonly ChatMessage[]): ChatMessage[] {
  const rules = messages.flatMap((message) => (message.role === "system" ? message.content : []));
  const turns: ChatMessage[] = [];
  for (const message of messages) {
    if (message.role === "system") continue;
    const last = turns.at(-1);
    if (message.role === "tool") turns.push({ ...message, name: undefined });
    else if (message.role === "user") {
      if (last?.role === "user")
        turns[turns.length - 1] = { ...last, content: [...last.content, ...message.content] };
      else turns.push(message);
    } else {
      const content = message.content.filter(
        (part) => part.kind !== "thinking" || part.signature !== undefined,
      );
      if (content.length > 0) turns.push({ ...message, content });
    }
  }
  return rules.length === 0
    ? mergedUsers(turns)
    : [{ role: "system", content: rules }, ...mergedUsers(turns)];
}

/** Users whose assistant in between said nothing that could be given back. */
function mergedUsers(turns: readonly ChatMessage[]): ChatMessage[] {
  const merging: ChatMessage[] = [];
  for (const turn of turns) {
    const last = merging.at(-1);
    if (turn.role === "user" && last?.role === "user")
      merging[merging.length - 1] = { ...last, content: [...last.content, ...turn.content] };
    else merging.push(turn);
  }
  return merging;
}

const ollama: Dialect = {
  caller: ollamaChat,
  server: ollamaServer,
  carries: {
    imageUrls: false,
    toolImages: true,
    format: ["json", "json_schema"],
    toolChoices: ["auto", "none"],
    onlyOneCall: false,
    sampling: everySampling,
    topLogprobs: true,
  },
  request: (request) => ({
    ...request,
    messages: ollamaMessagesOf(request.messages),
    tools:
      request.toolChoice?.kind === "none"
        ? []
        : request.tools.map((tool) => ({ ...tool, strict: undefined })),
    toolChoice: undefined,
    parallelToolCalls: undefined,
    format:
      request.format?.kind === "json_schema"
        ? { ...request.format, name: undefined, description: undefined, strict: undefined }
        : request.format,
    thinking: ollamaThinking(request.thinking),
    user: undefined,
  }),
  answer: (events) => {
    const kept = withFinish(unsigned(events), ({ reason }) => ({
      reason: reason === "content_filter" ? "stop" : reason,
      stopSequence: undefined,
    }));
    return kept.map((event) =>
      event.kind === "usage" ? { ...event, tokens: { ...event.tokens, cachedTokens: 0 } } : event,
    );
  },
};

function ollamaThinking(thinking: ThinkingRequest | undefined): ThinkingRequest | undefined {
  if (thinking === undefined || !thinking.enabled) return thinking;
  const nearest: Readonly<Record<string, string>> = { minimal: "low", xhigh: "high" };
  const { effort } = thinking;
  return {
    enabled: true,
    effort: effort === undefined ? undefined : (nearest[effort] ?? effort),
    budgetTokens: undefined,
  };
}

/** A message has one text, one thinking and its pictures behind it; a result has the name of its tool. */
function ollamaMessagesOf(messages: readonly ChatMessage[]): ChatMessage[] {
  const names = new Map<string, string>();
  const input = (content: readonly InputPart[]): InputPart[] => [
    ...joined(texts(content), "\n\n"),
    ...content.filter(({ kind }) => kind === "image"),
  ];
  return messages.map((message): ChatMessage => {
    if (message.role === "system") return { ...message, content: joined(message.content, "\n\n") };
    if (message.role === "user") return { ...message, content: input(message.content) };
    if (message.role === "tool") {
      return {
        ...message,
        name: message.name ?? names.get(message.callId),
        isError: false,
        content: input(message.content),
      };
    }
    const { content } = message;
    for (const part of content) if (part.kind === "tool_call") names.set(part.id, part.name);
    const thought = others(content, "thinking")
      .map((part) => (part.kind === "thinking" ? part.text : ""))
      .join("");
    const thinking: OutputPart[] =
      thought === "" ? [] : [{ kind: "thinking", text: thought, signature: undefined }];
    return {
      ...message,
      content: [...thinking, ...joined(texts(content), ""), ...others(content, "tool_call")],
    };
  });
}

const rounds = 250;

for (const [name, dialect] of Object.entries({ openAi, anthropic, ollama })) {
  describe(name, () => {
    test("conversations", () => {
      for (let seed = 1; seed <= rounds; seed++) {
        const drawn = drawRequest(createDraw(seed), dialect.carries);
        const written = dialect.server.writeChatRequest(drawn, {
          dialect: dialect.server.dialect,
          model: "m",
          serves: [],
        });
        assert.ok(!isFailure(written), `seed ${seed}: ${JSON.stringify(written)}`);
        const read = dialect.caller.readChat(written.body);
        assert.ok(!isFailure(read), `seed ${seed}: ${JSON.stringify(read)}`);
        assert.deepEqual({ ...read, fields: {} }, { ...dialect.request(drawn), fields: {} }, `seed ${seed}`);
      }
    });

    test("answers, cut anywhere", () => {
      for (let seed = 1; seed <= rounds; seed++) {
        const draw = createDraw(seed);
        const drawn = drawAnswer(draw);
        const chunks: Uint8Array[] = [];
        const request = { ...drawRequest(draw, dialect.carries), stream: true, streamUsage: true };
        const out = { data: (chunk: Uint8Array) => void chunks.push(chunk) };
        const writer = dialect.caller.createStreamWriter(out, request, testContext());
        tell(draw, drawn, writer);
        const [finish, usage] = drawn.slice(-2);
        assert.ok(finish?.kind === "finish" && usage?.kind === "usage");
        writer.end(finish.finish, usage.tokens);
        const heard = new HeardEvents();
        const reader = dialect.server.createStreamReader(heard);
        for (const piece of cutBytes(draw, Buffer.concat(chunks))) reader.data(piece);
        assert.ok(heard.ended, `seed ${seed}: ended with its last word`);
        assert.deepEqual(heard.heard, dialect.answer(drawn), `seed ${seed}`);
      }
    });

    test("an answer that stops anywhere before its last word is none", () => {
      for (let seed = 1; seed <= rounds; seed++) {
        const draw = createDraw(seed);
        const chunks: Uint8Array[] = [];
        const out = { data: (chunk: Uint8Array) => void chunks.push(chunk) };
        const request = { ...drawRequest(draw, dialect.carries), stream: true };
        const writer = dialect.caller.createStreamWriter(out, request, testContext());
        tell(draw, drawAnswer(draw), writer);
        const whole = Buffer.concat(chunks);
        const heard = new HeardEvents();
        const reader = dialect.server.createStreamReader(heard);
        for (const piece of cutBytes(draw, whole.subarray(0, draw.int(whole.length + 1)))) reader.data(piece);
        reader.end();
        assert.ok(heard.failed && !heard.ended, `seed ${seed}`);
      }
    });
  });
}
