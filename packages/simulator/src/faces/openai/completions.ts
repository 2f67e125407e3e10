/** `/v1/completions`: chunks, and whole answers. */
import type { Exchange } from "../../server/exchange.ts";
import { answerText } from "../../text/answer.ts";
import type { Answer, AnswerPart } from "../../text/answer.ts";
import { answersTo, plainAsk, promptOf } from "../chat-ask.ts";
import type { ChatAsk } from "../chat-ask.ts";
import { SSE_TYPE } from "../face.ts";
import { fields, items, text } from "../fields.ts";
import { Job } from "../job.ts";
import type { StreamWriter } from "../job.ts";
import { tooLong } from "./chat.ts";
import { createdAt, usageOf } from "./flavour.ts";
import type { OpenAiFlavour } from "./flavour.ts";
import { invalid, readSampling } from "./read-chat.ts";

/** Answers a text completion: one prompt, as text or token ids. */
export function answerCompletion(exchange: Exchange, flavour: OpenAiFlavour): void {
  const body = fields(exchange.body);
  const name = text(body["model"]);
  const prompt = promptText(body["prompt"]);
  if (name === undefined || prompt === undefined) {
    exchange.error(
      invalid(
        name === undefined ? "you must provide a model parameter" : "Missing required parameter: 'prompt'.",
        name === undefined ? "model" : "prompt",
      ),
    );
    return;
  }
  const found = flavour.find(name);
  if (found === undefined) {
    exchange.error(flavour.missing(name));
    return;
  }
  const sampling = readSampling(body);
  const ask: ChatAsk = {
    ...plainAsk,
    ...sampling,
    maxTokens: sampling.maxTokens ?? 16,
    model: name,
    prompt: [prompt],
    stream: body["stream"] === true,
  };
  run(exchange, {
    flavour,
    ask,
    found,
    includeUsage: fields(body["stream_options"])["include_usage"] === true,
  });
}

interface Run {
  readonly flavour: OpenAiFlavour;
  readonly ask: ChatAsk;
  readonly found: NonNullable<ReturnType<OpenAiFlavour["find"]>>;
  readonly includeUsage: boolean;
}

function run(exchange: Exchange, { flavour, ask, found: { model, adapter }, includeUsage }: Run): void {
  const { world } = flavour;
  const prompt = promptOf(ask, model);
  if (flavour.name !== "ollama" && prompt.tokens >= model.engine.maxContext) {
    exchange.error(tooLong(prompt.tokens, model.engine.maxContext));
    return;
  }
  const answers = answersTo(ask, { model, world, exchange, promptTokens: prompt.tokens });
  const writer = ask.stream
    ? new CompletionStream(exchange, flavour, { name: ask.model, includeUsage })
    : undefined;
  if (writer !== undefined && !flavour.lateHead) exchange.startStream(SSE_TYPE, flavour.headers(exchange));
  const done = (job: Job): void =>
    exchange.json(whole(job, flavour, ask.model), { headers: flavour.headers(exchange) });
  const refused = (): void => {
    if (exchange.response.headersSent) exchange.failStream(flavour.overloaded);
    else exchange.error(flavour.overloaded);
  };
  new Job({ exchange, world, model, adapter, prompt, answers, writer, done, refused }).start();
}

function promptText(prompt: unknown): string | undefined {
  if (typeof prompt === "string") return prompt;
  const [first] = items(prompt);
  if (typeof first === "string") return items(prompt).join(" ");
  if (typeof first === "number") return items(prompt).join(" ");
  return Array.isArray(first) ? first.join(" ") : undefined;
}

class CompletionStream implements StreamWriter {
  readonly #exchange: Exchange;
  readonly #flavour: OpenAiFlavour;
  readonly #head: string;
  readonly #includeUsage: boolean;

  constructor(
    exchange: Exchange,
    flavour: OpenAiFlavour,
    { name, includeUsage }: { name: string; includeUsage: boolean },
  ) {
    this.#exchange = exchange;
    this.#flavour = flavour;
    this.#includeUsage = includeUsage;
    const named = {
      id: flavour.id("cmpl-"),
      object: "text_completion",
      created: createdAt(flavour.world),
      model: name,
      ...flavour.extras,
    };
    this.#head = `data: ${JSON.stringify(named).slice(0, -1)},"choices":[`;
  }

  begin(): void {
    this.#exchange.startStream(SSE_TYPE, this.#flavour.headers(this.#exchange));
  }

  piece(choice: number, _part: AnswerPart, said: string): void {
    this.#send(choice, said, "null");
  }

  choiceEnd(choice: number, answer: Answer): void {
    const stop = this.#flavour.stopReason
      ? `,"stop_reason":${JSON.stringify(answer.stopString ?? null)}`
      : "";
    this.#send(choice, "", `"${answer.finish}"${stop}`);
  }

  end(job: Job): void {
    if (this.#includeUsage)
      this.#exchange.frame(`${this.#head}],"usage":${JSON.stringify(usage(job, this.#flavour))}}\n\n`);
    this.#exchange.finish("data: [DONE]\n\n");
  }

  #send(choice: number, said: string, finish: string): void {
    this.#exchange.frame(
      `${this.#head}{"index":${choice},"text":${JSON.stringify(said)},"logprobs":null,"finish_reason":${finish}}]}\n\n`,
    );
  }
}

function whole(job: Job, flavour: OpenAiFlavour, model: string): unknown {
  return {
    id: flavour.id("cmpl-"),
    object: "text_completion",
    created: createdAt(flavour.world),
    model,
    ...flavour.extras,
    choices: job.options.answers.map((answer, index) => ({
      index,
      text: answerText(answer, "text"),
      logprobs: null,
      finish_reason: answer.finish,
      ...(flavour.stopReason && { stop_reason: answer.stopString ?? null }),
    })),
    usage: usage(job, flavour),
  };
}

function usage(job: Job, flavour: OpenAiFlavour): Record<string, unknown> {
  const cached = flavour.full ? job.cachedTokens : undefined;
  return usageOf({ prompt: job.promptTokens, completion: job.produced, cached });
}
