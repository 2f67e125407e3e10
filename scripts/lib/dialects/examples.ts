// What callers can say, field by field, with an example each: what the page of dialects is made from. The fields are
// those of the npm clients' types, so that a field of theirs without an example does not compile.
import type { MessageCreateParamsBase } from "@anthropic-ai/sdk/resources/messages/messages";
import type { ChatCompletionCreateParamsBase } from "openai/resources/chat/completions/completions";
import type { ResponseCreateParamsBase } from "openai/resources/responses/responses";

/** One thing to say in a field. */
export interface Example {
  /** What is said, where the field's name is not enough. */
  readonly label?: string;
  readonly value: unknown;
  /** The field without what is said. Default: the base body's. */
  readonly without?: unknown;
  /** Further members that it needs. */
  readonly needs?: object;
}

/** Examples by field. */
export type Examples = Readonly<Record<string, readonly Example[]>>;

const png = "iVBORw0KGgo=";
const address = "https://example.org/a.png";
const schema = { type: "object", properties: { a: { type: "string" } } };

/** A value that needs no explanation. */
export function just(value: unknown, needs?: object): readonly Example[] {
  return [needs === undefined ? { value } : { value, needs }];
}

const chatTool = { type: "function", function: { name: "f", description: "d", parameters: schema } };
const chatTools = { tools: [chatTool] };
const chatAsk = { role: "user", content: "Hi" };
const chatCall = { id: "c1", type: "function", function: { name: "f", arguments: "{}" } };
const chatShown = (...content: object[]): object[] => [{ role: "user", content }];

const chatMessages: readonly Example[] = [
  {
    label: "texts of system, developer, user and assistant",
    value: [{ role: "developer", content: "x" }, chatAsk],
  },
  { label: "a system message further down", value: [chatAsk, { role: "system", content: "x" }, chatAsk] },
  {
    label: "a picture in base64",
    value: chatShown({ type: "image_url", image_url: { url: `data:image/png;base64,${png}` } }),
  },
  { label: "a picture by its address", value: chatShown({ type: "image_url", image_url: { url: address } }) },
  {
    label: "`detail` of a picture",
    value: chatShown({ type: "image_url", image_url: { url: address, detail: "high" } }),
    without: chatShown({ type: "image_url", image_url: { url: address } }),
  },
  {
    label: "audio, files",
    value: chatShown({ type: "input_audio", input_audio: { data: "", format: "wav" } }),
  },
  { label: "`name` of who speaks", value: [{ ...chatAsk, name: "ann" }] },
  {
    label: "calls of tools and their results",
    value: [
      chatAsk,
      { role: "assistant", content: null, tool_calls: [chatCall] },
      { role: "tool", tool_call_id: "c1", content: "1" },
    ],
  },
  {
    label: "`reasoning_content` of an earlier answer",
    value: [chatAsk, { role: "assistant", content: "x", reasoning_content: "y" }, chatAsk],
    without: [chatAsk, { role: "assistant", content: "x" }, chatAsk],
  },
];

/** `POST /v1/chat/completions`, with the fields of vLLM that OpenAI's API lacks. */
export const chatExamples = {
  model: [],
  messages: chatMessages,
  tools: [
    { label: "functions", value: [chatTool] },
    {
      label: "`strict` of a function",
      value: [{ ...chatTool, function: { ...chatTool.function, strict: true } }],
      without: [chatTool],
    },
    { label: "custom tools", value: [{ type: "custom", custom: { name: "x" } }] },
  ],
  tool_choice: [
    { label: "`auto`, `none`", value: "none", needs: chatTools },
    { label: "`required`", value: "required", needs: chatTools },
    { label: "one function", value: { type: "function", function: { name: "f" } }, needs: chatTools },
    { label: "allowed tools", value: { type: "allowed_tools" }, needs: chatTools },
  ],
  parallel_tool_calls: [{ label: "`false`", value: false, needs: chatTools }],
  response_format: [
    { label: "`json_schema`", value: { type: "json_schema", json_schema: { name: "x", schema } } },
    { label: "`json_object`", value: { type: "json_object" } },
  ],
  reasoning_effort: just("high"),
  temperature: [
    { label: "up to 1", value: 0.5 },
    { label: "above 1", value: 1.5 },
  ],
  top_p: just(0.5),
  top_k: just(5),
  min_p: just(0.5),
  frequency_penalty: just(0.5),
  presence_penalty: just(0.5),
  repetition_penalty: just(1.5),
  seed: just(1),
  logit_bias: just({ "1": 5 }),
  max_completion_tokens: just(5),
  max_tokens: just(5),
  stop: just(["x"]),
  stream: just(true),
  stream_options: [],
  logprobs: just(true),
  top_logprobs: just(2, { logprobs: true }),
  n: [{ label: "above 1", value: 2 }],
  user: just("u"),
  safety_identifier: just("u"),
  store: [{ label: "`true`", value: true }],
  modalities: [{ label: "more than text", value: ["text", "audio"] }],
  verbosity: [{ label: "`low`, `high`", value: "low" }],
  audio: just({ voice: "x" }),
  prediction: just({ type: "content", content: "x" }),
  moderation: just({}),
  web_search_options: just({}),
  functions: just([{ name: "f" }]),
  function_call: just("auto"),
  metadata: just({ a: "b" }),
  service_tier: just("flex"),
  prompt_cache_key: just("k"),
  prompt_cache_options: just({}),
  prompt_cache_retention: just("24h"),
} satisfies Record<keyof ChatCompletionCreateParamsBase, readonly Example[]> & Examples;

