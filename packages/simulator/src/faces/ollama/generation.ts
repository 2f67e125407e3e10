/** `/api/chat` and `/api/generate`: NDJSON lines, and whole answers. */
import type { Answer, AnswerPart } from "../../text/answer.ts";
import { answerCalls, answerText } from "../../text/answer.ts";
import type { Model } from "../../model-spec.ts";
import type { ErrorAnswer, Exchange } from "../../server/exchange.ts";
import { answersTo, promptOf } from "../chat-ask.ts";
import type { ChatAsk } from "../chat-ask.ts";
import type { World } from "../face.ts";
import { fields, isFields, items, text } from "../fields.ts";
import { Job } from "../job.ts";
import type { StreamWriter } from "../job.ts";
import { checkOllama } from "./check-ollama.ts";
import { readKeepAlive, readOllamaChat, readOllamaGenerate } from "./read-ollama.ts";
import { findOllamaModel, missingModel, OVERLOADED } from "./store.ts";

const NDJSON = "application/x-ndjson";

/** Answers a chat turn or a completion. */
export function answerOllama(exchange: Exchange, world: World, kind: "chat" | "generate"): void {
  const { body } = exchange;
  if (!isFields(body))
    return exchange.error({
      status: 400,
      message: exchange.rawBody.length === 0 ? "missing request body" : "invalid character in request body",
    });
  const mistake = checkOllama(body);
  if (mistake !== undefined) return exchange.error(mistake);
  const name = text(body["model"]) ?? "";
  if (name === "")
    return exchange.error({
      status: kind === "chat" ? 400 : 404,
      message: kind === "chat" ? "model is required" : "model '' not found",
    });
  const model = findOllamaModel(world, name);
  if (model === undefined) return exchange.error(missingModel(name));
  const keepAliveMs = readKeepAlive(body["keep_alive"]);
  if (Number.isNaN(keepAliveMs))
    return exchange.error({
      status: 400,
      message: `time: invalid duration ${JSON.stringify(body["keep_alive"])}`,
    });
  const ask = kind === "chat" ? readOllamaChat(body) : readOllamaGenerate(body);
  const refusal = cannot(ask, model);
  if (refusal !== undefined) return exchange.error(refusal);
  const empty =
    kind === "chat"
      ? items(body["messages"]).length === 0
      : text(body["prompt"]) === undefined || body["prompt"] === "";
  if (empty) loadOnly(exchange, { world, model, name, kind, keepAliveMs });
  else generate(exchange, { world, model, ask, kind, keepAliveMs });
}

/** What the model's capabilities do not allow. */
function cannot(ask: ChatAsk, { capabilities }: Model): ErrorAnswer | undefined {
  const lacks = (what: string): boolean => !capabilities.includes(what);
  if (lacks("completion")) return { status: 400, message: `"${ask.model}" does not support chat` };
  if (ask.tools.length > 0 && lacks("tools"))
    return { status: 400, message: `registry.ollama.ai/library/${ask.model} does not support tools` };
  if (ask.thinking && lacks("thinking"))
    return { status: 400, message: `"${ask.model}" does not support thinking` };
  return undefined;
}

interface Turn {
  readonly world: World;
  readonly model: Model;
  readonly kind: "chat" | "generate";
  readonly keepAliveMs: number | undefined;
}

/** An empty request loads the model, or unloads it with `keep_alive: 0`. */
function loadOnly(
  exchange: Exchange,
  { world, model, name, kind, keepAliveMs }: Turn & { name: string },
): void {
  const content = kind === "chat" ? { message: { role: "assistant", content: "" } } : { response: "" };
  const answer = (reason: string): void =>
    exchange.json({ model: name, created_at: stamp(world), ...content, done: true, done_reason: reason });
  if (keepAliveMs === 0) {
    world.host.unload(model.name);
    answer("unload");
    return;
  }
  const claim = world.host.claim(model, {
    keepAliveMs,
    ready: () =>
      setImmediate(() => {
        claim?.release();
        answer("load");
      }),
  });
  if (claim === undefined) exchange.error(OVERLOADED);
  else exchange.onClose(() => claim.release());
}

function generate(
  exchange: Exchange,
  { world, model, ask, kind, keepAliveMs }: Turn & { ask: ChatAsk },
): void {
  const asked = {
    ...ask,
    thinking: ask.thinking || (model.thinks && fields(exchange.body)["think"] === undefined),
  };
  const most = model.engine.maxContext - 1;
  const whole = promptOf(asked, model);
  // Ollama drops the oldest turns of a conversation that does not fit.
  const prompt =
    whole.tokens > most
      ? { ...whole, tokens: most, blocks: whole.blocks.slice(0, Math.floor(most / model.engine.blockTokens)) }
      : whole;
  const answers = answersTo(asked, { model, world, exchange, promptTokens: prompt.tokens });
  const writer = ask.stream ? new NdjsonStream(exchange, { world, kind, name: ask.model }) : undefined;
  const [answer] = answers;
  const done = (job: Job): void => {
    if (answer === undefined) return;
    const said = kind === "chat" ? { message: messageOf(answer) } : generated(answer);
    exchange.json({
      model: ask.model,
      created_at: stamp(world),
      ...said,
      done: true,
      ...lastFields(job, answer),
    });
  };
  const refused = (): void => exchange.error(OVERLOADED);
  new Job({ exchange, world, model, prompt, answers, keepAliveMs, writer, done, refused }).start();
}

