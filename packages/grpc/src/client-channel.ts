/** A gRPC channel: one connection to one address, made when needed and made again after it broke. */
import type { Socket } from "node:net";
import type { ReadableSocket } from "./chunk-source.ts";
import { ClientCall } from "./client-call.ts";
import type { ClientCallLink } from "./client-call.ts";
import { Connection } from "./connection.ts";
import type { ConnectionEvents } from "./connection.ts";
import { authorityOf, dial, parseAddress } from "./dial.ts";
import type { DialTarget } from "./dial.ts";
import { encodeHeaders } from "./hpack-encoder.ts";
import { Liveness } from "./liveness.ts";
import { MemoryAccount } from "./memory-account.ts";
import { grpcStatus } from "./types.ts";
import type {
  Call,
  ChannelOptions,
  ChannelState,
  GrpcChannel,
  GrpcFailure,
  UnaryHandler,
  UnaryRequest,
} from "./types.ts";

const defaultConnectTimeoutMs = 5_000;
const defaultMessageBytes = 268_435_456;
const defaultTotalBytes = 1_073_741_824;
const defaultWaitingCalls = 1_024;
/** Paths whose header block is kept ready. */
const maxPaths = 64;
const maxHeaderListBytes = 65_536;

/** What is known of the present connection attempt or connection. */
interface Attempt {
  socket: Socket | undefined;
  connection: Connection | undefined;
  /** The connect timeout, then the keep-alive. */
  timer: NodeJS.Timeout | undefined;
}

class Channel implements GrpcChannel, ClientCallLink {
  readonly account: MemoryAccount;
  readonly maxMessageBytes: number;
  readonly #options: ChannelOptions;
  readonly #target: DialTarget;
  readonly #heads = new Map<string, Uint8Array>();
  /** Calls without a stream, in order; bounded. */
  readonly #waiting = new Set<ClientCall>();
  /** Connections that take no more calls but still have some. */
  readonly #leaving = new Set<Connection>();
  #state: ChannelState = "idle";
  #attempt: Attempt | undefined;
  #connectCallbacks: ((failure?: GrpcFailure) => void)[] = [];
  #listener: ((state: ChannelState) => void) | undefined;

  constructor(options: ChannelOptions) {
    this.#options = options;
    this.#target = parseAddress(options.address);
    this.maxMessageBytes = options.maxMessageBytes ?? defaultMessageBytes;
    this.account = new MemoryAccount(options.maxTotalBytes ?? defaultTotalBytes);
  }

  get state(): ChannelState {
    return this.#state;
  }

  onState(listener: (state: ChannelState) => void): void {
    this.#listener = listener;
  }

