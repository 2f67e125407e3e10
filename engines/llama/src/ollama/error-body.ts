/** Errors as Ollama words them. */
import type { Refusal } from "../refusal.ts";

/** `{error: "…"}`. */
export function ollamaErrorBody({ message }: Refusal): unknown {
  return { error: message };
}
