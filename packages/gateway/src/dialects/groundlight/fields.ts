/** Reads members of a JSON object and keeps the first thing that is wrong, so that a reader is one expression and one check. */
import type { JsonObject, JsonValue } from "../../core/detector.ts";
import { failure, type ErrorCode, type Failure } from "../../core/errors.ts";

/** Bounds of a number, both included. Default: none. */
export interface NumberBounds {
  readonly min?: number;
  readonly max?: number;
  readonly integer?: boolean;
}

/** One JSON object that is being read. Members that are not asked for are ignored. */
export class Fields {
  readonly #members: Readonly<Record<string, unknown>>;
  readonly #place: string;
  readonly #problems: { first: string | undefined; field: string | undefined };

  private constructor(
    value: unknown,
    place: string,
    problems: { first: string | undefined; field: string | undefined },
  ) {
    const members = membersOf(value);
    this.#place = place;
    this.#problems = problems;
    this.#members = members ?? {};
    if (members === undefined) this.wrong("", `is ${describe(value)}, expected an object`);
  }

  /** `what` names the whole in messages, such as `image query`. */
  static of(value: unknown, what: string): Fields {
    return new Fields(value, what, { first: undefined, field: undefined });
  }

  /** What is wrong first, as a failure; undefined when all that was asked for is there. */
  failure(code: ErrorCode): Failure | undefined {
    const { first, field } = this.#problems;
    if (first === undefined) return undefined;
    return field === undefined || field === "" ? failure(code, first) : { code, message: first, field };
  }

  /** Keeps a problem of a member; only the first one counts. */
  wrong(name: string, problem: string): void {
    if (this.#problems.first !== undefined) return;
    this.#problems.first = name === "" ? `${this.#place} ${problem}` : `${this.#place}: ${name} ${problem}`;
    this.#problems.field = name;
  }

  /** The value as it is; undefined where it is missing or null. */
  raw(name: string): unknown {
    const value = Object.hasOwn(this.#members, name) ? this.#members[name] : undefined;
    return value === null ? undefined : value;
  }

  /** A text that must be there. */
  text(name: string, maxLength = Infinity): string {
    return this.textOr(name, undefined, maxLength) ?? this.#missing(name, "");
  }

  /** A text, or `missing` where there is none or null. */
  textOr<M extends string | undefined>(name: string, missing: M, maxLength = Infinity): string | M {
    const value = this.raw(name);
    if (value === undefined) return missing;
    if (typeof value !== "string") this.wrong(name, `is ${describe(value)}, expected a text`);
    else if (value.length > maxLength)
      this.wrong(name, `has ${value.length} characters, at most ${maxLength} are allowed`);
    else return value;
    return "";
  }

  /** A number that must be there. */
  number(name: string, bounds: NumberBounds = {}): number {
    return this.numberOr(name, undefined, bounds) ?? this.#missing(name, 0);
  }

  /** A number, or `missing` where there is none or null. */
  numberOr<M extends number | undefined | null>(
    name: string,
    missing: M,
    bounds: NumberBounds = {},
  ): number | M {
    const value = this.raw(name);
    if (value === undefined) return missing;
    const { min = -Infinity, max = Infinity, integer = false } = bounds;
    if (typeof value !== "number") this.wrong(name, `is ${describe(value)}, expected a number`);
    else if (integer && !Number.isInteger(value)) this.wrong(name, `is ${value}, expected a whole number`);
    else if (!(value >= min && value <= max))
      this.wrong(name, `is ${value}, expected ${describeBounds(min, max)}`);
    else return value;
    return 0;
  }

  /** `missing` where there is none or null. */
  booleanOr<M extends boolean | null>(name: string, missing: M): boolean | M {
    const value = this.raw(name);
    if (value === undefined) return missing;
    if (typeof value !== "boolean") this.wrong(name, `is ${describe(value)}, expected true or false`);
    return value === true;
  }

  /** One of `words`, or `missing` where there is none, null or an empty text. */
  wordOr<W extends string, M extends W | undefined>(
    name: string,
    words: readonly [W, ...W[]],
    missing: M,
  ): W | M {
    const value = this.raw(name);
    if (value === undefined || value === "") return missing;
    const found = words.find((word) => word === value);
    if (found === undefined) this.wrong(name, `is ${describe(value)}, expected ${words.join(", ")}`);
    return found ?? words[0];
  }

  /** A member object; undefined where there is none or null. Its problems are this object's. */
  object(name: string): Fields | undefined {
    const value = this.raw(name);
    return value === undefined ? undefined : new Fields(value, `${this.#place}: ${name}`, this.#problems);
  }

  /** A member that is a JSON object, as it is; null where there is none. */
  json(name: string): JsonObject | null {
    const value = this.raw(name);
    if (value === undefined) return null;
    const members = membersOf(value);
    if (members === undefined) this.wrong(name, `is ${describe(value)}, expected an object`);
    // What a JSON parser gave holds JSON values only.
    return members === undefined ? null : (members as Readonly<Record<string, JsonValue>>);
  }

  /** Items of a list, each read by `read`; undefined where there is none or null. */
  list<T>(name: string, maxItems: number, read: (item: Fields) => T): T[] | undefined {
    const items = this.items(name, maxItems);
    return items?.map((item, at) => read(new Fields(item, `${this.#place}: ${name}[${at}]`, this.#problems)));
  }

  /** Texts of a list; undefined where there is none or null. */
  texts(name: string, maxItems: number): string[] | undefined {
    return this.items(name, maxItems)?.map((item, at) => {
      if (typeof item === "string") return item;
      this.wrong(`${name}[${at}]`, `is ${describe(item)}, expected a text`);
      return "";
    });
  }

  /** Items of a list as they are; undefined where there is none or null. */
  items(name: string, maxItems: number): readonly unknown[] | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) this.wrong(name, `is ${describe(value)}, expected a list`);
    else if (value.length > maxItems)
      this.wrong(name, `has ${value.length} items, at most ${maxItems} are allowed`);
    else return value;
    return [];
  }

  #missing<T>(name: string, placeholder: T): T {
    this.wrong(name, "is missing");
    return placeholder;
  }
}

/** Members of an object; undefined for anything else. */
export function membersOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;
}

function describeBounds(min: number, max: number): string {
  if (max === Infinity) return `at least ${min}`;
  return min === -Infinity ? `at most ${max}` : `${min} to ${max}`;
}

/** A value as a message shows it, cut to 60 characters. */
function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
