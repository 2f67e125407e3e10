/** Writes the HTTP form of a v2 inference answer: JSON, or JSON and the bytes of the tensors wanted in binary. */
import { wireAnswer } from "../../contracts/route.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { HeaderList } from "../../core/headers.ts";
import type { ServedModel } from "../../core/model.ts";
import type { TensorAnswer, WireAnswer } from "../../core/request.ts";
import type { Tensor } from "../../core/tensor.ts";
import { answerHeaders } from "../answer-headers.ts";
import type { JsonThreads } from "../json/json-threads.ts";
import type { EncodedValues } from "../json/thread-tasks.ts";
import { quoted } from "../tensors/describe.ts";
import { valuesText, type ValuesText } from "../tensors/write-values.ts";
import { classified } from "./classification.ts";
import type { InferBody } from "./infer-body.ts";

/** An output and how it is written. */
export interface ChosenOutput {
  readonly tensor: Tensor;
  readonly binary: boolean;
}

/** What an answer is written for. */
export interface WriteInferOptions {
  readonly request: Pick<InferBody, "id" | "outputs" | "parameters">;
  /** Writes what is too large to be written at once. */
  readonly threads: JsonThreads;
}

/** Writes an answer; a promise where so many numbers become text that a thread does it. */
export function writeInferAnswer(
  answer: TensorAnswer,
  options: WriteInferOptions,
): WireAnswer | Failure | Promise<WireAnswer | Failure> {
  const outputs = chooseOutputs(answer, options.request);
  if (isRefused(outputs)) return outputs;
  const texts = outputTexts(outputs, options.threads);
  if (texts instanceof Promise) return texts.then((done) => assemble(answer, options, outputs, done));
  return assemble(answer, options, outputs, texts);
}

/** An output's values: text, bytes of text from a thread, or nothing for a binary one. */
type MaybeText = ValuesText | EncodedValues | undefined;

function isRefused(value: readonly unknown[] | Failure): value is Failure {
  return !Array.isArray(value);
}

/** The outputs asked for, in the order asked, classified where that is asked. */
export function chooseOutputs(
  answer: TensorAnswer,
  request: WriteInferOptions["request"],
): readonly ChosenOutput[] | Failure {
  const byDefault = request.parameters.binaryOutput;
  if (request.outputs === undefined || request.outputs.length === 0)
    return answer.outputs.map((tensor) => ({ tensor, binary: byDefault }));
  const chosen: ChosenOutput[] = [];
  for (const wanted of request.outputs) {
    const output = answer.outputs.find((tensor) => tensor.name === wanted.name);
    if (output === undefined)
      return failure("bad_upstream_answer", `The model server left out output ${quoted(wanted.name)}`);
    const tensor = wanted.classes > 0 ? classified(answer.model, output, wanted.classes) : output;
    if (isFailure(tensor)) return tensor;
    chosen.push({ tensor, binary: wanted.binary ?? byDefault });
  }
  return chosen;
}

function outputTexts(
  outputs: readonly ChosenOutput[],
  threads: JsonThreads,
): readonly MaybeText[] | Failure | Promise<readonly MaybeText[] | Failure> {
  let bytes = 0;
  for (const { tensor, binary } of outputs) if (!binary) bytes += tensor.data.length;
  if (bytes > threads.limits.writeInPlaceBytes)
    return threads.writeValues(outputs.map(({ tensor, binary }) => (binary ? undefined : tensor)));
  const texts: MaybeText[] = [];
  for (const { tensor, binary } of outputs) {
    const text = binary ? undefined : valuesText(tensor);
    if (text !== undefined && isFailure(text)) return text;
    texts.push(text);
  }
  return texts;
}

function assemble(
  answer: TensorAnswer,
  { request }: WriteInferOptions,
  outputs: readonly ChosenOutput[],
  texts: readonly MaybeText[] | Failure,
): WireAnswer | Failure {
  if (isRefused(texts)) return texts;
  const id = request.id === undefined ? "" : `"id":${JSON.stringify(request.id)},`;
  const json: JsonPieces = { done: [], text: `{${modelPrefix(answer.model)}${id}"outputs":[` };
  const binary: Uint8Array[] = [];
  for (let i = 0; i < outputs.length; i++) {
    const output = outputs[i];
    if (output === undefined) continue;
    if (i > 0) json.text += ",";
    addOutput(json, output.tensor, texts[i]);
    if (output.binary) binary.push(output.tensor.data);
  }
  json.text += "]}";
  return toAnswer(answer, finish(json), binary);
}

function toAnswer(answer: TensorAnswer, json: Uint8Array[], binary: readonly Uint8Array[]): WireAnswer {
  const headers = answerHeaders(answer);
  if (binary.length === 0) return wireAnswer(200, "application/json", json, headers);
  let jsonLength = 0;
  for (const piece of json) jsonLength += piece.length;
  const withLength: HeaderList = [...headers, ["inference-header-content-length", String(jsonLength)]];
  return wireAnswer(200, "application/octet-stream", [...json, ...binary], withLength);
}

/** JSON under construction: pieces that are done, and the text behind them. */
interface JsonPieces {
  readonly done: Uint8Array[];
  text: string;
}

function finish(json: JsonPieces): Uint8Array[] {
  json.done.push(Buffer.from(json.text, "utf8"));
  json.text = "";
  return json.done;
}

function addOutput(json: JsonPieces, { name, datatype, shape, data }: Tensor, values: MaybeText): void {
  json.text += `{"name":${JSON.stringify(name)},"datatype":"${datatype}","shape":[${shape.join(",")}],`;
  if (values === undefined) {
    json.text += `"parameters":{"binary_data_size":${data.length}}}`;
    return;
  }
  if (values.contentType !== undefined) json.text += `"parameters":{"content_type":"${values.contentType}"},`;
  json.text += '"data":';
  if (typeof values.json === "string") json.text += values.json;
  else finish(json).push(values.json);
  json.text += "}";
}

const prefixes = new WeakMap<ServedModel, string>();

/** The members of an answer that are the same for every answer of a model. */
function modelPrefix(model: ServedModel): string {
  const known = prefixes.get(model);
  if (known !== undefined) return known;
  const mock = model.mock ? ',"parameters":{"mock":true}' : "";
  const made = `"model_name":${JSON.stringify(model.name)},"model_version":${JSON.stringify(model.version)}${mock},`;
  prefixes.set(model, made);
  return made;
}
