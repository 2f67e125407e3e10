/**
 * Acts on the frames of a connection by the rules of RFC 9113: opens and closes streams, keeps the
 * receive windows, answers SETTINGS and PING, and counts what could be a flood. A breach of a
 * connection-wide rule is thrown as ConnectionError; a breach on one stream resets that stream.
 */
import type { FloodGuard } from "./flood-guard.ts";
import type { FrameSink } from "./frame-reader.ts";
import type { FrameWriter } from "./frame-writer.ts";
import { HeaderAssembly } from "./header-assembly.ts";
import type { EncodedBlock } from "./header-assembly.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import type { HeaderBlock } from "./hpack-decoder.ts";
import { ConnectionError, frameFlag, frameType, http2Error, largestWindowBytes } from "./http2-codes.ts";
import type { SendQueue } from "./send-queue.ts";
import { applySettings } from "./settings.ts";
import type { PeerSettings } from "./settings.ts";
import type { StreamTable } from "./stream-table.ts";
import type { ResetCause, Stream } from "./stream.ts";

/** What the dispatch needs from its connection. */
export interface DispatchLink {
  readonly role: "client" | "server";
  readonly table: StreamTable;
  readonly writer: FrameWriter;
  readonly queue: SendQueue;
  readonly peer: PeerSettings;
  /** Stream window we announced. */
  readonly streamWindowBytes: number;
  /** Connection window we announced. */
  readonly connectionWindowBytes: number;
  readonly maxHeaderListBytes: number;
  /** Budget for PING, SETTINGS, PRIORITY, unknown and empty frames. */
  readonly controlGuard: FloodGuard;
  /** Budget for streams reset by the peer or for the peer's mistakes. */
  readonly resetGuard: FloodGuard;
  nowMs(): number;
  /** A new stream of the peer; the link refuses it or gives it a handler. */
  openByPeer(streamId: number, block: HeaderBlock, endStream: boolean): void;
  /** Takes the stream out of the table; says RST_STREAM when `tell` holds a code. */
  closeStream(stream: Stream, tell?: number): void;
  onSettings(): void;
  onPong(): void;
  onGoAway(lastStreamId: number, code: number, debug: string): void;
}

/** Most bytes of a GOAWAY's debug data that are kept. */
const maxDebugBytes = 200;

/** The receiving half of a connection. */
export class FrameDispatch implements FrameSink {
  readonly #link: DispatchLink;
  readonly #assembly: HeaderAssembly;
  readonly #decoder: HpackDecoder;
  #settingsSeen = false;
  /** Received bytes of the whole connection for which no credit was given yet. */
  #uncredited = 0;
  /** The stream of the DATA frame being read; undefined: its bytes are dropped. */
  #dataStream: Stream | undefined;

  /** The DATA frame that is coming has no bytes. */
  #isEmptyData = false;

  constructor(link: DispatchLink) {
    this.#link = link;
    // A compressed block is shorter than what it holds, unless it is padded with nonsense.
    this.#assembly = new HeaderAssembly(link.maxHeaderListBytes * 2);
    this.#decoder = new HpackDecoder(link.maxHeaderListBytes);
  }

  beginData(streamId: number, length: number): void {
    this.#checkOrder(frameType.data);
    this.#uncredited += length;
    if (this.#uncredited > this.#link.connectionWindowBytes)
      throw new ConnectionError(http2Error.flowControlError, "connection window exceeded");
    this.#isEmptyData = length === 0;
    this.#dataStream = this.#acceptData(streamId, length);
  }

  /** The stream that takes the frame's bytes, or undefined when they are to be dropped. */
  #acceptData(streamId: number, length: number): Stream | undefined {
    const stream = this.#link.table.get(streamId);
    if (!stream) {
      const kind = this.#link.table.closedKind(streamId);
      if (kind === "idle") throw new ConnectionError(http2Error.protocolError, "DATA on an idle stream");
      if (kind !== "reset") this.#tellReset(streamId, http2Error.streamClosed);
      return undefined;
    }
    if (stream.remoteClosed) {
      this.#violation(stream, http2Error.streamClosed);
      return undefined;
    }
    stream.receiveWindow -= length;
    if (stream.receiveWindow < 0) {
      this.#violation(stream, http2Error.flowControlError);
      return undefined;
    }
    stream.uncredited += length;
    return stream;
  }

  data(_streamId: number, bytes: Buffer): void {
    const stream = this.#dataStream;
    if (stream && !stream.gone) stream.handler.streamData(bytes);
  }

