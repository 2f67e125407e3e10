/** `/v1/chat/completions`: chunks, and whole answers. */
import type { Answer, AnswerPart } from "../../text/answer.ts";
import { answerCalls, answerText } from "../../text/answer.ts";
import type { Exchange } from "../../server/exchange.ts";
import { answersTo, promptOf } from "../chat-ask.ts";
import type { ChatAsk } from "../chat-ask.ts";
import { SSE_TYPE } from "../face.ts";
import { fields } from "../fields.ts";
import { Job } from "../job.ts";
import type { StreamWriter } from "../job.ts";
import { createdAt, usageOf } from "./flavour.ts";
import type { OpenAiFlavour } from "./flavour.ts";
import { readChat } from "./read-chat.ts";

/** Answers a chat completion. */
export function answerChat(exchange: Exchange, flavour: OpenAiFlavour): void {
  const ask = readChat(exchange.body);
  if ("status" in ask) {
    exchange.error(ask);
    return;
  }
  const found = flavour.find(ask.model);
  if (found === undefined) {
    exchange.error(flavour.missing(ask.model));
    return;
  }
  const { model, adapter } = found;
  const prompt = promptOf(ask, model);
  if (flavour.name !== "ollama" && prompt.tokens >= model.engine.maxContext) {
    exchange.error(tooLong(prompt.tokens, model.engine.maxContext));
    return;
  }
  const asked = { ...ask, thinking: ask.thinking || model.thinks, choices: flavour.full ? ask.choices : 1 };
  const { world } = flavour;
  const answers = answersTo(asked, { model, world, exchange, promptTokens: prompt.tokens });
  const settings = chatSettings(exchange.body);
  const writer = ask.stream ? new ChatStream(exchange, flavour, ask, settings) : undefined;
  if (writer !== undefined && !flavour.lateHead) exchange.startStream(SSE_TYPE, flavour.headers(exchange));
  const done = (job: Job): void =>
    exchange.json(wholeChat(job, { flavour, ask, settings }), { headers: flavour.headers(exchange) });
  const refused = (): void => {
    if (exchange.response.headersSent) exchange.failStream(flavour.overloaded);
    else exchange.error(flavour.overloaded);
  };
  new Job({ exchange, world, model, adapter, prompt, answers, writer, done, refused }).start();
}

/** The 400 of a prompt that does not fit, in vLLM's and OpenAI's words. */
export function tooLong(
  tokens: number,
  most: number,
): { status: number; message: string; code: string; param: string } {
  const message = `This model's maximum context length is ${most} tokens. However, your messages resulted in ${tokens} tokens. Please reduce the length of the messages.`;
  return { status: 400, message, code: "context_length_exceeded", param: "messages" };
}

interface ChatSettings {
  readonly includeUsage: boolean;
  readonly continuousUsage: boolean;
  readonly logprobs: boolean;
  readonly topLogprobs: number;
}

function chatSettings(body: unknown): ChatSettings {
  const { stream_options: options, logprobs, top_logprobs: top } = fields(body);
  return {
    includeUsage: fields(options)["include_usage"] === true,
    continuousUsage: fields(options)["continuous_usage_stats"] === true,
    logprobs: logprobs === true,
    topLogprobs: typeof top === "number" ? Math.min(Math.max(0, top), 20) : 0,
  };
}

class ChatStream implements StreamWriter {
  readonly #exchange: Exchange;
  readonly #flavour: OpenAiFlavour;
  readonly #settings: ChatSettings;
  readonly #head: string;
  readonly #role: string;
  readonly #callIds = new Map<string, string>();
  #tail: string;
  #job: Job | undefined;

  constructor(exchange: Exchange, flavour: OpenAiFlavour, ask: ChatAsk, settings: ChatSettings) {
    this.#exchange = exchange;
    this.#flavour = flavour;
    this.#settings = settings;
    const named = {
      id: flavour.id("chatcmpl-"),
      object: "chat.completion.chunk",
      created: createdAt(flavour.world),
      model: ask.model,
      ...flavour.extras,
    };
    this.#head = `data: ${JSON.stringify(named).slice(0, -1)},"choices":[`;
    this.#role = flavour.roleEverywhere ? '"role":"assistant",' : "";
    this.#tail = settings.includeUsage && flavour.name === "openai" ? '],"usage":null}\n\n' : "]}\n\n";
  }

