/** OpenAI's `/v1/responses`: events with sequence numbers, whole answers and, where the server keeps them, the store. */
import type { Exchange } from "../../server/exchange.ts";
import type { Answer, AnswerPart } from "../../text/answer.ts";
import { partText } from "../../text/answer.ts";
import { answersTo, promptOf } from "../chat-ask.ts";
import { SSE_TYPE } from "../face.ts";
import type { FaceRoute } from "../face.ts";
import { fields, items, text } from "../fields.ts";
import type { Fields } from "../fields.ts";
import { Job } from "../job.ts";
import type { StreamWriter } from "../job.ts";
import { createdAt } from "../openai/flavour.ts";
import type { OpenAiFlavour } from "../openai/flavour.ts";
import { invalid } from "../openai/read-chat.ts";
import { inputTurns, readResponse } from "./read-response.ts";
import { itemObject, responseObject, responseUsage, textPart } from "./response-object.ts";
import type { OutputItem, ResponseParts } from "./response-object.ts";

/** A response that is kept, and the turns up to and with it. */
interface Kept {
  readonly response: Fields;
  readonly turns: readonly unknown[];
}

const MAX_KEPT = 1000;

/** The routes. `stores`: whether responses are kept and can be continued. */
export function responseRoutes(flavour: OpenAiFlavour, { stores }: { stores: boolean }): FaceRoute[] {
  const kept = new Map<string, Kept>();
  const create: FaceRoute = {
    method: "POST",
    path: "/v1/responses",
    handle: (exchange) => createResponse(exchange, flavour, stores ? kept : undefined),
  };
  if (!stores) return [create];
  const found =
    (handle: (exchange: Exchange, response: Kept, id: string) => void): FaceRoute["handle"] =>
    (exchange, { id = "" }) => {
      const response = kept.get(id);
      if (response === undefined)
        exchange.error({ status: 404, message: `Response with id '${id}' not found.`, code: null });
      else handle(exchange, response, id);
    };
  return [
    create,
    {
      method: "GET",
      path: "/v1/responses/:id",
      handle: found((exchange, { response }) => exchange.json(response)),
    },
    {
      method: "GET",
      path: "/v1/responses/:id/input_items",
      handle: found((exchange, { turns }) =>
        exchange.json({ object: "list", data: turns.slice(0, -1), has_more: false }),
      ),
    },
    {
      method: "DELETE",
      path: "/v1/responses/:id",
      handle: found((exchange, _response, id) => {
        kept.delete(id);
        exchange.json({ id, object: "response", deleted: true });
      }),
    },
  ];
}

function createResponse(
  exchange: Exchange,
  flavour: OpenAiFlavour,
  kept: Map<string, Kept> | undefined,
): void {
  const body = fields(exchange.body);
  const previous = text(body["previous_response_id"]);
  const earlier = previous === undefined ? undefined : kept?.get(previous);
  if (previous !== undefined && earlier === undefined)
    return exchange.error({
      status: 400,
      message:
        kept === undefined
          ? "previous_response_id is not supported"
          : `Previous response with id '${previous}' not found.`,
      param: "previous_response_id",
      code: "previous_response_not_found",
    });
  if (body["background"] === true)
    return exchange.error(invalid("background responses are not simulated", "background"));
  const ask = readResponse(exchange.body, earlier?.turns ?? []);
  if ("status" in ask) return exchange.error(ask);
  const found = flavour.find(ask.model);
  if (found === undefined) return exchange.error(flavour.missing(ask.model));
  const { model, adapter } = found;
  const { world } = flavour;
  const prompt = promptOf(ask, model);
  const asked = { ...ask, thinking: ask.thinking || model.thinks };
  const answers = answersTo(asked, { model, world, exchange, promptTokens: prompt.tokens });
  const store = kept !== undefined && body["store"] !== false;
  const parts = { id: flavour.id("resp_"), createdAt: createdAt(world), body, store };
  const keep = (response: Fields): void => {
    if (!store) return;
    const turns = [...(earlier?.turns ?? []), ...inputTurns(body["input"]), ...items(response["output"])];
    kept.set(parts.id, { response, turns });
    const [oldest] = kept.keys();
    if (kept.size > MAX_KEPT && oldest !== undefined) kept.delete(oldest);
  };
  const writer = ask.stream ? new ResponseStream(exchange, flavour, parts, keep) : undefined;
  if (!flavour.lateHead) writer?.begin();
  const refused = (): void => {
    if (exchange.response.headersSent) exchange.failStream(flavour.overloaded);
    else exchange.error(flavour.overloaded);
  };
  const done = (job: Job): void => {
    const whole = finishedResponse(job, { flavour, parts });
    keep(whole);
    exchange.json(whole, { headers: flavour.headers(exchange) });
  };
  new Job({ exchange, world, model, adapter, prompt, answers, writer, done, refused }).start();
}

