/** The server under a door: plain, or with TLS. */
import type { Server, ServerOptions } from "node:http";
import type { Server as SecureServer } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Certificate } from "../../contracts/options.ts";
import type { BodyRequest } from "./body-request.ts";

/** How long a client may take to agree on keys. */
const handshakeTimeoutMs = 10_000;

/** A server of Node's and what differs by its kind. */
export interface DoorServer {
  readonly server: Server<typeof BodyRequest>;
  /** Calls for each connection that can carry requests. */
  onConnection(listener: (socket: Socket) => void): void;
  /** Takes another certificate for new connections. */
  renew(certificate: Certificate): void;
  /** Ends every connection, those included that are still agreeing on keys. */
  cut(): void;
}

/** Makes a server; with a certificate it speaks TLS 1.2 or later. */
export function createDoorServer(
  options: ServerOptions<typeof BodyRequest>,
  certificate: Certificate | undefined,
): DoorServer {
  return certificate === undefined ? plain(options) : secure(options, certificate);
}

function plain(options: ServerOptions<typeof BodyRequest>): DoorServer {
  // Taken from the process: importing `node:http` by name evaluates all its exports, a WebSocket client among them, and costs 12 MB.
  const server = process.getBuiltinModule("node:http").createServer(options);
  return {
    server,
    onConnection: (listener) => void server.on("connection", listener),
    renew: () => {},
    cut: () => server.closeAllConnections(),
  };
}

function secure(options: ServerOptions<typeof BodyRequest>, { cert, key }: Certificate): DoorServer {
  const server: SecureServer<typeof BodyRequest> = process.getBuiltinModule("node:https").createServer({
    ...options,
    cert,
    key,
    minVersion: "TLSv1.2",
    handshakeTimeout: handshakeTimeoutMs,
  });
  const raw = new Set<Duplex>();
  server.on("connection", (socket) => {
    raw.add(socket);
    socket.on("close", () => raw.delete(socket));
  });
  return {
    server,
    onConnection: (listener) => void server.on("secureConnection", listener),
    renew: (next) => server.setSecureContext({ cert: next.cert, key: next.key, minVersion: "TLSv1.2" }),
    cut() {
      server.closeAllConnections();
      for (const socket of raw) socket.destroy();
    },
  };
}
