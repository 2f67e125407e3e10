/** Embeddings: `POST /api/embed` for callers and servers, `POST /api/embeddings` for callers of the older form. */
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { CallerEmbeddings, ServerEmbeddings } from "../chat/codec.ts";
import type { EmbeddingsRequest } from "../chat/embeddings.ts";
import { FieldReader } from "../chat/field-reader.ts";
import { readJsonObject } from "../chat/read-json-object.ts";
import { tokenCount } from "../chat/token-count.ts";
import { jsonAnswer } from "../json-answer.ts";
import { readObject } from "./answer-parts.ts";

import { nanoseconds, writeOllamaRefusal } from "./write-answer.ts";
import { ollamaHeaders } from "./write-chat-request.ts";

/** Callers of `/api/embed`. */
export const ollamaEmbed: CallerEmbeddings = {
  name: "ollama embed",
  readRequest: (bytes) => readRequest(bytes, "input"),
  writeAnswer: ({ vectors, promptTokens }, { clock, model, receivedAt }) =>
    jsonAnswer(200, {
      model,
      embeddings: vectors,
      total_duration: nanoseconds(clock.now() - receivedAt),
      load_duration: 0,
      prompt_eval_count: promptTokens,
    }),
  writeRefusal: writeOllamaRefusal,
};

/** Callers of `/api/embeddings`: one text, one vector. */
export const ollamaEmbeddings: CallerEmbeddings = {
  name: "ollama embeddings",
  readRequest: (bytes) => readRequest(bytes, "prompt"),
  writeAnswer: ({ vectors }) => jsonAnswer(200, { embedding: vectors[0] ?? [] }),
  writeRefusal: writeOllamaRefusal,
};

/** Servers. */
export const ollamaServerEmbeddings: ServerEmbeddings = {
  writeRequest({ input, dimensions, truncate }, { model }) {
    const body = Buffer.from(JSON.stringify({ model, input, dimensions, truncate }));
    return { path: "/api/embed", headers: ollamaHeaders, body };
  },
  readAnswer(bytes) {
    const value = readObject(bytes);
    if (isFailure(value)) return value;
    const { embeddings, prompt_eval_count: tokens } = value.object;
    if (!isVectors(embeddings)) {
      return failure("bad_upstream_answer", "The server sent an answer without embeddings");
    }
    return { vectors: embeddings, promptTokens: tokenCount(tokens) };
  },
};

/** Options tune the server and are dropped. */
function readRequest(bytes: Uint8Array, field: "input" | "prompt"): EmbeddingsRequest | Failure {
  const body = readJsonObject(bytes);
  if (isFailure(body)) return body;
  const { object } = body;
  const read = new FieldReader();
  const request: EmbeddingsRequest = {
    model: read.required(object["model"], "model"),
    input:
      field === "prompt"
        ? [read.required(object["prompt"], "prompt")]
        : read.strings(object["input"], "input"),
    dimensions: field === "prompt" ? undefined : read.number(object["dimensions"], "dimensions") || undefined,
    truncate: field === "prompt" ? undefined : read.boolean(object["truncate"], "truncate"),
  };
  if (request.input.length === 0) read.wrong(field, "a text, or several");
  return read.failure ?? request;
}

function isVectors(value: unknown): value is readonly (readonly number[])[] {
  return (
    Array.isArray(value) &&
    value.every((vector) => Array.isArray(vector) && vector.every((each) => typeof each === "number"))
  );
}
