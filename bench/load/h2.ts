/** Carries gRPC unary calls over HTTP/2 without TLS on raw sockets: several streams in flight on each connection. */
import type { GrpcRequest } from "./grpc-requests.ts";
import { H2Connection } from "./h2-connection.ts";
import type { H2Shared } from "./h2-connection.ts";
import type { ResponseCheck, Target } from "./load-spec.ts";
import type { Transport } from "./transport.ts";

/** What a gRPC transport needs. */
export interface GrpcOptions {
  readonly target: Target;
  readonly connections: number;
  readonly streamsPerConnection: number;
  readonly requests: readonly GrpcRequest[];
  /** Gets the grpc-status as status and the message without its prefix as body. */
  readonly check?: ResponseCheck | undefined;
}

/** Bytes read at once; one buffer serves all connections, since each piece is consumed before the next is read. */
const READ_BUFFER_BYTES = 262_144;

/** Prepares the transport; nothing is connected before `open`. Slot s is on connection floor(s / streams). */
export function createGrpcTransport(options: GrpcOptions): Transport {
  const streams = options.streamsPerConnection;
  let connections: H2Connection[] = [];
  let shared: H2Shared | null = null;
  return {
    async open(events) {
      const all: H2Shared = {
        ...options,
        readBuffer: Buffer.allocUnsafe(READ_BUFFER_BYTES),
        events,
        nextRequest: 0,
        connects: 0,
      };
      shared = all;
      connections = Array.from(
        { length: options.connections },
        (_, index) => new H2Connection(index * streams, streams, all),
      );
      await Promise.all(connections.map((connection) => connection.connect()));
    },
    send: (slot) => connections[Math.floor(slot / streams)]?.send(slot),
    abandon: (slot) => connections[Math.floor(slot / streams)]?.abandon(slot),
    get connects() {
      return shared?.connects ?? 0;
    },
    close: () => connections.forEach((connection) => connection.close()),
  };
}
