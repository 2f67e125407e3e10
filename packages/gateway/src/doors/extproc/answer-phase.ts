/** The answer of a server on its way through Envoy: head, body, trailers. */
import type { Failure } from "../../core/errors.ts";
import { headerValue, type HeaderMap } from "../../core/headers.ts";
import { readRetryAfter } from "../../core/retry-after.ts";
import type { AnswerRelay } from "./answer-relay.ts";
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
    if (!hasBody || !this.#reads(status, headers)) this.#relay = undefined;
    stream.send([responseHeadersReply(this.#changes(headers))]);
    if (!hasBody) stream.answered();
  }

  body({ body, endOfStream }: EnvoyMessage): void {
    const { picked } = this.#options;
    if (body.length > 0) picked.firstToken();
    const relay = this.#relay;
    if (relay === undefined) return this.#send(body.length === 0 ? [] : [body], endOfStream);
    const pieces = relay.read(body);
    if (relay.failed !== undefined && relay.changesBytes) return this.#options.stream.broken(relay.failed);
    if (!endOfStream) return this.#send(pieces, false);
    const rest = relay.readEnd();
    // What is buffered has one answer: a thread's comes later.
    if (relay.isLate)
      return this.#options.mode === bodyMode.fullDuplex ? this.#send(pieces, false) : undefined;
    if (relay.failed !== undefined && relay.changesBytes) return this.#options.stream.broken(relay.failed);
    this.#send([...pieces, ...rest], true);
  }

  /** The body ended without saying so. */
  trailers(): void {
    const relay = this.#relay;
    this.#trailersCome = true;
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
    this.#send(pieces, !this.#trailersCome);
    if (!this.#trailersCome) return;
    this.#options.stream.send([trailersReply("response")]);
    this.#options.stream.answered();
  }

  /** True where the answer goes through its reader. */
  #reads(status: number, headers: HeaderMap): boolean {
    const relay = this.#relay;
    if (relay === undefined || status < 200 || status > 299) return false;
    const encoding = headerValue(headers, "content-encoding");
    if (encoding !== undefined && encoding !== "identity") return false;
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
    for (const piece of pieces) picked.answerBytes += piece.length;
    if (mode === bodyMode.fullDuplex) sendSlices("response", pieces, last, (message) => stream.send(message));
    else
      stream.send([
        heldBodyReply("response", { body: this.#relay?.changesBytes === true ? pieces : undefined }),
      ]);
    if (last) stream.answered();
  }
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
