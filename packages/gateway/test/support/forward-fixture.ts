/** The forward path as a test needs it: real connections and stages, endpoints and payloads kept plain. */
import type { TestContext } from "node:test";
import type { ServerAccess, ServerConnection } from "../../src/contracts/connection.ts";
import type {
  AttemptResult,
  ForwardTimeouts,
  HttpEndpoint,
  HttpEndpointState,
  HttpPool,
  RetryOptions,
} from "../../src/contracts/http-endpoint.ts";
import type { ResponseSink } from "../../src/contracts/sink.ts";
import { Cancellation } from "../../src/core/cancellation.ts";
import { systemClock, type Clock } from "../../src/core/clock.ts";
import { failure, type Failure } from "../../src/core/errors.ts";
import type {
  AnswerReader,
  AnswerSink,
  Attempt,
  ForwardPayload,
  TokenUsage,
} from "../../src/core/forward.ts";
import type { HeaderList, HeaderMap } from "../../src/core/headers.ts";
import type { InferenceRequest, WireAnswer } from "../../src/core/request.ts";
import { createLoad, createSignals } from "../../src/core/server-signals.ts";
import { createConnectionFactory } from "../../src/stages/upstream/server-connections.ts";
import type { FlowGate } from "../../src/contracts/flow-gate.ts";
import type { FlowControl } from "../../src/stages/flowcontrol/create-flow-control.ts";
import { RequestLine } from "../../src/stages/flowcontrol/line.ts";

/** Access to a server without credentials. */
export function accessTo(origin: string, more: Partial<ServerAccess> = {}): ServerAccess {
  return {
    origin,
    basePath: "",
    address: undefined,
    socketPath: undefined,
    headers: [],
    ca: undefined,
    serverName: undefined,
    connectTimeoutMs: 2_000,
    ...more,
  };
}

let nextSlot = 0;

/** An endpoint that counts what it is told and judges nothing. */
export class PlainEndpoint implements HttpEndpoint {
  readonly dialect = "openai";
  readonly id: string;
  readonly address: string;
  readonly pool = "chat";
  readonly connection: ServerConnection;
  readonly results: AttemptResult[] = [];
  readonly labels = {};
  readonly signals = createSignals();
  readonly load = createLoad();
  readonly slot = nextSlot++;
  state: HttpEndpointState = "ready";
  pausedUntil: number | undefined;
  inFlight = 0;
  capacity = 1_000;
  speed = 0;
  loaded = true;

  constructor(id: string, connection: ServerConnection) {
    this.id = id;
    this.address = id;
    this.connection = connection;
  }

  targetFor(model: string) {
    return { dialect: "openai", model, serves: [] } as const;
  }

  refresh(done?: () => void): void {
    done?.();
  }

  isLoaded(): boolean {
    return this.loaded;
  }

  acquire(): void {
    this.inFlight++;
  }

  release(result: AttemptResult): void {
    this.inFlight--;
    this.results.push(result);
  }

  inspect() {
    return { id: this.id };
  }
}

/** What a test may set of a pool. */
export interface PoolSetup {
  readonly access?: Partial<ServerAccess>;
  readonly timeouts?: Partial<ForwardTimeouts>;
  readonly retry?: Partial<RetryOptions>;
  readonly clock?: Clock;
  readonly maxQueue?: number;
  /** Line and gate; default: a line without rules. */
  readonly flow?: FlowControl;
}

/** A pool of the given servers, all of which serve every model. */
export class PlainPool implements HttpPool {
  readonly name = "chat";
  readonly timeouts: ForwardTimeouts;
  readonly retry: RetryOptions;
  readonly line: HttpPool["line"];
  gate: FlowGate | undefined;
  readonly endpoints: PlainEndpoint[];
  readonly answered = true;
  readonly isOwn = false;
  room: () => void = () => undefined;

