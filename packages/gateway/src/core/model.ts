/** The nouns of a served model: what it takes, what it answers, and what its answers mean. */
import type { TensorSpec } from "./tensor.ts";

/** What the outputs of a model mean. Without a task a model is tensors in, tensors out. */
export interface TaskSpec {
  readonly kind: "classify" | "count" | "detect" | "text";
  /** Name of class i at index i; empty when the model has none. */
  readonly labels: readonly string[];
  /** Which output tensor carries what: `scores`, `boxes`, `classes`, `count`, `text`. */
  readonly outputs: Readonly<Record<string, string>>;
  /** For example `confidence`: below it a class is not claimed. */
  readonly thresholds: Readonly<Record<string, number>>;
}

/** Where plain features, a prompt or a picture go. Undefined: the model does not take it. */
export interface InputMapping {
  readonly features: string | undefined;
  readonly prompt: string | undefined;
  /** Name of the BYTES input that takes encoded pictures (JPEG, PNG, WebP), one an element. */
  readonly image: string | undefined;
}

/** One version of a model as callers see it. */
export interface ServedModel {
  readonly name: string;
  readonly version: string;
  /** For example `onnx`, `text`, `mock`, or what a foreign server says. */
  readonly platform: string;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly task: TaskSpec | undefined;
  readonly mapping: InputMapping;
  /** True when the first dimension of every input and output counts rows that do not depend on each other. */
  readonly batchable: boolean;
  /** Rows sent in one call at most; 1 when batching does not pay. A larger request is sent as it is, alone. */
  readonly maxBatch: number;
  /** True for the mock engine: answers say so. */
  readonly mock: boolean;
}

/** Model names: they become folder names and URL segments, so nothing that could be a path. */
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** True for a name that a model may have. */
export function isModelName(name: string): boolean {
  return namePattern.test(name);
}

/** Orders version strings: whole numbers by value, before anything else by text. */
export function compareVersions(a: string, b: string): number {
  const left = /^\d+$/.test(a) ? Number(a) : undefined;
  const right = /^\d+$/.test(b) ? Number(b) : undefined;
  if (left !== undefined && right !== undefined) return left - right;
  if (left !== undefined) return -1;
  if (right !== undefined) return 1;
  return a < b ? -1 : a > b ? 1 : 0;
}
