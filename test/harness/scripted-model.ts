/** A model server that does what a test says, byte by byte, and answers what pools ask of servers of every kind. */
import type { Socket } from "node:net";
import type { TestContext } from "node:test";
import {
  startScriptedServer,
  type ScriptedRequest,
  type ScriptedServer,
} from "../../packages/gateway/test/support/scripted-server.ts";
import { serverAt } from "./chat-wire.ts";

/** One call to a model. */
export interface ModelCall extends ScriptedRequest {
  /** When its connection ended, on `performance.now()`; undefined while it is open. */
  closedAt: number | undefined;
}

/** What the server does with a call whose body has arrived. */
export type ModelScript = (call: ModelCall) => void;

/** A running server. */
export interface ScriptedModel {
  readonly url: string;
  /** Calls to models, in their order; what pools ask is not among them. */
  readonly calls: ModelCall[];
  readonly server: ScriptedServer;
  script: ModelScript;
}

/** Listens until the test ends. `models` are what it lists, in the words of every API. */
export async function startScriptedModel(
  test: Pick<TestContext, "after">,
  models: readonly string[],
  script: ModelScript = answerWhole,
): Promise<ScriptedModel> {
  const calls: ModelCall[] = [];
  const server = await startScriptedServer(test, (request) => {
    if (request.method === "GET") return answerProbe(request, models);
    const call: ModelCall = { ...request, closedAt: undefined };
    noteClose(call);
    calls.push(call);
    model.script(call);
  });
  const model: ScriptedModel = { url: server.origin, calls, server, script };
  return model;
}

/** The last call of each connection: one listener a connection, however many calls it carries. */
const lastCalls = new WeakMap<Socket, ModelCall>();

function noteClose(call: ModelCall): void {
  const { socket } = call;
  if (!lastCalls.has(socket)) {
    socket.once("close", () => {
      const last = lastCalls.get(socket);
      if (last !== undefined) last.closedAt = performance.now();
    });
  }
  lastCalls.set(socket, call);
}

function answerProbe({ path, response }: ScriptedRequest, models: readonly string[]): void {
  const json = (value: object, status = 200): void => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
  };
  const cards = models.map((name) => ({ name, model: name, size: 1, digest: "0", details: {} }));
  switch (path.split("?")[0]) {
    case "/v1/models":
      return json({
        object: "list",
        data: models.map((id) => ({ id, type: "model", object: "model" })),
        has_more: false,
      });
    case "/api/tags":
    case "/api/ps":
      return json({ models: cards });
    case "/api/version":
      return json({ version: "0.14.2" });
    default:
      return json({ error: "not found" }, 404);
  }
}

/** All frames of an address for these pieces of text. */
export function framesAt(path: string, pieces: readonly string[]): readonly string[] {
  const { opening, content, closing } = serverAt(path).frames(pieces);
  return [...opening, ...content, ...closing];
}

/** The address of a call, without its query. */
export function pathOf({ path }: ModelCall): string {
  return path.split("?")[0] ?? path;
}

/** Begins a streamed answer. */
export function openStream(call: ModelCall): ModelCall["response"] {
  const { response } = call;
  response.writeHead(200, { "content-type": serverAt(pathOf(call)).contentType });
  response.flushHeaders();
  return response;
}

/** Begins a streamed answer and sends everything up to the first content, that included. */
export function openWithContent(call: ModelCall, text = "one "): ModelCall["response"] {
  const { opening, content } = serverAt(pathOf(call)).frames([text]);
  const response = openStream(call);
  response.write([...opening, ...content].join(""));
  return response;
}

/** Answers well, streamed or not as it was asked for. */
export function answerWhole(call: ModelCall): void {
  const path = pathOf(call);
  const { stream } = JSON.parse(call.body.toString()) as { stream?: boolean };
  // Ollama streams unless it is told not to.
  if (stream ?? path.startsWith("/api/")) {
    openStream(call).end(framesAt(path, ["one ", "two"]).join(""));
    return;
  }
  call.response.writeHead(200, { "content-type": "application/json" }).end(serverAt(path).whole("one two"));
}
