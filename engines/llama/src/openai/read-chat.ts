/** Reads the body of `/v1/chat/completions`. */
import { Fields } from "../fields.ts";
import { toGrammarSchema } from "../grammar-schema.ts";
import type { ChatMessage, Format, Generation, Json, Tool, ToolCall } from "../port.ts";
import { Refusal } from "../refusal.ts";
import { readMaxTokens, readSampling, readStops } from "./read-sampling.ts";

/** Throws a `Refusal` that names the field at fault. */
export function readChat(fields: Fields): Generation {
  fields.refuse("n", [1]);
  fields.refuse("logprobs");
  fields.refuse("top_logprobs", [0]);
  fields.refuse("logit_bias", []);
  fields.refuse("audio", []);
  const { tools, mustCall } = readTools(fields);
  const format = readFormat(fields);
  if (tools.length > 0 && format !== undefined)
    throw new Refusal(
      "unsupported",
      "response_format is not supported together with tools",
      "response_format",
    );
  return {
    prompt: {
      kind: "chat",
      messages: readMessages(fields),
      tools,
      mustCall,
      manyCalls: fields.raw("parallel_tool_calls") !== false,
    },
    sampling: readSampling(fields),
    maxTokens: readMaxTokens(fields),
    stop: readStops(fields),
    format,
    think: fields.text("reasoning_effort") !== "none",
  };
}

/** The conversation. What a tool said becomes part of the call that asked for it. */
export function readMessages(fields: Fields): ChatMessage[] {
  const list = fields.list("messages");
  if (list === undefined || list.length === 0) throw fields.wrong("messages", "is required");
  const messages: ChatMessage[] = [];
  const results = toolResults(list);
  for (const [index, item] of list.entries()) {
    const message = new Fields(item, `messages[${index}]`);
    const role = message.requiredText("role");
    if (role === "tool") continue;
    const text = readContent(message);
    if (role === "assistant") messages.push({ role, text, calls: readCalls(message, results) });
    else if (role === "user") messages.push({ role, text });
    else if (role === "system" || role === "developer") messages.push({ role: "system", text });
    else throw message.wrong("role", `unknown role "${role}"`);
  }
  return messages;
}

/** What tools said, by the id of the call. */
function toolResults(list: readonly Json[]): Map<string, string> {
  const results = new Map<string, string>();
  for (const [index, item] of list.entries()) {
    const message = new Fields(item, `messages[${index}]`);
    if (message.raw("role") !== "tool") continue;
    results.set(message.requiredText("tool_call_id"), readContent(message));
  }
  return results;
}

/** A text, or text parts joined. */
function readContent(message: Fields): string {
  const content = message.raw("content");
  if (content === undefined) return "";
  if (typeof content === "string") return content;
  const parts = message.list("content") ?? [];
  return parts
    .map((item, index) => {
      const part = new Fields(item, `${message.nameOf("content")}[${index}]`);
      const type = part.requiredText("type");
      if (type === "text") return part.text("text") ?? "";
      if (type === "refusal") return part.text("refusal") ?? "";
      const field = part.nameOf("type");
      throw new Refusal("unsupported", `${field}: "${type}" is not supported, only text is`, field);
    })
    .join("");
}

function readCalls(message: Fields, results: ReadonlyMap<string, string>): ToolCall[] {
  return (message.list("tool_calls") ?? []).map((item, index) => {
    const call = new Fields(item, `${message.nameOf("tool_calls")}[${index}]`);
    const called = call.object("function");
    if (called === undefined) throw call.wrong("function", "is required");
    const text = called.text("arguments") ?? "";
    return {
      name: called.requiredText("name"),
      arguments: text === "" ? {} : parseArguments(text, called),
      result: results.get(call.text("id") ?? ""),
    };
  });
}

function parseArguments(text: string, called: Fields): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    throw called.wrong("arguments", "is not JSON");
  }
}

/** `tool_choice`: no tool, any, some tool in any case, or the one that is named. */
function readTools(fields: Fields): { readonly tools: readonly Tool[]; readonly mustCall: boolean } {
  const choice = fields.raw("tool_choice") ?? "auto";
  const tools = (fields.list("tools") ?? []).map((item, index) =>
    readTool(new Fields(item, `tools[${index}]`)),
  );
  if (choice === "none" || (choice === "auto" && tools.length === 0)) return { tools: [], mustCall: false };
  if (choice === "auto") return { tools, mustCall: false };
  const named =
    choice === "required" ? undefined : fields.object("tool_choice")?.object("function")?.text("name");
  const chosen = choice === "required" ? tools : tools.filter(({ name }) => name === named);
  if (chosen.length > 0) return { tools: chosen, mustCall: true };
  throw fields.wrong("tool_choice", "expected none, auto, required or a function of tools");
}

/** One tool as OpenAI and Ollama describe it. */
export function readTool(tool: Fields): Tool {
  const described = tool.object("function");
  if ((tool.text("type") ?? "function") !== "function" || described === undefined)
    throw new Refusal(
      "unsupported",
      `${tool.nameOf("type")}: only functions are supported`,
      tool.nameOf("type"),
    );
  const parameters = described.raw("parameters");
  return {
    name: described.requiredText("name"),
    description: described.text("description"),
    parameters:
      parameters === undefined ? undefined : toGrammarSchema(parameters, described.nameOf("parameters")),
  };
}

function readFormat(fields: Fields): Format | undefined {
  const asked = fields.object("response_format");
  if (asked === undefined) return undefined;
  const type = asked.requiredText("type");
  if (type === "text") return undefined;
  if (type === "json_object") return { kind: "json" };
  if (type !== "json_schema") throw asked.wrong("type", "expected text, json_object or json_schema");
  const named = asked.object("json_schema");
  const schema = named?.raw("schema");
  if (named === undefined || schema === undefined) throw asked.wrong("json_schema", "schema is required");
  return { kind: "schema", schema: toGrammarSchema(schema, named.nameOf("schema")) };
}
