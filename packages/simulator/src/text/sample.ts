/** Values that satisfy a JSON schema, for structured output and tool arguments. */
import type { Random } from "../random.ts";

/** A JSON schema, or any object that should be one. */
export type Schema = Readonly<Record<string, unknown>> | boolean;

/** Deeper than this, an optional property is left out and an array is empty: schemas may refer to themselves. */
const MAX_DEPTH = 8;

/**
 * A value of the schema. Knows type, enum, const, properties, items, prefixItems, minItems, bounds of numbers and
 * strings, formats of dates, allOf, anyOf, oneOf and local `$ref`; a `pattern` is not obeyed.
 */
export function sampleOf(schema: Schema, random: Random): unknown {
  return new Sampler(schema, random).value(schema, 0);
}

class Sampler {
  readonly #root: Schema;
  readonly #random: Random;

  constructor(root: Schema, random: Random) {
    this.#root = root;
    this.#random = random;
  }

  value(given: unknown, depth: number): unknown {
    const schema = this.#resolve(given);
    if (schema === undefined || depth > 4 * MAX_DEPTH) return null;
    if ("const" in schema) return schema["const"];
    const choices = list(schema["enum"]) ?? undefined;
    if (choices !== undefined) return this.#pick(choices);
    const alternatives = list(schema["anyOf"]) ?? list(schema["oneOf"]);
    if (alternatives !== undefined)
      return this.value(
        merge(schema, alternatives[depth > MAX_DEPTH ? alternatives.length - 1 : 0]),
        depth + 1,
      );
    const all = list(schema["allOf"]);
    if (all !== undefined)
      return this.value(
        all.map((each) => this.#resolve(each)).reduce<Fields>(mergeAll, without(schema, "allOf")),
        depth + 1,
      );
    return this.#ofType(schema, depth);
  }

  #ofType(schema: Fields, depth: number): unknown {
    const type =
      list(schema["type"])?.[0] ?? schema["type"] ?? (isFields(schema["properties"]) ? "object" : "string");
    switch (type) {
      case "object":
        return this.#object(schema, depth);
      case "array":
        return this.#array(schema, depth);
      case "string":
        return this.#string(schema);
      case "integer":
        return Math.round(this.#number(schema, 1));
      case "number":
        return Math.round(this.#number(schema, 0.01) * 100) / 100;
      case "boolean":
        return this.#random.unit() < 0.5;
      default:
        return null;
    }
  }

  #object(schema: Fields, depth: number): Fields {
    const properties = isFields(schema["properties"]) ? schema["properties"] : {};
    const required = list(schema["required"]) ?? [];
    const value: Record<string, unknown> = {};
    for (const [name, each] of Object.entries(properties))
      if (depth < MAX_DEPTH || required.includes(name)) value[name] = this.value(each, depth + 1);
    for (const name of required) if (typeof name === "string" && !(name in value)) value[name] = "value";
    return value;
  }

  #array(schema: Fields, depth: number): unknown[] {
    const first = list(schema["prefixItems"]) ?? [];
    const least = Math.min(numberOr(schema["minItems"], depth < MAX_DEPTH ? 1 : 0), 1000);
    const most = numberOr(schema["maxItems"], Infinity);
    const length = Math.max(first.length, Math.min(least + (depth < 2 ? 1 : 0), most));
    return Array.from({ length }, (_, at) => this.value(first[at] ?? schema["items"] ?? true, depth + 1));
  }

  #string(schema: Fields): string {
    const format = schema["format"];
    if (format === "date-time") return "2026-01-01T12:00:00Z";
    if (format === "date") return "2026-01-01";
    if (format === "time") return "12:00:00Z";
    if (format === "email") return "someone@example.com";
    if (format === "uri") return "https://example.com/";
    if (format === "uuid") return "00000000-0000-4000-8000-000000000000";
    const word = `value${Math.floor(this.#random.unit() * 1000)}`;
    const least = Math.min(numberOr(schema["minLength"], 0), 100_000);
    return word.padEnd(least, "x").slice(0, numberOr(schema["maxLength"], Infinity));
  }

  #number(schema: Fields, step: number): number {
    const low = numberOr(schema["exclusiveMinimum"], Number.NaN) + step;
    const high = numberOr(schema["exclusiveMaximum"], Number.NaN) - step;
    const least = Number.isNaN(low) ? numberOr(schema["minimum"], Number.isNaN(high) ? 0 : high - 100) : low;
    const most = Number.isNaN(high) ? numberOr(schema["maximum"], least + 100) : high;
    const multiple = numberOr(schema["multipleOf"], 0);
    if (multiple > 0) return Math.ceil(least / multiple) * multiple;
    return least + this.#random.unit() * Math.max(0, most - least);
  }

  #pick(values: readonly unknown[]): unknown {
    return values[Math.floor(this.#random.unit() * values.length)];
  }

  /** Follows `#/…` references; undefined where one leads nowhere. */
  #resolve(given: unknown): Fields | undefined {
    let schema = given;
    for (let hops = 0; hops < 16 && isFields(schema) && typeof schema["$ref"] === "string"; hops++) {
      let target: unknown = this.#root;
      for (const key of schema["$ref"].split("/").slice(1))
        target = isFields(target) ? target[key.replaceAll("~1", "/").replaceAll("~0", "~")] : undefined;
      schema = target;
    }
    return schema === true ? {} : isFields(schema) ? schema : undefined;
  }
}

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function list(value: unknown): readonly unknown[] | undefined {
  return Array.isArray(value) && value.length > 0 ? value : undefined;
}

function numberOr(value: unknown, fallback: number): number {
  return typeof value === "number" ? value : fallback;
}

function without(schema: Fields, ...names: string[]): Fields {
  return Object.fromEntries(Object.entries(schema).filter(([name]) => !names.includes(name)));
}

function merge(schema: Fields, alternative: unknown): Fields {
  return mergeAll(without(schema, "anyOf", "oneOf"), isFields(alternative) ? alternative : {});
}

function mergeAll(one: Fields, other: Fields | undefined): Fields {
  if (other === undefined) return one;
  const properties = { ...asFields(one["properties"]), ...asFields(other["properties"]) };
  const required = [...(list(one["required"]) ?? []), ...(list(other["required"]) ?? [])];
  return {
    ...one,
    ...other,
    ...(Object.keys(properties).length > 0 && { properties }),
    ...(required.length > 0 && { required }),
  };
}

function asFields(value: unknown): Fields {
  return isFields(value) ? value : {};
}
