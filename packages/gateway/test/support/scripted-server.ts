/** An HTTP server that does what a test says, byte by byte, and tells when its connections end. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { TestContext } from "node:test";

/** One request as the server got it. */
export interface ScriptedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
  readonly response: ServerResponse;
  readonly socket: Socket;
  /** From 0, over all requests of the server. */
  readonly index: number;
}

/** What the server does with a request whose body has arrived. */
export type Script = (request: ScriptedRequest) => void;

/** A running server. */
export interface ScriptedServer {
  readonly origin: string;
  readonly port: number;
  readonly requests: ScriptedRequest[];
  /** Requests whose head has arrived. */
  heads: number;
  /** Connections made so far, and those open now. */
  connections: number;
  readonly sockets: Set<Socket>;
  /** When connections ended, on `performance.now()`. */
  readonly closedAt: number[];
  script: Script;
  readonly server: Server;
  close(): Promise<void>;
}

/** Listens on a port of its own until the test ends. */
export async function startScriptedServer(
  t: Pick<TestContext, "after">,
  script: Script,
): Promise<ScriptedServer> {
  const server = createServer();
  server.keepAliveTimeout = 60_000;
  const scripted: ScriptedServer = {
    origin: "",
    port: 0,
    requests: [],
    heads: 0,
    connections: 0,
    sockets: new Set(),
    closedAt: [],
    script,
    server,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  server.on("connection", (socket: Socket) => {
    scripted.connections++;
    scripted.sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => {
      scripted.sockets.delete(socket);
      scripted.closedAt.push(performance.now());
    });
  });
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    const pieces: Buffer[] = [];
    scripted.heads++;
    response.on("error", () => undefined);
    request.on("error", () => undefined);
    request.on("data", (piece: Buffer) => void pieces.push(piece));
    request.on("end", () => {
      const { method = "", url = "", headers, socket } = request;
      const index = scripted.requests.length;
      const body = Buffer.concat(pieces);
      const seen = { method, path: url, headers, body, response, socket, index };
      scripted.requests.push(seen);
      scripted.script(seen);
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  t.after(() => scripted.close());
  return Object.assign(scripted, { origin: `http://127.0.0.1:${port}`, port });
}