  constructor(origins: readonly string[], setup: PoolSetup = {}) {
    const clock = setup.clock ?? systemClock;
    this.timeouts = { firstTokenMs: 5_000, idleMs: 5_000, totalMs: 20_000, ...setup.timeouts };
    this.retry = { maxRetries: 2, backoffMs: 10, hedging: undefined, ...setup.retry };
    const { maxQueue = 100, flow } = setup;
    this.line = flow?.line ?? new RequestLine({ clock, maxQueue, onRefused: () => undefined });
    this.gate = flow?.gate;
    const connect = createConnectionFactory({ clock });
    this.endpoints = origins.map(
      (origin, index) => new PlainEndpoint(`chat/${index}`, connect(accessTo(origin, setup.access))),
    );
    flow?.attach(this);
  }

  endpointsFor(): readonly HttpEndpoint[] {
    return this.endpoints;
  }

  awaits(): boolean {
    return this.gate?.waitsForEndpoints === true && this.endpoints.length === 0;
  }

  refusalFor() {
    const well = this.candidatesFor().length > 0;
    return well ? undefined : failure("model_unavailable", "No server can be asked", 5_000);
  }

  candidatesFor(): readonly HttpEndpoint[] {
    return this.endpoints.filter((endpoint) => endpoint.state === "ready");
  }

  models() {
    return [];
  }

  onRoom(listener: () => void): void {
    this.room = listener;
  }

  inspect() {
    return { name: this.name };
  }

  close(): void {
    for (const endpoint of this.endpoints) endpoint.connection.close();
  }
}

/** Ends the pool's connections with the test. */
export function startPool(t: TestContext, origins: readonly string[], setup: PoolSetup = {}): PlainPool {
  const pool = new PlainPool(origins, setup);
  t.after(() => pool.close());
  return pool;
}

/** What a test may set of a request. */
export interface RequestSetup {
  readonly stream?: boolean;
  readonly repeatable?: boolean;
  readonly body?: Uint8Array;
  readonly headers?: HeaderList;
  readonly deadlineMs?: number;
  readonly priority?: number;
  readonly model?: string;
  readonly payload?: ForwardPayload;
}

/** A request that bytes are relayed for. */
export function forwardRequest(setup: RequestSetup = {}): InferenceRequest<ForwardPayload> {
  const now = systemClock.now();
  return {
    id: "request-1",
    model: setup.model ?? "m",
    version: undefined,
    caller: { id: "local", scopes: ["infer"] },
    receivedAt: now,
    deadline: now + (setup.deadlineMs ?? 10_000),
    priority: setup.priority ?? 0,
    payload: setup.payload ?? relayPayload(setup),
    cancellation: new Cancellation(),
  };
}

/**
 * A payload as a dialect makes it, with the plainest dialect there is: a streamed answer has its first
 * content in its first `data:` line and ends with `[DONE]`; `data: {"error"` is the server's error.
 */
export function relayPayload(setup: RequestSetup = {}): ForwardPayload {
  const stream = setup.stream ?? false;
  return {
    kind: "forward",
    dialect: "openai",
    operation: "chat",
    stream,
    repeatable: setup.repeatable ?? true,
    estimate: { promptTokens: 10, maxCompletionTokens: undefined },
    prepare: () => undefined,
    attempt: (_target, sink): Attempt => ({
      method: "POST",
      path: "/v1/chat/completions",
      headers: setup.headers ?? [["content-type", "application/json"]],
      body: setup.body ?? Buffer.from(JSON.stringify({ model: "m", stream })),
      reader: stream ? new StreamRelay(sink) : new WholeRelay(sink),
    }),
  };
}

abstract class Relay implements AnswerReader {
  protected readonly sink: AnswerSink;

  constructor(sink: AnswerSink) {
    this.sink = sink;
  }

  abstract head(status: number, headers: HeaderMap): void;
  abstract data(chunk: Uint8Array): void;
  abstract end(): void;
  abstract cut(reason: Failure): void;

  usedSoFar(): TokenUsage | undefined {
    return undefined;
  }

  refused(answer: { status: number; headers: HeaderMap; body: Uint8Array }): WireAnswer {
    return { status: answer.status, headers: typeOf(answer.headers), body: [answer.body] };
  }
}

