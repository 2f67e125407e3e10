/** Reads the tools of Anthropic's callers. */
import type { ToolDefinition } from "../chat/chat-request.ts";
import type { FieldReader } from "../chat/field-reader.ts";
import { isJsonObject, type JsonObject } from "../chat/json-object.ts";

/**
 * Tools with a type of their own run at Anthropic or are known to its models only. Tools of which the model is to be told
 * later (`defer_loading`) are left out until a result refers to them, which is what Anthropic's models see.
 */
export function readTools(read: FieldReader, body: JsonObject): readonly ToolDefinition[] {
  const tools = read.objects(body["tools"], "tools");
  const isDeferred = tools.some((tool) => tool["defer_loading"] === true);
  const known = isDeferred ? toolsReferredTo(body) : new Set();
  return tools.flatMap((tool, i) => {
    const definition = readTool(read, tool, `tools[${i}]`);
    return tool["defer_loading"] === true && !known.has(definition.name) ? [] : [definition];
  });
}

function readTool(read: FieldReader, tool: JsonObject, at: string): ToolDefinition {
  const type = read.string(tool["type"], `${at}.type`) ?? "custom";
  if (type !== "custom") read.refuse(`${at}.type`, `${type.slice(0, 60)} is Anthropic's own`);
  return {
    name: read.required(tool["name"], `${at}.name`),
    description: read.string(tool["description"], `${at}.description`),
    parameters: read.object(tool["input_schema"], `${at}.input_schema`),
    strict: read.boolean(tool["strict"], `${at}.strict`),
  };
}

/** Names in the `tool_reference` blocks of results, and the one that `tool_choice` demands. */
function toolsReferredTo(body: JsonObject): ReadonlySet<unknown> {
  const choice = isJsonObject(body["tool_choice"]) ? body["tool_choice"]["name"] : undefined;
  const references = objectsOf(body["messages"])
    .flatMap((message) => objectsOf(message["content"]))
    .flatMap((result) => objectsOf(result["content"]))
    .filter((block) => block["type"] === "tool_reference");
  return new Set([choice, ...references.map((block) => block["tool_name"])]);
}

function objectsOf(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}
