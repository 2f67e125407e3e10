/** Reads a body of OpenAI's `/v1/responses`. */
import type { ErrorAnswer } from "../../server/exchange.ts";
import { plainAsk, renderMessages } from "../chat-ask.ts";
import type { ChatAsk } from "../chat-ask.ts";
import { fields, isFields, number, text } from "../fields.ts";
import type { Fields } from "../fields.ts";
import { invalid, readChoice, readFormat, readTools } from "../openai/read-chat.ts";

/** The ask, or what is wrong with it. `earlier`: the turns of the response this one continues. */
export function readResponse(body: unknown, earlier: readonly unknown[]): ChatAsk | ErrorAnswer {
  if (!isFields(body)) return invalid("We could not parse the JSON body of your request.", null);
  const model = text(body["model"]);
  if (model === undefined || model === "") return invalid("Missing required parameter: 'model'.", "model");
  if (body["input"] === undefined) return invalid("Missing required parameter: 'input'.", "input");
  const tools = readTools(body["tools"]);
  const head = tools.length > 0 ? [JSON.stringify(body["tools"])] : [];
  const instructions = text(body["instructions"]);
  if (instructions !== undefined) head.push("<|developer|>", instructions);
  const turns = [...earlier, ...inputTurns(body["input"])];
  const most = number(body["max_output_tokens"]);
  const effort = text(fields(body["reasoning"])["effort"]);
  return {
    ...plainAsk,
    model,
    ...renderMessages(turns, head),
    tools,
    toolChoice: readChoice(body["tool_choice"]),
    schema: readFormat(fields(body["text"])["format"]),
    thinking: effort !== undefined && effort !== "none" && effort !== "minimal",
    maxTokens: most === undefined ? undefined : Math.max(1, Math.floor(most)),
    stream: body["stream"] === true,
  };
}

/** `input` as the turns of a chat. */
export function inputTurns(input: unknown): Fields[] {
  if (typeof input === "string") return [{ role: "user", content: input }];
  if (!Array.isArray(input)) return [];
  return input.map((each: unknown) => {
    const item = fields(each);
    if (item["type"] === "function_call")
      return {
        role: "assistant",
        content: "",
        tool_calls: [{ name: item["name"], arguments: item["arguments"] }],
      };
    if (item["type"] === "function_call_output") return { role: "tool", content: item["output"] };
    return item;
  });
}
