/** OpenAI's part in translation: its callers, by address. */
import type { CallerCodec } from "../chat/codec.ts";
import { writeOpenAiRefusal } from "./openai-errors.ts";
import { readOpenAiChat } from "./read-chat.ts";
import { readResponses } from "./read-responses.ts";
import { sseHeaders } from "./sse-headers.ts";
import { OpenAiStreamWriter, writeOpenAiAnswer } from "./write-chat-answer.ts";
import { ResponsesStreamWriter, writeResponsesAnswer } from "./write-responses.ts";

/** Callers of `/v1/chat/completions`. */
export const openAiChat: CallerCodec = {
  name: "openai chat",
  repeatsTools: false,
  readChat: readOpenAiChat,
  streamHeaders: sseHeaders,
  createStreamWriter: (out, request, context) => new OpenAiStreamWriter(out, request, context),
  writeChatAnswer: writeOpenAiAnswer,
  writeRefusal: writeOpenAiRefusal,
};

/** Callers of `/v1/responses` whose model's server does not serve it. */
export const openAiResponses: CallerCodec = {
  name: "openai responses",
  repeatsTools: true,
  readChat: readResponses,
  streamHeaders: sseHeaders,
  createStreamWriter: (out, request, context) => new ResponsesStreamWriter(out, request, context),
  writeChatAnswer: writeResponsesAnswer,
  writeRefusal: writeOpenAiRefusal,
};
