/** The sending half of an HTTP/2 connection: calls in line, stream ids, the peer's limits and windows. */
import type { Socket } from "node:net";
import type { GrpcRequest } from "./grpc-requests.ts";
import { startStream } from "./h2-call.ts";
import type { Call } from "./h2-call.ts";
import {
  buildFrame,
  CANCEL,
  DATA,
  DEFAULT_WINDOW_BYTES,
  END_HEADERS,
  END_STREAM,
  HEADERS,
  RST_STREAM,
} from "./h2-frames.ts";
import { FrameOutput } from "./h2-output.ts";
import { applySettings, defaultLimits } from "./h2-windows.ts";

/** Sends calls in the order they came, as far as the peer allows; all of one turn of the event loop in one go. */
export class CallSender {
  /** Calls with a stream that is not over, by its id. */
  readonly streams = new Map<number, Call>();
  readonly #requests: readonly GrpcRequest[];
  /** Calls that have something to send; at most one entry a slot. */
  #queue: Call[] = [];
  #socket: Socket | null = null;
  #output: FrameOutput | null = null;
  #limits = defaultLimits();
  #sendWindow = DEFAULT_WINDOW_BYTES;
  #nextStream = 1;
  #flushQueued = false;

  constructor(requests: readonly GrpcRequest[]) {
    this.#requests = requests;
  }

  /** Calls that are not sent whole. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Takes a connection whose peer has sent its first SETTINGS. */
  attach(socket: Socket): void {
    this.#socket = socket;
    this.#output = new FrameOutput(socket);
    this.#queueFlush();
  }

  /** Forgets the connection. Calls in line stay there for the next one. */
  detach(): void {
    this.#socket = null;
    this.#output = null;
    this.#limits = defaultLimits();
    this.#sendWindow = DEFAULT_WINDOW_BYTES;
    this.#nextStream = 1;
    this.streams.clear();
  }

  /** Holds new streams back; open ones go on. */
  pause(): void {
    this.#limits.maxConcurrentStreams = 0;
  }

  /** Puts a call in line. */
  add(call: Call): void {
    call.state = "waiting";
    this.#queue.push(call);
    this.#queueFlush();
  }

  /** Sends the next turn of a stream. */
  goOn(call: Call): void {
    call.state = "sending";
    call.offset = 0;
    this.#queue.push(call);
    this.#queueFlush();
  }

  /** Ends a call: out of the line, off its stream. What it had not sent is cancelled. */
  retire(call: Call): void {
    if (call.state === "waiting" || call.state === "sending")
      this.#queue = this.#queue.filter((one) => one !== call);
    if (call.state === "sending") this.cancel(call);
    this.streams.delete(call.stream);
    call.state = "idle";
    call.stream = 0;
    this.#queueFlush();
  }

  /** Resets the call's stream, if it has one. */
  cancel(call: Call): void {
    if (call.stream === 0) return;
    this.#socket?.write(buildFrame(RST_STREAM, 0, call.stream, Buffer.of(0, 0, 0, CANCEL)));
  }

  /** Takes over the peer's settings; a new initial window applies to open streams too. */
  applySettings(bytes: Buffer, start: number, end: number): void {
    const before = this.#limits.initialWindowBytes;
    applySettings(this.#limits, bytes, start, end);
    const change = this.#limits.initialWindowBytes - before;
    for (const call of this.streams.values()) call.sendWindow += change;
    this.#queueFlush();
  }

  /** The peer takes so many bytes more, on the connection (stream 0) or on a stream. */
  openWindow(stream: number, increment: number): void {
    const call = this.streams.get(stream);
    if (stream === 0) this.#sendWindow += increment;
    else if (call !== undefined) call.sendWindow += increment;
    this.#queueFlush();
  }

  #queueFlush(): void {
    if (this.#flushQueued || this.#queue.length === 0 || this.#output === null) return;
    this.#flushQueued = true;
    queueMicrotask(() => {
      this.#flushQueued = false;
      if (this.#output !== null) this.#flush(this.#output);
    });
  }

  #flush(output: FrameOutput): void {
    const queue = this.#queue;
    this.#queue = [];
    output.begin();
    for (const call of queue) if (!this.#advance(call, output)) this.#queue.push(call);
    output.flush();
  }

  /** Sends what limits and windows allow of a call. True when all of it is sent. */
  #advance(call: Call, output: FrameOutput): boolean {
    const request = this.#requests[call.request];
    if (request === undefined) return true;
    if (call.state === "waiting" && !this.#openStream(call, request, output)) return false;
    const { turns } = request;
    const message = turns?.[call.turn]?.bytes ?? request.message;
    const isLast = turns === undefined || call.turn === turns.length - 1;
    if (message.length === 0 && isLast && turns !== undefined) {
      output.add(DATA, END_STREAM, call.stream, message, 0, 0);
    }
    while (call.offset < message.length) {
      const rest = message.length - call.offset;
      const size = Math.min(rest, this.#sendWindow, call.sendWindow, this.#limits.maxFrameBytes);
      if (size <= 0) return false;
      const flags = size === rest && isLast ? END_STREAM : 0;
      output.add(DATA, flags, call.stream, message, call.offset, call.offset + size);
      call.offset += size;
      call.sendWindow -= size;
      this.#sendWindow -= size;
    }
    call.state = "sent";
    return true;
  }

  #openStream(call: Call, request: GrpcRequest, output: FrameOutput): boolean {
    if (this.streams.size >= this.#limits.maxConcurrentStreams) return false;
    startStream(call, this.#nextStream, this.#limits.initialWindowBytes);
    this.#nextStream += 2;
    this.streams.set(call.stream, call);
    output.add(HEADERS, END_HEADERS, call.stream, request.headers, 0, request.headers.length);
    return true;
  }
}
