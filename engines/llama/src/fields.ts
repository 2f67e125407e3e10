/** Reads the fields of a request's body; a mistake is a `Refusal` that names the field. */
import type { Json, JsonObject } from "./port.ts";
import { Refusal } from "./refusal.ts";

/** Bounds of a number, both included. */
export interface NumberBounds {
  readonly min: number;
  readonly max: number;
  readonly integer?: boolean;
}

/** The fields of one object. `null` counts as absent. */
export class Fields {
  readonly #object: JsonObject;
  readonly #path: string;

  constructor(value: Json | undefined, path = "") {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new Refusal("invalid_request", `${path || "the body"}: expected an object`, path || undefined);
    this.#object = value as JsonObject;
    this.#path = path;
  }

  /** The field's full name, such as `stream_options.include_usage`. */
  nameOf(name: string): string {
    return this.#path === "" ? name : `${this.#path}.${name}`;
  }

  raw(name: string): Json | undefined {
    return Object.hasOwn(this.#object, name) ? (this.#object[name] ?? undefined) : undefined;
  }

  text(name: string): string | undefined {
    const value = this.raw(name);
    if (value === undefined || typeof value === "string") return value;
    throw this.wrong(name, "expected a text");
  }

  requiredText(name: string): string {
    const value = this.text(name);
    if (value !== undefined && value !== "") return value;
    throw this.wrong(name, "is required");
  }

  flag(name: string): boolean {
    const value = this.raw(name) ?? false;
    if (typeof value === "boolean") return value;
    throw this.wrong(name, "expected true or false");
  }

  number(name: string, { min, max, integer = false }: NumberBounds): number | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    const whole = integer ? "a whole number" : "a number";
    if (typeof value !== "number" || value < min || value > max || (integer && !Number.isInteger(value)))
      throw this.wrong(name, `expected ${whole} from ${min} to ${max}`);
    return value;
  }

  list(name: string): readonly Json[] | undefined {
    const value = this.raw(name);
    if (value === undefined || isList(value)) return value;
    throw this.wrong(name, "expected a list");
  }

  object(name: string): Fields | undefined {
    const value = this.raw(name);
    return value === undefined ? undefined : new Fields(value, this.nameOf(name));
  }

  /** A text or a list of texts. */
  texts(name: string): readonly string[] | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    const list = isList(value) ? value : [value];
    if (list.every((item) => typeof item === "string")) return list;
    throw this.wrong(name, "expected a text or a list of texts");
  }

  /** Refuses what the engine cannot do, unless the field is absent or says what it does anyway. */
  refuse(name: string, harmless: readonly Json[] = [false]): void {
    const value = this.raw(name);
    if (value === undefined || harmless.includes(value)) return;
    throw new Refusal("unsupported", `${this.nameOf(name)} is not supported`, this.nameOf(name));
  }

  wrong(name: string, problem: string): Refusal {
    return new Refusal("invalid_request", `${this.nameOf(name)}: ${problem}`, this.nameOf(name));
  }
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
