/** Changes of a prompt, as changes of the bytes of its body: everything else stays as it came. */
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { PromptEdit } from "../../core/forward.ts";
import { wrongField } from "../chat/cannot-carry.ts";
import type { Edit } from "../json/replace-span.ts";
import { firstItem, isEmptyList, isList, isString, type Span } from "./json-items.ts";
import { isSystemRole, type Message, type PromptOutline } from "./prompt-outline.ts";

/** Everything that rules want changed in one prompt. */
export interface PromptChanges {
  /** Goes before the caller's instructions, in this order. */
  readonly before: readonly string[];
  readonly after: readonly string[];
  /** Stands in the place of the caller's. */
  readonly instead: string | undefined;
  readonly context: readonly string[];
}

/** Nothing. */
export const noChanges: PromptChanges = { before: [], after: [], instead: undefined, context: [] };

/** The changes with one more. What replaces instructions replaces those that were added before, too. */
export function withEdit(changes: PromptChanges, { system, context }: PromptEdit): PromptChanges {
  const found = context === undefined ? changes : { ...changes, context: [...changes.context, context] };
  switch (system?.place) {
    case undefined:
      return found;
    case "before":
      return { ...found, before: [system.text, ...found.before] };
    case "after":
      return { ...found, after: [...found.after, system.text] };
    case "replace":
      return { ...found, before: [], after: [], instead: system.text };
  }
}

/** Stands between what is added and what was there. */
const gap = "\n\n";

/** The changes as edits of the body, which do not overlap; a failure (400) where the body has no place for them. */
export function promptEdits(outline: PromptOutline, changes: PromptChanges): readonly Edit[] | Failure {
  const system = systemEdits(outline, changes);
  if (isFailure(system)) return system;
  const isEmptied = system.some(({ start, end, text }) => {
    return text === "" && start === outline.all[0]?.start && end === outline.all.at(-1)?.end;
  });
  const context = contextEdits(outline, changes.context.join(gap), isEmptied);
  return isFailure(context) ? context : [...system, ...context];
}

function systemEdits(outline: PromptOutline, changes: PromptChanges): readonly Edit[] | Failure {
  const { before, after, instead } = changes;
  if (before.length === 0 && after.length === 0 && instead === undefined) return [];
  const { shape } = outline;
  if (!outline.takesInstructions) {
    return failure("bad_request", "This call has no place for instructions to the model");
  }
  const parts: Around = { before: before.join(gap), after: after.join(gap), instead };
  if (shape.instructions === undefined) return inMessages(outline, parts);
  const edits = inMember(outline, shape.instructions, parts);
  if (isFailure(edits) || instead === undefined || !shape.hasSystemMessages) return edits;
  return [
    ...edits,
    ...withoutMessages(
      outline,
      outline.all.map(({ role }) => isSystemRole(role)),
    ),
  ];
}

/** Texts to go around one that is there, or in its place; empty: none. */
interface Around {
  readonly before: string;
  readonly after: string;
  readonly instead: string | undefined;
}

function whole({ before, after, instead }: Around): string {
  return [before, instead ?? "", after].filter((text) => text !== "").join(gap);
}

/** In a member of the body. */
function inMember(
  { bytes, shape, instructions, nulls }: PromptOutline,
  name: string,
  parts: Around,
): readonly Edit[] | Failure {
  if (instructions !== undefined)
    return around({ bytes, name, content: instructions, textPart: shape.textPart }, parts);
  if (nulls.instructions !== undefined)
    return [{ ...nulls.instructions, text: JSON.stringify(whole(parts)) }];
  // In front of all members: the object has a model's name at least.
  const at = bytes.indexOf(0x7b) + 1;
  return [{ start: at, end: at, text: `${JSON.stringify(name)}:${JSON.stringify(whole(parts))},` }];
}

/** In the messages that are instructions: servers want these first, and many no more than one. */
function inMessages(outline: PromptOutline, parts: Around): readonly Edit[] | Failure {
  const { bytes, shape, all } = outline;
  const { before, after, instead } = parts;
  const first = all[0];
  if (first === undefined || !isSystemRole(first.role)) {
    const text = JSON.stringify({ role: "system", content: whole(parts) });
    const added = addMessage(outline, text, "first");
    const isSystem = all.map(({ role }) => instead !== undefined && isSystemRole(role));
    return isFailure(added) ? added : [...added, ...withoutMessages(outline, isSystem)];
  }
  const place = (message: Message): Place => ({
    bytes,
    name: `${shape.list}[${all.indexOf(message)}].content`,
    content: message.content,
    textPart: shape.textPart,
    message,
  });
  if (instead !== undefined) {
    const others = all.map(({ role }, index) => index > 0 && isSystemRole(role));
    const replaced = around(place(first), { before: "", after: "", instead: whole(parts) });
    return isFailure(replaced) ? replaced : [...replaced, ...withoutMessages(outline, others)];
  }
  const count = all.findIndex(({ role }) => !isSystemRole(role));
  const last = all[(count < 0 ? all.length : count) - 1] ?? first;
  if (last === first) return around(place(first), parts);
  const head = before === "" ? [] : around(place(first), { before, after: "", instead: undefined });
  if (isFailure(head)) return head;
  const tail = after === "" ? [] : around(place(last), { before: "", after, instead: undefined });
  return isFailure(tail) ? tail : [...head, ...tail];
}

