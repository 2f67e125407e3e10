/** One HTTP/2 client connection for unary gRPC calls. It is opened again by the next call when it is gone. */
import net from "node:net";
import type { GrpcRequest } from "./grpc-requests.ts";
import { countReplies, idleCall } from "./h2-call.ts";
import type { Turn } from "./ext-proc-messages.ts";
import type { Call } from "./h2-call.ts";
import {
  ACK,
  buildFrame,
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  FrameReader,
  GOAWAY,
  HEADERS,
  MAX_31_BITS,
  PADDED,
  PING,
  PRIORITY,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
} from "./h2-frames.ts";
import type { FrameHandler } from "./h2-frames.ts";
import { CallSender } from "./h2-sender.ts";
import { connectionPreface, ReceiveWindow, SETTINGS_ACK } from "./h2-windows.ts";
import { HpackStatusReader } from "./hpack-status.ts";
import type { FailureKind } from "./load-result.ts";
import type { ResponseCheck, Target } from "./load-spec.ts";
import { failureOf } from "./transport.ts";
import type { TransportEvents } from "./transport.ts";

/** What the connections of a transport share. */
export interface H2Shared {
  readonly target: Target;
  readonly requests: readonly GrpcRequest[];
  readonly check?: ResponseCheck | undefined;
  readonly readBuffer: Buffer;
  readonly events: TransportEvents;
  /** Position in the list of the next request. */
  nextRequest: number;
  connects: number;
}

/** A gRPC message has a prefix of one byte of flags and four of length. */
const PREFIX_BYTES = 5;
const OK = 0;
/** A header block larger than this is malformed. */
const MAX_BLOCK_BYTES = 65_536;
const EMPTY = Buffer.alloc(0);

/** Serves the slots from `firstSlot` on. */
export class H2Connection implements FrameHandler {
  readonly #shared: H2Shared;
  readonly #firstSlot: number;
  readonly #calls: Call[];
  readonly #sender: CallSender;
  readonly #hpack = new HpackStatusReader();
  #socket: net.Socket | null = null;
  #reader = new FrameReader(this);
  #receiveWindow = new ReceiveWindow();
  /** `connecting` until the peer's SETTINGS; `leaving` after GOAWAY, when only open streams go on. */
  #state: "closed" | "connecting" | "open" | "leaving" = "closed";
  #onOpen: () => void = () => undefined;
  /** Header block that goes on in CONTINUATION frames, and the flags it began with. */
  #block: Buffer = EMPTY;
  #blockFlags = 0;
  #error: NodeJS.ErrnoException | null = null;

  constructor(firstSlot: number, slots: number, shared: H2Shared) {
    this.#shared = shared;
    this.#firstSlot = firstSlot;
    this.#calls = Array.from({ length: slots }, (_, index) => idleCall(firstSlot + index));
    this.#sender = new CallSender(shared.requests);
  }

  /** Opens the connection; resolves when the peer's SETTINGS are here or it has failed. */
  connect(): Promise<void> {
    return new Promise((resolve) => {
      this.#onOpen = resolve;
      this.#openSocket().once("close", resolve);
    });
  }

