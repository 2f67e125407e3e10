/** Opening the socket of a channel. */
import { connect as connectNet } from "node:net";
import type { Socket } from "node:net";
import type NodeTls from "node:tls";
import type { ConnectionOptions } from "node:tls";
import { dataEvents, sharedReads } from "./chunk-source.ts";
import type { ReadableSocket } from "./chunk-source.ts";
import type { ChannelOptions } from "./types.ts";

/** Loaded where it is used: most channels are plain, and `node:tls` costs a process 4 MB. */
const loadTls = (): typeof NodeTls => process.getBuiltinModule("node:tls");

/** Where an address leads. */
export type DialTarget = { readonly path: string } | { readonly host: string; readonly port: number };

/** Reads `unix:/path`, `host:port` or `[::1]:port`. Throws TypeError for anything else. */
export function parseAddress(address: string): DialTarget {
  if (address.startsWith("unix:") && address.length > 5) return { path: address.slice(5) };
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([^:[\]/]+)):(\d{1,5})$/.exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3] ?? 0);
  if (!host || port < 1 || port > 65_535)
    throw new TypeError(`address "${address}" is neither unix:/path nor host:port`);
  return { host, port };
}

/** What is sent as `:authority`. */
export function authorityOf(target: DialTarget, serverName?: string): string {
  if ("path" in target) return serverName ?? "localhost";
  const host = target.host.includes(":") ? `[${target.host}]` : target.host;
  return `${serverName ?? host}:${target.port}`;
}

/** Connects; calls back once with the socket, or with what went wrong. Returns the socket under way. */
export function dial(
  target: DialTarget,
  tls: ChannelOptions["tls"],
  done: (result: ReadableSocket | Error) => void,
): Socket {
  const { socket, chunks } = tls ? dataEvents(loadTls().connect(tlsOptions(target, tls))) : openPlain(target);
  if (!("path" in target)) {
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 30_000);
  }
  const fail = (error: Error): void => done(error);
  socket.once("error", fail);
  socket.once(tls ? "secureConnect" : "connect", () => {
    socket.off("error", fail);
    const protocol = "alpnProtocol" in socket ? socket.alpnProtocol : "h2";
    if (protocol === "h2") done({ socket, chunks });
    else {
      socket.destroy();
      done(new Error("the server does not offer HTTP/2 (ALPN h2)"));
    }
  });
  return socket;
}

function openPlain(target: DialTarget): ReadableSocket {
  const { onread, chunks } = sharedReads();
  return { socket: connectNet({ ...target, onread }), chunks };
}

function tlsOptions(target: DialTarget, tls: NonNullable<ChannelOptions["tls"]>): ConnectionOptions {
  const { serverName, ...rest } = tls;
  const name = serverName ?? ("host" in target ? target.host : "localhost");
  // An IP address is no valid server name (RFC 6066); the certificate is checked against it all the same.
  const servername = /^[\d.]+$|:/.test(name) ? "" : name;
  return { ...target, ...rest, servername, ALPNProtocols: ["h2"] };
}
