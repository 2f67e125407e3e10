/** Ollama's parts in translation: its servers, and its callers by address. */
import type { CallerCodec, ServerCodec } from "../chat/codec.ts";
import { readErrorText } from "./answer-parts.ts";
import { ollamaServerEmbeddings } from "./embeddings.ts";
import { OllamaStreamReader, readOllamaAnswer } from "./read-answer.ts";
import { readOllamaChat } from "./read-chat.ts";
import { readOllamaGenerate } from "./read-generate.ts";
import {
  ndjsonHeaders,
  OllamaStreamWriter,
  writeOllamaAnswer,
  writeOllamaRefusal,
  type OllamaAddress,
} from "./write-answer.ts";
import { writeOllamaChatRequest } from "./write-chat-request.ts";

/** Servers that speak Ollama's API. */
export const ollamaServer: ServerCodec = {
  dialect: "ollama",
  writeChatRequest: writeOllamaChatRequest,
  createStreamReader: (events) => new OllamaStreamReader(events),
  readChatAnswer: readOllamaAnswer,
  embeddings: ollamaServerEmbeddings,
  readErrorText,
};

/** Callers of `/api/chat`. */
export const ollamaChat: CallerCodec = caller("chat", readOllamaChat);

/** Callers of `/api/generate`. */
export const ollamaGenerate: CallerCodec = caller("generate", readOllamaGenerate);

function caller(address: OllamaAddress, readChat: CallerCodec["readChat"]): CallerCodec {
  return {
    name: `ollama ${address}`,
    repeatsTools: false,
    readChat,
    streamHeaders: ndjsonHeaders,
    createStreamWriter: (out, _request, context) => new OllamaStreamWriter(address, out, context),
    writeChatAnswer: (answer, _request, context) => writeOllamaAnswer(address, answer, context),
    writeRefusal: writeOllamaRefusal,
  };
}
