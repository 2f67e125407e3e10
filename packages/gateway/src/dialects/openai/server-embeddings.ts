/** Embeddings of servers that speak OpenAI's API. */
import { failure, type Failure } from "../../core/errors.ts";
import type { ServerEmbeddings } from "../chat/codec.ts";
import type { EmbeddingsAnswer } from "../chat/embeddings.ts";
import { isJsonObject } from "../chat/json-object.ts";
import { tokenCount } from "../chat/token-count.ts";
import { asBuffer } from "../json/parse-json.ts";

/**
 * Texts that are too long are refused by these servers, never cut: `truncate`, which Ollama takes for true where it is
 * absent and some clients always send, has no words here and is dropped either way.
 */
export const openAiServerEmbeddings: ServerEmbeddings = {
  writeRequest({ input, dimensions }, target) {
    const body = { model: target.model, input, dimensions, encoding_format: "float" };
    return {
      path: "/v1/embeddings",
      headers: [
        ["content-type", "application/json"],
        ["accept", "application/json"],
      ],
      body: Buffer.from(JSON.stringify(body)),
    };
  },
  readAnswer,
};

function readAnswer(body: Uint8Array): EmbeddingsAnswer | Failure {
  let value: unknown;
  try {
    value = JSON.parse(asBuffer(body).toString("utf8"));
  } catch {
    return unreadable();
  }
  const { data, usage } = isJsonObject(value) ? (value as { data?: unknown; usage?: unknown }) : {};
  if (!Array.isArray(data)) return unreadable();
  const vectors: (readonly number[])[] = [];
  for (const [position, entry] of data.entries()) {
    if (!isJsonObject(entry)) return unreadable();
    const { index, embedding } = entry as { index?: unknown; embedding?: unknown };
    const vector = readVector(embedding);
    if (vector === undefined) return unreadable();
    vectors[typeof index === "number" ? index : position] = vector;
  }
  const told = isJsonObject(usage) ? usage["prompt_tokens"] : undefined;
  return { vectors, promptTokens: tokenCount(told) };
}

/** Numbers, or 32-bit floats in little-endian base64. */
function readVector(value: unknown): readonly number[] | undefined {
  if (Array.isArray(value)) return value as number[];
  if (typeof value !== "string") return undefined;
  const bytes = Buffer.from(value, "base64");
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, i) => bytes.readFloatLE(i * 4));
}

function unreadable(): Failure {
  return failure("bad_upstream_answer", "The server's embeddings cannot be read");
}
