/** Opens sockets to one server: TCP, TLS or Unix, within a time. */
import type { OnReadOpts, Socket } from "node:net";
import type { ServerAccess } from "../../contracts/connection.ts";
import type { Clock } from "../../core/clock.ts";

const net = process.getBuiltinModule("node:net");
const tls = process.getBuiltinModule("node:tls");

/** How long a connection is silent before the system asks whether the server is still there, ms. */
const probeAfterMs = 60_000;

/** A connection that is being made. */
export interface Dialing {
  /** Gives it up: the socket is closed at once and the callback hears of an error. */
  cancel(): void;
}

/** Who hears of a connection. */
export interface DialListener {
  /** Called exactly once, later, with one of the two. */
  opened(error: Error | undefined, socket: Socket | undefined): void;
  /** What comes off the socket, in memory of the listener's own unless it `borrows`. Only after `opened`, and not while the socket is paused. */
  received(piece: Buffer): void;
  /** True while pieces need to hold only until `received` returns. */
  readonly borrows: boolean;
}

/** Opens a socket. */
export type Dialer = (listener: DialListener) => Dialing;

/**
 * Sockets without TLS read into this and what came is copied out: that costs less than the memory of
 * its own that Node gives to each read, and spares a stream's queue. A read is handled before the next begins.
 */
const sharedBuffer = Buffer.allocUnsafeSlow(65_536);

/** Makes the dialer of one server. It resumes its TLS sessions. */
export function createDialer(access: ServerAccess, clock: Clock): Dialer {
  const open = opener(access);
  return (listener) => {
    let pending = true;
    const socket = open(listener);
    const done = (error: Error | undefined): void => {
      if (!pending) return;
      pending = false;
      timer.cancel();
      if (error === undefined) return listener.opened(undefined, socket);
      socket.destroy();
      listener.opened(error, undefined);
    };
    const timer = clock.after(access.connectTimeoutMs, () =>
      done(new Error(`no connection within ${access.connectTimeoutMs} ms`)),
    );
    socket.setNoDelay(true);
    socket.setKeepAlive(true, probeAfterMs);
    socket.once(access.origin.startsWith("https:") ? "secureConnect" : "connect", () => done(undefined));
    socket.on("error", done);
    socket.on("close", () => done(new Error("the connection was closed while it was being made")));
    return { cancel: () => done(new Error("called off")) };
  };
}

function opener(access: ServerAccess): (listener: DialListener) => Socket {
  const { protocol, hostname, port } = new URL(access.origin);
  const name = hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
  const secure = protocol === "https:";
  const place =
    access.socketPath === undefined
      ? { host: access.address ?? name, port: port === "" ? (secure ? 443 : 80) : Number(port) }
      : { path: access.socketPath };
  if (!secure) return (listener) => net.connect({ ...place, onread: readerFor(listener) });
  const servername = access.serverName ?? (net.isIP(name) === 0 ? name : undefined);
  let session: Buffer | undefined;
  return (listener) => {
    const socket = tls.connect({
      ...place,
      ALPNProtocols: ["http/1.1"],
      ...(servername === undefined ? {} : { servername }),
      ...(access.ca === undefined ? {} : { ca: access.ca }),
      ...access.clientCertificate,
      ...(access.insecure === true ? { rejectUnauthorized: false } : {}),
      ...(session === undefined ? {} : { session }),
    });
    socket.on("session", (fresh) => void (session = fresh));
    socket.on("data", (piece: Buffer) => listener.received(piece));
    return socket;
  };
}

function readerFor(listener: DialListener): OnReadOpts {
  return {
    buffer: sharedBuffer,
    callback(length) {
      if (listener.borrows) {
        listener.received(sharedBuffer.subarray(0, length));
        return true;
      }
      const piece = Buffer.allocUnsafe(length);
      sharedBuffer.copy(piece, 0, 0, length);
      listener.received(piece);
      return true;
    },
  };
}
