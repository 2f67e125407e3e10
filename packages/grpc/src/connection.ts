/** One HTTP/2 connection over a socket, the same for both roles: reading, sending, ending. */
import type { Socket } from "node:net";
import type { ReadableSocket } from "./chunk-source.ts";
import { FloodGuard } from "./flood-guard.ts";
import { FrameDispatch } from "./frame-dispatch.ts";
import type { DispatchLink } from "./frame-dispatch.ts";
import { FrameReader } from "./frame-reader.ts";
import { FrameWriter } from "./frame-writer.ts";
import type { HeaderBlock } from "./hpack-decoder.ts";
import {
  ConnectionError,
  connectionPreface,
  defaultWindowBytes,
  frameType,
  http2Error,
} from "./http2-codes.ts";
import { SendQueue } from "./send-queue.ts";
import { defaultPeerSettings, encodeSettings, settingId } from "./settings.ts";
import { StreamTable } from "./stream-table.ts";
import { Stream } from "./stream.ts";
import type { SendEnd, StreamHandler } from "./stream.ts";

/** Our SETTINGS_MAX_FRAME_SIZE: a tensor comes in few frames. */
const maxFrameBytes = 1_048_576;
/** Window a peer has on one stream. */
const streamWindowBytes = 16_777_216;
/** Window a peer has on the connection. */
const connectionWindowBytes = 67_108_864;
/** Frames other than DATA are never this large in honest use. */
const maxControlBytes = 65_536;
/** A peer that lets this much pile up in its socket does not read its answers. */
const maxBacklogBytes = 4_194_304;
/** How long a closing connection may take to hand over its last frames. */
const lingerMs = 1_000;
const lastStreamId = 0x7fffffff;

/** What a connection tells its owner. */
export interface ConnectionEvents {
  /** The peer's first SETTINGS have arrived. */
  onReady(): void;
  /** A new stream of the peer (servers only). The handler is used from then on. */
  onRequest(stream: Stream, block: HeaderBlock, endStream: boolean): StreamHandler;
  /** A stream has left: there is room for another. */
  onStreamGone(): void;
  /** The peer takes no further streams; those above its last one have been reset with REFUSED_STREAM. */
  onGoAway(code: number, debug: string): void;
  /** The socket is gone or going; every stream has been told. Called once. */
  onClose(reason: string): void;
}

/** How a connection behaves. */
export interface ConnectionOptions {
  readonly role: "client" | "server";
  readonly maxHeaderListBytes: number;
  /** Streams the peer may have open at once; 0 for a client, whose peer opens none. */
  readonly maxConcurrentStreams: number;
  /** Stream resets the peer may cause. */
  readonly resets: { readonly burst: number; readonly perSecond: number };
  /** PING, SETTINGS, PRIORITY, RST_STREAM of closed streams, unknown and empty frames. */
  readonly controlFrames?: { readonly burst: number; readonly perSecond: number } | undefined;
  readonly events: ConnectionEvents;
}

/** PING, SETTINGS, PRIORITY, unknown and empty frames a peer may send, unless the options say otherwise. */
const usualControlFrames = { burst: 2_000, perSecond: 500 };

/** A connection that is open from its construction until `onClose`. */
export class Connection {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #writer: FrameWriter;
  readonly #queue: SendQueue;
  readonly #table = new StreamTable();
  readonly #reader: FrameReader;
  readonly #dispatch: FrameDispatch;
  readonly #peer = defaultPeerSettings();
  #state: "open" | "draining" | "closed" = "open";
  #ready = false;
  #reading = false;
  #nextId = 1;
  readonly #resetGuard: FloodGuard;
  #heardAtMs = performance.now();