const said = { role: "user", content: "Hi" };
const shown = (...content: object[]): object[] => [{ role: "user", content }];
const responsesTool = { type: "function", name: "f", parameters: schema, strict: null };
const responsesTools = { tools: [responsesTool] };

/** `POST /v1/responses` where the server does not serve it. */
export const responsesExamples = {
  model: [],
  input: [
    { label: "a text, or messages of texts", value: [{ role: "developer", content: "x" }, said] },
    {
      label: "a picture in base64",
      value: shown({ type: "input_image", image_url: `data:image/png;base64,${png}` }),
    },
    { label: "a picture by its address", value: shown({ type: "input_image", image_url: address }) },
    { label: "files", value: shown({ type: "input_file", file_id: "f" }) },
    {
      label: "calls of functions and their results",
      value: [
        said,
        { type: "function_call", call_id: "c1", name: "f", arguments: "{}" },
        { type: "function_call_output", call_id: "c1", output: "1" },
      ],
    },
    {
      label: "reasoning of an earlier answer",
      value: [
        said,
        { type: "reasoning", id: "r", summary: [], content: [{ type: "reasoning_text", text: "x" }] },
        { role: "assistant", content: "x" },
      ],
      without: [said, { role: "assistant", content: "x" }],
    },
    { label: "items by reference, calls of OpenAI's tools", value: [{ type: "item_reference", id: "x" }] },
  ],
  instructions: just("Be brief"),
  tools: [
    { label: "functions", value: [responsesTool] },
    {
      label: "`strict` of a function",
      value: [{ ...responsesTool, strict: true }],
      without: [responsesTool],
    },
    {
      label: "groups of functions (`namespace`)",
      value: [{ type: "namespace", name: "g", description: "x", tools: [responsesTool] }],
    },
    { label: "OpenAI's own tools, custom tools", value: [{ type: "web_search" }] },
  ],
  tool_choice: [
    { label: "`auto`, `none`", value: "none", needs: responsesTools },
    { label: "`required`", value: "required", needs: responsesTools },
    { label: "one function", value: { type: "function", name: "f" }, needs: responsesTools },
  ],
  parallel_tool_calls: [{ label: "`false`", value: false, needs: responsesTools }],
  max_tool_calls: just(3),
  text: [
    { label: "`format` `json_schema`", value: { format: { type: "json_schema", name: "x", schema } } },
    { label: "`format` `json_object`", value: { format: { type: "json_object" } } },
    { label: "`verbosity` `low`, `high`", value: { verbosity: "low" } },
  ],
  reasoning: [
    { label: "`effort`", value: { effort: "high" } },
    { label: "`summary`", value: { summary: "auto" } },
  ],
  temperature: just(0.5),
  top_p: just(0.5),
  max_output_tokens: just(5),
  top_logprobs: just(2),
  stream: just(true),
  stream_options: just({ include_obfuscation: false }, { stream: true }),
  user: just("u"),
  safety_identifier: just("u"),
  store: [{ label: "`true`", value: true }],
  background: [{ label: "`true`", value: true }],
  previous_response_id: just("r"),
  conversation: just("c"),
  prompt: just({ id: "p" }),
  truncation: [{ label: "`auto`", value: "auto" }],
  include: [
    { label: "log probabilities", value: ["message.output_text.logprobs"] },
    { label: "anything else", value: ["reasoning.encrypted_content"] },
  ],
  context_management: just([{ type: "compaction" }]),
  access_programs: just({}),
  image: just({}),
  moderation: just({}),
  client_metadata: just({ a: "b" }),
  metadata: just({ a: "b" }),
  service_tier: just("flex"),
  prompt_cache_key: just("k"),
  prompt_cache_options: just({}),
  prompt_cache_retention: just("24h"),
} satisfies Record<keyof ResponseCreateParamsBase, readonly Example[]> & Examples;

const claudeTool = { name: "f", input_schema: schema };
const claudeTools = { tools: [claudeTool] };
const toolUse = { role: "assistant", content: [{ type: "tool_use", id: "t1", name: "f", input: {} }] };
const result = (more: object): object[] => [
  said,
  toolUse,
  { role: "user", content: [{ type: "tool_result", tool_use_id: "t1", ...more }] },
];
const picture = { type: "image", source: { type: "base64", media_type: "image/png", data: png } };

