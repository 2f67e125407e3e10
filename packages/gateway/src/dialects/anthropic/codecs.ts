/** Anthropic's parts in translation: its servers and its callers. */
import type { CallerCodec, ServerCodec } from "../chat/codec.ts";
import { readErrorText, writeAnthropicRefusal } from "./errors.ts";
import { MessagesStreamReader, readMessagesAnswer } from "./read-answer.ts";
import { readMessages } from "./read-messages.ts";
import { eventStreamHeaders, MessagesStreamWriter, writeMessagesAnswer } from "./write-answer.ts";
import { writeMessagesRequest } from "./write-messages.ts";

/** Servers that speak Anthropic's API. It has no embeddings. */
export const anthropicServer: ServerCodec = {
  dialect: "anthropic",
  writeChatRequest: writeMessagesRequest,
  createStreamReader: (events) => new MessagesStreamReader(events),
  readChatAnswer: readMessagesAnswer,
  embeddings: undefined,
  readErrorText,
};

/** Callers of `/v1/messages`. */
export const anthropicMessages: CallerCodec = {
  name: "anthropic messages",
  repeatsTools: false,
  readChat: readMessages,
  streamHeaders: eventStreamHeaders,
  createStreamWriter: (out, _request, context) => new MessagesStreamWriter(out, context),
  writeChatAnswer: (answer, _request, context) => writeMessagesAnswer(answer, context),
  writeRefusal: writeAnthropicRefusal,
};
