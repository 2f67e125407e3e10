/** What the gateway needs to know of a caller's body to send it on: found without parsing it. */
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { TokenEstimate } from "../../core/forward.ts";
import { wrongField } from "../chat/cannot-carry.ts";
import { MemberFinder } from "../json/member-spans.ts";
import { estimateTokens } from "../streams/estimate-tokens.ts";
import { KeyFinder } from "../streams/key-finder.ts";

/** A body that is passed on as it is. */
export interface MessagesEnvelope {
  readonly model: string;
  /** Where the model's name stands in the body. */
  readonly modelSpan: { readonly start: number; readonly end: number };
  readonly stream: boolean;
  readonly estimate: TokenEstimate;
}

const names = ["model", "stream", "max_tokens"] as const;
const finder = new MemberFinder(names);
const dataFinder = new KeyFinder(["data"]);
const quote = 0x22;

/** Reads the envelope of a body; a failure (400) that names the field. */
export function readEnvelope(body: Uint8Array): MessagesEnvelope | Failure {
  const spans = finder.find(body);
  if (isFailure(spans)) return spans;
  const model = spans.value(0);
  if (model === undefined) return { ...failure("bad_request", "model: Field required"), field: "model" };
  if (typeof model !== "string" || model === "") return wrongField("model", "the name of a model");
  const stream = spans.value(1) ?? false;
  if (typeof stream !== "boolean") return wrongField("stream", "true or false");
  const limit = spans.value(2);
  return {
    model,
    modelSpan: { start: spans.start(0), end: spans.end(0) },
    stream,
    estimate: {
      promptTokens: estimateTokens(body.length - dataBytes(body)),
      maxCompletionTokens: typeof limit === "number" && limit >= 0 ? limit : undefined,
    },
  };
}

/** Bytes of pictures and documents in base64, which say nothing about the number of tokens. */
function dataBytes(bytes: Uint8Array): number {
  let sum = 0;
  dataFinder.begin(bytes, 0, bytes.length);
  while (dataFinder.next() >= 0) if (bytes[dataFinder.valueAt] === quote) sum += dataFinder.skipString();
  return sum;
}
