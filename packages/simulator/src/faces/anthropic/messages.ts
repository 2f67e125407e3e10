/** Anthropic's `/v1/messages`: events, and whole answers. */
import type { ErrorStyle, Exchange } from "../../server/exchange.ts";
import { answerCalls, answerText } from "../../text/answer.ts";
import type { Answer, AnswerPart } from "../../text/answer.ts";
import { answersTo, promptOf } from "../chat-ask.ts";
import type { ChatAsk } from "../chat-ask.ts";
import { SSE_TYPE, sse } from "../face.ts";
import { Job } from "../job.ts";
import type { StreamWriter } from "../job.ts";
import type { OpenAiFlavour } from "../openai/flavour.ts";
import { readMessages } from "./read-messages.ts";

/** What the messages API needs of a server. */
export type MessagesFlavour = Pick<
  OpenAiFlavour,
  "world" | "find" | "missing" | "overloaded" | "id" | "lateHead" | "headers"
>;

const TYPES: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  405: "invalid_request_error",
  413: "request_too_large",
  429: "rate_limit_error",
  504: "timeout_error",
  529: "overloaded_error",
};

/** Errors as Anthropic writes them; in a stream they are an event of their own. */
export const anthropicErrors: ErrorStyle = {
  body: ({ status, message, type = TYPES[status] ?? "api_error" }) => ({
    type: "error",
    error: { type, message },
  }),
  frame: (error) => sse(anthropicErrors.body(error), "error"),
};

/** Answers a message. */
export function answerMessages(exchange: Exchange, flavour: MessagesFlavour): void {
  const ask = readMessages(exchange.body);
  if ("status" in ask) return exchange.error(ask);
  const found = flavour.find(ask.model);
  if (found === undefined) return exchange.error(flavour.missing(ask.model));
  const { model, adapter } = found;
  const prompt = promptOf(ask, model);
  const most = model.engine.maxContext;
  if (prompt.tokens >= most)
    return exchange.error({
      status: 400,
      message: `prompt is too long: ${prompt.tokens} tokens > ${most} maximum`,
    });
  const { world } = flavour;
  const asked = { ...ask, thinking: ask.thinking || model.thinks };
  const answers = answersTo(asked, { model, world, exchange, promptTokens: prompt.tokens });
  const writer = ask.stream ? new MessageStream(exchange, flavour, ask) : undefined;
  const done = (job: Job): void =>
    exchange.json(wholeMessage(job, ask, flavour), { headers: flavour.headers(exchange) });
  const refused = (): void => {
    if (exchange.response.headersSent) exchange.failStream(flavour.overloaded);
    else exchange.error(flavour.overloaded);
  };
  const job = new Job({ exchange, world, model, adapter, prompt, answers, writer, done, refused });
  if (!flavour.lateHead) writer?.begin(job);
  job.start();
}

/** Counts the tokens of a message's prompt. */
export function countTokens(exchange: Exchange, flavour: MessagesFlavour): void {
  const ask = readMessages(exchange.body, { counting: true });
  if ("status" in ask) return exchange.error(ask);
  const found = flavour.find(ask.model);
  if (found === undefined) return exchange.error(flavour.missing(ask.model));
  exchange.json({ input_tokens: promptOf(ask, found.model).tokens }, { headers: flavour.headers(exchange) });
}

class MessageStream implements StreamWriter {
  readonly #exchange: Exchange;
  readonly #flavour: MessagesFlavour;
  readonly #model: string;
  #index = -1;
  #begun = false;
  #delta = "";

  constructor(exchange: Exchange, flavour: MessagesFlavour, ask: ChatAsk) {
    this.#exchange = exchange;
    this.#flavour = flavour;
    this.#model = ask.model;
  }

