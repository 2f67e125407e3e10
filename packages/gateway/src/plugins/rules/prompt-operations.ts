/** Calls by what a rule can put into them. Tokens are counted as they would be sent. */
import type { Operation } from "../../core/forward.ts";

/** Calls that take instructions. */
export const instructedOperations: ReadonlySet<Operation> = new Set([
  "chat",
  "responses",
  "messages",
  "count_tokens",
  "generate",
]);

/** Calls that a model answers with text: completions are a text and take no instructions. */
export const promptOperations: ReadonlySet<Operation> = new Set([...instructedOperations, "completions"]);
