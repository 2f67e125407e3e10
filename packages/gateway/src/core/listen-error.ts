/** Says in a sentence why an address cannot be listened on. */
import { GatewayError } from "./errors.ts";

/** An address that was to be listened on. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
  /** What listens there, for people: `HTTP` or `gRPC`. */
  readonly what: string;
}

/** Turns the system's error into a `GatewayError` that names the port and what to do. */
export function listenError(error: unknown, { host, port, what }: ListenAddress): GatewayError {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const place = `${what} port ${port} on ${host}`;
  return new GatewayError("internal", `Cannot listen: ${reasonOf(code, place, error)}`, { cause: error });
}

function reasonOf(code: string, place: string, error: unknown): string {
  switch (code) {
    case "EADDRINUSE":
      return `${place} is taken by another program. Stop that program, or choose another port.`;
    case "EACCES":
      return `${place} needs more rights than this user has. Choose a port of 1024 or above.`;
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return `this machine has no such address: ${place}. Choose 127.0.0.1, or 0.0.0.0 for all of them.`;
    default:
      return `${place}: ${error instanceof Error ? error.message : String(error)}`;
  }
}
