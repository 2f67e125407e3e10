/** The engine's door: HTTP/1.1 on a Unix socket or a port of this machine. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Fields } from "../fields.ts";
import type { Json } from "../port.ts";
import { Refusal } from "../refusal.ts";
import { answerError, type ErrorBody } from "./answer.ts";

/** Largest body of a request, bytes. */
const maxBodyBytes = 16 * 1024 * 1024;

/** Values nested deeper overflow the stack of who walks through them. */
const maxJsonDepth = 128;

/** A request whose body has been read. */
export interface EngineRequest {
  /** The body's fields; empty for a request without a body. */
  readonly fields: Fields;
  readonly response: ServerResponse;
  /** Aborted when the client has gone. */
  readonly signal: AbortSignal;
}

/** Answers one kind of request. What it throws is answered in the dialect's words. */
export interface EngineRoute {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly errorBody: ErrorBody;
  handle(request: EngineRequest): void | Promise<void>;
}

/** A server that answers the routes. It does not listen yet. */
export function createEngineServer(routes: readonly EngineRoute[]): Server {
  const byKey = new Map(routes.map((route) => [`${route.method} ${route.path}`, route]));
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
    const method = request.method === "HEAD" ? "GET" : request.method;
    const route = byKey.get(`${method} ${path}`);
    if (route === undefined) {
      const unknown = new Refusal("not_found", `${request.method} ${path}: no such address`);
      answerError(response, unknown, plainErrorBody);
      return;
    }
    void carryOut(route, request, response);
  };
  const server = createServer({ keepAliveTimeout: 75_000, requestTimeout: 60_000 }, answer);
  return server;
}

function plainErrorBody({ message }: Refusal): unknown {
  return { error: message };
}

async function carryOut(
  route: EngineRoute,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController();
  response.on("close", () => {
    if (!response.writableFinished) gone.abort(new Error("the client has gone"));
  });
  try {
    const fields = route.method === "POST" ? new Fields(parse(await readBody(request))) : new Fields({});
    await route.handle({ fields, response, signal: gone.signal });
  } catch (error) {
    if (!gone.signal.aborted) answerError(response, error, route.errorBody);
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes)
      throw new Refusal("body_too_large", `The body is larger than ${maxBodyBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parse(text: string): Json {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch (error) {
    throw new Refusal("invalid_request", `The body is not JSON: ${(error as Error).message}`);
  }
  if (isTooDeep(value, maxJsonDepth)) throw new Refusal("invalid_request", "The body is nested too deeply");
  return value;
}

function isTooDeep(value: Json, left: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return left === 0 || Object.values(value).some((child: Json) => isTooDeep(child, left - 1));
}
