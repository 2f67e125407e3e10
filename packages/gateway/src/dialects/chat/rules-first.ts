/** Puts a conversation into the form that every model's template takes: rules once, and at its beginning. */
import type { ChatMessage, InputPart, TextPart, UserMessage } from "./chat-request.ts";

/**
 * Rules at the beginning become one message. Those further down, which many templates refuse ("System message must be at
 * the beginning"), are said in the user's place between `<system-reminder>` tags, as agents do for models without
 * such messages: what stands before them stays as it was, and with it what servers have in their caches.
 */
export function rulesFirst(messages: readonly ChatMessage[]): readonly ChatMessage[] {
  const turns = messages.findIndex(({ role }) => role !== "system");
  const begin = turns < 0 ? messages.length : turns;
  const rules = messages.slice(0, begin).flatMap(rulesOf);
  const list: ChatMessage[] = rules.length === 0 ? [] : [{ role: "system", content: rules }];
  let isReminded = false;
  for (const message of messages.slice(begin)) {
    const last = list.at(-1);
    const isReminder = message.role === "system";
    const said = isReminder ? asUser(message.content) : message;
    // Two users in a row are refused by templates too.
    if (said.role === "user" && last?.role === "user" && (isReminder || isReminded))
      list[list.length - 1] = { role: "user", content: [...last.content, ...said.content] };
    else list.push(said);
    isReminded = isReminder;
  }
  return list;
}

function rulesOf(message: ChatMessage): readonly TextPart[] {
  return message.role === "system" ? message.content : [];
}

function asUser(rules: readonly TextPart[]): UserMessage {
  const text = rules.map((rule) => rule.text).join("\n");
  const content: InputPart[] = [{ kind: "text", text: `<system-reminder>\n${text}\n</system-reminder>` }];
  return { role: "user", content };
}
