/** A body's prompt: where its messages and instructions stand, found without parsing the body. */
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { PromptReading, PromptText } from "../../core/forward.ts";
import { wrongField } from "../chat/cannot-carry.ts";
import { MemberFinder, type MemberSpans } from "../json/member-spans.ts";
import { TurnedSearch } from "../json/value-end.ts";
import {
  decodeText,
  firstItem,
  isList,
  isString,
  nextItem,
  textsOf,
  type Span,
  type TextSpan,
} from "./json-items.ts";
import { takesInstructions, type PromptShape } from "./prompt-shape.ts";

/** A message of a conversation. */
export interface Message extends Span {
  /** Empty where it says none, which only what is no message does. */
  readonly role: string;
  /** Undefined where it has none, or null. */
  readonly content: Span | undefined;
  readonly nullContent: Span | undefined;
  /** The texts in its content. */
  readonly texts: readonly TextSpan[];
}

/** Messages of more bytes are looked into in turns, and so many smaller ones in one. */
const largeMessage = 131_072;
const messagesInATurn = 64;

/** Messages of one body: rules do not look at longer conversations. */
const maxMessages = 65_536;

const openBrace = 0x7b;
const closeBracket = 0x5d;
const messageFinder = new MemberFinder(["role", "content"]);
const finders = new Map<PromptShape, MemberFinder>();

/** Index of the member for instructions, and of the one that takes their place away. */
const [instructionsAt, rawAt] = [1, 2];

function finderOf(shape: PromptShape): MemberFinder {
  let finder = finders.get(shape);
  if (finder !== undefined) return finder;
  finder = new MemberFinder([shape.list, shape.instructions ?? "", shape.raw ?? ""]);
  finders.set(shape, finder);
  return finder;
}

/** Finds the prompt, giving the event loop a turn again and again. Failures name the field that is not what it should be. */
export function* readPromptOutline(
  bytes: Uint8Array,
  shape: PromptShape,
): Generator<void, PromptOutline | Failure> {
  const spans = yield* finderOf(shape).findInTurns(bytes);
  if (isFailure(spans)) return spans;
  const list = spanOf(spans, 0);
  const search = new TurnedSearch(bytes);
  const instructions = spanOf(spans, instructionsAt);
  const { textPart } = shape;
  const texts = instructions === undefined ? [] : yield* textsOf(bytes, instructions, { textPart, search });
  const isText = list !== undefined && isString(bytes, list.start);
  if (list === undefined || (isText && shape.isText !== "never")) {
    return new PromptOutline({ bytes, shape, spans, list, texts, messages: [] });
  }
  if (!isList(bytes, list.start) || shape.isText === "only") {
    return wrongField(shape.list, shape.isText === "only" ? "a text" : "a list of messages");
  }
  const messages = yield* readMessages(bytes, list, { shape, search });
  return isFailure(messages) ? messages : new PromptOutline({ bytes, shape, spans, list, texts, messages });
}

/** Undefined where the member is not there, or null. */
function spanOf(spans: MemberSpans, index: number): Span | undefined {
  const start = spans.start(index);
  return start < 0 || spans.is(index, "null") ? undefined : { start, end: spans.end(index) };
}

function* readMessages(
  bytes: Uint8Array,
  list: Span,
  { shape, search }: { readonly shape: PromptShape; readonly search: TurnedSearch },
): Generator<void, readonly Message[] | Failure> {
  const messages: Message[] = [];
  const { textPart } = shape;
  let at = firstItem(bytes, list.start);
  while (at >= 0 && at < list.end && bytes[at] !== closeBracket) {
    if (messages.length >= maxMessages) {
      return failure("body_too_large", `${shape.list}: more than ${maxMessages} messages`);
    }
    const end = yield* search.end(at);
    if (end <= at) return failure("invalid_json", `The body is not valid JSON at byte ${at}`);
    if (bytes[at] !== openBrace) return wrongField(`${shape.list}[${messages.length}]`, "a message");
    const written = bytes.subarray(at, end);
    const members =
      written.length > largeMessage ? yield* messageFinder.findInTurns(written) : messageFinder.find(written);
    if (isFailure(members)) return members;
    const message = messageOf(members, at, end);
    const { content } = message;
    const texts = content === undefined ? [] : yield* textsOf(bytes, content, { textPart, search });
    messages.push({ ...message, texts });
    if (messages.length % messagesInATurn === 0) yield;
    at = nextItem(bytes, end);
  }
  return messages;
}

