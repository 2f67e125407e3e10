/**
 * What Anthropic's API refuses though it could be read: fields it does not know, values beyond their bounds,
 * calls and results that do not belong together. Checked by Anthropic's own face alone, whose readers take more.
 */
import type { ErrorAnswer } from "../../server/exchange.ts";
import { fields, isFields, items, number } from "../fields.ts";
import type { Fields } from "../fields.ts";

const KNOWN = new Set(
  (
    "model messages max_tokens system stream temperature top_p top_k stop_sequences tools tool_choice thinking " +
    "output_config metadata service_tier cache_control container diagnostics inference_geo speed user_profile_id " +
    "workspace_id context_management mcp_servers"
  ).split(" "),
);
const IMAGE_TYPES = new Set(["image/jpeg", "image/png", "image/gif", "image/webp"]);
const LEAST_BUDGET = 1024;

/** What is wrong with a body of `/v1/messages`; undefined: nothing that is known here. */
export function checkMessages(body: Fields): ErrorAnswer | undefined {
  const wrong =
    checkFields(body) ?? checkThinking(body) ?? checkTools(body) ?? checkTurns(items(body["messages"]));
  return wrong === undefined ? undefined : { status: 400, message: wrong };
}

function checkFields(body: Fields): string | undefined {
  const stranger = Object.keys(body).find((name) => !KNOWN.has(name));
  if (stranger !== undefined) return `${stranger}: Extra inputs are not permitted`;
  const temperature = number(body["temperature"]) ?? 1;
  if (temperature < 0 || temperature > 1) return "temperature: range: 0..1";
  return (number(body["max_tokens"]) ?? 1) < 1
    ? "max_tokens: Input should be greater than or equal to 1"
    : undefined;
}

function checkThinking(body: Fields): string | undefined {
  const { type, budget_tokens: given } = fields(body["thinking"]);
  if (type !== "enabled") return undefined;
  const budget = number(given);
  if (budget === undefined) return "thinking.enabled.budget_tokens: Field required";
  if (budget < LEAST_BUDGET)
    return `thinking.enabled.budget_tokens: Input should be greater than or equal to ${LEAST_BUDGET}`;
  if ((number(body["max_tokens"]) ?? Infinity) <= budget)
    return "`max_tokens` must be greater than `thinking.budget_tokens`.";
  if ((number(body["temperature"]) ?? 1) !== 1)
    return "`temperature` may only be set to 1 when thinking is enabled.";
  const choice = fields(body["tool_choice"])["type"];
  return choice === "any" || choice === "tool"
    ? "Thinking may not be enabled when tool_choice forces tool use."
    : undefined;
}

function checkTools(body: Fields): string | undefined {
  for (const [at, each] of items(body["tools"]).entries()) {
    const { name, type = "custom", input_schema: schema } = fields(each);
    if (type !== "custom") continue;
    if (typeof name !== "string" || !/^[a-zA-Z0-9_-]{1,128}$/.test(name))
      return `tools.${at}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'`;
    if (fields(schema)["type"] !== "object")
      return `tools.${at}.custom.input_schema.type: Input should be 'object'`;
  }
  return undefined;
}

/** Every call has its result in the turn that follows, and every result its call in the turn before. */
function checkTurns(turns: readonly unknown[]): string | undefined {
  let open = new Set<string>();
  for (const [at, turn] of turns.entries()) {
    const { role, content } = fields(turn);
    if (role !== "user" && role !== "assistant")
      return `messages.${at}.role: Input should be 'user' or 'assistant'`;
    const blocks = items(content).filter(isFields);
    const wrong = blocks.map((block, index) => checkBlock(block, `messages.${at}.content.${index}`));
    const first = wrong.find((each) => each !== undefined);
    if (first !== undefined) return first;
    if (content === "" && at < turns.length - 1)
      return `messages.${at}: all messages must have non-empty content`;
    const answered = idsOf(blocks, "tool_result", "tool_use_id");
    const stray = answered.find((id) => !open.has(id));
    if (stray !== undefined)
      return `messages.${at}: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${stray}. Each \`tool_result\` block must have a corresponding \`tool_use\` block in the previous message.`;
    const missing = [...open].filter((id) => !answered.includes(id));
    if (missing.length > 0)
      return `messages.${at - 1}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${missing.join(", ")}.`;
    const calls = idsOf(blocks, "tool_use", "id");
    open = new Set(calls);
    if (open.size < calls.length) return `messages.${at}: \`tool_use\` ids must be unique`;
  }
  return undefined;
}

function idsOf(blocks: readonly Fields[], type: string, name: string): string[] {
  return blocks.filter((block) => block["type"] === type).map((block) => String(block[name]));
}

function checkBlock(block: Fields, at: string): string | undefined {
  switch (block["type"]) {
    case "text":
      return block["text"] === "" ? `${at}: text content blocks must be non-empty` : undefined;
    case "tool_use":
      if (!/^[a-zA-Z0-9_-]+$/.test(String(block["id"])))
        return `${at}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'`;
      return isFields(block["input"])
        ? undefined
        : `${at}.tool_use.input: Input should be a valid dictionary`;
    case "thinking":
      return typeof block["signature"] === "string" ? undefined : `${at}.thinking.signature: Field required`;
    case "image":
      return checkImage(fields(block["source"]), at);
    default:
      return undefined;
  }
}

function checkImage({ type, media_type: media, data }: Fields, at: string): string | undefined {
  if (type !== "base64") return undefined;
  if (!IMAGE_TYPES.has(String(media)))
    return `${at}.image.source.base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'`;
  return /^[A-Za-z0-9+/]+={0,2}$/.test(String(data))
    ? undefined
    : `${at}.image.source.base64.data: Input should be a valid base64 string`;
}
