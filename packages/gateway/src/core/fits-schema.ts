/**
 * Does a value fit a JSON Schema (https://json-schema.org/draft/2020-12)? For schemas of callers, which may be anything:
 * an interpreter with a bound on its steps, which makes no code and runs no pattern of the caller's. `pattern`, `format`,
 * `patternProperties` and words that it does not know hold for every value.
 */

type JsonObject = Readonly<Record<string, unknown>>;

/** Schemas that are looked at for one value; a few milliseconds. */
const maxSteps = 50_000;

/** Schemas within schemas. */
const maxDepth = 128;

/** Undefined where the bounds were reached before it was known. */
export function fitsSchema(value: unknown, schema: unknown): boolean | undefined {
  const check = new SchemaCheck(schema);
  const fits = check.fits(value, schema, 0);
  return check.isSpent ? undefined : fits;
}

/** Words that decide whether a value fits. */
const checkedWords: ReadonlySet<string> = new Set([
  "$ref",
  "additionalProperties",
  "allOf",
  "anyOf",
  "const",
  "enum",
  "exclusiveMaximum",
  "exclusiveMinimum",
  "items",
  "maxItems",
  "maxLength",
  "maxProperties",
  "maximum",
  "minItems",
  "minLength",
  "minProperties",
  "minimum",
  "multipleOf",
  "not",
  "oneOf",
  "prefixItems",
  "properties",
  "required",
  "type",
]);

/** Words that say nothing about values. */
const silentWords: ReadonlySet<string> = new Set([
  "$anchor",
  "$comment",
  "$defs",
  "$id",
  "$schema",
  "default",
  "definitions",
  "deprecated",
  "description",
  "examples",
  "readOnly",
  "title",
  "writeOnly",
]);

/** The first word of a schema that would hold for every value here though it should not; undefined: there is none. */
export function uncheckedWord(schema: unknown, depth = 0): string | undefined {
  if (!isJsonObject(schema) || depth > maxDepth) return undefined;
  for (const [word, value] of Object.entries(schema)) {
    if (!checkedWords.has(word) && !silentWords.has(word)) return word;
    if (word === "$ref" && (typeof value !== "string" || !value.startsWith("#"))) return "$ref";
    const inner = schemasIn(word, value).map((each) => uncheckedWord(each, depth + 1));
    const found = inner.find((each) => each !== undefined);
    if (found !== undefined) return found;
  }
  return undefined;
}

function schemasIn(word: string, value: unknown): readonly unknown[] {
  switch (word) {
    case "properties":
    case "$defs":
    case "definitions":
      return isJsonObject(value) ? Object.values(value) : [];
    case "allOf":
    case "anyOf":
    case "oneOf":
    case "prefixItems":
      return Array.isArray(value) ? (value as readonly unknown[]) : [];
    case "additionalProperties":
    case "items":
    case "not":
      return [value];
    default:
      return [];
  }
}

/** Where a value does not fit: keys from its top; `unknown` where the bounds were reached before it was known; undefined: it fits. */
export function findMisfit(value: unknown, schema: unknown): readonly string[] | "unknown" | undefined {
  const check = new SchemaCheck(schema);
  const fits = check.fits(value, schema, 0);
  if (check.isSpent) return "unknown";
  return fits ? undefined : (check.misfit ?? []);
}

function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

class SchemaCheck {
  readonly #root: unknown;
  #steps = 0;
  /** Where the check is. */
  readonly #path: string[] = [];
  /** Choices that the check is within: what does not fit one of these may fit another. */
  #choices = 0;
  /** Where the value did not fit first. */
  misfit: readonly string[] | undefined;

  constructor(root: unknown) {
    this.#root = root;
  }

  /** True once the bounds were reached: what `fits` says is worth nothing. */
  get isSpent(): boolean {
    return this.#steps > maxSteps;
  }

  fits(value: unknown, schema: unknown, depth: number): boolean {
    this.#steps += depth > maxDepth ? maxSteps + 1 : 1;
    if (this.isSpent) return true;
    if (typeof schema !== "boolean" && !isJsonObject(schema)) return true;
    const fits = typeof schema === "boolean" ? schema : this.#holds(value, schema, depth);
    if (!fits && this.#choices === 0) this.misfit ??= [...this.#path];
    return fits;
  }

  #holds(value: unknown, schema: JsonObject, depth: number): boolean {
    return (
      isOfType(value, schema["type"]) &&
      this.#isListed(value, schema) &&
      this.#combines(value, schema, depth + 1) &&
      this.#contains(value, schema, depth + 1)
    );
  }

