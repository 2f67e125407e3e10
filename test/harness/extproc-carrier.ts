/**
 * Envoy's part, in a test: asks a picker over ext_proc, sends the request where it is told, and gives the answer to
 * the picker before its caller gets it. Bodies are streamed both ways unless said otherwise. Of the addresses it is
 * given it takes the first that can be connected to.
 */
import assert from "node:assert/strict";
import { request as httpRequest, type ClientRequest, type IncomingMessage } from "node:http";
import type { Client } from "@grpc/grpc-js";
import {
  applyMutation,
  connectExtProc,
  headerMap,
  openProcess,
  struct,
  type EnvoyReply,
  type ProcessCall,
  type WireCommon,
} from "./extproc-wire.ts";
import { until } from "./until.ts";

type Pairs = (readonly [string, string])[];

/** What a caller asks Envoy. */
export interface CarriedRequest {
  /** Default POST, or GET without a body. */
  readonly method?: string;
  readonly path: string;
  /** Objects are sent as JSON. Absent: none. */
  readonly body?: object | string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>> | Pairs;
  /** Bytes of a piece of the body. Default 65,536. */
  readonly pieceBytes?: number;
  /** The body waits, piece by piece, for `CarriedCall.pass`. */
  readonly isSlow?: boolean;
  /** Trailers come behind the body. */
  readonly trailers?: boolean;
  /** What the metadata says of endpoints that may be chosen. */
  readonly subset?: string | readonly string[];
  /** Default `FULL_DUPLEX_STREAMED`. */
  readonly requestMode?: "FULL_DUPLEX_STREAMED" | "BUFFERED" | "NONE" | "STREAMED";
  readonly responseMode?: "FULL_DUPLEX_STREAMED" | "BUFFERED" | "NONE" | "STREAMED";
  /** Says nothing of modes, as older versions do. */
  readonly isSilent?: boolean;
  /** The answer has trailers. */
  readonly answerTrailers?: boolean;
}

/** What became of it. */
export class CarriedCall {
  /** Status of the answer; 0 before it is here. */
  status = 0;
  headers: Pairs = [];
  readonly chunks: Buffer[] = [];
  /** The picker answered instead of a server. */
  isImmediate = false;
  /** Head of the request as it went to the server. */
  sentHeaders: Pairs = [];
  sentBody: Buffer = Buffer.alloc(0);
  /** Addresses the picker named, in order. */
  destinations: readonly string[] = [];
  /** The address that answered. */
  served: string | undefined;
  metadata: EnvoyReply["dynamic_metadata"];
  /** Lengths of the slices in which the picker gave the request's body back. */
  readonly slices: number[] = [];
  /** Every reply, in order. */
  readonly replies: EnvoyReply[] = [];
  /** How the stream to the picker ended: a gRPC status code. */
  streamCode: number | undefined;
  /** The answer is whole. */
  isComplete = false;
  /** Nothing more will come. */
  hasEnded = false;
  leave: () => void = () => {};
  /** Lets so many pieces of a slow body pass; default: all that are left. */
  pass: (pieces?: number) => void = () => {};

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }

  get json(): Record<string, unknown> {
    return JSON.parse(this.text) as Record<string, unknown>;
  }

  header(name: string): string | undefined {
    return this.headers.find(([each]) => each === name)?.[1];
  }

  sentHeader(name: string): string | undefined {
    return this.sentHeaders.find(([each]) => each === name)?.[1];
  }

  /** Resolves with the call once nothing more will come. */
  async ended(): Promise<this> {
    await until("the answer ends", () => this.hasEnded);
    return this;
  }
}

/** A proxy with one connection to a picker. */
export class ExtProcCarrier {
  readonly #client: Client;

  constructor(address: string, options: { readonly tls?: boolean } = {}) {
    this.#client = connectExtProc(address, options.tls);
  }

