/**
 * Reference proxy: the least that a gateway in Node can do. `node:http` reads the body, `JSON.parse` finds the model,
 * `undici.dispatch` carries it to the one server behind (`UPSTREAM`), and what comes back is written on.
 */
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Pool } from "undici";
import type { Dispatcher } from "undici";
import { serveReference } from "./serve-reference.ts";

const upstream = process.env["UPSTREAM"];
if (upstream === undefined) throw new Error("UPSTREAM is not set: expected the origin of the server behind");
const pool = new Pool(upstream, { connections: 1024, pipelining: 1, bodyTimeout: 0, headersTimeout: 0 });

serveReference(
  createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => forward(request, response, chunks));
  }),
);

function forward(request: IncomingMessage, response: ServerResponse, chunks: readonly Buffer[]): void {
  const body = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
  const { model } = JSON.parse(body.toString()) as { readonly model?: string };
  if (model === undefined) {
    response.writeHead(400).end();
    return;
  }
  const options: Dispatcher.DispatchOptions = {
    path: request.url ?? "/",
    method: "POST",
    headers: ["content-type", "application/json"],
    body,
  };
  pool.dispatch(options, new Relay(response));
}

/** Writes the answer on as it comes. */
class Relay implements Dispatcher.DispatchHandler {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    const response = this.#response;
    response.once("close", () => {
      if (!response.writableFinished) controller.abort(new Error("the client has left"));
    });
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    const { "content-type": type, "content-length": length } = headers;
    this.#response.writeHead(status, {
      ...(typeof type === "string" ? { "content-type": type } : {}),
      ...(typeof length === "string" ? { "content-length": length } : {}),
    });
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#response.write(chunk);
  }

  onResponseEnd(): void {
    this.#response.end();
  }

  onResponseError(): void {
    this.#response.destroy();
  }
}