  unary(request: UnaryRequest, handler: UnaryHandler): Call {
    const call = new ClientCall(this, request, handler);
    const connection = this.#attempt?.connection;
    if (connection?.hasRoom && this.#waiting.size === 0) call.send(connection);
    else this.#wait(call);
    return call;
  }

  connect(done: (failure?: GrpcFailure) => void): void {
    if (this.#state === "ready") done();
    else if (this.#state === "closed") done(unavailable("the channel is closed"));
    else {
      this.#connectCallbacks.push(done);
      this.#startConnecting();
    }
  }

  close(): void {
    if (this.#state === "closed") return;
    const attempt = this.#attempt;
    this.#attempt = undefined;
    clearTimeout(attempt?.timer);
    this.#setState("closed");
    for (const connection of this.#leaving) connection.destroy("the channel was closed");
    attempt?.connection?.destroy("the channel was closed");
    attempt?.socket?.destroy();
    this.#failWaiting("the channel was closed");
  }

  headBlock(path: string): Uint8Array {
    const known = this.#heads.get(path);
    if (known) return known;
    const block = encodeHeaders([
      [":method", "POST"],
      [":scheme", this.#options.tls ? "https" : "http"],
      [":path", path],
      [":authority", authorityOf(this.#target, this.#options.tls?.serverName)],
      ["te", "trailers"],
      ["content-type", "application/grpc"],
    ]);
    if (this.#heads.size < maxPaths) this.#heads.set(path, block);
    return block;
  }

  forget(call: ClientCall): void {
    this.#waiting.delete(call);
  }

  /** Keeps a call until there is a connection with room. Failing is done later: no handler runs inside `unary`. */
  #wait(call: ClientCall): void {
    const refusal =
      this.#state === "closed"
        ? "the channel is closed"
        : this.#waiting.size >= (this.#options.maxWaitingCalls ?? defaultWaitingCalls)
          ? "too many calls wait for a connection"
          : undefined;
    if (refusal !== undefined) {
      process.nextTick(() => call.failUnsent(grpcStatus.unavailable, refusal));
      return;
    }
    this.#waiting.add(call);
    // Identifiers have run out, and no stream is left to notice it by.
    const attempt = this.#attempt;
    if (attempt?.connection?.ready && !attempt.connection.accepting) this.#retire(attempt);
    else this.#startConnecting();
  }

  #startConnecting(): void {
    if (this.#attempt) return;
    const attempt: Attempt = { socket: undefined, connection: undefined, timer: undefined };
    this.#attempt = attempt;
    this.#setState("connecting");
    attempt.timer = setTimeout(
      () => this.#onBroken(attempt, `no connection to ${this.#options.address} in time`),
      this.#options.connectTimeoutMs ?? defaultConnectTimeoutMs,
    );
    attempt.socket = dial(this.#target, this.#options.tls, (result) => {
      if (this.#attempt !== attempt) {
        if (!(result instanceof Error)) result.socket.destroy();
      } else if (result instanceof Error) this.#onBroken(attempt, result.message);
      else attempt.connection = this.#adopt(attempt, result);
    });
  }

  #adopt(attempt: Attempt, socket: ReadableSocket): Connection {
    const events: ConnectionEvents = {
      onReady: () => this.#onReady(attempt),
      onStreamGone: () => this.#onStreamGone(attempt),
      onGoAway: () => this.#onGoAway(attempt),
      onClose: (reason) => this.#onClose(attempt, reason),
      onRequest: () => {
        throw new Error("a client opens its streams itself");
      },
    };
    return new Connection(socket, {
      role: "client",
      maxHeaderListBytes,
      maxConcurrentStreams: 0,
      resets: { burst: 100_000, perSecond: 10_000 },
      events,
    });
  }

  #onReady(attempt: Attempt): void {
    if (this.#attempt !== attempt) return;
    clearTimeout(attempt.timer);
    this.#keepAlive(attempt);
    this.#setState("ready");
    const callbacks = this.#connectCallbacks;
    this.#connectCallbacks = [];
    for (const done of callbacks) done();
    this.#sendWaiting();
  }

  /** Watches over a peer that owes answers. */
  #keepAlive(attempt: Attempt): void {
    const { connection } = attempt;
    const silenceMs = this.#options.keepAliveMs ?? 0;
    if (silenceMs <= 0 || !connection) return;
    const liveness = new Liveness(connection, silenceMs);
    attempt.timer = setInterval(() => {
      if (connection.streams > 0 && !liveness.check(performance.now()))
        connection.destroy("the peer does not answer PING");
    }, silenceMs / 4);
    attempt.timer.unref();
  }

  #sendWaiting(): void {
    for (const call of this.#waiting) {
      const connection = this.#attempt?.connection;
      if (!connection?.hasRoom) break;
      this.#waiting.delete(call);
      call.send(connection);
    }
  }

  #onStreamGone(attempt: Attempt): void {
    const { connection } = attempt;
    if (!connection) return;
    if (this.#attempt === attempt) {
      if (!connection.accepting) this.#retire(attempt);
      else if (this.#waiting.size > 0) this.#sendWaiting();
    } else if (connection.streams === 0) connection.close("drained");
  }

  #onGoAway(attempt: Attempt): void {
    if (this.#attempt === attempt) this.#retire(attempt);
  }

  /** The connection takes no more calls: the next one gets a new connection. */
  #retire(attempt: Attempt): void {
    const { connection } = attempt;
    this.#attempt = undefined;
    clearTimeout(attempt.timer);
    if (connection) {
      this.#leaving.add(connection);
      if (connection.streams === 0) connection.close("drained");
    }
    if (this.#waiting.size > 0 || this.#connectCallbacks.length > 0) this.#startConnecting();
    else this.#setState("idle");
  }

  #onClose(attempt: Attempt, reason: string): void {
    if (attempt.connection) this.#leaving.delete(attempt.connection);
    this.#onBroken(attempt, reason);
  }

  #onBroken(attempt: Attempt, reason: string): void {
    if (this.#attempt !== attempt) return;
    this.#attempt = undefined;
    clearTimeout(attempt.timer);
    attempt.connection?.destroy(reason);
    attempt.socket?.destroy();
    this.#setState("failed");
    this.#failWaiting(reason);
  }

  #failWaiting(reason: string): void {
    const callbacks = this.#connectCallbacks;
    this.#connectCallbacks = [];
    const calls = [...this.#waiting];
    this.#waiting.clear();
    for (const done of callbacks) done(unavailable(reason));
    for (const call of calls) call.failUnsent(grpcStatus.unavailable, reason);
  }

  #setState(state: ChannelState): void {
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    this.#listener?.(state);
  }
}

function unavailable(message: string): GrpcFailure {
  return { code: grpcStatus.unavailable, message, metadata: [], unsent: true };
}

/** Makes a channel; it connects with the first call or with `connect`. Throws TypeError when the address is malformed. */
export function createChannel(options: ChannelOptions): GrpcChannel {
  return new Channel(options);
}
