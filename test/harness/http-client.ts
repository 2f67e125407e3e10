/** An HTTP/1.1 client for tests: paths go out as they are written, connections are kept, answers come back as bytes. */
import { Agent, request, type IncomingHttpHeaders } from "node:http";

/** One request. */
export interface HttpAsk {
  /** Default `POST` with a body, else `GET`. */
  readonly method?: string;
  /** Sent as it is: `..` and percent signs are not touched. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Objects are sent as JSON; bytes and texts as they are, with the content type the headers give. */
  readonly body?: Uint8Array | string | object;
  /** Aborting it closes the connection. */
  readonly signal?: AbortSignal;
}

/** An answer, read whole. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly text: string;
  /** Parsed; throws where the body is no JSON object. */
  readonly json: Record<string, unknown>;
}

/** A client of one address. */
export interface HttpClient {
  ask(ask: HttpAsk): Promise<HttpAnswer>;
  /** Ends the kept connections. */
  close(): void;
}

/** Makes a client that opens `connections` at most; further requests wait for one. Rejects where the connection breaks. */
export function createHttpClient(
  url: string,
  { connections = 64 }: { readonly connections?: number } = {},
): HttpClient {
  const agent = new Agent({ keepAlive: true, maxSockets: connections, maxFreeSockets: connections });
  const { hostname, port } = new URL(url);
  return {
    ask: (ask) => send({ agent, hostname, port }, ask),
    close: () => agent.destroy(),
  };
}

function send(
  address: { readonly agent: Agent; readonly hostname: string; readonly port: string },
  { method, path, headers = {}, body, signal }: HttpAsk,
): Promise<HttpAnswer> {
  const isObject = typeof body === "object" && !(body instanceof Uint8Array);
  const payload = isObject ? JSON.stringify(body) : body;
  const allHeaders = {
    ...(isObject ? { "content-type": "application/json" } : {}),
    ...(payload === undefined ? {} : { "content-length": String(Buffer.byteLength(payload)) }),
    ...headers,
  };
  return new Promise((resolve, reject) => {
    const call = request({
      ...address,
      method: method ?? (payload === undefined ? "GET" : "POST"),
      path,
      headers: allHeaders,
      ...(signal === undefined ? {} : { signal }),
    });
    call.on("error", reject);
    call.on("response", (response) => {
      const pieces: Buffer[] = [];
      response.on("data", (piece: Buffer) => pieces.push(piece));
      response.on("error", reject);
      response.on("end", () => {
        const { statusCode: status = 0, headers: answered } = response;
        resolve(toAnswer(status, answered, Buffer.concat(pieces)));
      });
    });
    call.end(payload);
  });
}

function toAnswer(status: number, headers: IncomingHttpHeaders, bytes: Buffer): HttpAnswer {
  return {
    status,
    headers,
    bytes,
    get text() {
      return bytes.toString("utf8");
    },
    get json() {
      return JSON.parse(bytes.toString("utf8")) as Record<string, unknown>;
    },
  };
}