/** A content that texts go around. */
interface Place {
  readonly bytes: Uint8Array;
  /** For messages. */
  readonly name: string;
  readonly content: Span | undefined;
  readonly textPart: string;
  /** Whose content it is, for one that has none. */
  readonly message?: Message;
}

function around(
  { bytes, name, content, textPart, message }: Place,
  parts: Around,
): readonly Edit[] | Failure {
  const { before, after, instead } = parts;
  if (content === undefined) {
    if (message === undefined) return [];
    return contentOf(message, whole(parts));
  }
  if (instead !== undefined) return [{ ...content, text: JSON.stringify(whole(parts)) }];
  const edits: Edit[] = [];
  const { start, end } = content;
  if (isString(bytes, start)) {
    const isEmpty = end - start === 2;
    if (before !== "") edits.push(insert(start + 1, inString(isEmpty ? before : before + gap)));
    const isAlone = isEmpty && before === "";
    if (after !== "") edits.push(insert(end - 1, inString(isAlone ? after : gap + after)));
    return edits;
  }
  if (!isList(bytes, start)) return wrongField(name, "a text or a list of parts");
  const isEmpty = isEmptyList(bytes, content);
  const part = (text: string): string => JSON.stringify({ type: textPart, text });
  if (before !== "") edits.push(insert(start + 1, part(before) + (isEmpty && after === "" ? "" : ",")));
  if (after !== "") edits.push(insert(end - 1, (isEmpty ? "" : ",") + part(after)));
  return edits;
}

/** The content of a message that has none, or null. In front of its members: it has a role at least. */
function contentOf({ start, nullContent }: Message, text: string): readonly Edit[] {
  const written = JSON.stringify(text);
  return nullContent === undefined
    ? [insert(start + 1, `"content":${written},`)]
    : [{ ...nullContent, text: written }];
}

/** `isEmptied`: no message is left of the list. */
function contextEdits(
  outline: PromptOutline,
  context: string,
  isEmptied: boolean,
): readonly Edit[] | Failure {
  if (context === "") return [];
  const { bytes, shape, list } = outline;
  const found = outline.lastUser();
  if (found !== undefined) {
    const [text] = found.texts;
    if (text.part === text.start) {
      const isEmpty = text.end - text.start === 2;
      return [insert(text.start + 1, inString(isEmpty ? context : context + gap))];
    }
    return [insert(text.part, `${JSON.stringify({ type: shape.textPart, text: context })},`)];
  }
  if (shape.isText === "only" || (list !== undefined && !isList(bytes, list.start))) {
    return failure("bad_request", `${shape.list}: there is no text that context could go before`);
  }
  const text = JSON.stringify({ role: "user", content: context });
  return addMessage(outline, text, isEmptied ? "only" : "last");
}

/** A further message; with the list itself, where there is none. */
function addMessage(
  { bytes, shape, list, nulls }: PromptOutline,
  text: string,
  where: "first" | "last" | "only",
): readonly Edit[] | Failure {
  if (list === undefined) {
    if (nulls.list !== undefined) return [{ ...nulls.list, text: `[${text}]` }];
    return [insert(bytes.indexOf(0x7b) + 1, `${JSON.stringify(shape.list)}:[${text}],`)];
  }
  const isEmpty = where === "only" || isEmptyList(bytes, list);
  if (where === "first") return [insert(firstItem(bytes, list.start), isEmpty ? text : `${text},`)];
  return [insert(list.end - 1, isEmpty ? text : `,${text}`)];
}

/** Takes messages out, each with one comma. The first stays, or something is put before it. */
function withoutMessages({ all }: PromptOutline, isOut: readonly boolean[]): readonly Edit[] {
  const edits: Edit[] = [];
  for (let from = 0; from < all.length; from++) {
    if (isOut[from] !== true) continue;
    let to = from;
    while (isOut[to + 1] === true) to++;
    const [first, last, next, previous] = [all[from], all[to], all[to + 1], all[from - 1]];
    if (first === undefined || last === undefined) break;
    if (next !== undefined) edits.push({ start: first.start, end: next.start, text: "" });
    else edits.push({ start: previous?.end ?? first.start, end: last.end, text: "" });
    from = to;
  }
  return edits;
}

function insert(at: number, text: string): Edit {
  return { start: at, end: at, text };
}

/** As it stands within the quotes of a JSON string. */
function inString(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}
