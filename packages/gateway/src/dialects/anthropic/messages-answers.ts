/** Which servers have Anthropic's calls, and how their answers are passed on. */
import type {
  AnswerReader,
  AnswerSink,
  AttemptTarget,
  RefusedAnswer,
  TokenEstimate,
  TokenUsage,
} from "../../core/forward.ts";
import { passRefusal } from "../chat/refusal.ts";
import { StreamRelay } from "../streams/stream-relay.ts";
import { WholeRelay } from "../streams/whole-relay.ts";
import { writeAnthropicRefusal } from "./errors.ts";
import { anthropicStream, MessagesInspector, readWholeUsage } from "./relay.ts";

/** The calls. */
export type MessagesOperation = "messages" | "count_tokens";

const noTokens: TokenUsage = { promptTokens: 0, cachedTokens: 0, completionTokens: 0, estimated: false };

/** True for a server that has the call itself, whatever its body says: others go without some words of messages. */
export function takesUnread(operation: MessagesOperation, { dialect, serves }: AttemptTarget): boolean {
  return dialect === "anthropic" || (operation === "count_tokens" && serves.includes(operation));
}

/** How an answer comes. */
export interface MessagesAnswerParts {
  readonly out: AnswerSink;
  readonly estimate: TokenEstimate;
  readonly isStream: boolean;
}

/** Reads an answer of such a server. */
export function messagesReader(
  operation: MessagesOperation,
  { out, estimate, isStream }: MessagesAnswerParts,
): AnswerReader {
  const shared = { out, estimate, passedHeaders: ["request-id"], refused: messagesRefused };
  if (isStream) {
    return new StreamRelay({ ...shared, words: anthropicStream, inspector: new MessagesInspector() });
  }
  const readUsage = (tail: Uint8Array, answerBytes: number): TokenUsage =>
    operation === "count_tokens" ? noTokens : readWholeUsage(tail, answerBytes, estimate);
  return new WholeRelay({ ...shared, readUsage });
}

/** An answer that is no 2xx, for a caller of this API. */
export function messagesRefused(answer: RefusedAnswer): ReturnType<AnswerReader["refused"]> {
  return passRefusal(answer, writeAnthropicRefusal);
}
