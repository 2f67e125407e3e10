/**
 * Keep-alive connections to one HTTP/1.1 server: push handlers, no streams, no promises. A connection
 * carries one request at a time, so that a request is called off by closing exactly its own socket,
 * also while that socket is still connecting.
 */
import type {
  ConnectionFactory,
  ServerAccess,
  ServerCall,
  ServerConnection,
  ServerHandler,
  ServerRequest,
} from "../../contracts/connection.ts";
import type { Clock } from "../../core/clock.ts";
import { createDialer, type Dialer } from "./dial-server.ts";
import { RequestHeads } from "./request-head.ts";
import { ServerWire, type WireOwner } from "./server-wire.ts";
import { WireCall } from "./wire-call.ts";

/** Idle connections of one server that are kept: as many as a busy server has streams, so that none is made anew for each. */
const maxIdle = 1_024;

/** How long an idle connection is kept where the server does not say, ms: shorter than the 5 s of common servers, so that a reused one is rarely just being closed. */
const defaultKeepMs = 4_000;

/** So much earlier than the server says an idle connection is given up, and at the latest after so long, ms. */
const keepMargin = { earlierMs: 1_000, longestMs: 600_000 };

/** How often idle connections are looked at, ms. */
const sweepMs = 1_000;

/** Makes connections. The clock measures the time to connect and how long connections idle. */
export function createConnectionFactory({ clock }: { readonly clock: Clock }): ConnectionFactory {
  return (access) => new ServerConnections(access, clock);
}

class ServerConnections implements ServerConnection, WireOwner {
  readonly #clock: Clock;
  readonly #dial: Dialer;
  readonly #heads: RequestHeads;
  /** Idle connections, the last used at the end. */
  readonly #idle: ServerWire[] = [];
  #isSweeping = false;
  #isClosed = false;

  constructor(access: ServerAccess, clock: Clock) {
    this.#clock = clock;
    this.#dial = createDialer(access, clock);
    this.#heads = new RequestHeads(new URL(access.origin).host, access.basePath, access.headers);
  }

  send(request: ServerRequest, handler: ServerHandler): ServerCall {
    const head = this.#heads.write(request);
    const call = new WireCall(request, handler, head ?? "");
    if (head === undefined) call.refused("the request's address or headers cannot be sent");
    else call.start(this.#wireFor(request));
    return call;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const wire of this.#idle.splice(0)) wire.destroy();
  }

  released(wire: ServerWire, keepMs: number | undefined): void {
    const { earlierMs, longestMs } = keepMargin;
    const forMs = keepMs === undefined ? defaultKeepMs : Math.min(keepMs - earlierMs, longestMs);
    if (this.#isClosed || forMs <= 0 || this.#idle.length >= maxIdle) return wire.destroy();
    const now = this.#clock.now();
    wire.idleUntil = now + forMs;
    wire.refreshAt = now + forMs / 2;
    this.#idle.push(wire);
    if (!this.#isSweeping) this.#sweepLater();
  }

  lost(wire: ServerWire): void {
    const index = this.#idle.indexOf(wire);
    if (index >= 0) this.#idle.splice(index, 1);
  }

  #wireFor({ needsNewConnection }: ServerRequest): ServerWire {
    const kept = needsNewConnection === true ? undefined : this.#takeIdle();
    return kept ?? new ServerWire(this, this.#dial);
  }

  #takeIdle(): ServerWire | undefined {
    if (this.#idle.length === 0) return undefined;
    const now = this.#clock.now();
    for (let wire = this.#nextIdle(now); wire !== undefined; wire = this.#nextIdle(now)) {
      if (wire.idleUntil > now && wire.isUsable) return wire;
      wire.destroy();
    }
    return undefined;
  }

  /**
   * The last used, which is the warmest, unless the one that idles longest has spent half of its time: used, it stays.
   * Were it always the last used, the rest would end in each lull of a few seconds and be made anew after it.
   */
  #nextIdle(now: number): ServerWire | undefined {
    const idle = this.#idle;
    const eldest = idle[0];
    return eldest !== undefined && eldest.refreshAt <= now ? idle.shift() : idle.pop();
  }

  #sweepLater(): void {
    this.#isSweeping = true;
    this.#clock.after(sweepMs, () => this.#sweep());
  }

  #sweep(): void {
    this.#isSweeping = false;
    const now = this.#clock.now();
    const idle = this.#idle;
    let kept = 0;
    for (const wire of idle.splice(0)) {
      if (wire.idleUntil > now) idle[kept++] = wire;
      else wire.destroy();
    }
    if (kept > 0) this.#sweepLater();
  }
}