class WholeRelay extends Relay {
  head(status: number, headers: HeaderMap): void {
    this.sink.head(status, typeOf(headers));
    this.sink.commit();
  }

  data(chunk: Uint8Array): void {
    this.sink.data(chunk);
  }

  end(): void {
    this.sink.usage({ promptTokens: 10, cachedTokens: 0, completionTokens: 5, estimated: false });
    this.sink.end();
  }

  cut(reason: Failure): void {
    this.sink.fail(reason);
  }
}

class StreamRelay extends Relay {
  #tail = "";
  #content = false;
  #pieces = 0;

  override usedSoFar(): TokenUsage {
    return { promptTokens: 10, cachedTokens: 0, completionTokens: this.#pieces, estimated: true };
  }
  #isOver = false;

  head(status: number, headers: HeaderMap): void {
    this.sink.head(status, typeOf(headers));
  }

  data(chunk: Uint8Array): void {
    // Event by event: a chunk may hold several.
    for (const event of Buffer.from(chunk)
      .toString("latin1")
      .split(/(?<=\n\n)/)) {
      if (!this.#isOver) this.#event(event);
    }
  }

  #event(event: string): void {
    const chunk = Buffer.from(event, "latin1");
    const text = this.#tail + event;
    if (text.includes('data: {"error"')) {
      this.#isOver = true;
      if (!this.#content) return this.sink.fail(failure("model_failed", "The server failed"));
      this.sink.data(chunk);
      return this.sink.end(failure("model_failed", "The server failed"));
    }
    if (text.includes("data: <")) {
      this.#isOver = true;
      return this.sink.fail(failure("bad_upstream_answer", "Not the dialect"));
    }
    if (!this.#content && text.includes("data:")) {
      this.#content = true;
      this.sink.commit();
    }
    this.#tail = text.slice(-32);
    this.#pieces++;
    this.sink.data(chunk);
  }

  end(): void {
    if (this.#tail.includes("[DONE]")) return this.sink.end();
    const reason = failure("bad_upstream_answer", "The server ended its answer too early");
    if (this.#content) this.cut(reason);
    else this.sink.fail(reason);
  }

  cut(reason: Failure): void {
    this.sink.data(Buffer.from(`\n\nevent: error\ndata: ${reason.code}\n\n`));
    this.sink.end(reason);
  }
}

function typeOf(headers: HeaderMap): HeaderList {
  const type = headers["content-type"];
  return typeof type === "string" ? [["content-type", type]] : [];
}

/** A caller that keeps what it is given. */
export class CollectingSink implements ResponseSink {
  status = 0;
  headers: HeaderList = [];
  readonly pieces: Uint8Array[] = [];
  /** How the answer ended; undefined while it runs. */
  ending: "whole" | "end" | Failure | undefined;
  /** Called back on every event. */
  onEvent: () => void = () => undefined;
  /** What `data` answers. */
  takesMore = true;

  get text(): string {
    return Buffer.concat(this.pieces).toString();
  }

  header(name: string): string | undefined {
    return this.headers.find(([key]) => key === name)?.[1];
  }

  whole(answer: WireAnswer): void {
    this.#open();
    this.status = answer.status;
    this.headers = answer.headers;
    this.pieces.push(...answer.body);
    this.#close("whole");
  }

  head(status: number, headers: HeaderList): void {
    this.#open();
    if (this.status !== 0) throw new Error("head was called twice");
    this.status = status;
    this.headers = headers;
    this.onEvent();
  }

  data(chunk: Uint8Array): boolean {
    this.#open();
    this.pieces.push(chunk);
    this.onEvent();
    return this.takesMore;
  }

  end(): void {
    this.#open();
    this.#close("end");
  }

  fail(reason: Failure): void {
    this.#open();
    this.#close(reason);
  }

  #open(): void {
    if (this.ending !== undefined) throw new Error("called after its end");
  }

  #close(ending: NonNullable<CollectingSink["ending"]>): void {
    this.ending = ending;
    this.onEvent();
  }
}