  /** Sends the next request of the list on an idle slot. */
  send(slot: number): void {
    const call = this.#calls[slot - this.#firstSlot];
    if (call === undefined) return;
    call.request = this.#shared.nextRequest;
    this.#shared.nextRequest = (call.request + 1) % this.#shared.requests.length;
    this.#sender.add(call);
    if (this.#state === "closed") this.#openSocket();
  }

  /** Gives a call up. When the connection itself hangs, the next call opens a new one. */
  abandon(slot: number): void {
    const call = this.#calls[slot - this.#firstSlot];
    if (call === undefined || call.state === "idle") return;
    if (call.state === "sent") this.#sender.cancel(call);
    this.#retire(call);
    if (this.#state === "connecting") this.close();
  }

  /** Drops the connection. Calls on it stay silent. */
  close(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#state = "closed";
    this.#reader.stop();
    this.#sender.detach();
    socket?.destroy();
  }

  frame(type: number, flags: number, stream: number, bytes: Buffer, start: number, end: number): void {
    switch (type) {
      case DATA:
        this.#paddedData(stream, flags, bytes, start, end);
        break;
      case HEADERS:
        this.#headers(stream, flags, bytes, start, end);
        break;
      case CONTINUATION:
        this.#continueBlock(stream, flags, bytes.subarray(start, end));
        break;
      case RST_STREAM:
        this.#failCall(this.#sender.streams.get(stream), "stream");
        break;
      default:
        this.#connectionFrame(type, flags, stream, bytes, start, end);
    }
  }

  data(stream: number, bytes: Buffer, start: number, end: number): void {
    const call = this.#sender.streams.get(stream);
    if (call === undefined) return;
    call.received += end - start;
    const turns = this.#shared.requests[call.request]?.turns;
    if (turns !== undefined) this.#reply(call, turns, bytes.subarray(start, end));
    if (this.#shared.check !== undefined) call.chunks.push(Buffer.from(bytes.subarray(start, end)));
  }

  /** The next turn of a stream begins when the replies to the one before are here. */
  #reply(call: Call, turns: readonly Turn[], bytes: Buffer): void {
    countReplies(call, bytes, 0, bytes.length);
    if (call.state !== "sent" || call.turn + 1 >= turns.length) return;
    if (call.replies < (turns[call.turn]?.replies ?? 0)) return;
    call.turn += 1;
    call.replies = 0;
    this.#sender.goOn(call);
  }

  dataEnd(stream: number, flags: number, length: number): void {
    const update = this.#receiveWindow.received(length);
    if (update !== null) this.#socket?.write(update);
    if ((flags & END_STREAM) !== 0) this.#endCall(this.#sender.streams.get(stream));
  }

  #openSocket(): net.Socket {
    const reader = new FrameReader(this);
    const onread = { buffer: this.#shared.readBuffer, callback: (size: number) => this.#read(reader, size) };
    const socket = net.connect({ ...this.#shared.target, noDelay: true, onread });
    this.#socket = socket;
    this.#reader = reader;
    this.#receiveWindow = new ReceiveWindow();
    this.#state = "connecting";
    this.#error = null;
    this.#shared.connects += 1;
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (socket === this.#socket) this.#error = error;
    });
    socket.once("close", () => this.#closed(socket));
    socket.write(connectionPreface());
    return socket;
  }

  /** Returning true keeps the socket reading. A reader that is not the current one belongs to a dropped socket. */
  #read(reader: FrameReader, size: number): boolean {
    const understood = reader.read(this.#shared.readBuffer, 0, size);
    if (!understood && reader === this.#reader) this.#breakOff("malformed");
    return true;
  }

  /** Everything unanswered failed with the connection. */
  #closed(socket: net.Socket): void {
    if (socket !== this.#socket) return;
    this.#breakOff(this.#error === null ? "closed" : failureOf(this.#error));
  }

  /** A failed call may be followed at once by one on a new connection, so the lost ones are listed first. */
  #breakOff(kind: FailureKind): void {
    this.close();
    const lost = this.#calls.filter((call) => call.state !== "idle");
    for (const call of lost) this.#failCall(call, kind);
  }

  #connectionFrame(
    type: number,
    flags: number,
    stream: number,
    bytes: Buffer,
    start: number,
    end: number,
  ): void {
    if (type === SETTINGS && (flags & ACK) === 0) this.#settings(bytes, start, end);
    else if (type === WINDOW_UPDATE && end - start === 4) {
      this.#sender.openWindow(stream, bytes.readUInt32BE(start) & MAX_31_BITS);
    } else if (type === PING && (flags & ACK) === 0) {
      this.#socket?.write(buildFrame(PING, ACK, 0, bytes.subarray(start, end)));
    } else if (type === GOAWAY && end - start >= 8) this.#goAway(bytes.readUInt32BE(start) & MAX_31_BITS);
  }

  #settings(bytes: Buffer, start: number, end: number): void {
    this.#sender.applySettings(bytes, start, end);
    this.#socket?.write(SETTINGS_ACK);
    if (this.#state !== "connecting" || this.#socket === null) return;
    this.#state = "open";
    this.#sender.attach(this.#socket);
    this.#onOpen();
  }

  /** Streams above `lastStream` were not looked at; the others go on, and calls that wait get a new connection. */
  #goAway(lastStream: number): void {
    this.#state = "leaving";
    this.#sender.pause();
    const refused = [...this.#sender.streams.values()].filter((call) => call.stream > lastStream);
    for (const call of refused) this.#failCall(call, "stream");
    this.#reopenWhenLeft();
  }

  #reopenWhenLeft(): void {
    if (this.#state !== "leaving" || this.#sender.streams.size > 0) return;
    this.close();
    if (this.#sender.waiting > 0) this.#openSocket();
  }

  #paddedData(stream: number, flags: number, bytes: Buffer, start: number, end: number): void {
    const padding = bytes[start] ?? 0;
    if (start + 1 + padding > end) this.#breakOff("malformed");
    else {
      this.data(stream, bytes, start + 1, end - padding);
      this.dataEnd(stream, flags, end - start);
    }
  }

  #headers(stream: number, flags: number, bytes: Buffer, start: number, end: number): void {
    const padded = (flags & PADDED) !== 0;
    const to = padded ? end - (bytes[start] ?? 0) : end;
    const from = start + (padded ? 1 : 0) + ((flags & PRIORITY) === 0 ? 0 : 5);
    if (from > to) this.#breakOff("malformed");
    else if ((flags & END_HEADERS) !== 0) this.#readBlock(stream, flags, bytes, from, to);
    else {
      this.#block = Buffer.from(bytes.subarray(from, to));
      this.#blockFlags = flags;
    }
  }

  #continueBlock(stream: number, flags: number, piece: Buffer): void {
    this.#block = Buffer.concat([this.#block, piece]);
    if (this.#block.length > MAX_BLOCK_BYTES) this.#breakOff("malformed");
    else if ((flags & END_HEADERS) !== 0) {
      this.#readBlock(stream, this.#blockFlags, this.#block, 0, this.#block.length);
      this.#block = EMPTY;
    }
  }

  #readBlock(stream: number, flags: number, bytes: Buffer, start: number, end: number): void {
    const call = this.#sender.streams.get(stream);
    if (call === undefined) return;
    if (!this.#hpack.read(bytes, start, end, call)) this.#breakOff("malformed");
    else if ((flags & END_STREAM) !== 0) this.#endCall(call);
  }

  /** The peer has ended the stream: the call is answered if it was told a status, and with OK a message too. */
  #endCall(call: Call | undefined): void {
    if (call === undefined) return;
    const { slot, grpcStatus, request, received } = call;
    if (call.httpStatus !== 200 || grpcStatus < 0 || (grpcStatus === OK && received < PREFIX_BYTES)) {
      this.#failCall(call, "malformed");
      return;
    }
    const { check, events } = this.#shared;
    const body = check === undefined ? EMPTY : Buffer.concat(call.chunks).subarray(PREFIX_BYTES);
    this.#retire(call);
    if (check?.({ request, status: grpcStatus, body }) === false) events.failed(slot, "check");
    else events.answered(slot, grpcStatus, grpcStatus === OK);
  }

  #failCall(call: Call | undefined, kind: FailureKind): void {
    if (call === undefined || call.state === "idle") return;
    this.#retire(call);
    this.#shared.events.failed(call.slot, kind);
  }

  #retire(call: Call): void {
    this.#sender.retire(call);
    this.#reopenWhenLeft();
  }
}
