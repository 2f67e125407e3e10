/** Reads a body of Anthropic's `/v1/messages`. */
import type { ErrorAnswer } from "../../server/exchange.ts";
import type { Tool } from "../../text/answer.ts";
import { contentOf, plainAsk, renderMessages } from "../chat-ask.ts";
import type { ChatAsk } from "../chat-ask.ts";
import { fields, isFields, items, number, text, texts } from "../fields.ts";

/** The ask, or what is wrong with it. `counting`: no limit is needed to count tokens. */
export function readMessages(body: unknown, { counting = false } = {}): ChatAsk | ErrorAnswer {
  if (!isFields(body)) return { status: 400, message: "The request body is not valid JSON" };
  const model = text(body["model"]);
  if (model === undefined) return { status: 400, message: "model: Field required" };
  if (!Array.isArray(body["messages"])) return { status: 400, message: "messages: Field required" };
  if (body["messages"].length === 0)
    return { status: 400, message: "messages: at least one message is required" };
  const most = number(body["max_tokens"]);
  if (most === undefined && !counting) return { status: 400, message: "max_tokens: Field required" };
  const tools = readAnthropicTools(body["tools"]);
  const head = tools.length > 0 ? [JSON.stringify(body["tools"])] : [];
  head.push(...contentOf(body["system"]).texts);
  const format = fields(fields(body["output_config"])["format"] ?? body["output_format"]);
  const thinks = fields(body["thinking"])["type"];
  return {
    ...plainAsk,
    model,
    ...renderMessages(body["messages"], head),
    tools,
    toolChoice: readToolChoice(body["tool_choice"]),
    schema: isFields(format["schema"]) ? format["schema"] : undefined,
    thinking: thinks === "enabled" || thinks === "adaptive",
    maxTokens: most === undefined ? undefined : Math.max(1, Math.floor(most)),
    stop: texts(body["stop_sequences"]),
    stream: body["stream"] === true,
  };
}

function readAnthropicTools(given: unknown): Tool[] {
  return items(given).flatMap((each) => {
    const { name, input_schema: schema } = fields(each);
    return typeof name === "string" ? { name, parameters: isFields(schema) ? schema : true } : [];
  });
}

function readToolChoice(given: unknown): ChatAsk["toolChoice"] {
  const { type, name } = fields(given);
  if (type === "none") return "none";
  if (type === "any") return "required";
  return type === "tool" && typeof name === "string" ? { name } : "auto";
}
