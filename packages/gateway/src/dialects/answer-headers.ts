/** Headers that every predictive answer carries over HTTP: who answered and where the time went. */
import type { HeaderList } from "../core/headers.ts";
import type { ServedModel } from "../core/model.ts";
import type { AnswerTiming, TensorAnswer } from "../core/request.ts";

interface ModelHeaders {
  readonly model: readonly [string, string];
  readonly version: readonly [string, string];
}

const headersByModel = new WeakMap<ServedModel, ModelHeaders>();

/** Model and version, and `Server-Timing` (https://www.w3.org/TR/server-timing/) in milliseconds. */
export function answerHeaders(answer: TensorAnswer): HeaderList {
  const { model, version } = modelHeaders(answer.model);
  return [model, version, ["server-timing", serverTiming(answer.timing)]];
}

function modelHeaders(model: ServedModel): ModelHeaders {
  const known = headersByModel.get(model);
  if (known !== undefined) return known;
  const made: ModelHeaders = {
    model: ["x-spillway-model", headerText(model.name)],
    version: ["x-spillway-version", headerText(model.version)],
  };
  headersByModel.set(model, made);
  return made;
}

/** Names from foreign servers may hold anything: what a header cannot carry is percent-encoded. */
function headerText(text: string): string {
  return /^[\x20-\x7e]*$/.test(text) ? text : encodeURI(text.toWellFormed());
}

function serverTiming(timing: AnswerTiming): string {
  const compute = timing.computeMs === undefined ? "" : `, compute;dur=${rounded(timing.computeMs)}`;
  return `queue;dur=${rounded(timing.queueMs)}${compute}, batch;desc="${timing.batchRows}"`;
}

function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