  #fitsAt(key: string | number, value: unknown, schema: unknown, depth: number): boolean {
    this.#path.push(String(key));
    const fits = this.fits(value, schema, depth);
    this.#path.pop();
    return fits;
  }

  #isListed(value: unknown, { enum: values, ...schema }: JsonObject): boolean {
    if (Array.isArray(values) && !values.some((each) => this.#equal(each, value))) return false;
    return !("const" in schema) || this.#equal(schema["const"], value);
  }

  #combines(value: unknown, schema: JsonObject, depth: number): boolean {
    const { $ref: ref, allOf, anyOf, oneOf, not } = schema;
    const holds = (each: unknown): boolean => this.fits(value, each, depth);
    if (typeof ref === "string" && !holds(this.#resolve(ref))) return false;
    if (Array.isArray(allOf) && !allOf.every(holds)) return false;
    this.#choices++;
    const chosen =
      (!Array.isArray(anyOf) || anyOf.some(holds)) &&
      (!Array.isArray(oneOf) || oneOf.filter(holds).length === 1) &&
      (not === undefined || !holds(not));
    this.#choices--;
    return chosen;
  }

  #contains(value: unknown, schema: JsonObject, depth: number): boolean {
    if (typeof value === "string")
      return isWithin(Array.from(value).length, schema, "minLength", "maxLength");
    if (typeof value === "number") return isInRange(value, schema);
    if (Array.isArray(value)) return this.#items(value, schema, depth);
    return !isJsonObject(value) || this.#members(value, schema, depth);
  }

  #items(values: readonly unknown[], schema: JsonObject, depth: number): boolean {
    if (!isWithin(values.length, schema, "minItems", "maxItems")) return false;
    const first: unknown = schema["prefixItems"];
    const places: readonly unknown[] = Array.isArray(first) ? first : [];
    const others: unknown = schema["items"] ?? true;
    return values.every((each, index) => this.#fitsAt(index, each, places[index] ?? others, depth));
  }

  #members(value: JsonObject, schema: JsonObject, depth: number): boolean {
    const { properties: given, required, additionalProperties: others = true } = schema;
    const properties = isJsonObject(given) ? given : {};
    const has = (name: unknown): boolean => typeof name !== "string" || Object.hasOwn(value, name);
    if (Array.isArray(required) && !required.every(has)) return false;
    const names = Object.keys(value);
    if (!isWithin(names.length, schema, "minProperties", "maxProperties")) return false;
    // A pattern may name what `properties` does not.
    const rest = "patternProperties" in schema ? true : others;
    return names.every((name) =>
      this.#fitsAt(name, value[name], Object.hasOwn(properties, name) ? properties[name] : rest, depth),
    );
  }

  /** `#` and `#/$defs/name`; any other reference holds for every value. */
  #resolve(ref: string): unknown {
    if (!ref.startsWith("#")) return true;
    let at: unknown = this.#root;
    for (const part of ref.slice(1).split("/").slice(1)) {
      const name = part.replaceAll("~1", "/").replaceAll("~0", "~");
      if (typeof at !== "object" || at === null || !Object.hasOwn(at, name)) return true;
      at = (at as JsonObject)[name];
    }
    return at;
  }

  #equal(a: unknown, b: unknown): boolean {
    this.#steps++;
    if (this.isSpent || typeof a !== "object" || typeof b !== "object" || a === null || b === null)
      return a === b;
    if (Array.isArray(a) !== Array.isArray(b)) return false;
    const names = Object.keys(a);
    if (names.length !== Object.keys(b).length) return false;
    return names.every(
      (name) => Object.hasOwn(b, name) && this.#equal((a as JsonObject)[name], (b as JsonObject)[name]),
    );
  }
}

function isOfType(value: unknown, type: unknown): boolean {
  if (Array.isArray(type)) return type.some((each) => isOfType(value, each));
  switch (type) {
    case "null":
      return value === null;
    case "array":
      return Array.isArray(value);
    case "object":
      return isJsonObject(value);
    case "integer":
      return Number.isInteger(value);
    case "string":
    case "number":
    case "boolean":
      return typeof value === type;
    default:
      return true;
  }
}

/** A count between two bounds of the schema. */
function isWithin(count: number, schema: JsonObject, low: string, high: string): boolean {
  const [min, max] = [schema[low], schema[high]];
  return !(typeof min === "number" && count < min) && !(typeof max === "number" && count > max);
}

function isInRange(value: number, schema: JsonObject): boolean {
  if (!isWithin(value, schema, "minimum", "maximum")) return false;
  const { exclusiveMinimum: above, exclusiveMaximum: below, multipleOf: step } = schema;
  if (typeof above === "number" && value <= above) return false;
  if (typeof below === "number" && value >= below) return false;
  if (typeof step !== "number" || step <= 0) return true;
  const times = value / step;
  return Math.abs(times - Math.round(times)) < 1e-9 * Math.max(1, Math.abs(times));
}
