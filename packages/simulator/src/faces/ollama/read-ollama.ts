/** Reads bodies of `/api/chat` and `/api/generate`. */
import type { Schema } from "../../text/sample.ts";
import { plainAsk, renderMessages } from "../chat-ask.ts";
import type { ChatAsk } from "../chat-ask.ts";
import { fields, isFields, items, number, text, texts } from "../fields.ts";
import type { Fields } from "../fields.ts";
import { readTools } from "../openai/read-chat.ts";

/** A chat turn. */
export function readOllamaChat(body: Fields): ChatAsk {
  const tools = readTools(body["tools"]);
  const head = tools.length > 0 ? [JSON.stringify(body["tools"])] : [];
  const { prompt, images, userSpokeLast } = renderMessages(items(body["messages"]), head);
  return { ...common(body), prompt, images, userSpokeLast, tools };
}

/** A completion. Instructions come first unless `raw`. */
export function readOllamaGenerate(body: Fields): ChatAsk {
  const prompt = [text(body["system"]) ?? "", text(body["prompt"]) ?? "", text(body["suffix"]) ?? ""].filter(
    (each) => each !== "",
  );
  if (body["raw"] !== true) prompt.push("<|assistant|>");
  return { ...common(body), prompt, images: items(body["images"]).length };
}

function common(body: Fields): Omit<ChatAsk, "prompt"> {
  const options = fields(body["options"]);
  const most = number(options["num_predict"]);
  const { think } = body;
  return {
    ...plainAsk,
    model: text(body["model"]) ?? "",
    schema: readOllamaFormat(body["format"]),
    thinking: think === true || (typeof think === "string" && think !== "" && think !== "none"),
    maxTokens: most === undefined || most <= 0 ? undefined : Math.floor(most),
    stop: texts(options["stop"]),
    seed: number(options["seed"]),
    stream: body["stream"] !== false,
  };
}

/** `format`: "json" or a schema. */
function readOllamaFormat(format: unknown): Schema | undefined {
  if (format === "json") return true;
  return isFields(format) ? format : undefined;
}

/**
 * `keep_alive` in milliseconds: a duration as Go writes it (`5m`, `1h30m`, `-1m`), or seconds; negative is Infinity.
 * Undefined where it is not given; NaN for what is no duration.
 */
export function readKeepAlive(value: unknown): number | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  if (typeof value === "number") return value < 0 ? Infinity : value * 1000;
  const duration = text(value) ?? "";
  if (/^-?\d+(\.\d+)?$/.test(duration)) return readKeepAlive(Number(duration));
  if (!/^[+-]?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(duration)) return Number.NaN;
  if (duration.startsWith("-")) return Infinity;
  const units: Record<string, number> = {
    ns: 1e-6,
    us: 1e-3,
    µs: 1e-3,
    ms: 1,
    s: 1000,
    m: 60_000,
    h: 3_600_000,
  };
  let total = 0;
  for (const [, amount, unit = "s"] of duration.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g))
    total += Number(amount) * (units[unit] ?? 0);
  return total;
}
