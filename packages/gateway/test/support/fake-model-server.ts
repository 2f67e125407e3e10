/** A small HTTP server that lists models as Ollama or OpenAI-compatible servers do, and whose answers a test sets. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

/** What a path answers: status, JSON body, headers. */
export type FakeAnswer = readonly [status: number, body: unknown, headers?: Record<string, string>];

/** A running fake. */
export interface FakeModelServer {
  readonly url: string;
  readonly port: number;
  /** `METHOD path host` of every request. */
  readonly asked: string[];
  /** Headers of the last request. */
  headers(): IncomingMessage["headers"];
  /** Answers by path; set them to change what the server says. */
  readonly answers: Record<string, FakeAnswer>;
  /** Stops to listen and resets every connection. */
  kill(): Promise<void>;
  /** Listens again on its port. */
  revive(): Promise<void>;
}

/** What `/api/tags`, `/api/ps` and `/api/version` say. */
export function ollamaAnswers(
  models: readonly string[],
  loaded: readonly string[] = [],
): Record<string, FakeAnswer> {
  const card = (name: string): object => ({ name, model: name, size: 1 });
  return {
    "/": [200, "Ollama is running"],
    "/api/tags": [200, { models: models.map(card) }],
    "/api/ps": [200, { models: loaded.map(card) }],
    "/api/version": [200, { version: "0.14.1" }],
  };
}

/** What `/v1/models` says. */
export function openaiAnswers(models: readonly string[], owner = "vllm"): Record<string, FakeAnswer> {
  const data = models.map((id) => ({ id, object: "model", owned_by: owner }));
  return {
    "/v1/models": [200, { object: "list", data }],
    "/health": [200, {}],
    "/version": [200, { version: "0.11.0" }],
    "/v1/responses": [405, {}],
  };
}

/** Starts a fake that ends with its test; what it has no answer for is 404. */
export async function startFakeServer(
  test: Pick<TestContext, "after">,
  answers: Record<string, FakeAnswer>,
  listen: { readonly host?: string; readonly port?: number; readonly path?: string } = {},
): Promise<FakeModelServer> {
  const asked: string[] = [];
  let headers: IncomingMessage["headers"] = {};
  const table = { ...answers };
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    asked.push(`${request.method} ${request.url} ${request.headers.host}`);
    ({ headers } = request);
    const [path = ""] = (request.url ?? "").split("?");
    const [status, body, more = {}] = table[path] ?? [404, { error: "not found" }];
    response.writeHead(status, { "content-type": "application/json", ...more });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  };
  let server: Server | undefined;
  let { port = 0 } = listen;
  const up = async (): Promise<void> => {
    const made = createServer(answer);
    const where =
      listen.path === undefined ? { host: listen.host ?? "127.0.0.1", port } : { path: listen.path };
    await new Promise<void>((resolve, reject) => made.once("error", reject).listen(where, resolve));
    if (listen.path === undefined) ({ port } = made.address() as AddressInfo);
    server = made;
  };
  const down = async (): Promise<void> => {
    const old = server;
    server = undefined;
    if (old === undefined) return;
    const closed = new Promise((resolve) => old.close(resolve));
    old.closeAllConnections();
    await closed;
  };
  await up();
  test.after(down);
  return {
    get url() {
      return listen.path === undefined
        ? `http://${listen.host ?? "127.0.0.1"}:${port}`
        : `unix:${listen.path}`;
    },
    get port() {
      return port;
    },
    asked,
    headers: () => headers,
    answers: table,
    kill: down,
    revive: up,
  };
}
