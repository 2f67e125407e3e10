/** What an answer says about itself: how likely its tokens were, and its text. */
import { isJsonObject, type JsonObject } from "../../dialects/chat/json-object.ts";

/** Text that is kept for a check against a schema, UTF-16 units. A longer answer is not checked. */
const maxTextLength = 262_144;

/** Summed up as the answer comes. */
export class AnswerSignals {
  #tokens = 0;
  #sum = 0;
  #margins = 0;
  #marginSum = 0;
  #text = "";
  /** The model calls tools: its text is no answer to be checked. */
  hasCalls = false;
  /** Not all of the answer was seen. */
  isPartial = false;

  /** exp of the mean log-probability of the tokens, 0 to 1; undefined where the server told none. */
  get confidence(): number | undefined {
    return this.#tokens === 0 ? undefined : Math.exp(this.#sum / this.#tokens);
  }

  /** Mean distance between the likeliest token and the next, 0 to 1; undefined where the server told no alternatives. */
  get margin(): number | undefined {
    return this.#margins === 0 ? undefined : this.#marginSum / this.#margins;
  }

  /** Undefined where it is not known whole. */
  get text(): string | undefined {
    return this.isPartial ? undefined : this.#text;
  }

  addText(text: unknown): void {
    if (typeof text !== "string" || this.isPartial) return;
    if (this.#text.length + text.length > maxTextLength) this.isPartial = true;
    else this.#text += text;
  }

  /** A token as OpenAI's chats and Ollama tell it: `{token, logprob, top_logprobs}`. */
  addToken(token: unknown): void {
    if (!isJsonObject(token)) return;
    this.addLogprob(token["logprob"]);
    const others: unknown = token["top_logprobs"];
    if (Array.isArray(others))
      this.addAlternatives(others.map((each: unknown) => isJsonObject(each) && each["logprob"]));
  }

  /** Servers write -9999 for what has no probability; what is no number is left out. */
  addLogprob(logprob: unknown): void {
    if (typeof logprob !== "number" || !Number.isFinite(logprob) || logprob > 0) return;
    this.#tokens++;
    this.#sum += logprob;
  }

  /** Log-probabilities of the tokens that could stand in one place; two at least. */
  addAlternatives(logprobs: readonly unknown[]): void {
    let [first, second] = [-Infinity, -Infinity];
    for (const each of logprobs) {
      if (typeof each !== "number") continue;
      if (each > first) [first, second] = [each, first];
      else if (each > second) second = each;
    }
    if (second === -Infinity) return;
    this.#margins++;
    this.#marginSum += Math.exp(first) - Math.exp(second);
  }
}

/** How a server's answers look. `completions`: OpenAI's elder API. */
export type SignalWords = "chat" | "completions" | "ollama";

/**
 * Reads one event or a whole answer of the server. `strips`: its log-probabilities are taken out, since the caller
 * did not ask for them. True where the object was changed.
 */
export function takeSignals(
  value: JsonObject,
  { words, strips, signals }: { words: SignalWords; strips: boolean; signals: AnswerSignals },
): boolean {
  if (words === "ollama")
    return takeOllama(value, signals) && strips && Reflect.deleteProperty(value, "logprobs");
  const choices: unknown = value["choices"];
  if (!Array.isArray(choices)) return false;
  let changed = false;
  for (const choice of choices as readonly unknown[]) {
    if (!isJsonObject(choice)) continue;
    const told = words === "chat" ? takeChat(choice, signals) : takeCompletion(choice, signals);
    if (!told || !strips) continue;
    Object.assign(choice, { logprobs: null });
    changed = true;
  }
  return changed;
}

/** `message` of a whole answer, `delta` of an event. Of several answers the first is judged. */
function takeChat(choice: JsonObject, signals: AnswerSignals): boolean {
  const logprobs: unknown = choice["logprobs"];
  if (choice["index"] === undefined || choice["index"] === 0) {
    const given: unknown = choice["message"] ?? choice["delta"];
    const message = isJsonObject(given) ? given : {};
    signals.addText(message["content"]);
    if (Array.isArray(message["tool_calls"]) && message["tool_calls"].length > 0) signals.hasCalls = true;
    const content: unknown = isJsonObject(logprobs) ? logprobs["content"] : undefined;
    if (Array.isArray(content)) for (const token of content as readonly unknown[]) signals.addToken(token);
  }
  return isJsonObject(logprobs);
}

/** `{token_logprobs: [], top_logprobs: [{}]}`; of llama.cpp's server as in chats. */
function takeCompletion(choice: JsonObject, signals: AnswerSignals): boolean {
  const logprobs: unknown = choice["logprobs"];
  if (choice["index"] === undefined || choice["index"] === 0) {
    signals.addText(choice["text"]);
    const { token_logprobs: tokens, top_logprobs: others, content } = isJsonObject(logprobs) ? logprobs : {};
    if (Array.isArray(content)) for (const token of content as readonly unknown[]) signals.addToken(token);
    if (Array.isArray(tokens)) for (const token of tokens as readonly unknown[]) signals.addLogprob(token);
    if (Array.isArray(others)) {
      for (const each of others as readonly unknown[]) {
        if (isJsonObject(each)) signals.addAlternatives(Object.values(each));
      }
    }
  }
  return isJsonObject(logprobs);
}

function takeOllama(value: JsonObject, signals: AnswerSignals): boolean {
  const message: unknown = value["message"];
  if (isJsonObject(message)) {
    signals.addText(message["content"]);
    if (Array.isArray(message["tool_calls"]) && message["tool_calls"].length > 0) signals.hasCalls = true;
  } else signals.addText(value["response"]);
  const logprobs: unknown = value["logprobs"];
  if (Array.isArray(logprobs)) for (const token of logprobs as readonly unknown[]) signals.addToken(token);
  return logprobs !== undefined;
}