/** `POST /v1/messages` where the server does not serve it. */
export const messagesExamples = {
  model: [],
  messages: [
    { label: "texts of user, assistant and system", value: [said, { role: "system", content: "x" }, said] },
    { label: "a picture in base64", value: shown(picture) },
    {
      label: "a picture by its address",
      value: shown({ type: "image", source: { type: "url", url: address } }),
    },
    {
      label: "documents of text",
      value: shown({ type: "document", source: { type: "text", media_type: "text/plain", data: "x" } }),
    },
    {
      label: "other documents, files",
      value: shown({ type: "document", source: { type: "url", url: address } }),
    },
    { label: "calls of tools and their results", value: result({ content: "1" }) },
    { label: "a picture in the result of a tool", value: result({ content: [picture] }) },
    {
      label: "a document in the result of a tool; of another than text the model is told that it is left out",
      value: result({ content: [{ type: "document", source: { type: "url", url: address } }] }),
    },
    {
      label: "a reference to a tool in the result of a tool",
      value: result({ content: [{ type: "tool_reference", tool_name: "f" }] }),
    },
    {
      label: "`is_error` of a result",
      value: result({ content: "1", is_error: true }),
      without: result({ content: "1" }),
    },
    {
      label: "thinking of an earlier answer",
      value: [
        said,
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "x", signature: "s" },
            { type: "text", text: "y" },
          ],
        },
        said,
      ],
      without: [said, { role: "assistant", content: [{ type: "text", text: "y" }] }, said],
    },
    {
      label: "thinking that is encrypted",
      value: [
        said,
        {
          role: "assistant",
          content: [
            { type: "redacted_thinking", data: "x" },
            { type: "text", text: "y" },
          ],
        },
        said,
      ],
      without: [said, { role: "assistant", content: [{ type: "text", text: "y" }] }, said],
    },
    {
      label: "`cache_control`, `citations` of a block",
      value: shown({ type: "text", text: "Hi", cache_control: { type: "ephemeral" } }),
      without: shown({ type: "text", text: "Hi" }),
    },
  ],
  system: just("Be brief"),
  max_tokens: just(5),
  temperature: just(0.5),
  top_p: just(0.5),
  top_k: just(5),
  stop_sequences: just(["x"]),
  stream: just(true),
  tools: [
    { label: "the caller's own", value: [claudeTool] },
    { label: "`strict` of a tool", value: [{ ...claudeTool, strict: true }], without: [claudeTool] },
    {
      label: "`defer_loading`: offered once a result refers to it",
      value: [claudeTool, { ...claudeTool, name: "g", defer_loading: true }],
      without: [claudeTool, { ...claudeTool, name: "g" }],
    },
    { label: "Anthropic's own (web search, bash, …)", value: [{ type: "bash_20250124", name: "bash" }] },
  ],
  tool_choice: [
    { label: "`auto`, `none`", value: { type: "none" }, needs: claudeTools },
    { label: "`any`", value: { type: "any" }, needs: claudeTools },
    { label: "one tool", value: { type: "tool", name: "f" }, needs: claudeTools },
    {
      label: "`disable_parallel_tool_use`",
      value: { type: "auto", disable_parallel_tool_use: true },
      without: { type: "auto" },
      needs: claudeTools,
    },
  ],
  thinking: [
    { label: "`enabled`, `disabled`", value: { type: "enabled", budget_tokens: 2048 } },
    {
      label: "`budget_tokens`",
      value: { type: "enabled", budget_tokens: 20_000 },
      without: { type: "enabled", budget_tokens: 1024 },
    },
    { label: "`adaptive`", value: { type: "adaptive" } },
    { label: "`between_tools`", value: { type: "between_tools" } },
    {
      label: "`display`",
      value: { type: "enabled", budget_tokens: 2048, display: "omitted" },
      without: { type: "enabled", budget_tokens: 2048 },
    },
  ],
  output_config: [
    { label: "`format`", value: { format: { type: "json_schema", schema } } },
    { label: "`effort` with thinking", value: { effort: "high" }, needs: { thinking: { type: "adaptive" } } },
    { label: "`effort` alone", value: { effort: "high" } },
  ],
  metadata: [{ label: "`user_id`", value: { user_id: "u" } }],
  container: just("c"),
  mcp_servers: just([{ type: "url", url: address, name: "x" }]),
  cache_control: just({ type: "ephemeral" }),
  context_management: just({ edits: [] }),
  diagnostics: just({}),
  inference_geo: just("eu"),
  service_tier: just("auto"),
  speed: just("fast"),
  user_profile_id: just("u"),
  workspace_id: just("w"),
} satisfies Record<keyof MessageCreateParamsBase, readonly Example[]> & Examples;
