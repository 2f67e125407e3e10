/** OpenAI's part in translation: its servers. */
import type { ServerCodec } from "../chat/codec.ts";
import { OpenAiStreamReader, readOpenAiAnswer, readOpenAiErrorText } from "./read-answer.ts";
import { openAiServerEmbeddings } from "./server-embeddings.ts";
import { writeOpenAiChatRequest } from "./write-chat-request.ts";

/** Servers that speak OpenAI's API. */
export const openAiServer: ServerCodec = {
  dialect: "openai",
  writeChatRequest: writeOpenAiChatRequest,
  createStreamReader: (events) => new OpenAiStreamReader(events),
  readChatAnswer: readOpenAiAnswer,
  embeddings: openAiServerEmbeddings,
  readErrorText: readOpenAiErrorText,
};