  endData(_streamId: number, endStream: boolean): void {
    if (this.#uncredited >= this.#link.connectionWindowBytes / 4) this.#creditConnection();
    const stream = this.#dataStream;
    this.#dataStream = undefined;
    // One that ends its stream is how a client closes its side.
    if (this.#isEmptyData && !endStream) this.#spendControl();
    if (!stream || stream.gone) return;
    if (endStream) this.#remoteEnd(stream);
    else this.creditStream(stream);
  }

  #creditConnection(): void {
    this.#windowUpdate(0, this.#uncredited);
    this.#uncredited = 0;
  }

  /** Gives the peer credit for what the stream has taken, once it is worth a frame. */
  creditStream(stream: Stream): void {
    if (stream.paused || stream.remoteClosed || stream.gone) return;
    if (stream.uncredited < this.#link.streamWindowBytes / 2) return;
    this.#windowUpdate(stream.id, stream.uncredited);
    stream.receiveWindow += stream.uncredited;
    stream.uncredited = 0;
  }

  #windowUpdate(streamId: number, bytes: number): void {
    const payload = Buffer.allocUnsafe(4);
    payload.writeUInt32BE(bytes);
    this.#link.writer.frame(frameType.windowUpdate, 0, streamId, payload);
  }

  #remoteEnd(stream: Stream): void {
    stream.remoteClosed = true;
    stream.handler.streamEnd();
    if (stream.localClosed && !stream.gone) this.#link.closeStream(stream);
  }

  frame(type: number, flags: number, streamId: number, payload: Buffer): void {
    this.#checkOrder(type);
    switch (type) {
      case frameType.headers:
        this.#onHeaders(streamId, flags, payload);
        return;
      case frameType.continuation:
        this.#onBlock(this.#assembly.continuation(streamId, flags, payload));
        return;
      case frameType.windowUpdate:
        this.#onWindowUpdate(streamId, payload);
        return;
      case frameType.rstStream:
        this.#onRstStream(streamId, payload);
        return;
      case frameType.settings:
        this.#onSettings(flags, streamId, payload);
        return;
      case frameType.ping:
        this.#onPing(flags, streamId, payload);
        return;
      case frameType.goAway:
        this.#onGoAway(streamId, payload);
        return;
      case frameType.priority:
        this.#onPriority(streamId, payload);
        return;
      case frameType.pushPromise:
        throw new ConnectionError(http2Error.protocolError, "PUSH_PROMISE is not allowed");
      default:
        this.#spendControl();
    }
  }

  /** SETTINGS come first, and nothing comes between the frames of a header block. */
  #checkOrder(type: number): void {
    if (!this.#settingsSeen && type !== frameType.settings)
      throw new ConnectionError(http2Error.protocolError, "the first frame is not SETTINGS");
    if (this.#assembly.open && type !== frameType.continuation)
      throw new ConnectionError(http2Error.protocolError, "a frame inside a header block");
  }

  #onHeaders(streamId: number, flags: number, payload: Buffer): void {
    if (streamId === 0) throw new ConnectionError(http2Error.protocolError, "HEADERS on stream 0");
    this.#onBlock(this.#assembly.headers(streamId, flags, payload));
  }