class NdjsonStream implements StreamWriter {
  readonly #exchange: Exchange;
  readonly #world: World;
  readonly #chat: boolean;
  readonly #head: string;
  #stampSecond = 0;
  #stampText = "";

  constructor(
    exchange: Exchange,
    { world, kind, name }: { world: World; kind: "chat" | "generate"; name: string },
  ) {
    this.#exchange = exchange;
    this.#world = world;
    this.#chat = kind === "chat";
    this.#head = `{"model":${JSON.stringify(name)},"created_at":"`;
  }

  begin(): void {
    this.#exchange.startStream(NDJSON);
  }

  piece(_choice: number, part: AnswerPart, said: string): void {
    if (part.kind === "tool") return;
    const json = JSON.stringify(said);
    if (part.kind === "thinking")
      this.#send(this.#chat ? `"content":"","thinking":${json}` : `"response":"","thinking":${json}`);
    else this.#send(this.#chat ? `"content":${json}` : `"response":${json}`);
  }

  partEnd(_choice: number, part: AnswerPart): void {
    if (part.call === undefined) return;
    const call = JSON.stringify(callOf(part.call, part.callIndex));
    this.#send(this.#chat ? `"content":"","tool_calls":[${call}]` : `"response":"","tool_calls":[${call}]`);
  }

  end(job: Job): void {
    const [answer] = job.options.answers;
    if (answer === undefined) return;
    const last = JSON.stringify(lastFields(job, answer)).slice(1);
    const content = this.#chat ? '"message":{"role":"assistant","content":""}' : '"response":""';
    this.#exchange.finish(`${this.#head}${this.#stamp()}",${content},"done":true,${last}\n`);
  }

  #send(content: string): void {
    const said = this.#chat ? `"message":{"role":"assistant",${content}}` : content;
    this.#exchange.frame(`${this.#head}${this.#stamp()}",${said},"done":false}\n`);
  }

  /** The time to the millisecond, without making a Date a token. */
  #stamp(): string {
    const now = this.#world.clock.wallNow();
    const second = Math.floor(now / 1000);
    if (second !== this.#stampSecond) {
      this.#stampSecond = second;
      this.#stampText = new Date(second * 1000).toISOString().slice(0, 20);
    }
    return `${this.#stampText}${String(Math.floor(now - second * 1000)).padStart(3, "0")}Z`;
  }
}

/** Fields of the last line, durations in nanoseconds. */
function lastFields(job: Job, answer: Answer): Record<string, unknown> {
  const [sequence] = job.sequences;
  const ns = (ms: number): number => (Number.isFinite(ms) ? Math.max(1, Math.round(ms * 1e6)) : 0);
  const { scheduledAt = 0, firstTokenAt = 0, lastTokenAt = 0 } = sequence ?? {};
  return {
    done_reason: answer.finish === "length" ? "length" : "stop",
    total_duration: ns(lastTokenAt - job.startedAt),
    load_duration: ns(Math.max(0.05, job.claim?.loadedAfterMs ?? 0)),
    prompt_eval_count: job.promptTokens,
    prompt_eval_duration: ns(firstTokenAt - scheduledAt),
    eval_count: job.produced,
    eval_duration: ns(lastTokenAt - firstTokenAt),
  };
}

function messageOf(answer: Answer): Record<string, unknown> {
  const thinking = answerText(answer, "thinking");
  const calls = answerCalls(answer).map(callOf);
  return {
    role: "assistant",
    content: answerText(answer, "text"),
    ...(thinking !== "" && { thinking }),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
}

function generated(answer: Answer): Record<string, unknown> {
  const thinking = answerText(answer, "thinking");
  return { response: answerText(answer, "text"), ...(thinking !== "" && { thinking }) };
}

/** A call with its arguments as an object; an empty one when they were cut short. */
function callOf(call: { name: string; arguments: string }, index: number): Record<string, unknown> {
  let parsed: unknown = {};
  try {
    parsed = JSON.parse(call.arguments);
  } catch {
    parsed = {};
  }
  return { id: `call_${index}`, function: { index, name: call.name, arguments: parsed } };
}

/** A time as Ollama writes it. */
export function stamp(world: World): string {
  return new Date(world.clock.wallNow()).toISOString();
}