  /** Begins; the answer comes while the test goes on. */
  start(request: CarriedRequest): CarriedCall {
    const carried = new Carried(openProcess(this.#client), request);
    carried.begin();
    return carried.call;
  }

  /** Resolves when it has ended, well or not. */
  ask(request: CarriedRequest): Promise<CarriedCall> {
    return this.start(request).ended();
  }

  close(): void {
    this.#client.close();
  }
}

/** The life of one request. */
class Carried {
  readonly call = new CarriedCall();
  readonly #stream: ProcessCall;
  readonly #asked: CarriedRequest;
  readonly #body: Buffer | undefined;
  #headers: Pairs;
  #server: ClientRequest | undefined;
  #answer: IncomingMessage | undefined;
  #answerHeaders: Pairs = [];
  #requestReady = false;
  /** Messages of the request's body that are not written yet, and how many of them may be. */
  readonly #bodyMessages: object[] = [];
  #mayPass = 0;
  /** Of a body that is streamed one way: what the picker has not answered yet. */
  #unanswered = 0;
  /** Of an answer that is not streamed both ways: what the picker has not answered yet. */
  readonly #pieces: { readonly body: Buffer; readonly last: boolean }[] = [];

  constructor(stream: ProcessCall, asked: CarriedRequest) {
    this.#stream = stream;
    this.#asked = asked;
    this.#body = bytesOf(asked.body);
    const { headers = {}, method = this.#body === undefined ? "GET" : "POST" } = asked;
    const more = Array.isArray(headers) ? headers : Object.entries(headers);
    this.#headers = [
      [":authority", "models.example"],
      [":method", method],
      [":path", asked.path],
      [":scheme", "http"],
      ...(this.#body === undefined ? [] : ([["content-type", "application/json"]] as const)),
      ...more,
    ];
    this.#mayPass = asked.isSlow === true ? 0 : Infinity;
    this.call.pass = (pieces = Infinity) => {
      this.#mayPass += pieces;
      this.#writeBody();
    };
    this.call.leave = () => {
      this.#server?.destroy();
      this.#stream.cancel();
      this.#end();
    };
  }

  begin(): void {
    const stream = this.#stream;
    stream.on("data", (reply: EnvoyReply) => this.#reply(reply));
    stream.on("error", () => {});
    stream.on("status", ({ code }: { code: number }) => {
      this.call.streamCode = code;
      // A picker that ends its stream too soon breaks the request off.
      if (!this.call.isComplete) this.#server?.destroy();
      this.#end();
    });
    const { requestMode = "FULL_DUPLEX_STREAMED", responseMode = "FULL_DUPLEX_STREAMED" } = this.#asked;
    const isWhole = this.#body === undefined;
    stream.write({
      request_headers: { headers: headerMap(this.#headers), end_of_stream: isWhole },
      ...this.#metadata(),
      ...(this.#asked.isSilent === true
        ? {}
        : { protocol_config: { request_body_mode: requestMode, response_body_mode: responseMode } }),
    });
    if (!isWhole && requestMode === "FULL_DUPLEX_STREAMED") this.#queueBody(this.#body);
  }

  #metadata(): object {
    const { subset } = this.#asked;
    if (subset === undefined) return {};
    const value = struct({ "x-gateway-destination-endpoint-subset": subset });
    return { metadata_context: { filter_metadata: { "envoy.lb.subset_hint": value } } };
  }

  #queueBody(body: Buffer): void {
    const { pieceBytes = 65_536, trailers = false } = this.#asked;
    for (let at = 0; at < body.length || at === 0; at += pieceBytes) {
      const last = at + pieceBytes >= body.length && !trailers;
      this.#bodyMessages.push({
        request_body: { body: body.subarray(at, at + pieceBytes), end_of_stream: last },
      });
    }
    if (trailers)
      this.#bodyMessages.push({ request_trailers: { trailers: headerMap([["x-checksum", "1"]]) } });
    this.#writeBody();
  }

  #writeBody(): void {
    const now = this.#bodyMessages.splice(0, this.#mayPass);
    this.#mayPass -= now.length;
    for (const message of now) this.#stream.write(message);
  }

  #reply(reply: EnvoyReply): void {
    const { call } = this;
    call.replies.push(reply);
    if (reply.dynamic_metadata !== undefined) call.metadata = reply.dynamic_metadata;
    switch (reply.response) {
      case "immediate_response":
        return this.#immediate(reply.immediate_response ?? {});
      case "request_headers":
        return this.#requestHeaders(reply.request_headers?.response ?? {});
      case "request_body":
        return this.#requestBody(reply.request_body?.response ?? {});
      case "response_headers":
        return this.#answerHead(reply.response_headers?.response ?? {});
      case "response_body":
        return this.#answerBody(reply.response_body?.response ?? {});
      case "response_trailers":
        return this.#complete();
      case "request_trailers":
        return this.#send();
      default:
        assert.fail(`unexpected ${reply.response}`);
    }
  }

