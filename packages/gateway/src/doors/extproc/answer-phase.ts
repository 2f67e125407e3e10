/** The answer of a server on its way through Envoy: head, body, trailers. */
import type { Failure } from "../../core/errors.ts";
import { headerValue, type HeaderList, type HeaderMap } from "../../core/headers.ts";
import { readRetryAfter } from "../../core/retry-after.ts";
import type { AnswerRelay } from "./answer-relay.ts";
import { HeldRefusal } from "./held-refusal.ts";
import type { PickedRequest } from "./picked-request.ts";
import { bodyMode, type EnvoyMessage } from "./read-message.ts";
import { readMetadata } from "./read-metadata.ts";
import {
  heldBodyReply,
  responseHeadersReply,
  sliceBytes,
  streamedReply,
  trailersReply,
  type HeaderChanges,
  type Side,
} from "./write-replies.ts";

/** What the phase does with its stream. */
export interface AnswerStream {
  send(message: readonly Uint8Array[]): void;
  /** Everything is sent. Called once. */
  answered(): void;
  /** The answer cannot be passed on, and its head has been: the stream is broken off. */
  broken(reason: Failure): void;
}

/** What one is made from. */
export interface AnswerPhaseOptions {
  readonly stream: AnswerStream;
  readonly picked: PickedRequest;
  /** Undefined: the bytes go on as they come. */
  readonly relay: AnswerRelay | undefined;
  /** How Envoy sends the body: one of `bodyMode`. */
  readonly mode: number;
  /** For `Retry-After` that is a date: ms since the Unix epoch. */
  readonly wallNow: () => number;
}

const noBody = new Uint8Array(0);
/** Upstream's endpoint picker marks what it has seen so; tests look for it. */
const seenHeader = ["x-went-into-resp-headers", "true"] as const;

/** One answer. */
export class AnswerPhase {
  readonly #options: AnswerPhaseOptions;
  #relay: AnswerRelay | undefined;
  #trailersCome = false;
  /** A message of a body that Envoy holds is not answered yet. */
  #owesReply = false;
  /** What is told as soon as it is whole. */
  #refusal: HeldRefusal | undefined;

  constructor(options: AnswerPhaseOptions) {
    this.#options = options;
    this.#relay = options.relay;
  }

