/** Reads fields of callers' bodies one by one, and keeps what is wrong with the first that is not what its API says. */
import type { Failure } from "../../core/errors.ts";
import { untranslatable, wrongField } from "./cannot-carry.ts";
import { isJsonObject, type JsonObject } from "./json-object.ts";

/**
 * `undefined` and `null` count as absent. A value of another type makes `failure` and reads as absent,
 * so that a reader may go on and look at `failure` once, at its end.
 */
export class FieldReader {
  #failure: Failure | undefined;

  /** What is wrong with the first bad field; it names the field. */
  get failure(): Failure | undefined {
    return this.#failure;
  }

  /** A text. */
  string(value: unknown, name: string): string | undefined {
    if (value === undefined || value === null || typeof value === "string") return value ?? undefined;
    return this.#wrong(name, "a string");
  }

  /** A finite number. */
  number(value: unknown, name: string): number | undefined {
    if (value === undefined || value === null || typeof value === "number") return value ?? undefined;
    return this.#wrong(name, "a number");
  }

  /** `true` or `false`. */
  boolean(value: unknown, name: string): boolean | undefined {
    if (value === undefined || value === null || typeof value === "boolean") return value ?? undefined;
    return this.#wrong(name, "true or false");
  }

  /** An object that is no array. */
  object(value: unknown, name: string): JsonObject | undefined {
    if (value === undefined || value === null) return undefined;
    return isJsonObject(value) ? value : this.#wrong(name, "an object");
  }

  /** An array; empty where it is absent. */
  array(value: unknown, name: string): readonly unknown[] {
    if (value === undefined || value === null) return [];
    return Array.isArray(value) ? value : (this.#wrong(name, "an array") ?? []);
  }

  /** Objects of an array. */
  objects(value: unknown, name: string): readonly JsonObject[] {
    return this.array(value, name).flatMap((each, i): readonly JsonObject[] => {
      const object = this.object(each ?? false, `${name}[${i}]`);
      return object === undefined ? [] : [object];
    });
  }

  /** Texts of an array, or one text alone. */
  strings(value: unknown, name: string): readonly string[] {
    if (typeof value === "string") return [value];
    return this.array(value, name).flatMap((each, i) => this.string(each ?? false, `${name}[${i}]`) ?? []);
  }

  /** A text that has to be there. */
  required(value: unknown, name: string): string {
    return this.string(value ?? false, name) ?? "";
  }

  /** Keeps that a field is not what it should be. */
  wrong(name: string, expected: string): void {
    this.#wrong(name, expected);
  }

  /** Keeps that a field that is there has no words in any other API. */
  refuse(name: string, why?: string): void {
    this.#failure ??= untranslatable(name, why);
  }

  #wrong(name: string, expected: string): undefined {
    this.#failure ??= wrongField(name, expected);
    return undefined;
  }
}