function messageOf(members: MemberSpans, start: number, end: number): Omit<Message, "texts"> {
  const role = members.value(0);
  const place = { start: start + members.start(1), end: start + members.end(1) };
  const isNull = members.is(1, "null");
  return {
    start,
    end,
    role: typeof role === "string" ? role : "",
    content: isNull || members.start(1) < 0 ? undefined : place,
    nullContent: isNull ? place : undefined,
  };
}

/** What one is made from. */
export interface OutlineParts {
  readonly bytes: Uint8Array;
  readonly shape: PromptShape;
  readonly spans: MemberSpans;
  /** The member with the conversation; undefined where it is not there, or null. */
  readonly list: Span | undefined;
  readonly messages: readonly Message[];
  /** Those of the member for instructions. */
  readonly texts: readonly TextSpan[];
}

/** Roles whose messages are instructions. */
export function isSystemRole(role: string): boolean {
  return role === "system" || role === "developer";
}

/** Where a prompt stands. */
export class PromptOutline implements PromptReading {
  readonly bytes: Uint8Array;
  readonly shape: PromptShape;
  readonly list: Span | undefined;
  /** Empty for a plain prompt. */
  readonly all: readonly Message[];
  /** The member for instructions; undefined where it is not there, or null. */
  readonly instructions: Span | undefined;
  /** False where the call takes instructions, but has said that it gives the model all it is to see. */
  readonly takesInstructions: boolean;
  /** Where `null` stands instead of the conversation, or of instructions. */
  readonly nulls: { readonly list: Span | undefined; readonly instructions: Span | undefined };

  readonly #instructionTexts: readonly TextSpan[];

  constructor({ bytes, shape, spans, list, messages, texts }: OutlineParts) {
    this.#instructionTexts = texts;
    this.bytes = bytes;
    this.shape = shape;
    this.list = list;
    this.all = messages;
    this.instructions = spanOf(spans, instructionsAt);
    this.takesInstructions = takesInstructions(shape) && !spans.is(rawAt, "true");
    const nullAt = (at: number): Span | undefined =>
      spans.is(at, "null") ? { start: spans.start(at), end: spans.end(at) } : undefined;
    this.nulls = { list: nullAt(0), instructions: nullAt(instructionsAt) };
  }

  /** True for a conversation that is one text. */
  get isText(): boolean {
    return this.list !== undefined && isString(this.bytes, this.list.start);
  }

  get messages(): number {
    return this.isText ? 1 : this.all.length;
  }

  texts(maxBytes: number): { readonly texts: readonly PromptText[]; readonly isCut: boolean } {
    const texts: PromptText[] = [];
    let left = maxBytes;
    for (const { role, texts: spans } of this.#contents()) {
      for (const span of spans) {
        const size = span.end - span.start - 2;
        const text = decodeText(this.bytes, span, left);
        if (text !== "" || size === 0) texts.push({ role, text });
        if (size > left) return { texts, isCut: true };
        left -= size;
      }
    }
    return { texts, isCut: false };
  }

  lastUserText(maxBytes: number): { readonly text: string; readonly isCut: boolean } | undefined {
    const found = this.lastUser();
    if (found === undefined) return undefined;
    const texts: string[] = [];
    let left = maxBytes;
    for (const span of found.texts) {
      texts.push(decodeText(this.bytes, span, left));
      left -= span.end - span.start - 2;
      if (left < 0) break;
    }
    return { text: texts.join("\n"), isCut: left < 0 };
  }

  /** The texts of the caller's last message that has any: results of calls come as the caller's messages, too. */
  lastUser(): { readonly texts: readonly [TextSpan, ...TextSpan[]] } | undefined {
    const { list } = this;
    if (list !== undefined && this.isText) return { texts: [{ ...list, part: list.start }] };
    for (let index = this.all.length - 1; index >= 0; index--) {
      const { role = "", texts = [] } = this.all[index] ?? {};
      const [first, ...others] = role === "user" ? texts : [];
      if (first !== undefined) return { texts: [first, ...others] };
    }
    return undefined;
  }

  *#contents(): Generator<Pick<Message, "role" | "texts">> {
    yield { role: "system", texts: this.#instructionTexts };
    const { list } = this;
    if (list !== undefined && this.isText) yield { role: "user", texts: [{ ...list, part: list.start }] };
    yield* this.all;
  }
}