  constructor({ socket, chunks }: ReadableSocket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#writer = new FrameWriter(socket);
    this.#queue = new SendQueue(this.#writer, this.#peer, (stream) => this.#onLocalEnd(stream));
    this.#resetGuard = new FloodGuard(options.resets, performance.now());
    this.#dispatch = new FrameDispatch(this.#link());
    this.#reader = new FrameReader(this.#dispatch, {
      maxFrameBytes,
      maxControlBytes,
      expectPreface: options.role === "server",
    });
    this.#greet();
    chunks((chunk) => this.#onData(chunk));
    socket.on("drain", () => this.#onDrain());
    socket.on("end", () => this.destroy("the peer closed the connection"));
    socket.on("error", (error) => this.destroy(error.message));
    socket.on("close", () => this.destroy("the connection was lost"));
  }

  /** Open streams. */
  get streams(): number {
    return this.#table.size;
  }

  /** The peer's SETTINGS have arrived. */
  get ready(): boolean {
    return this.#ready;
  }

  /** May open another stream now. */
  get hasRoom(): boolean {
    return this.#ready && this.accepting && this.#table.size < this.#peer.maxConcurrentStreams;
  }

  /** True until GOAWAY was sent or received, identifiers ran out, or the socket died. */
  get accepting(): boolean {
    return this.#state === "open" && this.#nextId < lastStreamId;
  }

  /** Bytes that wait for the peer's windows or for the socket. */
  get unsentBytes(): number {
    return this.#queue.pendingBytes + this.#writer.backlogBytes;
  }

  /** When bytes last arrived, on the clock of `performance.now()`. */
  get heardAtMs(): number {
    return this.#heardAtMs;
  }

  /** Bytes the kernel has taken so far. */
  get takenBytes(): number {
    return this.#socket.bytesWritten - this.#socket.writableLength;
  }

  /** Opens a stream (clients only); `hasRoom` must hold. */
  openStream(handler: StreamHandler): Stream {
    const stream = new Stream(this.#nextId, this.#peer.initialWindowBytes, streamWindowBytes);
    this.#nextId += 2;
    stream.handler = handler;
    this.#table.add(stream);
    return stream;
  }

  /** Sends a header block. `more` is appended to it. Does nothing when the stream is gone. */
  sendHeaders(
    stream: Stream,
    block: Uint8Array,
    options: { more?: Uint8Array | undefined; endStream: boolean },
  ): void {
    if (stream.gone || stream.localClosed) return;
    this.#queue.headers(stream, block, options);
    this.#flushSoon();
  }

  /**
   * Sends pieces as DATA and then what `end` says. False: not all is written yet, `onDrain` will tell. `whenTaken` is
   * called once the kernel has the stream's last frame, if ever it gets that far.
   */
  sendMessage(stream: Stream, pieces: readonly Uint8Array[], end: SendEnd, whenTaken?: () => void): boolean {
    if (stream.gone || stream.localClosed) return true;
    stream.whenTaken = whenTaken;
    this.#queue.message(stream, pieces, end);
    this.#flushSoon();
    return stream.outBytes === 0;
  }

  /** Ends the sending half once its data are out. */
  finish(stream: Stream, end: SendEnd): void {
    if (stream.gone || stream.localClosed) return;
    this.#queue.finish(stream, end);
    this.#flushSoon();
  }

  /** Resets a stream and forgets it; its handler is not called any more. */
  reset(stream: Stream, code: number): void {
    if (stream.gone) return;
    this.#closeStream(stream, code);
    this.#flushSoon();
  }

  /** While paused, the peer gets no more credit for the stream. */
  pause(stream: Stream): void {
    stream.paused = true;
  }

  resume(stream: Stream): void {
    stream.paused = false;
    this.#dispatch.creditStream(stream);
    this.#flushSoon();
  }

  ping(): void {
    this.#writer.frame(frameType.ping, 0, 0, Buffer.alloc(8));
    this.#flushSoon();
  }

  /** Takes no further streams and says so; those open go on. */
  goAway(): void {
    if (this.#state !== "open") return;
    this.#state = "draining";
    this.#sendGoAway(http2Error.noError, "");
    this.#flushSoon();
  }

  /** Ends the connection after what is written has gone out. */
  close(reason: string): void {
    if (this.#state === "closed") return;
    this.#writer.flush();
    this.#end(reason);
    this.#socket.destroySoon();
    setTimeout(() => this.#socket.destroy(), lingerMs).unref();
  }

  /** Ends the connection now. Idempotent. */
  destroy(reason: string): void {
    this.#socket.destroy();
    if (this.#state !== "closed") this.#end(reason);
  }

  /** Answers a breach of the protocol with GOAWAY and ends the connection. */
  fail(code: number, message: string): void {
    if (this.#state === "closed") return;
    this.#sendGoAway(code, message);
    this.close(message);
  }

  #end(reason: string): void {
    this.#state = "closed";
    // First the owner: whoever hears of a lost stream may ask it for its state.
    this.#options.events.onClose(reason);
    this.#table.clear("connection");
  }

  #sendGoAway(code: number, message: string): void {
    const payload = Buffer.alloc(8 + message.length);
    payload.writeUInt32BE(this.#options.role === "server" ? this.#table.lastId : 0);
    payload.writeUInt32BE(code, 4);
    payload.write(message, 8, "latin1");
    this.#writer.frame(frameType.goAway, 0, 0, payload);
  }

  /** The preface, our SETTINGS, and the larger connection window. */
  #greet(): void {
    const { role, maxConcurrentStreams, maxHeaderListBytes } = this.#options;
    if (role === "client") {
      const preface = Buffer.from(connectionPreface, "latin1");
      this.#writer.bytes(preface, 0, preface.length);
    }
    const own: [number, number][] =
      role === "client"
        ? [[settingId.enablePush, 0]]
        : [[settingId.maxConcurrentStreams, maxConcurrentStreams]];
    const settings = encodeSettings([
      ...own,
      [settingId.initialWindowSize, streamWindowBytes],
      [settingId.maxFrameSize, maxFrameBytes],
      [settingId.maxHeaderListSize, maxHeaderListBytes],
    ]);
    this.#writer.frame(frameType.settings, 0, 0, settings);
    const update = Buffer.allocUnsafe(4);
    update.writeUInt32BE(connectionWindowBytes - defaultWindowBytes);
    this.#writer.frame(frameType.windowUpdate, 0, 0, update);
    this.#writer.planFlush();
  }

  #onData(chunk: Buffer): void {
    if (this.#state === "closed") return;
    this.#heardAtMs = performance.now();
    this.#reading = true;
    try {
      this.#reader.read(chunk);
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      this.fail(error.code, error.message);
    } finally {
      this.#reading = false;
    }
    this.#writer.flush();
    if (this.#writer.backlogBytes > maxBacklogBytes)
      this.fail(http2Error.enhanceYourCalm, "the peer does not read its answers");
  }

  #onDrain(): void {
    this.#queue.pump();
    this.#writer.flush();
  }

  #flushSoon(): void {
    if (!this.#reading) this.#writer.planFlush();
  }

  /** Our half has ended. A server that answers before the request is whole stops the upload. */
  #onLocalEnd(stream: Stream): void {
    if (stream.remoteClosed) this.#closeStream(stream);
    else if (this.#options.role === "server") this.#closeStream(stream, http2Error.noError);
  }

  #closeStream(stream: Stream, tell?: number): void {
    if (stream.gone) return;
    this.#queue.drop(stream);
    this.#table.remove(stream, tell === undefined ? "ended" : "reset");
    if (tell !== undefined) {
      const payload = Buffer.allocUnsafe(4);
      payload.writeUInt32BE(tell);
      this.#writer.frame(frameType.rstStream, 0, stream.id, payload);
    }
    stream.handler.streamGone();
    this.#options.events.onStreamGone();
  }

  #openByPeer(streamId: number, block: HeaderBlock, endStream: boolean): void {
    const stream = new Stream(streamId, this.#peer.initialWindowBytes, streamWindowBytes);
    if (this.#state !== "open" || this.#table.size >= this.#options.maxConcurrentStreams) {
      if (!this.#resetGuard.take(performance.now()))
        throw new ConnectionError(http2Error.enhanceYourCalm, "too many refused streams");
      this.#table.add(stream);
      this.#closeStream(stream, http2Error.refusedStream);
      return;
    }
    stream.remoteClosed = endStream;
    this.#table.add(stream);
    stream.handler = this.#options.events.onRequest(stream, block, endStream);
    if (stream.gone) stream.handler.streamGone();
    else if (endStream) stream.handler.streamEnd();
  }

  #onGoAway(last: number, code: number, debug: string): void {
    this.#state = this.#state === "open" ? "draining" : this.#state;
    // A client's GOAWAY counts streams the server began, of which there are none: its own calls go on.
    const lost = this.#options.role === "client" ? this.#table.above(last) : [];
    for (const stream of lost) {
      this.#closeStream(stream);
      stream.handler.streamReset(http2Error.refusedStream, "peer");
    }
    this.#options.events.onGoAway(code, debug);
  }

  #onSettings(): void {
    if (this.#ready) return;
    this.#ready = true;
    this.#options.events.onReady();
  }

  #link(): DispatchLink {
    const { role, maxHeaderListBytes } = this.#options;
    return {
      role,
      table: this.#table,
      writer: this.#writer,
      queue: this.#queue,
      peer: this.#peer,
      streamWindowBytes,
      connectionWindowBytes,
      maxHeaderListBytes,
      controlGuard: new FloodGuard(this.#options.controlFrames ?? usualControlFrames, performance.now()),
      resetGuard: this.#resetGuard,
      nowMs: () => performance.now(),
      openByPeer: (streamId, block, endStream) => this.#openByPeer(streamId, block, endStream),
      closeStream: (stream, tell) => this.#closeStream(stream, tell),
      onSettings: () => this.#onSettings(),
      onPong: () => {},
      onGoAway: (last, code, debug) => this.#onGoAway(last, code, debug),
    };
  }
}
