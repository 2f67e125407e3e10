/** Ollama's `POST /api/chat`, `/api/generate` and `/api/embed`. */
import { Fields } from "../fields.ts";
import { toGrammarSchema } from "../grammar-schema.ts";
import { answerJson, Stream } from "../http/answer.ts";
import type { EngineRequest, EngineRoute } from "../http/server.ts";
import { readKeepAlive } from "../models/keep-alive.ts";
import type { ChatMessage, Format, Generation, GenerationEvents, Json, Prompt, Sampling } from "../port.ts";
import { readTool } from "../openai/read-chat.ts";
import { Refusal } from "../refusal.ts";
import type { Call, Outcome, Service } from "../service.ts";
import { ollamaErrorBody } from "./error-body.ts";

const plainChat = { kind: "chat", mustCall: false, manyCalls: true } as const;

/** `/api/chat`. */
export function ollamaChatRoute(service: Service): EngineRoute {
  return route("/api/chat", async (request) => {
    const { fields } = request;
    const messages = readMessages(fields);
    if (messages.length === 0)
      return loadOnly(service, request, { message: { role: "assistant", content: "" } });
    const tools = (fields.list("tools") ?? []).map((item, index) =>
      readTool(new Fields(item, `tools[${index}]`)),
    );
    const generation = readGeneration(fields, { ...plainChat, messages, tools });
    await answer(service, request, generation, ({ text, thought, calls }) => {
      const thinking = thought === "" ? {} : { thinking: thought };
      const called = calls.length === 0 ? {} : { tool_calls: calls };
      return { message: { role: "assistant", content: text, ...thinking, ...called } };
    });
  });
}

/** `/api/generate`. */
export function generateRoute(service: Service): EngineRoute {
  return route("/api/generate", async (request) => {
    const { fields } = request;
    fields.refuse("suffix", [""]);
    fields.refuse("images", []);
    const text = fields.text("prompt") ?? "";
    if (text === "") return loadOnly(service, request, { response: "" });
    const system = fields.text("system") ?? "";
    const messages: ChatMessage[] = system === "" ? [] : [{ role: "system", text: system }];
    const prompt: Prompt = fields.flag("raw")
      ? { kind: "text", text }
      : { ...plainChat, messages: [...messages, { role: "user", text }], tools: [] };
    await answer(service, request, readGeneration(fields, prompt), (piece) => {
      return { response: piece.text, ...(piece.thought === "" ? {} : { thinking: piece.thought }) };
    });
  });
}

/** `/api/embed`. */
export function ollamaEmbedRoute(service: Service): EngineRoute {
  return route("/api/embed", async (request) => {
    const { fields, response } = request;
    const call = readCall(request);
    const texts = fields.texts("input");
    if (texts === undefined) throw fields.wrong("input", "is required");
    const { vectors, promptTokens, loadMs, totalMs } = await service.embed(call, texts);
    answerJson(response, {
      model: call.model,
      embeddings: vectors,
      total_duration: nanoseconds(totalMs),
      load_duration: nanoseconds(loadMs),
      prompt_eval_count: promptTokens,
    });
  });
}

function route(path: string, handle: (request: EngineRequest) => Promise<void>): EngineRoute {
  return { method: "POST", path, errorBody: ollamaErrorBody, handle };
}

function readCall({ fields, signal }: EngineRequest): Call {
  const keepAliveMs = readKeepAlive(fields.raw("keep_alive"));
  return { model: fields.requiredText("model"), keepAliveMs, signal };
}

/** No prompt: the model is loaded, or with `keep_alive: 0` unloaded. */
async function loadOnly(service: Service, request: EngineRequest, empty: object): Promise<void> {
  const call = readCall(request);
  if (call.keepAliveMs === 0) {
    await service.store.find(call.model);
    service.store.expire(call.model);
  } else (await service.store.acquire(call.model, call)).release();
  const head = { model: call.model, created_at: new Date(service.now()).toISOString() };
  const reason = call.keepAliveMs === 0 ? "unload" : "load";
  answerJson(request.response, { ...head, ...empty, done: true, done_reason: reason });
}

/** A part of an answer, or all of it. */
interface Piece {
  readonly text: string;
  readonly thought: string;
  readonly calls: readonly { readonly function: { readonly name: string; readonly arguments: Json } }[];
}

const nothing: Piece = { text: "", thought: "", calls: [] };

/** Streams unless `stream` says no. */
async function answer(
  service: Service,
  request: EngineRequest,
  generation: Generation,
  write: (piece: Piece) => object,
): Promise<void> {
  const call = readCall(request);
  const { fields, response } = request;
  const head = () => ({ model: call.model, created_at: new Date(service.now()).toISOString() });
  if (fields.raw("stream") !== false) {
    const stream = new Stream(response, "lines");
    const send = (piece: Partial<Piece>): void =>
      stream.send({ ...head(), ...write({ ...nothing, ...piece }), done: false });
    const outcome = await service.generate(call, generation, pieces(send));
    stream.send({ ...head(), ...write(nothing), ...ending(outcome) });
    stream.end();
    return;
  }
  let whole = nothing;
  const outcome = await service.generate(
    call,
    generation,
    pieces(({ text = "", thought = "", calls = [] }) => {
      whole = {
        text: whole.text + text,
        thought: whole.thought + thought,
        calls: [...whole.calls, ...calls],
      };
    }),
  );
  answerJson(response, { ...head(), ...write(whole), ...ending(outcome) });
}

