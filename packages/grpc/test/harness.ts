/** What the tests of this package share: sockets in a folder of their own, promises around calls, a raw HTTP/2 peer. */
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { FrameReader } from "../src/frame-reader.ts";
import { connectionPreface, frameFlag, frameType } from "../src/http2-codes.ts";
import { encodeHeaders } from "../src/hpack-encoder.ts";
import { createChannel, createGrpcServer } from "../src/index.ts";
import type {
  ChannelOptions,
  GrpcChannel,
  GrpcFailure,
  GrpcServerOptions,
  Metadata,
  MethodHandler,
  UnaryRequest,
} from "../src/index.ts";

/** A path for a Unix socket, removed after the test. */
export function socketPath(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "grpc-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, "s");
}

/** The methods most tests use: `/t.T/Echo` answers with the message, `/t.T/Never` never answers. */
export const echoMethods: [string, MethodHandler][] = [
  ["/t.T/Echo", { kind: "unary", handle: (call) => call.respond([call.message], call.metadata) }],
  ["/t.T/Never", { kind: "unary", handle: () => {} }],
];

/** A listening server, closed after the test. */
export async function startServer(
  t: TestContext,
  options: Partial<GrpcServerOptions> & { readonly extra?: readonly [string, MethodHandler][] } = {},
): Promise<string> {
  const { extra = [], ...rest } = options;
  const server = createGrpcServer({ methods: new Map([...echoMethods, ...extra]), ...rest });
  const path = socketPath(t);
  await server.listen({ path });
  t.after(() => server.close({ graceMs: 0 }));
  return path;
}

/** A channel, closed after the test. */
export function openChannel(
  t: TestContext,
  path: string,
  options: Partial<ChannelOptions> = {},
): GrpcChannel {
  const channel = createChannel({ address: `unix:${path}`, ...options });
  t.after(() => channel.close());
  return channel;
}

/** How a call ended. */
export type Outcome =
  | { readonly ok: true; readonly message: Buffer; readonly metadata: Metadata }
  | { readonly ok: false; readonly failure: GrpcFailure };

/** Makes a call and waits for its end. */
export function call(channel: GrpcChannel, request: Partial<UnaryRequest> = {}): Promise<Outcome> {
  return new Promise((resolve) => {
    channel.unary(
      { path: "/t.T/Echo", message: [Buffer.from("hello")], ...request },
      {
        done: (message, metadata) => resolve({ ok: true, message: Buffer.from(message), metadata }),
        failed: (failure) => resolve({ ok: false, failure }),
      },
    );
  });
}

/** The failure of a call that must fail. */
export async function failureOf(outcome: Promise<Outcome>): Promise<GrpcFailure> {
  const ended = await outcome;
  if (ended.ok) throw new Error("the call succeeded");
  return ended.failure;
}

/** A frame as the raw peer saw it; DATA is given whole. */
export interface SeenFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** One frame's bytes. */
export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(streamId, 5);
  return Buffer.concat([header, payload]);
}

/** Four bytes, as RST_STREAM and WINDOW_UPDATE carry them. */
export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** The header block of a gRPC request. */
export function requestBlock(path = "/t.T/Echo", more: Metadata = []): Buffer {
  return encodeHeaders([
    [":method", "POST"],
    [":scheme", "http"],
    [":path", path],
    [":authority", "localhost"],
    ["te", "trailers"],
    ["content-type", "application/grpc"],
    ...more,
  ]);
}

/** HEADERS that open a request. */
export function openRequest(streamId: number, path?: string, more?: Metadata): Buffer {
  return frame(frameType.headers, frameFlag.endHeaders, streamId, requestBlock(path, more));
}

/** A gRPC message with its prefix. */
export function grpcMessage(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([0]), uint32(bytes.length), bytes]);
}

/** A client that sends whatever bytes a test likes. */
export class RawPeer {
  readonly socket: Socket;
  readonly frames: SeenFrame[] = [];
  closed = false;
  #data: Buffer[] = [];
  #waiting: (() => void)[] = [];

  constructor(path: string) {
    this.socket = connect(path);
    const reader = new FrameReader(
      {
        beginData: () => {
          this.#data = [];
        },
        data: (_id, bytes) => void this.#data.push(Buffer.from(bytes)),
        endData: (streamId, end) =>
          this.#see({ type: 0, flags: end ? 1 : 0, streamId, payload: Buffer.concat(this.#data) }),
        frame: (type, flags, streamId, payload) =>
          this.#see({ type, flags, streamId, payload: Buffer.from(payload) }),
      },
      { maxFrameBytes: 16_777_215, maxControlBytes: 16_777_215, expectPreface: false },
    );
    this.socket.on("data", (chunk: Buffer) => reader.read(chunk));
    this.socket.on("error", () => {});
    this.socket.on("close", () => {
      this.closed = true;
      this.#wake();
    });
  }

  /** Preface and empty SETTINGS, then `more`. */
  greet(...more: Uint8Array[]): void {
    this.send(Buffer.from(connectionPreface), frame(frameType.settings, 0, 0), ...more);
  }

  send(...parts: Uint8Array[]): void {
    this.socket.write(Buffer.concat(parts));
  }

  /** Waits for a frame, past or future; undefined when the connection closes without it. */
  async see(type: number, streamId?: number): Promise<SeenFrame | undefined> {
    for (;;) {
      const found = this.frames.find(
        (each) => each.type === type && (streamId ?? each.streamId) === each.streamId,
      );
      if (found || this.closed) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** The error code of the GOAWAY the server ends the connection with. */
  async goAwayCode(): Promise<number | undefined> {
    return (await this.see(frameType.goAway))?.payload.readUInt32BE(4);
  }

  async untilClosed(): Promise<void> {
    while (!this.closed) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #see(seen: SeenFrame): void {
    this.frames.push(seen);
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}

/** A raw peer, destroyed after the test. */
export function rawPeer(t: TestContext, path: string): RawPeer {
  const peer = new RawPeer(path);
  t.after(() => peer.socket.destroy());
  return peer;
}

/** Numbers between 0 and 1 that are the same at every run. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