  headers(message: EnvoyMessage): void {
    const { stream, picked, mode, wallNow } = this.#options;
    const { headers, metadata, endOfStream } = message;
    const status = statusOf(headers);
    if (metadata !== undefined) {
      const { served } = readMetadata(metadata);
      if (served !== undefined) picked.served(served);
    }
    picked.answered(status, readRetryAfter(headerValue(headers, "retry-after"), wallNow()));
    const hasBody = !endOfStream && mode !== bodyMode.none;
    if (hasBody && this.#isToBeTold(status, headers)) return this.#hold(status, headers);
    if (!hasBody || !this.#reads(status, headers)) this.#relay = undefined;
    stream.send([responseHeadersReply(this.#changes(headers))]);
    if (!hasBody) stream.answered();
  }

  body({ body, endOfStream }: EnvoyMessage): void {
    const { picked, mode, stream } = this.#options;
    // With trailers, the whole of a buffered body comes without the end of the stream.
    const isWhole = endOfStream || mode === bodyMode.buffered;
    this.#owesReply = mode !== bodyMode.fullDuplex;
    if (body.length > 0) picked.firstToken();
    if (this.#refusal !== undefined) return this.#refused(this.#refusal, body, { isWhole, endOfStream });
    const relay = this.#relay;
    if (relay === undefined) return this.#send(body.length === 0 ? [] : [body], endOfStream);
    const pieces = relay.read(body);
    if (relay.failed !== undefined && relay.changesBytes) return stream.broken(relay.failed);
    if (!isWhole) return this.#send(pieces, false);
    const rest = relay.readEnd();
    // What is buffered has one answer: a thread's comes later.
    if (relay.isLate) return mode === bodyMode.fullDuplex ? this.#send(pieces, false) : undefined;
    if (relay.failed !== undefined && relay.changesBytes) return stream.broken(relay.failed);
    this.#send([...pieces, ...rest], endOfStream);
  }

  /** The body ended without saying so. */
  trailers(): void {
    this.#trailersCome = true;
    if (this.#refusal !== undefined) this.#tell(this.#refusal, false);
    const relay = this.#relay;
    const rest = relay?.readEnd() ?? [];
    if (relay?.isLate !== true) this.#end(rest);
  }

  /** A thread has finished the answer. */
  late(): void {
    const relay = this.#relay;
    if (relay?.failed !== undefined) return this.#options.stream.broken(relay.failed);
    this.#end(relay?.rest() ?? []);
  }

  #end(pieces: readonly Uint8Array[]): void {
    const { mode, stream } = this.#options;
    if (mode === bodyMode.fullDuplex || this.#owesReply) this.#send(pieces, !this.#trailersCome);
    if (!this.#trailersCome) return;
    stream.send([trailersReply("response")]);
    stream.answered();
  }

  /** A refusal that its caller could not read, and that can still be changed whole. */
  #isToBeTold(status: number, headers: HeaderMap): boolean {
    const { mode } = this.#options;
    if (this.#relay?.isTranslated !== true || status < 400 || isEncoded(headers)) return false;
    return mode === bodyMode.fullDuplex || mode === bodyMode.buffered;
  }

  /** What is streamed both ways has its head answered with its body; what is buffered, before. */
  #hold(status: number, headers: HeaderMap): void {
    const { stream, mode } = this.#options;
    const relay = this.#relay;
    if (relay === undefined) return;
    this.#refusal = new HeldRefusal(relay, status, headers);
    if (mode === bodyMode.buffered) stream.send([responseHeadersReply(this.#ownChanges([]))]);
  }

  #refused(
    refusal: HeldRefusal,
    piece: Uint8Array,
    { isWhole, endOfStream }: { readonly isWhole: boolean; readonly endOfStream: boolean },
  ): void {
    const isHeld = refusal.add(piece);
    if (isWhole) this.#tell(refusal, endOfStream);
    else if (!isHeld) this.#tellAsIs(refusal, false);
  }

  /** In the caller's API, or as it came. */
  #tell(refusal: HeldRefusal, isLast: boolean): void {
    const { stream, mode } = this.#options;
    const answer = refusal.told();
    if (answer === undefined) return this.#tellAsIs(refusal, isLast);
    const changes = this.#ownChanges(answer.headers);
    this.#refusal = this.#relay = undefined;
    if (mode === bodyMode.buffered) return this.#sendHeld(answer.body, isLast, changes);
    const remove = refusal.headers["content-length"] === undefined ? [] : ["content-length"];
    stream.send([responseHeadersReply({ ...changes, remove })]);
    this.#send(answer.body, isLast);
  }

  #tellAsIs(refusal: HeldRefusal, isLast: boolean): void {
    const { stream, mode } = this.#options;
    this.#refusal = this.#relay = undefined;
    if (mode !== bodyMode.buffered) stream.send([responseHeadersReply(this.#ownChanges([]))]);
    this.#send(refusal.pieces, isLast);
  }

  #ownChanges(more: HeaderList): HeaderChanges {
    return { set: [seenHeader, ...this.#options.picked.answerHeaders(), ...more], remove: [] };
  }

  /** True where the answer goes through its reader. */
  #reads(status: number, headers: HeaderMap): boolean {
    const relay = this.#relay;
    if (relay === undefined || status < 200 || status > 299) return false;
    if (isEncoded(headers)) return false;
    return relay.readHead(status, headers);
  }

  #changes(headers: HeaderMap): HeaderChanges {
    const relay = this.#relay;
    const { picked } = this.#options;
    const own = [seenHeader, ...picked.answerHeaders()];
    if (relay?.changesBytes !== true) return { set: own, remove: [] };
    const differs = relay.headers.filter(([name, value]) => headerValue(headers, name) !== value);
    const type = headerValue(headers, "content-type")?.split(";", 1)[0];
    // A type that differs in its parameters only is the server's own word.
    const set = differs.filter(([name, value]) => name !== "content-type" || value.split(";", 1)[0] !== type);
    return {
      set: [...own, ...set],
      remove: headers["content-length"] === undefined ? [] : ["content-length"],
    };
  }

  #send(pieces: readonly Uint8Array[], last: boolean): void {
    const { stream, mode, picked } = this.#options;
    const body = this.#relay?.changesBytes === true ? pieces : undefined;
    if (mode !== bodyMode.fullDuplex) return this.#sendHeld(body, last, undefined, pieces);
    for (const piece of pieces) picked.answerBytes += piece.length;
    sendSlices("response", pieces, last, (message) => stream.send(message));
    if (last) stream.answered();
  }

  /** Answers a message of a body that Envoy holds. `body`: instead of what came. */
  #sendHeld(
    body: readonly Uint8Array[] | undefined,
    last: boolean,
    changes: HeaderChanges | undefined,
    pieces = body ?? [],
  ): void {
    const { stream, picked } = this.#options;
    for (const piece of pieces) picked.answerBytes += piece.length;
    this.#owesReply = false;
    stream.send([heldBodyReply("response", { body, changes })]);
    if (last) stream.answered();
  }
}

/** Its bytes are not the text. */
function isEncoded(headers: HeaderMap): boolean {
  const encoding = headerValue(headers, "content-encoding");
  return encoding !== undefined && encoding !== "identity";
}

/** Behind Envoy it is a pseudo header; others send it as a header. */
function statusOf(headers: HeaderMap): number {
  return Number(headerValue(headers, ":status") ?? headerValue(headers, "status") ?? "200");
}

/**
 * Sends a body in slices. Nothing is sent for nothing, except that the last message says so.
 */
export function sendSlices(
  side: Side,
  pieces: readonly Uint8Array[],
  last: boolean,
  send: (message: readonly Uint8Array[]) => void,
): void {
  let held: Uint8Array | undefined;
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; at += sliceBytes) {
      if (held !== undefined) send(streamedReply(side, held, false));
      held = at === 0 && piece.length <= sliceBytes ? piece : piece.subarray(at, at + sliceBytes);
    }
  }
  if (held !== undefined || last) send(streamedReply(side, held ?? noBody, last));
}