  #onBlock(encoded: EncodedBlock | undefined): void {
    if (!encoded) return;
    const { streamId, endStream } = encoded;
    const block = this.#decoder.decode(encoded.bytes);
    const stream = this.#link.table.get(streamId);
    if (!stream) {
      this.#onUnknownStream(encoded, block);
      return;
    }
    if (stream.remoteClosed || encoded.selfDependent) {
      this.#violation(stream, stream.remoteClosed ? http2Error.streamClosed : http2Error.protocolError);
      return;
    }
    stream.handler.streamHeaders(block, endStream);
    if (endStream && !stream.gone) this.#remoteEnd(stream);
  }

  #onUnknownStream(encoded: EncodedBlock, block: HeaderBlock): void {
    const { streamId } = encoded;
    const kind = this.#link.table.closedKind(streamId);
    if (this.#link.role === "client") {
      if (kind === "idle") throw new ConnectionError(http2Error.protocolError, "HEADERS on an idle stream");
      return;
    }
    if (streamId % 2 === 0) throw new ConnectionError(http2Error.protocolError, "even stream identifier");
    if (kind === "ended") throw new ConnectionError(http2Error.streamClosed, "HEADERS on a closed stream");
    if (kind === "forgotten")
      throw new ConnectionError(http2Error.protocolError, "stream identifier smaller than an earlier one");
    if (kind === "reset") return;
    if (encoded.selfDependent) {
      this.#link.table.skip(streamId);
      this.#tellReset(streamId, http2Error.protocolError);
    } else this.#link.openByPeer(streamId, block, encoded.endStream);
  }

  #onWindowUpdate(streamId: number, payload: Buffer): void {
    checkLength(payload, 4);
    const bytes = payload.readUInt32BE() & largestWindowBytes;
    const { queue, table } = this.#link;
    if (streamId === 0) {
      if (bytes === 0) throw new ConnectionError(http2Error.protocolError, "WINDOW_UPDATE of 0");
      if (!queue.addWindow(bytes))
        throw new ConnectionError(http2Error.flowControlError, "connection window overflow");
      return;
    }
    const stream = table.get(streamId);
    if (!stream) this.#checkNotIdle(streamId);
    else if (bytes === 0) this.#violation(stream, http2Error.protocolError);
    else if (!queue.addStreamWindow(stream, bytes)) this.#violation(stream, http2Error.flowControlError);
    else queue.pump();
  }

  #onRstStream(streamId: number, payload: Buffer): void {
    checkLength(payload, 4);
    if (streamId === 0) throw new ConnectionError(http2Error.protocolError, "RST_STREAM on stream 0");
    const stream = this.#link.table.get(streamId);
    if (!stream) {
      this.#checkNotIdle(streamId);
      this.#spendControl();
      return;
    }
    this.#spendReset();
    this.#abort(stream, payload.readUInt32BE(), "peer");
  }

  #onSettings(flags: number, streamId: number, payload: Buffer): void {
    if (streamId !== 0) throw new ConnectionError(http2Error.protocolError, "SETTINGS on a stream");
    if ((flags & frameFlag.ack) !== 0) {
      checkLength(payload, 0);
      return;
    }
    this.#spendControl();
    const { peer, queue, table, writer } = this.#link;
    const windowBefore = peer.initialWindowBytes;
    applySettings(payload, peer);
    const difference = peer.initialWindowBytes - windowBefore;
    if (difference !== 0)
      for (const stream of table.all())
        if (!queue.addStreamWindow(stream, difference))
          throw new ConnectionError(http2Error.flowControlError, "stream window overflow");
    writer.frame(frameType.settings, frameFlag.ack, 0, Buffer.alloc(0));
    this.#settingsSeen = true;
    queue.pump();
    this.#link.onSettings();
  }

  #onPing(flags: number, streamId: number, payload: Buffer): void {
    if (streamId !== 0) throw new ConnectionError(http2Error.protocolError, "PING on a stream");
    checkLength(payload, 8);
    if ((flags & frameFlag.ack) !== 0) {
      this.#link.onPong();
      return;
    }
    this.#spendControl();
    this.#link.writer.frame(frameType.ping, frameFlag.ack, 0, payload);
  }

  #onGoAway(streamId: number, payload: Buffer): void {
    if (streamId !== 0) throw new ConnectionError(http2Error.protocolError, "GOAWAY on a stream");
    if (payload.length < 8) throw new ConnectionError(http2Error.frameSizeError, "GOAWAY too short");
    this.#spendControl();
    const debug = payload.toString("latin1", 8, 8 + maxDebugBytes);
    this.#link.onGoAway(payload.readUInt32BE() & 0x7fffffff, payload.readUInt32BE(4), debug);
  }

  #onPriority(streamId: number, payload: Buffer): void {
    if (streamId === 0) throw new ConnectionError(http2Error.protocolError, "PRIORITY on stream 0");
    this.#spendControl();
    const wrongLength = payload.length !== 5;
    if (!wrongLength && (payload.readUInt32BE() & 0x7fffffff) !== streamId) return;
    const code = wrongLength ? http2Error.frameSizeError : http2Error.protocolError;
    const stream = this.#link.table.get(streamId);
    if (stream) this.#violation(stream, code);
    else this.#tellReset(streamId, code);
  }

  #checkNotIdle(streamId: number): void {
    if (this.#link.table.closedKind(streamId) === "idle")
      throw new ConnectionError(http2Error.protocolError, "a frame on an idle stream");
  }

  /** Resets one stream for the peer's mistake. */
  #violation(stream: Stream, code: number): void {
    this.#spendReset();
    this.#link.closeStream(stream, code);
    stream.handler.streamReset(code, "violation");
  }

  #abort(stream: Stream, code: number, cause: ResetCause): void {
    this.#link.closeStream(stream);
    stream.handler.streamReset(code, cause);
  }

  /** RST_STREAM for a stream that is not in the table. */
  #tellReset(streamId: number, code: number): void {
    this.#spendReset();
    const payload = Buffer.allocUnsafe(4);
    payload.writeUInt32BE(code);
    this.#link.writer.frame(frameType.rstStream, 0, streamId, payload);
  }

  #spendControl(): void {
    if (!this.#link.controlGuard.take(this.#link.nowMs()))
      throw new ConnectionError(http2Error.enhanceYourCalm, "too many control frames");
  }

  #spendReset(): void {
    if (!this.#link.resetGuard.take(this.#link.nowMs()))
      throw new ConnectionError(http2Error.enhanceYourCalm, "too many stream resets");
  }
}

function checkLength(payload: Buffer, bytes: number): void {
  if (payload.length !== bytes)
    throw new ConnectionError(
      http2Error.frameSizeError,
      `frame payload of ${payload.length} bytes, not ${bytes}`,
    );
}
