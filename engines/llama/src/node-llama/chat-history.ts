/** Conversations in the terms of node-llama-cpp. */
import type {
  ChatHistoryItem,
  ChatWrapper,
  ChatModelFunctions,
  ChatModelResponse,
  GbnfJsonSchema,
} from "node-llama-cpp";
import type { ChatMessage, Tool } from "../port.ts";

/** The history. Answers that follow each other, with the calls between them, are one; the last item is one to be gone on with. */
export function toHistory(messages: readonly ChatMessage[]): ChatHistoryItem[] {
  const history: ChatHistoryItem[] = [];
  let open: ChatModelResponse["response"] | undefined;
  for (const message of messages) {
    if (message.role !== "assistant") {
      open = undefined;
      history.push({ type: message.role, text: message.text });
      continue;
    }
    if (open === undefined) {
      open = [];
      history.push({ type: "model", response: open });
    }
    if (message.text !== "") open.push(message.text);
    for (const call of message.calls) {
      const { name, arguments: params, result = "" } = call;
      open.push({ type: "functionCall", name, params, result });
    }
  }
  if (open === undefined) history.push({ type: "model", response: [] });
  return history;
}

/** Tools by name; undefined for none. */
export function toFunctions(tools: readonly Tool[]): ChatModelFunctions | undefined {
  if (tools.length === 0) return undefined;
  const entries = tools.map(({ name, description, parameters }) => {
    const params = parameters as GbnfJsonSchema | undefined;
    return [name, { params, ...(description === undefined ? {} : { description }) }] as const;
  });
  return Object.fromEntries(entries);
}

/** The same way of writing chats, but for answers that begin with the call of a tool. */
export function withForcedCall(wrapper: ChatWrapper): ChatWrapper {
  const forced = Object.create(wrapper) as ChatWrapper;
  forced.generateContextState = (options) => {
    const { contextText, stopGenerationTriggers } = wrapper.generateContextState(options);
    const functionCall = { initiallyEngaged: true, disengageInitiallyEngaged: [] };
    return { contextText, stopGenerationTriggers, functionCall };
  };
  return forced;
}