function pieces(take: (piece: Partial<Piece>) => void): GenerationEvents {
  return {
    text: (text) => take({ text }),
    thought: (thought) => take({ thought }),
    call: ({ name, arguments: text }) => {
      take({ calls: [{ function: { name, arguments: JSON.parse(text) as Json } }] });
    },
  };
}

function ending(outcome: Outcome): object {
  const { finish, promptMs, totalMs, loadMs } = outcome;
  return {
    done: true,
    done_reason: finish === "length" ? "length" : "stop",
    total_duration: nanoseconds(totalMs),
    load_duration: nanoseconds(loadMs),
    prompt_eval_count: outcome.promptTokens,
    prompt_eval_duration: nanoseconds(promptMs),
    eval_count: outcome.completionTokens,
    eval_duration: nanoseconds(Math.max(0, totalMs - loadMs - promptMs)),
  };
}

function nanoseconds(ms: number): number {
  return Math.round(ms * 1e6);
}

function readMessages(fields: Fields): ChatMessage[] {
  const messages: ChatMessage[] = [];
  for (const [index, item] of (fields.list("messages") ?? []).entries()) {
    const message = new Fields(item, `messages[${index}]`);
    const role = message.requiredText("role");
    message.refuse("images", []);
    const text = message.text("content") ?? "";
    if (role === "system" || role === "user") messages.push({ role, text });
    else if (role === "assistant") messages.push({ role, text, calls: readCalls(message) });
    else if (role === "tool") fillResult(messages, message, text);
    else throw message.wrong("role", `unknown role "${role}"`);
  }
  return messages;
}

function readCalls(message: Fields) {
  return (message.list("tool_calls") ?? []).map((item, index) => {
    const called = new Fields(item, `${message.nameOf("tool_calls")}[${index}]`).object("function");
    if (called === undefined) throw message.wrong("tool_calls", "function is required");
    return { name: called.requiredText("name"), arguments: called.raw("arguments") ?? {}, result: undefined };
  });
}

/** What a tool said belongs to the first call before it that has no answer yet, of its name where one is given. */
function fillResult(messages: ChatMessage[], message: Fields, result: string): void {
  const name = message.text("tool_name");
  const last = messages.at(-1);
  const calls = last?.role === "assistant" ? last.calls : [];
  const index = calls.findIndex(
    (call) => call.result === undefined && (name === undefined || call.name === name),
  );
  if (last?.role !== "assistant" || index < 0)
    throw message.wrong("role", "a tool's answer needs a call before it");
  const filled = calls.map((call, at) => (at === index ? { ...call, result } : call));
  messages[messages.length - 1] = { ...last, calls: filled };
}

function readGeneration(fields: Fields, prompt: Prompt): Generation {
  fields.refuse("template", [""]);
  fields.refuse("context", []);
  const options = fields.object("options") ?? new Fields({});
  const format = readFormat(fields);
  if (format !== undefined && prompt.kind === "chat" && prompt.tools.length > 0)
    throw new Refusal("unsupported", "format is not supported together with tools", "format");
  const most = options.number("num_predict", { min: -2, max: 1e9, integer: true }) ?? -1;
  return {
    prompt,
    sampling: readSampling(options),
    maxTokens: most < 0 ? undefined : Math.max(1, most),
    stop: (options.texts("stop") ?? []).filter((text) => text !== ""),
    format,
    think: fields.raw("think") !== false,
  };
}

/** Ollama's options with Ollama's defaults. */
function readSampling(options: Fields): Sampling {
  const safe = { min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER, integer: true };
  return {
    temperature: options.number("temperature", { min: 0, max: 5 }) ?? 0.8,
    topP: options.number("top_p", { min: 0, max: 1 }) ?? 0.9,
    topK: Math.max(0, options.number("top_k", { min: -1, max: 1e9, integer: true }) ?? 40),
    minP: options.number("min_p", { min: 0, max: 1 }) ?? 0,
    seed: options.number("seed", safe),
    frequencyPenalty: options.number("frequency_penalty", { min: -2, max: 2 }) ?? 0,
    presencePenalty: options.number("presence_penalty", { min: -2, max: 2 }) ?? 0,
    repeatPenalty: options.number("repeat_penalty", { min: 0.01, max: 10 }) ?? 1.1,
  };
}

function readFormat(fields: Fields): Format | undefined {
  const format = fields.raw("format");
  if (format === undefined || format === "") return undefined;
  if (format === "json") return { kind: "json" };
  if (typeof format === "string") throw fields.wrong("format", 'expected "json" or a schema');
  return { kind: "schema", schema: toGrammarSchema(format, "format") };
}
