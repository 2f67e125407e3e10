/** Reads a body of `/v1/chat/completions`. */
import type { ErrorAnswer } from "../../server/exchange.ts";
import type { Tool } from "../../text/answer.ts";
import type { Schema } from "../../text/sample.ts";
import { plainAsk, renderMessages } from "../chat-ask.ts";
import type { ChatAsk } from "../chat-ask.ts";
import { fields, isFields, items, number, text, texts } from "../fields.ts";
import type { Fields } from "../fields.ts";

/** The ask, or what is wrong with it. */
export function readChat(body: unknown): ChatAsk | ErrorAnswer {
  if (!isFields(body)) return invalid("We could not parse the JSON body of your request.", null);
  const model = text(body["model"]);
  if (model === undefined || model === "") return invalid("you must provide a model parameter", "model");
  if (!Array.isArray(body["messages"]) || body["messages"].length === 0)
    return invalid("Missing required parameter: 'messages'.", "messages");
  const tools = readTools(body["tools"]);
  const head = tools.length > 0 ? [JSON.stringify(body["tools"])] : [];
  const { prompt, images, userSpokeLast } = renderMessages(body["messages"], head);
  const template = fields(body["chat_template_kwargs"]);
  return {
    ...plainAsk,
    model,
    prompt,
    images,
    tools,
    toolChoice: readChoice(body["tool_choice"]),
    userSpokeLast,
    schema: readFormat(body["response_format"]),
    thinking: template["enable_thinking"] === true || template["thinking"] === true || thinksHard(body),
    ...readSampling(body),
    stream: body["stream"] === true,
  };
}

/** A 400 that names the field. */
export function invalid(message: string, param: string | null): ErrorAnswer {
  return { status: 400, message, param, code: null };
}

/** Limits and sampling that chat and text completions share. */
export function readSampling(
  body: Fields,
): Pick<ChatAsk, "maxTokens" | "stop" | "ignoreEnd" | "seed" | "choices"> {
  const most = number(body["max_completion_tokens"]) ?? number(body["max_tokens"]);
  return {
    maxTokens: most === undefined ? undefined : Math.max(1, Math.floor(most)),
    stop: texts(body["stop"]),
    ignoreEnd: body["ignore_eos"] === true,
    seed: number(body["seed"]),
    choices: Math.min(Math.max(1, Math.floor(number(body["n"]) ?? 1)), 128),
  };
}

function thinksHard(body: Fields): boolean {
  const effort = text(body["reasoning_effort"]) ?? text(fields(body["reasoning"])["effort"]);
  return effort !== undefined && effort !== "none" && effort !== "minimal";
}

/** Function tools: of chat (`{function: {name, parameters}}`) or of responses (`{name, parameters}`). */
export function readTools(given: unknown): Tool[] {
  return items(given).flatMap((each) => {
    const tool = fields(each);
    const named = isFields(tool["function"]) ? tool["function"] : tool;
    const name = text(named["name"]);
    const parameters = named["parameters"];
    return name === undefined ? [] : { name, parameters: isFields(parameters) ? parameters : true };
  });
}

/** `tool_choice` of chat and responses. */
export function readChoice(given: unknown): ChatAsk["toolChoice"] {
  if (given === "none" || given === "required") return given;
  const choice = fields(given);
  const name = text(fields(choice["function"])["name"]) ?? text(choice["name"]);
  return name === undefined ? "auto" : { name };
}

/** `response_format` of chat, or `text.format` of responses: a schema, true for any object, undefined for text. */
export function readFormat(given: unknown): Schema | undefined {
  const format = fields(given);
  if (format["type"] === "json_object") return true;
  if (format["type"] !== "json_schema") return undefined;
  const schema = format["schema"] ?? fields(format["json_schema"])["schema"];
  return isFields(schema) ? schema : true;
}
