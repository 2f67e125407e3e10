/** One conversation in the words of every caller, and one answer in those of every server. */
import type { ChatDialect } from "../../src/core/forward.ts";
import { anthropicMessages } from "../../src/dialects/anthropic/codecs.ts";
import type { CallerCodec } from "../../src/dialects/chat/codec.ts";
import { ollamaChat } from "../../src/dialects/ollama/codecs.ts";
import { openAiChat, openAiResponses } from "../../src/dialects/openai/openai-callers.ts";

/** A JSON object. */
export type Body = Record<string, unknown>;

const png = "iVBORw0KGgo=";
const schema = { type: "object", properties: { a: { type: "number" } }, required: ["a"] };
/** JSON Schema of the answer. */
export const answerSchema = { type: "object", properties: { b: { type: "string" } } };

const toolsOfChat = ["f", "g"].map((name) => ({
  type: "function",
  function: { name, description: `does ${name}`, parameters: schema },
}));

/** A caller's request. */
export interface Asked {
  readonly codec: CallerCodec;
  readonly body: Body;
}

/** The callers' APIs. */
export type CallerName = "chat" | "responses" | "messages" | "ollama";

/** The conversation, by caller. */
export const asked: Readonly<Record<CallerName, Asked>> = {
  chat: {
    codec: openAiChat,
    body: {
      model: "m",
      messages: [
        { role: "system", content: "Be brief" },
        {
          role: "user",
          content: [
            { type: "text", text: "What is this?" },
            { type: "image_url", image_url: { url: `data:image/png;base64,${png}` } },
          ],
        },
        {
          role: "assistant",
          content: "Let me see",
          tool_calls: [
            { id: "c1", type: "function", function: { name: "f", arguments: '{"a":1}' } },
            { id: "c2", type: "function", function: { name: "g", arguments: "{}" } },
          ],
        },
        { role: "tool", tool_call_id: "c1", content: "1" },
        { role: "tool", tool_call_id: "c2", content: "2" },
        { role: "user", content: "And?" },
      ],
      tools: toolsOfChat,
      tool_choice: "auto",
      response_format: { type: "json_schema", json_schema: { name: "answer", schema: answerSchema } },
      reasoning_effort: "high",
      temperature: 0.5,
      top_p: 0.9,
      max_completion_tokens: 50,
      stop: ["END"],
      stream: true,
      stream_options: { include_usage: true },
    },
  },
  responses: {
    codec: openAiResponses,
    body: {
      model: "m",
      instructions: "Be brief",
      input: [
        {
          role: "user",
          content: [
            { type: "input_text", text: "What is this?" },
            { type: "input_image", image_url: `data:image/png;base64,${png}` },
          ],
        },
        { role: "assistant", content: [{ type: "output_text", text: "Let me see" }] },
        { type: "function_call", call_id: "c1", name: "f", arguments: '{"a":1}' },
        { type: "function_call", call_id: "c2", name: "g", arguments: "{}" },
        { type: "function_call_output", call_id: "c1", output: "1" },
        { type: "function_call_output", call_id: "c2", output: "2" },
        { role: "user", content: "And?" },
      ],
      tools: toolsOfChat.map(({ function: described }) => ({ type: "function", ...described })),
      tool_choice: "auto",
      text: { format: { type: "json_schema", name: "answer", schema: answerSchema } },
      reasoning: { effort: "high" },
      temperature: 0.5,
      top_p: 0.9,
      max_output_tokens: 50,
      stream: true,
    },
  },
  messages: {
    codec: anthropicMessages,
    body: {
      model: "m",
      system: "Be brief",
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "What is this?" },
            { type: "image", source: { type: "base64", media_type: "image/png", data: png } },
          ],
        },
        {
          role: "assistant",
          content: [
            { type: "text", text: "Let me see" },
            { type: "tool_use", id: "c1", name: "f", input: { a: 1 } },
            { type: "tool_use", id: "c2", name: "g", input: {} },
          ],
        },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "c1", content: "1" },
            { type: "tool_result", tool_use_id: "c2", content: [{ type: "text", text: "2" }] },
            { type: "text", text: "And?" },
          ],
        },
      ],
      tools: ["f", "g"].map((name) => ({ name, description: `does ${name}`, input_schema: schema })),
      tool_choice: { type: "auto" },
      output_config: { format: { type: "json_schema", schema: answerSchema }, effort: "high" },
      thinking: { type: "adaptive" },
      temperature: 0.5,
      top_p: 0.9,
      max_tokens: 50,
      stop_sequences: ["END"],
      stream: true,
    },
  },
  ollama: {
    codec: ollamaChat,
    body: {
      model: "m",
      messages: [
        { role: "system", content: "Be brief" },
        { role: "user", content: "What is this?", images: [png] },
        {
          role: "assistant",
          content: "Let me see",
          tool_calls: [
            { id: "c1", function: { name: "f", arguments: { a: 1 } } },
            { id: "c2", function: { name: "g", arguments: {} } },
          ],
        },
        { role: "tool", content: "1", tool_name: "f", tool_call_id: "c1" },
        { role: "tool", content: "2", tool_name: "g", tool_call_id: "c2" },
        { role: "user", content: "And?" },
      ],
      tools: toolsOfChat,
      format: answerSchema,
      think: "high",
      options: { temperature: 0.5, top_p: 0.9, num_predict: 50, stop: ["END"] },
      stream: true,
    },
  },
};