  begin(job: Job): void {
    this.#job = job;
    this.#exchange.startStream(SSE_TYPE, this.#flavour.headers(this.#exchange));
    if (!this.#flavour.roleChunk) return;
    for (let choice = 0; choice < job.options.answers.length; choice++)
      this.#send(choice, '"role":"assistant","content":""', "null", 0);
  }

  partStart(choice: number, { call, callIndex }: AnswerPart): void {
    if (call === undefined || this.#flavour.wholeToolCalls) return;
    const started = {
      index: callIndex,
      ...this.#callHead(choice, callIndex),
      function: { name: call.name, arguments: "" },
    };
    this.#send(choice, `"tool_calls":[${JSON.stringify(started)}]`, "null", 0);
  }

  piece(choice: number, part: AnswerPart, text: string, tokens: number): void {
    const json = JSON.stringify(text);
    if (part.kind === "text") this.#send(choice, `${this.#role}"content":${json}`, "null", tokens, text);
    else if (part.kind === "thinking") {
      const named = this.#flavour.thinkingFields.map((field) => `"${field}":${json}`);
      const empty = this.#flavour.roleEverywhere ? '"content":"",' : "";
      if (named.length > 0) this.#send(choice, `${this.#role}${empty}${named.join(",")}`, "null", tokens);
    } else if (!this.#flavour.wholeToolCalls)
      this.#send(
        choice,
        `"tool_calls":[{"index":${part.callIndex},"function":{"arguments":${json}}}]`,
        "null",
        tokens,
      );
  }

  partEnd(choice: number, part: AnswerPart): void {
    if (part.call === undefined || !this.#flavour.wholeToolCalls) return;
    const call = { ...this.#callHead(choice, part.callIndex), index: part.callIndex, function: part.call };
    this.#send(choice, `${this.#role}"content":"","tool_calls":[${JSON.stringify(call)}]`, "null", 0);
  }

  choiceEnd(choice: number, answer: Answer): void {
    const empty = this.#flavour.name === "openai" ? "" : `${this.#role}"content":""`;
    const stop = this.#flavour.stopReason
      ? `,"stop_reason":${JSON.stringify(answer.stopString ?? null)}`
      : "";
    this.#send(choice, empty, `"${answer.finish}"${stop}`, answer.tokens);
  }

  end(job: Job): void {
    const { metrics } = this.#flavour.world;
    const [answer] = job.options.answers;
    if (answer !== undefined)
      metrics
        .get(job.options.model.name)
        ?.succeeded(answer.finish, { choices: job.sequences.length, maxTokens: undefined });
    if (this.#settings.includeUsage)
      this.#exchange.frame(`${this.#head}],"usage":${JSON.stringify(chatUsage(job, this.#flavour))}}\n\n`);
    this.#exchange.finish("data: [DONE]\n\n");
  }

  #send(choice: number, delta: string, finish: string, tokens: number, said?: string): void {
    const { logprobs, continuousUsage } = this.#settings;
    const probabilities =
      logprobs && said !== undefined && this.#flavour.full
        ? JSON.stringify(logprobsOf([said], this.#settings.topLogprobs))
        : "null";
    const middle = this.#flavour.roleEverywhere ? "" : `,"logprobs":${probabilities}`;
    const usage = continuousUsage && this.#job !== undefined ? this.#usageSoFar(tokens) : this.#tail;
    this.#exchange.frame(
      `${this.#head}{"index":${choice},"delta":{${delta}}${middle},"finish_reason":${finish}}${usage}`,
    );
  }

  #usageSoFar(tokens: number): string {
    const prompt = this.#job?.promptTokens ?? 0;
    return `],"usage":${JSON.stringify(usageOf({ prompt, completion: tokens }))}}\n\n`;
  }

  #callHead(choice: number, callIndex: number): { id: string; type: string } {
    const key = `${choice}:${callIndex}`;
    const id = this.#callIds.get(key) ?? this.#flavour.id("call_");
    this.#callIds.set(key, id);
    return { id, type: "function" };
  }
}

function wholeChat(
  job: Job,
  { flavour, ask, settings }: { flavour: OpenAiFlavour; ask: ChatAsk; settings: ChatSettings },
): unknown {
  const { answers, model } = job.options;
  const [first] = answers;
  if (first !== undefined)
    flavour.world.metrics
      .get(model.name)
      ?.succeeded(first.finish, { choices: answers.length, maxTokens: ask.maxTokens });
  return {
    id: flavour.id("chatcmpl-"),
    object: "chat.completion",
    created: createdAt(flavour.world),
    model: ask.model,
    ...flavour.extras,
    choices: answers.map((answer, index) => ({
      index,
      message: messageOf(answer, flavour),
      ...(flavour.full && {
        logprobs: settings.logprobs ? logprobsOf(piecesOf(answer), settings.topLogprobs) : null,
      }),
      finish_reason: answer.finish,
      ...(flavour.stopReason && { stop_reason: answer.stopString ?? null }),
    })),
    usage: chatUsage(job, flavour),
  };
}

function messageOf(answer: Answer, flavour: OpenAiFlavour): unknown {
  const calls = answerCalls(answer).map((call) => ({
    id: flavour.id("call_"),
    type: "function",
    function: call,
  }));
  const thinking = answerText(answer, "thinking");
  return {
    role: "assistant",
    content: calls.length > 0 && flavour.name !== "ollama" ? null : answerText(answer, "text"),
    ...(flavour.name === "openai" && { refusal: null, annotations: [] }),
    ...(thinking !== "" && Object.fromEntries(flavour.thinkingFields.map((field) => [field, thinking]))),
    ...(calls.length > 0 ? { tool_calls: calls } : flavour.stopReason && { tool_calls: [] }),
  };
}

function chatUsage(job: Job, flavour: OpenAiFlavour): Record<string, unknown> {
  const reasoning = job.options.answers.reduce(
    (sum, { parts }) =>
      sum +
      parts.reduce((tokens, part) => tokens + (part.kind === "thinking" ? part.end - part.start : 0), 0),
    0,
  );
  return usageOf({
    prompt: job.promptTokens,
    completion: job.produced,
    cached: flavour.full ? job.cachedTokens : undefined,
    reasoning: flavour.name === "openai" ? reasoning : undefined,
  });
}

function piecesOf({ parts }: Answer): string[] {
  return parts.flatMap((part) =>
    part.kind === "text" ? Array.from({ length: part.end - part.start }, (_, at) => part.piece(at)) : [],
  );
}

/** Log probabilities of tokens: made up, the same for the same token, each below the one before. */
function logprobsOf(pieces: readonly string[], top: number): { content: unknown[] } {
  const entry = (token: string, logprob: number): Record<string, unknown> => ({
    token,
    logprob,
    bytes: [...Buffer.from(token)],
  });
  return {
    content: pieces.map((piece) => ({
      ...entry(piece, -0.1),
      top_logprobs: Array.from({ length: top }, (_, at) =>
        entry(at === 0 ? piece : `${piece}${at}`, -0.1 - 1.5 * at),
      ),
    })),
  };
}