  #immediate({ status, headers, body }: NonNullable<EnvoyReply["immediate_response"]>): void {
    const { call } = this;
    assert.equal(call.isComplete, false, "no immediate answer after the end");
    call.isImmediate = true;
    call.status = status?.code ?? 0;
    call.headers = applyMutation([], headers ?? {});
    if (body !== undefined) call.chunks.push(body);
    this.#server?.destroy();
    this.#complete();
  }

  #requestHeaders({ header_mutation: mutation }: WireCommon): void {
    this.#headers = applyMutation(this.#headers, mutation ?? {});
    const { requestMode } = this.#asked;
    if (requestMode === "BUFFERED" && this.#body !== undefined) {
      this.#bodyMessages.push({
        request_body: { body: this.#body, end_of_stream: true },
        ...this.#metadata(),
      });
      this.#writeBody();
    } else if (requestMode === "STREAMED" && this.#body !== undefined) {
      this.#unanswered = Math.max(1, Math.ceil(this.#body.length / (this.#asked.pieceBytes ?? 65_536)));
      this.#queueBody(this.#body);
    } else if (this.#body === undefined || requestMode === "NONE") this.#send();
  }

  #requestBody({ body_mutation: mutation, header_mutation: headers }: WireCommon): void {
    const { call } = this;
    if (this.#asked.requestMode === "BUFFERED") {
      this.#headers = applyMutation(this.#headers, headers ?? {});
      call.sentBody = mutation?.body ?? this.#body ?? Buffer.alloc(0);
      return this.#send();
    }
    if (this.#asked.requestMode === "STREAMED") {
      assert.equal(mutation, undefined, "the body is as it came");
      call.sentBody = this.#body ?? Buffer.alloc(0);
      if (--this.#unanswered === 0) this.#send();
      return;
    }
    const { body = Buffer.alloc(0), end_of_stream: last = false } = mutation?.streamed_response ?? {};
    call.slices.push(body.length);
    call.sentBody = Buffer.concat([call.sentBody, body]);
    if (last) this.#send();
  }

  /** The request is complete: to the first address that answers the telephone. */
  #send(): void {
    if (this.#requestReady) return;
    this.#requestReady = true;
    const { call } = this;
    call.sentHeaders = this.#headers;
    call.destinations = (call.sentHeader("x-gateway-destination-endpoint") ?? "").split(",");
    const told = call.metadata?.fields?.["envoy.lb"]?.structValue?.fields;
    assert.equal(told?.["x-gateway-destination-endpoint"]?.stringValue, call.destinations.join(","));
    if (this.#asked.requestMode === "NONE" && this.#body !== undefined) call.sentBody = this.#body;
    this.#dial(call.destinations);
  }

  #dial([address = "", ...others]: readonly string[]): void {
    const { call } = this;
    const { hostname, port } = new URL(`http://${address}`);
    const plain = this.#headers.filter(([name]) => !name.startsWith(":"));
    const headers: Record<string, string[]> = {};
    for (const [name, value] of plain) (headers[name] ??= []).push(value);
    const server = httpRequest({
      hostname,
      port,
      agent: false,
      method: call.sentHeader(":method") ?? "POST",
      path: call.sentHeader(":path") ?? "/",
      headers: { ...headers, host: call.sentHeader(":authority") ?? "" },
    });
    this.#server = server;
    server.on("error", () => {
      if (this.#answer === undefined && others.length > 0) return this.#dial(others);
      if (this.#answer === undefined) this.#localAnswer();
    });
    server.on("response", (answer) => this.#answered(answer, address));
    server.end(call.sentBody);
  }

  /** What Envoy says itself where nobody can be connected to. */
  #localAnswer(): void {
    this.#answerHeaders = [[":status", "503"]];
    this.#stream.write({
      response_headers: { headers: headerMap(this.#answerHeaders), end_of_stream: true },
    });
  }

  #answered(answer: IncomingMessage, address: string): void {
    this.#answer = answer;
    this.call.served = address;
    this.#answerHeaders = [[":status", String(answer.statusCode)], ...pairsOf(answer.rawHeaders)];
    this.#stream.write({
      response_headers: { headers: headerMap(this.#answerHeaders) },
      metadata_context: {
        filter_metadata: { "envoy.lb": struct({ "x-gateway-destination-endpoint-served": address }) },
      },
    });
    const { responseMode = "FULL_DUPLEX_STREAMED", answerTrailers = false } = this.#asked;
    const pieces: Buffer[] = [];
    answer.on("data", (chunk: Buffer) => {
      if (responseMode === "FULL_DUPLEX_STREAMED") this.#stream.write({ response_body: { body: chunk } });
      else if (responseMode === "STREAMED") this.#writePiece(chunk, false);
      else pieces.push(chunk);
    });
    answer.on("close", () => {
      if (!answer.complete) return this.#stream.cancel();
      if (responseMode === "NONE") {
        this.call.chunks.push(...pieces);
        return this.#complete();
      }
      if (!answerTrailers || responseMode === "BUFFERED")
        this.#writePiece(Buffer.concat(pieces), !answerTrailers);
      if (answerTrailers)
        this.#stream.write({ response_trailers: { trailers: headerMap([["grpc-status", "0"]]) } });
    });
  }

  #writePiece(body: Buffer, last: boolean): void {
    this.#pieces.push({ body, last });
    this.#stream.write({ response_body: { body, end_of_stream: last } });
  }

  #answerHead({ header_mutation: mutation }: WireCommon): void {
    const { call } = this;
    call.headers = applyMutation(this.#answerHeaders, mutation ?? {});
    call.status = Number(call.header(":status"));
    if (this.#answer === undefined) this.#complete();
  }

  #answerBody({ body_mutation: mutation }: WireCommon): void {
    const { call } = this;
    const { responseMode = "FULL_DUPLEX_STREAMED" } = this.#asked;
    if (responseMode !== "FULL_DUPLEX_STREAMED") {
      const piece = this.#pieces.shift();
      assert.ok(piece !== undefined, "one reply for each piece");
      if (mutation?.clear_body !== true) call.chunks.push(mutation?.body ?? piece.body);
      if (piece.last) this.#complete();
      return;
    }
    const { body, end_of_stream: last = false } = mutation?.streamed_response ?? {};
    assert.equal(call.isComplete, false, "nothing after the end");
    if (body !== undefined) call.chunks.push(body);
    if (last) this.#complete();
  }

  #complete(): void {
    this.call.isComplete = true;
    this.#stream.end();
  }

  #end(): void {
    this.call.hasEnded = true;
  }
}

function bytesOf(body: CarriedRequest["body"]): Buffer | undefined {
  if (body === undefined) return undefined;
  if (body instanceof Uint8Array) return Buffer.from(body);
  return Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
}

function pairsOf(raw: readonly string[]): Pairs {
  const pairs: Pairs = [];
  for (let at = 0; at < raw.length; at += 2) pairs.push([(raw[at] ?? "").toLowerCase(), raw[at + 1] ?? ""]);
  // HTTP/2 has no such header, and Envoy frames by itself.
  return pairs.filter(([name]) => name !== "connection" && name !== "keep-alive");
}
