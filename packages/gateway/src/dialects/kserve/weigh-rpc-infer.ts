/** What decoding a `ModelInferRequest` would cost, told from its framing alone. */

import { eachField, wireTypes, type Span } from "./message-fields.ts";

/** The weight of a message. */
export interface RpcWeight {
  /** Elements of typed contents, and what else becomes an object. An upper bound. */
  readonly values: number;
  /** Bytes that are not raw tensor contents: those are only pointed at. */
  readonly scatteredBytes: number;
}

/** Field numbers (kserve.proto). */
const requestFields = { inputs: 5, rawInputContents: 7 } as const;
const inputFields = { contents: 5 } as const;
const contentsFields = { fp32: 6, fp64: 7, bytes: 8 } as const;

/** What an object costs beside an array element. */
const objectWeight = 8;

/** Weighs a message; a malformed one is weighed up to its fault. Stops soon after `maxValues`. */
export function weighRpcInfer(message: Uint8Array, maxValues: number): RpcWeight {
  let values = 0;
  let rawBytes = 0;
  eachField(message, { from: 0, to: message.length }, (field) => {
    values += objectWeight;
    if (field.number === requestFields.rawInputContents) rawBytes += field.to - field.from;
    else if (field.number === requestFields.inputs) values += inputWeight(message, field, maxValues);
    return values <= maxValues;
  });
  return { values, scatteredBytes: message.length - rawBytes };
}

function inputWeight(message: Uint8Array, input: Span, maxValues: number): number {
  let values = 0;
  eachField(message, input, (field) => {
    values += objectWeight;
    if (field.number === inputFields.contents) values += contentsWeight(message, field, maxValues);
    else values += field.to - field.from;
    return values <= maxValues;
  });
  return values;
}

/** Elements: a packed float has four bytes, a double eight, of any other at least one. */
function contentsWeight(message: Uint8Array, contents: Span, maxValues: number): number {
  let values = 0;
  eachField(message, contents, (field) => {
    const bytes = field.type === wireTypes.lengthDelimited ? field.to - field.from : 1;
    if (field.number === contentsFields.bytes) values += objectWeight;
    else if (field.number === contentsFields.fp32) values += Math.ceil(bytes / 4);
    else if (field.number === contentsFields.fp64) values += Math.ceil(bytes / 8);
    else values += bytes;
    return values <= maxValues;
  });
  return values;
}