/** Server-sent events of these objects. */
export const sse = (events: readonly object[], ending = ""): string =>
  events
    .map((event) => {
      const { type } = event as { type?: string };
      return `${type === undefined ? "" : `event: ${type}\n`}data: ${JSON.stringify(event)}\n\n`;
    })
    .join("") + ending;

/** An event of a chat. */
export const chunk = (delta: object, finish: string | null = null): object => ({
  id: "x",
  object: "chat.completion.chunk",
  choices: [{ index: 0, delta, finish_reason: finish }],
});
const line = (more: object): string =>
  `${JSON.stringify({ model: "there", created_at: "2026-01-01T00:00:00Z", done: false, ...more })}\n`;
const say = (more: object): string => line({ message: { role: "assistant", content: "", ...more } });

/** The answer, by server: thinking, a text, two calls, tokens. */
export const answered: Record<
  ChatDialect,
  { readonly type: string; readonly stream: string; readonly whole: object }
> = {
  openai: {
    type: "text/event-stream",
    stream: sse(
      [
        chunk({ role: "assistant", content: "" }),
        chunk({ reasoning_content: "Hm" }),
        chunk({ content: "Grüße " }),
        chunk({ content: "🙂" }),
        chunk({
          tool_calls: [{ index: 0, id: "c1", type: "function", function: { name: "f", arguments: "" } }],
        }),
        chunk({ tool_calls: [{ index: 0, function: { arguments: '{"a":1}' } }] }),
        chunk({
          tool_calls: [{ index: 1, id: "c2", type: "function", function: { name: "g", arguments: "" } }],
        }),
        // A server that was told which tool to call says `stop`.
        chunk({}, "stop"),
        {
          id: "x",
          choices: [],
          usage: { prompt_tokens: 130, completion_tokens: 15, prompt_tokens_details: { cached_tokens: 100 } },
        },
      ],
      "data: [DONE]\n\n",
    ),
    whole: {
      id: "x",
      choices: [
        {
          index: 0,
          message: {
            role: "assistant",
            reasoning_content: "Hm",
            content: "Grüße 🙂",
            tool_calls: [
              { id: "c1", type: "function", function: { name: "f", arguments: '{"a":1}' } },
              { id: "c2", type: "function", function: { name: "g", arguments: "" } },
            ],
          },
          finish_reason: "stop",
        },
      ],
      usage: { prompt_tokens: 130, completion_tokens: 15, prompt_tokens_details: { cached_tokens: 100 } },
    },
  },
  anthropic: {
    type: "text/event-stream",
    stream: sse([
      {
        type: "message_start",
        message: { id: "msg_x", usage: { input_tokens: 30, cache_read_input_tokens: 100, output_tokens: 1 } },
      },
      {
        type: "content_block_start",
        index: 0,
        content_block: { type: "thinking", thinking: "", signature: "" },
      },
      { type: "content_block_delta", index: 0, delta: { type: "thinking_delta", thinking: "Hm" } },
      { type: "content_block_stop", index: 0 },
      { type: "content_block_start", index: 1, content_block: { type: "text", text: "" } },
      { type: "content_block_delta", index: 1, delta: { type: "text_delta", text: "Grüße " } },
      { type: "content_block_delta", index: 1, delta: { type: "text_delta", text: "🙂" } },
      { type: "content_block_stop", index: 1 },
      {
        type: "content_block_start",
        index: 2,
        content_block: { type: "tool_use", id: "c1", name: "f", input: {} },
      },
      { type: "content_block_delta", index: 2, delta: { type: "input_json_delta", partial_json: '{"a":1}' } },
      { type: "content_block_stop", index: 2 },
      {
        type: "content_block_start",
        index: 3,
        content_block: { type: "tool_use", id: "c2", name: "g", input: {} },
      },
      { type: "content_block_stop", index: 3 },
      {
        type: "message_delta",
        delta: { stop_reason: "tool_use", stop_sequence: null },
        usage: { output_tokens: 15 },
      },
      { type: "message_stop" },
    ]),
    whole: {
      id: "msg_x",
      type: "message",
      role: "assistant",
      content: [
        { type: "thinking", thinking: "Hm", signature: "" },
        { type: "text", text: "Grüße 🙂" },
        { type: "tool_use", id: "c1", name: "f", input: { a: 1 } },
        { type: "tool_use", id: "c2", name: "g", input: {} },
      ],
      stop_reason: "tool_use",
      usage: { input_tokens: 30, cache_read_input_tokens: 100, output_tokens: 15 },
    },
  },
  ollama: {
    type: "application/x-ndjson",
    stream:
      say({ thinking: "Hm" }) +
      say({ content: "Grüße " }) +
      say({ content: "🙂" }) +
      say({ tool_calls: [{ id: "c1", function: { name: "f", arguments: { a: 1 } } }] }) +
      say({ tool_calls: [{ id: "c2", function: { name: "g", arguments: {} } }] }) +
      line({
        message: { role: "assistant", content: "" },
        done: true,
        done_reason: "stop",
        prompt_eval_count: 130,
        eval_count: 15,
      }),
    whole: {
      model: "there",
      message: {
        role: "assistant",
        content: "Grüße 🙂",
        thinking: "Hm",
        tool_calls: [
          { id: "c1", function: { name: "f", arguments: { a: 1 } } },
          { id: "c2", function: { name: "g", arguments: {} } },
        ],
      },
      done: true,
      done_reason: "stop",
      prompt_eval_count: 130,
      eval_count: 15,
    },
  },
};