function itemOf(part: AnswerPart, flavour: OpenAiFlavour, body: Fields): OutputItem {
  const prefix = { text: "msg_", thinking: "rs_", tool: "fc_" }[part.kind];
  const { summary } = fields(body["reasoning"]);
  const wanted = typeof summary === "string" ? "summary" : "nowhere";
  const thinking = flavour.responseThinking === "asked" ? wanted : flavour.responseThinking;
  return { id: flavour.id(prefix), part, callId: flavour.id("call_"), thinking };
}

function finishedResponse(
  job: Job,
  {
    flavour,
    parts,
    items: told,
  }: { flavour: OpenAiFlavour; parts: ResponseParts; items?: readonly OutputItem[] },
): Fields {
  const [answer] = job.options.answers;
  if (answer === undefined) return {};
  const output = told ?? answer.parts.map((part) => itemOf(part, flavour, parts.body));
  const cut = answer.finish === "length";
  return responseObject(parts, {
    status: cut ? "incomplete" : "completed",
    output: output.map((item, at) =>
      itemObject(item, cut && at === output.length - 1 ? "incomplete" : "completed"),
    ),
    usage: responseUsage(job, answer),
    incomplete: cut,
  });
}

class ResponseStream implements StreamWriter {
  readonly #exchange: Exchange;
  readonly #flavour: OpenAiFlavour;
  readonly #parts: ResponseParts;
  readonly #keep: (response: Fields) => void;
  readonly #items: OutputItem[] = [];
  #sequence = 0;
  #begun = false;

  constructor(
    exchange: Exchange,
    flavour: OpenAiFlavour,
    parts: ResponseParts,
    keep: (response: Fields) => void,
  ) {
    this.#exchange = exchange;
    this.#flavour = flavour;
    this.#parts = parts;
    this.#keep = keep;
  }

  begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    this.#exchange.startStream(SSE_TYPE, this.#flavour.headers(this.#exchange));
    const response = responseObject(this.#parts, { status: "in_progress", output: [], usage: null });
    this.#send("response.created", { response });
    this.#send("response.in_progress", { response });
  }

  partStart(_choice: number, part: AnswerPart): void {
    const item = itemOf(part, this.#flavour, this.#parts.body);
    this.#items.push(item);
    this.#send("response.output_item.added", {
      output_index: this.#items.length - 1,
      item: itemObject(item, "in_progress"),
    });
    if (part.kind === "text")
      this.#send("response.content_part.added", { ...this.#place(), content_index: 0, part: textPart("") });
    if (part.kind === "thinking") this.#tellThinking("added", "");
  }

  piece(_choice: number, { kind }: AnswerPart, delta: string): void {
    if (kind === "text")
      this.#send("response.output_text.delta", { ...this.#place(), content_index: 0, delta, logprobs: [] });
    else if (kind === "tool")
      this.#send("response.function_call_arguments.delta", { ...this.#place(), delta });
    else this.#tellThinking("delta", delta);
  }

  partEnd(_choice: number, part: AnswerPart): void {
    const said = partText(part);
    const place = this.#place();
    if (part.kind === "text") {
      this.#send("response.output_text.done", { ...place, content_index: 0, text: said, logprobs: [] });
      this.#send("response.content_part.done", { ...place, content_index: 0, part: textPart(said) });
    } else if (part.kind === "tool")
      this.#send("response.function_call_arguments.done", {
        ...place,
        arguments: said,
        name: part.call?.name,
      });
    else this.#tellThinking("done", said);
    const item = this.#items.at(-1);
    if (item !== undefined)
      this.#send("response.output_item.done", {
        output_index: this.#items.length - 1,
        item: itemObject(item, "completed"),
      });
  }

  end(job: Job): void {
    const response = finishedResponse(job, {
      flavour: this.#flavour,
      parts: this.#parts,
      items: this.#items,
    });
    this.#keep(response);
    const [answer] = job.options.answers as readonly [Answer];
    const type = answer.finish === "length" ? "response.incomplete" : "response.completed";
    this.#exchange.finish(this.#frame(type, { response }));
  }

  /** OpenAI and Ollama tell a summary, vLLM the text itself. */
  #tellThinking(what: "added" | "delta" | "done", text: string): void {
    const told = this.#items.at(-1)?.thinking;
    if (told === undefined || told === "nowhere") return;
    const isSummary = told === "summary";
    const name = isSummary ? "response.reasoning_summary" : "response.reasoning";
    const place = { ...this.#place(), ...(isSummary ? { summary_index: 0 } : { content_index: 0 }) };
    const part = { type: isSummary ? "summary_text" : "reasoning_text", text };
    if (what === "delta") this.#send(`${name}_text.delta`, { ...place, delta: text });
    if (what === "done") this.#send(`${name}_text.done`, { ...place, text });
    if (what !== "delta") this.#send(`${name}_part.${what}`, { ...place, part });
  }

  #place(): { item_id: string | undefined; output_index: number } {
    return { item_id: this.#items.at(-1)?.id, output_index: this.#items.length - 1 };
  }

  #send(type: string, event: Fields): void {
    this.#exchange.frame(this.#frame(type, event));
  }

  #frame(type: string, event: Fields): string {
    return `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: this.#sequence++, ...event })}\n\n`;
  }
}
