/** Connections to the engine's process that outlast it: what has not been sent waits until it is there again. */
import type {
  ServerCall,
  ServerConnection,
  ServerError,
  ServerHandler,
  ServerRequest,
} from "../../contracts/connection.ts";
import type { LlmEngine } from "../../contracts/llm-engine.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import type { HeaderMap } from "../../core/headers.ts";

/** What is known of the engine here. */
type EngineState = Pick<LlmEngine, "state" | "reason">;

/** A process that has died is noticed within this time, ms: before, a connection that cannot be made is no verdict. */
const noticeMs = 1_000;

/** Sends to the engine; tell it of every change of the engine's state. */
export class EngineConnection implements ServerConnection {
  readonly engine: EngineState;
  readonly inner: ServerConnection;
  readonly clock: Clock;
  /** As many as there are attempts and probes: the pool's concurrency bounds them. */
  readonly waiting = new Set<EngineCall>();
  /** When the first request was sent that nothing was heard after; undefined: the engine owes nothing. */
  #owesSince: number | undefined;

  /** `inner` connects to the engine's socket. */
  constructor(engine: EngineState, inner: ServerConnection, clock: Clock) {
    this.engine = engine;
    this.inner = inner;
    this.clock = clock;
  }

  send(request: ServerRequest, handler: ServerHandler): ServerCall {
    const call = new EngineCall(this, request, handler);
    call.begin();
    return call;
  }

  /** For how long the engine has said nothing though it was asked, ms. Also one that computes answers probes at once. */
  get silentMs(): number {
    return this.#owesSince === undefined ? 0 : this.clock.now() - this.#owesSince;
  }

  asked(): void {
    this.#owesSince ??= this.clock.now();
  }

  heard(): void {
    this.#owesSince = undefined;
  }

  /** The engine's state is another. */
  engineChanged(): void {
    this.heard();
    for (const call of this.waiting) call.begin();
  }

  close(): void {
    for (const call of this.waiting) call.giveUp("the gateway has closed the engine");
    this.inner.close();
  }
}

/** A request that is sent once the engine listens. */
class EngineCall implements ServerCall, ServerHandler {
  readonly #owner: EngineConnection;
  readonly #request: ServerRequest;
  readonly #handler: ServerHandler;
  #call: ServerCall | undefined;
  #timer: Timer | undefined;
  #ended = false;

  constructor(owner: EngineConnection, request: ServerRequest, handler: ServerHandler) {
    this.#owner = owner;
    this.#request = request;
    this.#handler = handler;
  }

  get sent(): boolean {
    return this.#call?.sent ?? false;
  }

  /** Sends, goes on waiting, or gives up, as the engine's state says. */
  begin(): void {
    const { engine, inner } = this.#owner;
    this.#timer?.cancel();
    if (engine.state === "starting") this.#owner.waiting.add(this);
    else if (engine.state === "ready") {
      this.#owner.waiting.delete(this);
      this.#owner.asked();
      this.#call = inner.send(this.#request, this);
    } else this.giveUp(engine.reason ?? "the engine does not run");
  }

  /** No byte was sent. The handler hears of it later, as from any connection. */
  giveUp(message: string): void {
    this.#owner.waiting.delete(this);
    this.#timer?.cancel();
    queueMicrotask(() => this.#fail({ kind: "connect", sent: false, message }));
  }

  pause(): void {
    this.#call?.pause();
  }

  resume(): void {
    this.#call?.resume();
  }

  cancel(): void {
    this.#ended = true;
    this.#owner.waiting.delete(this);
    this.#timer?.cancel();
    this.#call?.cancel();
  }

  head(status: number, headers: HeaderMap): void {
    this.#owner.heard();
    this.#handler.head(status, headers);
  }

  data(chunk: Uint8Array, isLast: boolean): void {
    this.#owner.heard();
    this.#handler.data(chunk, isLast);
  }

  end(): void {
    this.#ended = true;
    this.#handler.end();
  }

  failed(error: ServerError): void {
    this.#owner.heard();
    if (error.kind !== "connect") return this.#fail(error);
    const { engine, waiting, clock } = this.#owner;
    this.#call = undefined;
    if (engine.state !== "ready") return this.begin();
    // Nobody listens: its end is about to be noticed, and it is started again.
    waiting.add(this);
    this.#timer = clock.after(noticeMs, () => this.giveUp(error.message));
  }

  #fail(error: ServerError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#handler.failed(error);
  }
}
