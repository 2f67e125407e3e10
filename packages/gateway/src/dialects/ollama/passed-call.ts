/** One operator's call that goes to one server, its answer as it comes. */
import type { BodyStream } from "../../contracts/body-stream.ts";
import type { ServerCall, ServerError, ServerHandler, ServerRequest } from "../../contracts/connection.ts";
import type { HttpEndpoint } from "../../contracts/http-endpoint.ts";
import type { StreamedAnswer } from "../../contracts/route.ts";
import type { Exchange, ResponseSink } from "../../contracts/sink.ts";
import { failure, type Failure } from "../../core/errors.ts";
import { headerValue, type HeaderMap } from "../../core/headers.ts";

/** What is sent. */
export interface OperatorCall {
  readonly method: ServerRequest["method"];
  readonly path: string;
  readonly body: Uint8Array | undefined;
  /** A body that is handed on as it arrives. */
  readonly upload: BodyStream | undefined;
  /** It changes which models the server has: the answer ends once the gateway knows them. */
  readonly changesModels: boolean;
}

/** The answer of the endpoint's server: status, content type and bytes. */
export function passCall(endpoint: HttpEndpoint, call: OperatorCall): StreamedAnswer {
  return { carry: (sink) => new PassedCall(endpoint, call, sink) };
}

/** Why a server gave no answer, or no whole one. */
export function serverFailure(endpoint: HttpEndpoint, { kind, message }: ServerError): Failure {
  const code = kind === "connect" ? "upstream_unreachable" : "bad_upstream_answer";
  return failure(code, `${endpoint.id}: ${message}`);
}

class PassedCall implements ServerHandler, Exchange {
  readonly #endpoint: HttpEndpoint;
  readonly #sink: ResponseSink;
  readonly #changesModels: boolean;
  readonly #call: ServerCall;
  #hasLeft = false;

  constructor(endpoint: HttpEndpoint, call: OperatorCall, sink: ResponseSink) {
    const { method, path, body, upload, changesModels } = call;
    this.#endpoint = endpoint;
    this.#sink = sink;
    this.#changesModels = changesModels;
    const type = upload === undefined ? "application/json" : "application/octet-stream";
    const hasBody = body !== undefined || upload !== undefined;
    const headers = hasBody ? ([["content-type", type]] as const) : [];
    this.#call = endpoint.connection.send({ method, path, headers, body, upload }, this);
  }

  head(status: number, headers: HeaderMap): void {
    const type = headerValue(headers, "content-type");
    this.#sink.head(status, [
      ["x-spillway-endpoint", this.#endpoint.id],
      ...(type === undefined ? [] : ([["content-type", type]] as const)),
    ]);
  }

  data(chunk: Uint8Array): void {
    if (!this.#sink.data(chunk)) this.#call.pause();
  }

  end(): void {
    if (!this.#changesModels) return this.#sink.end();
    this.#endpoint.refresh(() => {
      if (!this.#hasLeft) this.#sink.end();
    });
  }

  failed(error: ServerError): void {
    this.#sink.fail(serverFailure(this.#endpoint, error));
  }

  resume(): void {
    this.#call.resume();
  }

  cancel(): void {
    this.#hasLeft = true;
    this.#call.cancel();
  }
}
