/**
 * A request on its way from Envoy: head, body, trailers. It is decided on as soon as there is enough of it: by its head
 * alone where nothing on its way needs the body, which then passes by unread; else once it is here whole.
 */
import { AddressSubset } from "../../core/address-subset.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { ForwardPayload } from "../../core/forward.ts";
import { requestIdFrom } from "../../core/request-id.ts";
import type { Route } from "../../contracts/route.ts";
import type { Caller, RequestWith } from "../../core/request.ts";
import { sendSlices } from "./answer-phase.ts";
import { bodyMode, type EnvoyMessage } from "./read-message.ts";
import { readMetadata } from "./read-metadata.ts";
import { RequestBody } from "./request-body.ts";
import type { RequestDecision } from "./request-decision.ts";
import { readRequestHead, type RequestHeadRead } from "./request-head.ts";
import type { RequestStream } from "./request-stream.ts";
import { sendHead, sendRequest, type SentRequest } from "./send-request.ts";
import { continueRequest, heldBodyReply, trailersReply } from "./write-replies.ts";

/** One request. */
export class RequestPhase {
  readonly #stream: RequestStream;
  readonly #decision: RequestDecision;
  #head: RequestHeadRead | undefined;
  #caller: Caller | undefined;
  #body: RequestBody | undefined;
  /** The body is complete. */
  #received = false;
  /** It was decided on before its body, which passes by. */
  #isEarly = false;
  /** Bytes that have. */
  #passedBytes = 0;
  #only: AddressSubset | undefined;

  constructor(stream: RequestStream, decision: RequestDecision) {
    this.#stream = stream;
    this.#decision = decision;
  }

  /** Empty before its head. */
  get requestId(): string {
    return this.#head?.requestId ?? "";
  }

