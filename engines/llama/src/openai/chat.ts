/** `POST /v1/chat/completions`. */
import { randomUUID } from "node:crypto";
import { answerJson, Stream } from "../http/answer.ts";
import type { EngineRequest, EngineRoute } from "../http/server.ts";
import type { Generation, GenerationEvents } from "../port.ts";
import type { Call, Outcome, Service } from "../service.ts";
import { openaiErrorBody } from "./error-body.ts";
import { readChat } from "./read-chat.ts";
import { readStreaming, readTarget } from "./read-sampling.ts";
import { openaiUsage, seconds } from "./usage.ts";

/** The route. */
export function chatRoute(service: Service): EngineRoute {
  return {
    method: "POST",
    path: "/v1/chat/completions",
    errorBody: openaiErrorBody,
    async handle(request) {
      const { fields, response, signal } = request;
      const call = { ...readTarget(fields), signal };
      const generation = readChat(fields);
      const { stream, includeUsage } = readStreaming(fields);
      if (stream) await streamChat(service, { call, generation, includeUsage, response });
      else answerJson(response, await wholeChat(service, call, generation));
    },
  };
}

interface ToolCallAnswer {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
}

function toolCall({ name, arguments: text }: { name: string; arguments: string }): ToolCallAnswer {
  return { id: `call_${randomUUID()}`, type: "function", function: { name, arguments: text } };
}

async function wholeChat(service: Service, call: Call, generation: Generation): Promise<unknown> {
  let content = "";
  let thought = "";
  const calls: ToolCallAnswer[] = [];
  const outcome = await service.generate(call, generation, {
    text: (text) => void (content += text),
    thought: (text) => void (thought += text),
    call: (made) => void calls.push(toolCall(made)),
  });
  const message = {
    role: "assistant",
    content: content === "" && calls.length > 0 ? null : content,
    ...(thought === "" ? {} : { reasoning_content: thought }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
  return {
    id: `chatcmpl-${randomUUID()}`,
    object: "chat.completion",
    created: seconds(service.now()),
    model: call.model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: outcome.finish }],
    usage: openaiUsage(outcome),
  };
}

interface StreamedChat {
  readonly call: Call;
  readonly generation: Generation;
  readonly includeUsage: boolean;
  readonly response: EngineRequest["response"];
}

async function streamChat(service: Service, chat: StreamedChat): Promise<void> {
  const { call, generation, includeUsage, response } = chat;
  const stream = new Stream(response, "events");
  const head = {
    id: `chatcmpl-${randomUUID()}`,
    object: "chat.completion.chunk",
    created: seconds(service.now()),
    model: call.model,
  };
  const usage = includeUsage ? { usage: null } : {};
  const send = (delta: unknown, finish: Outcome["finish"] | null = null): void => {
    const choice = { index: 0, delta, logprobs: null, finish_reason: finish };
    stream.send({ ...head, choices: [choice], ...usage });
  };
  const outcome = await service.generate(call, generation, chatDeltas(send));
  if (!response.headersSent) send({ role: "assistant", content: "" });
  send({}, outcome.finish);
  if (includeUsage) stream.send({ ...head, choices: [], usage: openaiUsage(outcome) });
  stream.end();
}

/** Deltas of an answer; the first names the role. */
function chatDeltas(send: (delta: unknown) => void): GenerationEvents {
  let calls = 0;
  let begun = false;
  const begin = (): void => {
    if (!begun) send({ role: "assistant", content: "" });
    begun = true;
  };
  return {
    text(text) {
      begin();
      send({ content: text });
    },
    thought(text) {
      begin();
      send({ reasoning_content: text });
    },
    call(made) {
      begin();
      send({ tool_calls: [{ index: calls++, ...toolCall(made) }] });
    },
  };
}
