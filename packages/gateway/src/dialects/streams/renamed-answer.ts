/** Puts the caller's name for a model back into an answer whose server knows the model by another. */
import type { Failure } from "../../core/errors.ts";
import type { AnswerSink, TokenUsage } from "../../core/forward.ts";
import type { HeaderList } from "../../core/headers.ts";
import { asBuffer } from "../json/parse-json.ts";
import { skipBlanks } from "./key-finder.ts";

const member = Buffer.from('"model"');
const quote = 0x22;
const backslash = 0x5c;
const colon = 0x3a;

/** Names of one model. */
export interface ModelNames {
  /** That the server was asked for. */
  readonly sent: string;
  /** The caller's. */
  readonly told: string;
  readonly isStream: boolean;
}

/** The sink itself where the names are one. */
export function renamed(out: AnswerSink, names: ModelNames): AnswerSink {
  return names.sent === names.told ? out : new RenamedAnswer(out, names);
}

/** Stands before an attempt's sink. Bytes go through as they are but for the values of members called `model` that are the server's name. */
export class RenamedAnswer implements AnswerSink {
  readonly #out: AnswerSink;
  readonly #sent: Buffer;
  readonly #told: Buffer;
  readonly #isStream: boolean;
  /** The end of what came last, where a member may have begun. */
  #held: Buffer | undefined;
  #isDone = false;

  /** Of an answer that is no stream the first is replaced. */
  constructor(out: AnswerSink, { sent, told, isStream }: ModelNames) {
    this.#out = out;
    this.#sent = Buffer.from(JSON.stringify(sent));
    this.#told = Buffer.from(JSON.stringify(told));
    this.#isStream = isStream;
  }

  head(status: number, headers: HeaderList): void {
    this.#out.head(status, headers);
  }

  commit(): void {
    this.#out.commit();
  }

  usage(tokens: TokenUsage): void {
    this.#out.usage(tokens);
  }

  data(chunk: Uint8Array): void {
    const held = this.#held;
    if (this.#isDone && held === undefined) return this.#out.data(chunk);
    this.#held = undefined;
    const bytes = held === undefined ? asBuffer(chunk) : Buffer.concat([held, chunk]);
    this.#pass(bytes, held === undefined ? chunk : bytes);
  }

  end(failed?: Failure): void {
    this.#flush();
    this.#out.end(failed);
  }

  fail(reason: Failure): void {
    this.#out.fail(reason);
  }

  #flush(): void {
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) this.#out.data(held);
  }

  /** `whole`: the same bytes, as they came. */
  #pass(bytes: Buffer, whole: Uint8Array): void {
    const parts: Uint8Array[] = [];
    let done = 0;
    for (let at = bytes.indexOf(member); at >= 0 && !this.#isDone; at = bytes.indexOf(member, at + 1)) {
      if (bytes[at - 1] === backslash) continue;
      const value = this.#valueAt(bytes, at + member.length);
      if (value === "unknown") {
        this.#hold(bytes, at);
        return this.#give(bytes, { parts, from: done, to: at, whole });
      }
      if (value < 0) continue;
      parts.push(bytes.subarray(done, value), this.#told);
      done = value + this.#sent.length;
      this.#isDone = !this.#isStream;
    }
    const to = this.#isDone ? bytes.length : this.#beginning(bytes, done);
    this.#hold(bytes, to);
    this.#give(bytes, { parts, from: done, to, whole });
  }

  #give(
    bytes: Buffer,
    { parts, from, to, whole }: { parts: Uint8Array[]; from: number; to: number; whole: Uint8Array },
  ): void {
    if (parts.length === 0 && from === 0 && to === bytes.length) return this.#out.data(whole);
    if (to > from) parts.push(bytes.subarray(from, to));
    const [only] = parts;
    if (only !== undefined) this.#out.data(parts.length === 1 ? only : Buffer.concat(parts));
  }

  /** Copied: a socket's memory is not to be kept. */
  #hold(bytes: Buffer, from: number): void {
    this.#held = from < bytes.length ? Buffer.from(bytes.subarray(from)) : undefined;
  }

  /** Where the server's name stands; -1: another value, `unknown`: it has not come yet. */
  #valueAt(bytes: Buffer, from: number): number | "unknown" {
    const end = bytes.length;
    let at = skipBlanks(bytes, from, end);
    if (at === end) return at - from > maxBlanks ? -1 : "unknown";
    if (bytes[at] !== colon) return -1;
    at = skipBlanks(bytes, at + 1, end);
    if (at === end) return at - from > maxBlanks ? -1 : "unknown";
    const length = Math.min(this.#sent.length, end - at);
    if (bytes.compare(this.#sent, 0, length, at, at + length) !== 0) return -1;
    return length < this.#sent.length ? "unknown" : at;
  }

  /** Where a member's name may begin that is not over yet; the end where none does. */
  #beginning(bytes: Buffer, done: number): number {
    const from = Math.max(done, bytes.length - member.length + 1);
    for (let at = bytes.indexOf(quote, from); at >= 0; at = bytes.indexOf(quote, at + 1)) {
      const length = bytes.length - at;
      if (bytes.compare(member, 0, length, at) === 0) return at;
    }
    return bytes.length;
  }
}

/** Blanks between a name and its value, beyond which no server goes: what is held back stays bounded. */
const maxBlanks = 64;