  headers(message: EnvoyMessage): void {
    const stream = this.#stream;
    if (stream.phase !== "head") return stream.broken(failure("bad_request", "a second head of a request"));
    const { pipeline, random, limits, meters } = stream.context;
    stream.phase = "receiving";
    const head = readRequestHead(message.headers);
    this.#head = { ...head, requestId: requestIdFrom(head.givenId, random) };
    this.#limitTo(message);
    this.#body = new RequestBody(limits, meters.heldBytes);
    const verdict = pipeline.admit({
      door: "extproc",
      method: head.method,
      path: head.path,
      headers: head.headers,
      remoteAddress: stream.peer,
      scope: "infer",
    });
    if (message.endOfStream) this.#received = true;
    if (!(verdict instanceof Promise)) return this.#admitted(verdict);
    verdict.then(
      (later) => stream.guarded(() => this.#admitted(later)),
      (error: unknown) => stream.crashed(error),
    );
  }

  body(message: EnvoyMessage): void {
    const { phase, modes } = this.#stream;
    const body = this.#body;
    if (this.#isEarly) return this.#passing(message);
    if (phase !== "receiving" || body === undefined || this.#received) return;
    this.#limitTo(message);
    const refusal = body.add(message.body);
    if (refusal !== undefined) return this.#stream.refuse(refusal);
    const isBuffered = modes.request === bodyMode.buffered;
    if (!message.endOfStream && modes.request === bodyMode.bufferedPartial) {
      const reason = failure("body_too_large", "The body is larger than what the proxy buffers");
      return this.#stream.refuse(reason);
    }
    // With trailers, the whole of a buffered body comes without the end of the stream.
    if (!message.endOfStream && !isBuffered) return;
    this.#received = true;
    this.#complete();
  }

  trailers(message: EnvoyMessage): void {
    const body = this.#body;
    const { phase } = this.#stream;
    if (body === undefined) return;
    if (phase === "receiving") {
      this.#limitTo(message);
      body.hasTrailers = true;
      this.#received = true;
      return this.#complete();
    }
    if (phase === "deciding") body.owesTrailers = true;
    else if (phase === "sent" || this.#isEarly) this.#stream.send([trailersReply("request")]);
  }

  /** Tells Envoy where the request goes, and gives its body back. */
  tell(sent: SentRequest): void {
    const stream = this.#stream;
    const { clock, meters } = stream.context;
    const head = this.#head;
    const body = this.#body;
    if (head === undefined || body === undefined) return;
    stream.phase = "sent";
    meters.pick.observe((clock.now() - stream.receivedAt) / 1_000);
    const send = (message: readonly Uint8Array[]): void => stream.send(message);
    const mode = stream.modes.request;
    if (this.#isEarly) {
      meters.early.value++;
      // Proxies may take the length out of what is streamed both ways, since it may change; here it does not.
      sendHead({ head, sent, length: mode === bodyMode.fullDuplex ? head.length : undefined }, send);
      sendSlices("request", body.pieces, this.#received, send);
      this.#passedBytes = body.length;
      body.release();
    } else sendRequest({ head, body, mode, sent }, send);
    if (body.owesTrailers) stream.send([trailersReply("request")]);
  }

  /** The stream is over: nothing of the body is held. */
  release(): void {
    if (this.#isEarly && this.#received) this.#stream.context.usualBody.learn(this.#passedBytes);
    this.#body?.release();
  }

  #admitted(caller: Caller | Failure): void {
    const stream = this.#stream;
    if (stream.phase !== "receiving") return;
    if (isFailure(caller)) return stream.refuse(caller);
    this.#caller = caller;
    if (this.#received) return this.#complete();
    if (this.#decidesByHead(caller)) return;
    switch (stream.modes.request) {
      case bodyMode.none:
        this.#received = true;
        return this.#complete();
      case bodyMode.buffered:
      case bodyMode.bufferedPartial:
        return stream.send([continueRequest()]);
      case bodyMode.fullDuplex:
        return;
      default:
        stream.refuse(failure("internal", "request_body_mode must be FULL_DUPLEX_STREAMED or BUFFERED"));
    }
  }

  /** False: the body has to be here. */
  #decidesByHead(caller: Caller): boolean {
    const stream = this.#stream;
    const head = this.#head;
    if (head === undefined) return false;
    const { pipeline, routes } = stream.context;
    const route = head.method === "POST" ? routes.find(head.path) : undefined;
    const request = route === undefined ? undefined : this.#requestOf(route, head, caller);
    // What is no call of a model goes to any server, whatever it has.
    if (route !== undefined && (request === undefined || pipeline.decidesByHead?.(request) !== true))
      return false;
    this.#isEarly = true;
    stream.phase = "deciding";
    if (request === undefined) this.#decision.pass(this.#only);
    else this.#decision.decide(request, this.#only);
    return true;
  }

  #requestOf(
    route: Route,
    { model, length, headers, requestId }: RequestHeadRead,
    caller: Caller,
  ): RequestWith<ForwardPayload> | undefined {
    if (model === undefined) return undefined;
    const { receivedAt, context } = this.#stream;
    const { cancellation } = this.#decision;
    const bytes = length ?? context.usualBody.bytes;
    return route.fromHead?.({ model, bytes, headers, caller, requestId, receivedAt, cancellation });
  }

  /** A piece of a body that nobody reads: back at once, or as soon as it is known where to. */
  #passing({ body: piece, endOfStream }: EnvoyMessage): void {
    const stream = this.#stream;
    const { phase, modes } = stream;
    if (endOfStream) this.#received = true;
    if (phase === "deciding") return this.#hold(piece);
    if (phase !== "sent" && phase !== "answering") return;
    this.#passedBytes += piece.length;
    const { picked } = this.#decision;
    if (picked !== undefined) picked.requestBytes = this.#passedBytes;
    if (modes.request !== bodyMode.fullDuplex) {
      return stream.send([heldBodyReply("request", { body: undefined })]);
    }
    const pieces = piece.length === 0 ? [] : [piece];
    sendSlices("request", pieces, endOfStream, (message) => stream.send(message));
  }

  #hold(piece: Buffer): void {
    const refusal = this.#body?.add(piece);
    if (refusal === undefined) return;
    this.#decision.cancellation.cancel("client_gone");
    this.#stream.refuse(refusal);
  }

  #limitTo({ metadata }: EnvoyMessage): void {
    if (metadata === undefined || !this.#stream.context.subsets) return;
    const { subset } = readMetadata(metadata);
    if (subset !== undefined) this.#only = new AddressSubset(subset);
  }

  /** The request is here whole, and its caller may ask. */
  #complete(): void {
    const head = this.#head;
    const caller = this.#caller;
    const body = this.#body;
    if (head === undefined || caller === undefined || body === undefined) return;
    const stream = this.#stream;
    stream.phase = "deciding";
    const route = body.isAbsent || head.method !== "POST" ? undefined : stream.context.routes.find(head.path);
    if (route === undefined) return this.#decision.pass(this.#only);
    stream.context.usualBody.learn(body.length);
    this.#decision.handle({ route, head, caller, body: body.join() }, this.#only);
  }
}
