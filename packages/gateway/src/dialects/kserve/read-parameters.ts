/** `parameters` of v2 requests, inputs and outputs, as plain values from JSON or protobuf alike. */
import { failure, type Failure } from "../../core/errors.ts";
import { shown } from "../tensors/describe.ts";
import { defaultInferParameters, type InferParameters, type WantedOutput } from "./infer-body.ts";

/** A `parameters` object; its values are strings, numbers and booleans. */
export type ParameterMap = Readonly<Record<string, unknown>>;

/** Parameters that belong to features Spillway does not have: ignoring them would answer something else than was asked. */
const refused: readonly (readonly [name: string, text: string])[] = [
  ["sequence_id", "Sequences are not offered: models keep no state between requests"],
  ["shared_memory_region", "Shared memory is not offered; send the data in the request"],
];

/** The failure for a parameter that must not be ignored. */
export function refusedParameter(parameters: ParameterMap): Failure | undefined {
  for (const [name, text] of refused) {
    const value = parameters[name];
    if (value !== undefined && value !== 0 && value !== "" && value !== false)
      return failure("unimplemented", text);
  }
  return undefined;
}

/** Reads the parameters of a request. */
export function readInferParameters(parameters: ParameterMap): InferParameters | Failure {
  const problem = refusedParameter(parameters);
  if (problem !== undefined) return problem;
  const priorityLevel = parameters.priority ?? 0;
  if (!isCount(priorityLevel)) return expected("priority", "a whole number from 0", priorityLevel);
  const timeoutUs = parameters.timeout ?? 0;
  if (!isCount(timeoutUs)) return expected("timeout", "microseconds as a whole number from 0", timeoutUs);
  const binaryOutput = parameters.binary_data_output ?? false;
  if (typeof binaryOutput !== "boolean") return expected("binary_data_output", "true or false", binaryOutput);
  const markFinal = parameters.triton_enable_empty_final_response === true;
  if (priorityLevel === 0 && timeoutUs === 0 && !binaryOutput && !markFinal) return defaultInferParameters;
  return { priorityLevel, timeoutUs, binaryOutput, markFinal };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function expected(name: string, what: string, value: unknown): Failure {
  return failure("bad_request", `Parameter "${name}": expected ${what}, got ${shown(value)}`);
}

/** The number of classes that an output's `classification` parameter asks for; 0 without one. */
function readClasses(parameters: ParameterMap): number | Failure {
  const classes = parameters.classification ?? 0;
  if (isCount(classes) && (classes > 0 || parameters.classification === undefined)) return classes;
  return expected("classification", "a whole number from 1", classes);
}

/** An output's `binary_data`; undefined without one. */
function readBinaryFlag(parameters: ParameterMap): boolean | Failure | undefined {
  const binary = parameters.binary_data;
  if (binary === undefined || typeof binary === "boolean") return binary;
  return expected("binary_data", "true or false", binary);
}

/** A requested output from its name and parameters. */
export function wantedOutput(name: string, parameters: ParameterMap): WantedOutput | Failure {
  const problem = refusedParameter(parameters);
  if (problem !== undefined) return problem;
  const classes = readClasses(parameters);
  if (typeof classes !== "number") return classes;
  const binary = readBinaryFlag(parameters);
  if (typeof binary === "object") return binary;
  return { name, binary, classes };
}