  begin(job: Job): void {
    if (this.#begun) return;
    this.#begun = true;
    this.#exchange.startStream(SSE_TYPE, {
      "cache-control": "no-cache",
      ...this.#flavour.headers(this.#exchange),
    });
    const { prompt, model } = job.options;
    const cached = this.#flavour.world.host.runner(model.name)?.engine.cachedTokens({ prompt }) ?? 0;
    const message = {
      id: this.#flavour.id("msg_"),
      type: "message",
      role: "assistant",
      model: this.#model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: usage({
        prompt: prompt.tokens,
        cached: job.sequences.length > 0 ? job.cachedTokens : cached,
        output: 1,
      }),
    };
    this.#send({ type: "message_start", message });
  }

  partStart(_choice: number, { kind, call }: AnswerPart): void {
    this.#index += 1;
    const block = {
      text: { type: "text", text: "" },
      thinking: { type: "thinking", thinking: "", signature: "" },
      tool: { type: "tool_use", id: this.#flavour.id("toolu_"), name: call?.name, input: {} },
    }[kind];
    this.#send({ type: "content_block_start", index: this.#index, content_block: block });
    if (this.#index === 0) this.#send({ type: "ping" });
    const delta = {
      text: '"text_delta","text":',
      thinking: '"thinking_delta","thinking":',
      tool: '"input_json_delta","partial_json":',
    }[kind];
    this.#delta = `event: content_block_delta\ndata: {"type":"content_block_delta","index":${this.#index},"delta":{"type":${delta}`;
  }

  piece(_choice: number, _part: AnswerPart, text: string): void {
    this.#exchange.frame(`${this.#delta}${JSON.stringify(text)}}}\n\n`);
  }

  partEnd(_choice: number, { kind }: AnswerPart): void {
    const delta = { type: "signature_delta", signature: SIGNATURE };
    if (kind === "thinking") this.#send({ type: "content_block_delta", index: this.#index, delta });
    this.#send({ type: "content_block_stop", index: this.#index });
  }

  choiceEnd(_choice: number, answer: Answer): void {
    const delta = { stop_reason: stopReason(answer), stop_sequence: answer.stopString ?? null };
    this.#send({ type: "message_delta", delta, usage: { output_tokens: answer.tokens } });
  }

  end(): void {
    this.#exchange.finish(sse({ type: "message_stop" }, "message_stop"));
  }

  #send(event: { type: string; [field: string]: unknown }): void {
    this.#exchange.frame(sse(event, event.type));
  }
}

/** Stands for the signature of thinking. */
const SIGNATURE = Buffer.from("a simulated signature").toString("base64");

function wholeMessage(job: Job, ask: ChatAsk, flavour: MessagesFlavour): unknown {
  const [answer] = job.options.answers;
  if (answer === undefined) return {};
  const thinking = answerText(answer, "thinking");
  const said = answerText(answer, "text");
  const calls = answerCalls(answer).map((call) => ({
    type: "tool_use",
    id: flavour.id("toolu_"),
    name: call.name,
    input: parsed(call.arguments),
  }));
  return {
    id: flavour.id("msg_"),
    type: "message",
    role: "assistant",
    model: ask.model,
    content: [
      ...(thinking === "" ? [] : [{ type: "thinking", thinking, signature: SIGNATURE }]),
      ...(said === "" ? [] : [{ type: "text", text: said }]),
      ...calls,
    ],
    stop_reason: stopReason(answer),
    stop_sequence: answer.stopString ?? null,
    usage: usage({ prompt: job.promptTokens, cached: job.cachedTokens, output: job.produced }),
  };
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return {};
  }
}

function stopReason({ finish, stopString }: Answer): string {
  if (finish === "length") return "max_tokens";
  if (finish === "tool_calls") return "tool_use";
  return stopString === undefined ? "end_turn" : "stop_sequence";
}

/** Anthropic counts cached tokens apart from the input's. */
function usage({
  prompt,
  cached,
  output,
}: {
  prompt: number;
  cached: number;
  output: number;
}): Record<string, number> {
  return {
    input_tokens: prompt - cached,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cached,
    output_tokens: output,
  };
}
