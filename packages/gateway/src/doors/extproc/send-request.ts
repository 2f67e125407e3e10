/** Tells Envoy where a request goes and what it becomes on the way. */
import type { Attempt } from "../../core/forward.ts";
import type { HeaderList } from "../../core/headers.ts";
import { sendSlices } from "./answer-phase.ts";
import { headersToRemove, isFraming } from "./control-headers.ts";
import { bodyMode } from "./read-message.ts";
import type { RequestBody } from "./request-body.ts";
import type { RequestHeadRead } from "./request-head.ts";
import {
  destinationKey,
  heldBodyReply,
  requestHeadersReply,
  trailersReply,
  type EndpointScores,
  type HeaderChanges,
} from "./write-replies.ts";

/** What was decided. */
export interface SentRequest {
  /** Addresses with commas between, the first choice first. */
  readonly addresses: string;
  /** Undefined: not to be told. */
  readonly scores: EndpointScores | undefined;
  /** The request in other words than it came; undefined: as it came. */
  readonly wire: Pick<Attempt, "path" | "headers" | "body" | "rest"> | undefined;
  /** The answer is read: servers must not compress it. */
  readonly readsAnswer: boolean;
}

/** The request, and how Envoy sends bodies. */
export interface RequestToSend {
  readonly head: RequestHeadRead;
  readonly body: RequestBody;
  /** One of `bodyMode`. */
  readonly mode: number;
  readonly sent: SentRequest;
}

/** Sends the answers to head, body and trailers, in this order. */
export function sendRequest(
  { head, body, mode, sent }: RequestToSend,
  send: (message: readonly Uint8Array[]) => void,
): void {
  const { wire, addresses, scores } = sent;
  const pieces = wire === undefined ? undefined : [wire.body, ...(wire.rest ?? [])];
  const destination = { addresses, scores };
  if (body.isAbsent) return sendHead({ head, sent, length: undefined }, send);
  let length = body.length;
  if (pieces !== undefined) length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const changes = changesOf(head, sent, length);
  if (mode === bodyMode.fullDuplex) {
    send([requestHeadersReply(changes, destination)]);
    sendSlices("request", pieces ?? [body.join()], !body.hasTrailers, send);
  } else send([heldBodyReply("request", { body: pieces, changes, destination })]);
  if (body.hasTrailers) send([trailersReply("request")]);
}

/** A head whose body passes by. */
export interface HeadToSend extends Pick<RequestToSend, "head" | "sent"> {
  /** `content-length` to be set; undefined: as it is. */
  readonly length: number | undefined;
}

/** Sends the answer to a head alone. */
export function sendHead(
  { head, sent, length }: HeadToSend,
  send: (message: readonly Uint8Array[]) => void,
): void {
  const { addresses, scores } = sent;
  send([requestHeadersReply(changesOf(head, sent, length), { addresses, scores })]);
}

function changesOf(head: RequestHeadRead, sent: SentRequest, length: number | undefined): HeaderChanges {
  const set: (readonly [string, string])[] = [[destinationKey, sent.addresses]];
  if (length !== undefined) set.push(["content-length", String(length)]);
  if (head.requestId !== head.givenId) set.push(["x-request-id", head.requestId]);
  const { wire } = sent;
  if (wire !== undefined && !head.path.endsWith(wire.path)) set.push(...translatedHead(wire));
  return { set, remove: headersToRemove(head.headers, sent.readsAnswer ? "accept-encoding" : undefined) };
}

/** The server speaks another dialect than the caller. */
function translatedHead({ path, headers }: NonNullable<SentRequest["wire"]>): HeaderList {
  return [[":path", path], ...headers.filter(([name]) => !isFraming(name))];
}
