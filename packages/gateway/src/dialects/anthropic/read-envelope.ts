/** What the gateway needs to know of a caller's body to send it on: found without parsing it. */
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { TokenEstimate } from "../../core/forward.ts";
import { wrongField } from "../chat/cannot-carry.ts";
import { MemberFinder, type MemberSpans } from "../json/member-spans.ts";
import { ValueBytes, type Attachments } from "../json/value-bytes.ts";
import { promptParts } from "../prompt/prompt-parts.ts";
import { estimatePrompt } from "../streams/estimate-tokens.ts";
import { hasLaterWords, hasLaterWordsInTurns } from "./later-words.ts";

/** A body that is passed on as it is. */
export interface MessagesEnvelope {
  readonly model: string;
  /** Where the model's name stands in the body. */
  readonly modelSpan: { readonly start: number; readonly end: number };
  readonly stream: boolean;
  readonly estimate: TokenEstimate;
  readonly spans: MemberSpans;
  /** It says what of all servers only Anthropic's are sure to understand. */
  readonly hasLaterWords: boolean;
}

const names = ["model", "stream", "max_tokens", "tools", "system", "messages"] as const;
const finder = new MemberFinder(names);
/** Pictures and documents in base64. */
const data = new ValueBytes({ data: "" });

/** Reads the envelope of a body; a failure (400) that names the field. */
export function readEnvelope(body: Uint8Array): MessagesEnvelope | Failure {
  const spans = finder.find(body);
  return isFailure(spans) ? spans : envelopeOf(spans, data.of(body), hasLaterWords(body));
}

/** The same for a large body, which gives the event loop a turn again and again. */
export function* readEnvelopeInTurns(body: Uint8Array): Generator<void, MessagesEnvelope | Failure> {
  const spans = yield* finder.findInTurns(body);
  if (isFailure(spans)) return spans;
  return envelopeOf(spans, yield* data.inTurns(body), yield* hasLaterWordsInTurns(body));
}

function envelopeOf(
  spans: MemberSpans,
  attachments: Attachments,
  isLater: boolean,
): MessagesEnvelope | Failure {
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
      promptTokens: estimatePrompt(spans.bytes.length, attachments),
      maxCompletionTokens: typeof limit === "number" && limit >= 0 ? limit : undefined,
    },
    spans,
    hasLaterWords: isLater,
  };
}

/** As `ForwardPayload.promptParts`. */
export function promptPartsOf({ spans }: MessagesEnvelope): readonly Uint8Array[] {
  return promptParts(spans, [3, 4, 5]);
}
