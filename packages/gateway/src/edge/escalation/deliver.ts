/** Sends one escalation, and says what that means for the outbox. */
import { isCloudFailure, isTemporary, type Cloud, type CloudFailure } from "../../contracts/cloud.ts";
import type { LabelPayload, QueryPayload } from "../../contracts/edge-records.ts";
import type { ClaimedEscalation } from "../../contracts/edge-store.ts";
import type { Cancellation } from "../../core/cancellation.ts";
import type { ImageQuery } from "../../core/detector.ts";

/** What became of an attempt. */
export type Delivery =
  /** The cloud has it. `answer` is undefined for a label. */
  | {
      readonly kind: "sent";
      readonly answer: ImageQuery | undefined;
      readonly payload: QueryPayload | undefined;
    }
  /** It may succeed later. */
  | { readonly kind: "later"; readonly failure: CloudFailure }
  /** It never will. */
  | { readonly kind: "never"; readonly reason: string; readonly failure: string }
  /** It was called off: nothing is known. */
  | { readonly kind: "called_off" };

/** What sending needs. */
export interface DeliveryParts {
  readonly cloud: Cloud;
  /** Token in place of the device's. May throw: then the escalation waits. */
  readonly tokenOf: (detectorId: string) => string | undefined;
  readonly timeoutMs: number;
  readonly cancellation: Cancellation;
}

/** Sends a query or a label under the id it has had from the beginning, so that a repetition changes nothing. */
export async function deliver(item: ClaimedEscalation, parts: DeliveryParts): Promise<Delivery> {
  const { cloud, cancellation, timeoutMs } = parts;
  const token = readToken(item, parts);
  if (typeof token === "object") return { kind: "later", failure: token };
  const options = { timeoutMs, cancellation, token, requestId: item.id };
  if (item.kind === "label") {
    const label = readPayload<LabelPayload>(item.payload, "label");
    if (label === undefined) return unreadable();
    return outcomeOf(await cloud.addLabel(label, options), undefined, cancellation);
  }
  if (item.kind !== "query") return never(`nothing is known of the kind ${item.kind}`, "unknown_kind");
  const payload = readPayload<QueryPayload>(item.payload, "detectorId");
  if (payload === undefined) return unreadable();
  if (item.picture === undefined) return never("the picture is missing or damaged", "picture_lost");
  const { bytes: picture, mediaType } = item.picture;
  const answer = await cloud.submit({ ...payload, picture, mediaType, wantAsync: false }, options);
  return outcomeOf(answer, payload, cancellation);
}

function readToken(
  { detectorId }: ClaimedEscalation,
  { tokenOf }: DeliveryParts,
): string | undefined | CloudFailure {
  try {
    return tokenOf(detectorId);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return { failed: true, kind: "unauthorized", status: undefined, detail, retryAfterMs: undefined };
  }
}

function outcomeOf(
  answer: ImageQuery | CloudFailure | undefined,
  payload: QueryPayload | undefined,
  cancellation: Cancellation,
): Delivery {
  if (!isCloudFailure(answer)) return { kind: "sent", answer, payload };
  if (cancellation.reason !== undefined) return { kind: "called_off" };
  // A token that is not accepted is mended by who runs the gateway, and what waits is still wanted then.
  if (isTemporary(answer) || answer.status === 401 || answer.status === undefined)
    return { kind: "later", failure: answer };
  return never(answer.detail, answer.kind);
}

function never(reason: string, failure: string): Delivery {
  return { kind: "never", reason, failure };
}

function unreadable(): Delivery {
  return never("what was kept of it cannot be read", "unreadable_payload");
}

/** A payload of this store's own writing; undefined where it is damaged or another's. */
function readPayload<T extends { readonly imageQueryId: string }>(
  text: string,
  key: keyof T & string,
): T | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return undefined;
    const fields = value as Readonly<Record<string, unknown>>;
    return typeof fields["imageQueryId"] === "string" && typeof fields[key] === "string"
      ? (value as T)
      : undefined;
  } catch {
    return undefined;
  }
}
