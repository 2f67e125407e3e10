/** A caller that sees its answer byte by byte, and may leave at any time. */
import { request, type ClientRequest, type IncomingHttpHeaders } from "node:http";
import { until } from "./until.ts";

/** What is asked. */
export interface ForwardAsk {
  readonly path: string;
  /** Objects are sent as JSON. */
  readonly body?: object | string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One call over a connection of its own. */
export class ForwardCall {
  status = 0;
  headers: IncomingHttpHeaders = {};
  readonly chunks: Buffer[] = [];
  /** The answer ended as HTTP says it should. False while it runs, and for one that broke off. */
  isComplete = false;
  /** True once nothing more comes, whole or not. */
  hasEnded = false;
  /** When the first byte of the body came, on `performance.now()`. */
  firstByteAt: number | undefined;
  readonly request: ClientRequest;

  constructor(url: string, { path, body, headers = {} }: ForwardAsk) {
    const isJson = typeof body === "object" && !(body instanceof Uint8Array);
    const bytes = isJson ? JSON.stringify(body) : body;
    const end = (): void => void (this.hasEnded = true);
    this.request = request(`${url}${path}`, {
      method: "POST",
      agent: false,
      headers: { "content-type": "application/json", ...headers },
    });
    this.request.on("error", end);
    this.request.on("response", (response) => {
      this.status = response.statusCode ?? 0;
      this.headers = response.headers;
      response.on("data", (chunk: Buffer) => {
        this.firstByteAt ??= performance.now();
        this.chunks.push(chunk);
      });
      response.on("error", end);
      response.on("close", () => {
        this.isComplete = response.complete;
        end();
      });
    });
    if (bytes !== undefined) this.request.end(bytes);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  get text(): string {
    return this.bytes.toString();
  }

  /** Resolves with the call once the answer has ended, whole or not. */
  async ended(): Promise<this> {
    await until("the answer ends", () => this.hasEnded);
    return this;
  }

  /** Closes the connection at once. */
  leave(): void {
    this.request.destroy();
  }
}

/** Asks; the answer comes while the test goes on. Without a body, the request is left open for the test to write to. */
export function startCall(url: string, ask: ForwardAsk): ForwardCall {
  return new ForwardCall(url, ask);
}
