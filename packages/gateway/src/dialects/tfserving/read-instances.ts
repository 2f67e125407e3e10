/**
 * Reads the JSON of `:predict`: `instances` (row format) or `inputs` (columnar format).
 * Source: https://www.tensorflow.org/tfx/serving/api_rest
 */
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import { parseJson, parseJsonExactly } from "../json/parse-json.ts";
import type { JsonLimits } from "../json/scan-json.ts";
import { quoted, shown } from "../tensors/describe.ts";
import { isBase64Object, toColumn, toNamedColumn, type Column } from "./columns.ts";

/** A request after reading. */
export interface InstancesBody {
  /** `rows`: asked by `instances`, answered by `predictions`. `columns`: asked by `inputs`, answered by `outputs`. */
  readonly form: "rows" | "columns";
  readonly columns: readonly Column[];
}

type JsonObject = Readonly<Record<string, unknown>>;

const maxInputs = 1024;

/** Reads a body. Integers beyond ±2^53 keep their digits. */
export function readInstances(
  { body }: { readonly body: Uint8Array },
  limits: JsonLimits,
): InstancesBody | Failure {
  const parsed = parseJson(body, limits);
  if (isFailure(parsed)) return parsed;
  const read = readRequest(parsed.value);
  if (isFailure(read) || !read.columns.some(lostDigits)) return read;
  return readRequest(parseJsonExactly(body));
}

function lostDigits({ values }: Column): boolean {
  return (
    values.kind === "numbers" &&
    values.numbers.some((value) => Number.isInteger(value) && !Number.isSafeInteger(value))
  );
}

function bad(text: string): Failure {
  return failure("bad_request", text);
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readRequest(value: unknown): InstancesBody | Failure {
  if (!isObject(value))
    return bad(`Expected a JSON object with "instances" or "inputs", got ${shown(value)}`);
  const signature = value.signature_name ?? "serving_default";
  if (signature !== "serving_default" && signature !== "")
    return bad(`"signature_name": models have only "serving_default", got ${shown(signature)}`);
  const { instances, inputs } = value;
  if ((instances === undefined) === (inputs === undefined))
    return bad(
      `Expected exactly one of "instances" and "inputs", got ${inputs === undefined ? "none" : "both"}`,
    );
  const columns = instances === undefined ? readColumns(inputs) : readRows(instances);
  return Array.isArray(columns) ? { form: instances === undefined ? "columns" : "rows", columns } : columns;
}

function readRows(instances: unknown): Column[] | Failure {
  if (!Array.isArray(instances) || instances.length === 0)
    return bad(`"instances": expected a list of at least one, got ${shown(instances)}`);
  const first: unknown = instances[0];
  if (isObject(first) && !isBase64Object(first)) return readNamedRows(instances, first);
  const column = toColumn(undefined, instances, '"instances"');
  return isFailure(column) ? column : [column];
}

/** Instances that name their inputs: every one has the same names. */
function readNamedRows(instances: readonly unknown[], first: JsonObject): Column[] | Failure {
  const names = Object.keys(first);
  if (names.length > maxInputs)
    return bad(`"instances": expected at most ${maxInputs} inputs, got ${names.length}`);
  for (const [index, instance] of instances.entries()) {
    const matches = isObject(instance) && Object.keys(instance).length === names.length;
    if (!matches || !names.every((name) => Object.hasOwn(instance, name)))
      return bad(
        `"instances": expected an object with ${names.map(quoted).join(", ")} at place ${index}, got ${shown(instance)}`,
      );
  }
  return collect(names, (name) =>
    toNamedColumn(
      name,
      instances.map((instance) => (instance as JsonObject)[name]),
    ),
  );
}

function readColumns(inputs: unknown): Column[] | Failure {
  if (isObject(inputs) && !isBase64Object(inputs)) {
    const names = Object.keys(inputs);
    if (names.length === 0 || names.length > maxInputs)
      return bad(`"inputs": expected 1 to ${maxInputs} inputs, got ${names.length}`);
    return collect(names, (name) => toColumn(name, inputs[name], `Input ${quoted(name)}`));
  }
  return collect([undefined], () => toColumn(undefined, inputs, '"inputs"'));
}

function collect<Name>(names: readonly Name[], read: (name: Name) => Column | Failure): Column[] | Failure {
  const columns: Column[] = [];
  for (const name of names) {
    const column = read(name);
    if (isFailure(column)) return column;
    columns.push(column);
  }
  return columns;
}
