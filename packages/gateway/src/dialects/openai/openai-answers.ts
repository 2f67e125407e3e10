/** OpenAI's addresses, and how answers of servers that have them are passed on. */
import type {
  AnswerReader,
  AnswerSink,
  AttemptTarget,
  Operation,
  RefusedAnswer,
  TokenEstimate,
  TokenUsage,
} from "../../core/forward.ts";
import { passRefusal } from "../chat/refusal.ts";
import { estimateUsage } from "../streams/estimate-tokens.ts";
import { SseReader } from "../streams/sse-reader.ts";
import { StreamRelay, type StreamWords } from "../streams/stream-relay.ts";
import { WholeRelay } from "../streams/whole-relay.ts";
import { ChatInspector } from "./chat-inspector.ts";
import { writeOpenAiErrorEvent, writeOpenAiRefusal } from "./openai-errors.ts";
import { readUsage } from "./read-usage.ts";
import { writeResponsesErrorEvent } from "./responses-events.ts";
import { ResponsesInspector } from "./responses-inspector.ts";
import { sseHeaders } from "./sse-headers.ts";

/** The addresses that models answer. */
export type OpenAiOperation = Extract<Operation, "chat" | "completions" | "embeddings" | "responses">;

/** Paths by operation, the same for callers and servers. */
export const openAiPaths: Readonly<Record<OpenAiOperation, string>> = {
  chat: "/v1/chat/completions",
  completions: "/v1/completions",
  embeddings: "/v1/embeddings",
  responses: "/v1/responses",
};

/**
 * Headers of servers that go on to callers: what tells of this answer alone. Rate limits are of the
 * gateway's account, request ids and cookies of the gateway's connection; those stay.
 */
const passedHeaders = ["openai-processing-ms", "openai-version"] as const;

const streamWords: StreamWords = {
  contentType: "text/event-stream",
  headers: sseHeaders,
  createReader: (handler) => new SseReader(handler),
  writeError: writeOpenAiErrorEvent,
};

const responsesWords: StreamWords = {
  ...streamWords,
  writeError: (reason) => writeResponsesErrorEvent(reason, 0),
};

/** How an answer comes. */
export interface OpenAiAnswerParts {
  readonly out: AnswerSink;
  readonly estimate: TokenEstimate;
  readonly isStream: boolean;
  /** The gateway asked for the event that tells usage, and the caller did not. */
  readonly hidesUsage: boolean;
}

/** Reads an answer of a server that has the address. */
export function openAiReader(operation: OpenAiOperation, parts: OpenAiAnswerParts): AnswerReader {
  const { out, estimate, isStream, hidesUsage } = parts;
  if (isStream) {
    const isResponses = operation === "responses";
    const words = isResponses ? responsesWords : streamWords;
    const inspector = isResponses ? new ResponsesInspector() : new ChatInspector(hidesUsage);
    return new StreamRelay({ words, inspector, out, estimate, passedHeaders, refused: openAiRefused });
  }
  const hasCompletion = operation !== "embeddings";
  const read = (tail: Uint8Array, answerBytes: number): TokenUsage =>
    readUsage(tail) ?? estimateUsage(estimate, hasCompletion ? answerBytes : 0);
  return new WholeRelay({ out, passedHeaders, readUsage: read, refused: openAiRefused });
}

/** Ollama has all of OpenAI's addresses but responses, which newer ones serve. */
export function servesBytes(operation: OpenAiOperation, target: AttemptTarget): boolean {
  if (operation === "responses") return target.serves.includes("responses");
  return target.dialect !== "anthropic";
}

/** An answer that is no 2xx, for a caller of this API. */
export function openAiRefused(answer: RefusedAnswer): ReturnType<AnswerReader["refused"]> {
  return passRefusal(answer, writeOpenAiRefusal);
}
