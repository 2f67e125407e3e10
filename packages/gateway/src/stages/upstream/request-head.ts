/** The head of an HTTP/1.1 request (RFC 9112) as it goes to a server. */
import type { ServerRequest } from "../../contracts/connection.ts";
import { bodyBytes } from "./held-body.ts";
import type { HeaderList } from "../../core/headers.ts";

const target = /^\/[\x21-\x7e\x80-\xff]*$/;
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const sane = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Headers that are the connection's: whoever else sets one would break the framing. */
const framing: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "expect",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Methods that say that they have no body (RFC 9110, 8.6). */
const mayHaveBody: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);

/** Writes the heads of requests to one server. */
export class RequestHeads {
  readonly #host: string;
  readonly #basePath: string;
  readonly #headers: HeaderList;
  /** The headers written last: a dialect gives the same list for most of its requests. */
  #lastHeaders: HeaderList | undefined;
  #lastText: string | undefined;

  /** `host`: what the servers are called, with the port where it is not the scheme's. `headers` go with each request. */
  constructor(host: string, basePath: string, headers: HeaderList) {
    this.#host = host;
    this.#basePath = basePath;
    this.#headers = headers;
  }

  /** The head with its empty line; undefined where it would not be one head. */
  write(request: ServerRequest): string | undefined {
    const { method, path, headers } = request;
    if (headers !== this.#lastHeaders) {
      this.#lastText = this.#fields(headers);
      this.#lastHeaders = headers;
    }
    const fields = this.#lastText;
    const where = this.#basePath + path;
    if (fields === undefined || !target.test(where)) return undefined;
    return `${method} ${where} HTTP/1.1\r\n${fields}${lengthField(request)}\r\n`;
  }

  /** Undefined where a header cannot be one. */
  #fields(headers: HeaderList): string | undefined {
    let text = "connection: keep-alive\r\n";
    let hasHost = false;
    for (const list of [this.#headers, headers]) {
      for (const [name, value] of list) {
        if (!token.test(name) || !sane.test(value)) return undefined;
        const lower = name.toLowerCase();
        if (framing.has(lower)) continue;
        hasHost ||= lower === "host";
        text += `${name}: ${value}\r\n`;
      }
    }
    return hasHost ? text : `host: ${this.#host}\r\n${text}`;
  }
}

function lengthField({ method, body, rest, upload }: ServerRequest): string {
  if (body !== undefined) return `content-length: ${bodyBytes(body, rest)}\r\n`;
  if (upload === undefined) return mayHaveBody.has(method) ? "content-length: 0\r\n" : "";
  return upload.length === undefined
    ? "transfer-encoding: chunked\r\n"
    : `content-length: ${upload.length}\r\n`;
}
