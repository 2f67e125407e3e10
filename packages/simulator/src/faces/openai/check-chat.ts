/** What OpenAI's own API refuses of a chat that could be read: strange fields, and results of tools without their calls. */
import type { ErrorAnswer } from "../../server/exchange.ts";
import { fields, isFields, items, text } from "../fields.ts";
import type { Fields } from "../fields.ts";
import { invalid } from "./read-chat.ts";

/** Fields a chat completion may have; another one is refused, as servers of other makers' fields find out. */
const KNOWN = new Set(
  (
    "messages model audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens " +
    "metadata modalities n parallel_tool_calls prediction presence_penalty prompt_cache_key prompt_cache_retention " +
    "reasoning_effort response_format safety_identifier seed service_tier stop store stream stream_options temperature " +
    "tool_choice tools top_logprobs top_p user verbosity web_search_options"
  ).split(" "),
);
const NAME = /^[a-zA-Z0-9_-]{1,64}$/;

/** What is wrong with a body of `/v1/chat/completions`; undefined: nothing that is known here. */
export function checkChat(body: Fields): ErrorAnswer | undefined {
  const stranger = Object.keys(body).find((field) => !KNOWN.has(field));
  if (stranger !== undefined)
    return {
      status: 400,
      message: `Unrecognized request argument supplied: ${stranger}`,
      param: stranger,
    };
  return checkNames(body) ?? checkTurns(items(body["messages"]));
}

function checkNames(body: Fields): ErrorAnswer | undefined {
  for (const [at, tool] of items(body["tools"]).entries()) {
    const name = text(fields(fields(tool)["function"])["name"]) ?? "";
    if (!NAME.test(name)) return misnamed(`tools[${at}].function.name`);
  }
  const format = fields(body["response_format"]);
  if (format["type"] !== "json_schema") return undefined;
  const { name, schema, strict } = fields(format["json_schema"]);
  if (!NAME.test(text(name) ?? "")) return misnamed("response_format.json_schema.name");
  if (strict === true && fields(schema)["additionalProperties"] !== false)
    return invalid(
      `Invalid schema for response_format '${String(name)}': In context=(), 'additionalProperties' is required to be supplied and to be false.`,
      "response_format",
    );
  return undefined;
}

function misnamed(param: string): ErrorAnswer {
  return invalid(
    `Invalid '${param}': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.`,
    param,
  );
}

/** All results of a message's calls follow it, and nothing but results stands between. */
function checkTurns(turns: readonly unknown[]): ErrorAnswer | undefined {
  let open = new Set<string>();
  for (const [at, turn] of turns.entries()) {
    const { role, tool_call_id: id, tool_calls: calls, content } = fields(turn);
    if (role === "tool") {
      if (open.delete(String(id))) continue;
      return invalid(
        "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
        `messages.[${at}].role`,
      );
    }
    if (open.size > 0) return unanswered(open);
    open = new Set(items(calls).map((call) => String(fields(call)["id"])));
    const called = items(calls).map((call) => fields(fields(call)["function"]));
    if (called.some(({ arguments: given }) => typeof given !== "string"))
      return invalid("Invalid type for 'arguments': expected a string.", `messages[${at}].tool_calls`);
    const isMissing = content === undefined || content === null;
    if (isMissing && (role !== "assistant" || open.size === 0))
      return invalid(`Invalid value for 'content': expected a string, got null.`, `messages.[${at}].content`);
    const wrong = items(content).find((part) => !isFields(part));
    if (wrong !== undefined) return invalid("Invalid content part.", `messages[${at}].content`);
  }
  return open.size > 0 ? unanswered(open) : undefined;
}

function unanswered(open: ReadonlySet<string>): ErrorAnswer {
  return invalid(
    `An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: ${[...open].join(", ")}`,
    "messages",
  );
}
