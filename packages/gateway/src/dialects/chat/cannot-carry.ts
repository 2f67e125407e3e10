/** The refusal of a request that a server's dialect has no words for. */
import { failure, type Failure } from "../../core/errors.ts";
import type { ChatDialect } from "../../core/forward.ts";
import type { ChatField, ChatRequest } from "./chat-request.ts";

/** What the APIs are called in messages. */
export const apiNames: Readonly<Record<ChatDialect, string>> = {
  openai: "OpenAI's API",
  ollama: "Ollama's API",
  anthropic: "Anthropic's API",
};

/** A 400 that names the caller's field. */
export function cannotCarry(request: ChatRequest, field: ChatField, dialect: ChatDialect): Failure {
  return cannotCarryField(request.fields[field] ?? field, dialect);
}

/** The same for a field by the caller's own name for it. */
export function cannotCarryField(name: string, dialect: ChatDialect): Failure {
  const text = `${name} cannot be carried to this model's server, which speaks ${apiNames[dialect]}`;
  return { ...failure("bad_request", text), field: name };
}

/** A 400 for a field that no server of another dialect could understand. */
export function untranslatable(name: string, why?: string): Failure {
  const text = `${name} cannot be carried to this model's server, which speaks another API`;
  return { ...failure("bad_request", why === undefined ? text : `${text}: ${why}`), field: name };
}

/** A 400 for a field whose value is not what its dialect says. */
export function wrongField(name: string, expected: string): Failure {
  return { ...failure("bad_request", `${name}: expected ${expected}`), field: name };
}
