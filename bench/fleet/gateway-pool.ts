/** The simulated servers as the gateway's stages see them: endpoints of a pool, and requests without bytes on a wire. */
import type {
  AttemptResult,
  HttpEndpoint,
  HttpPool,
} from "../../packages/gateway/src/contracts/http-endpoint.ts";
import type { ServerConnection } from "../../packages/gateway/src/contracts/connection.ts";
import type { FlowGate } from "../../packages/gateway/src/contracts/flow-gate.ts";
import { Cancellation } from "../../packages/gateway/src/core/cancellation.ts";
import type { Clock } from "../../packages/gateway/src/core/clock.ts";
import type { ForwardPayload } from "../../packages/gateway/src/core/forward.ts";
import type { InferenceRequest } from "../../packages/gateway/src/core/request.ts";
import { defaultFlow } from "../../packages/gateway/src/core/request-traits.ts";
import { createLoad } from "../../packages/gateway/src/core/server-signals.ts";
import { RequestLine } from "../../packages/gateway/src/stages/flowcontrol/line.ts";
import type { FleetRequest } from "./fleet-request.ts";
import type { FleetServer } from "./fleet-server.ts";

/** The base model's name; adapters have names of their own. */
export const baseModel = "base";

/** A simulated server as an endpoint. */
export class FleetEndpoint implements HttpEndpoint {
  readonly server: FleetServer;
  readonly id: string;
  readonly address: string;
  readonly pool = "fleet";
  readonly labels = {};
  readonly load = createLoad();
  readonly slot: number;
  readonly state = "ready";
  readonly pausedUntil = undefined;
  readonly dialect = "openai";
  readonly speed = 0;
  readonly capacity: number;
  inFlight = 0;

  constructor(server: FleetServer, capacity: number) {
    this.server = server;
    this.slot = server.index;
    this.address = `10.0.0.${server.index + 1}:8000`;
    this.id = `fleet/${this.address}`;
    this.capacity = capacity;
  }

  get signals() {
    return this.server.signals;
  }

  get connection(): ServerConnection {
    throw new Error("nothing is connected in a simulation");
  }

  targetFor(model: string) {
    return { dialect: "openai", model, serves: [] } as const;
  }

  refresh(done?: () => void): void {
    done?.();
  }

  isLoaded(): boolean {
    return true;
  }

  acquire(): void {
    this.inFlight += 1;
  }

  release(_result: AttemptResult): void {
    this.inFlight -= 1;
  }

  inspect() {
    return { id: this.id };
  }
}

/** The pool of them. */
export class FleetPool implements HttpPool {
  readonly name = "fleet";
  readonly timeouts = { firstTokenMs: Infinity, idleMs: Infinity, totalMs: Infinity };
  readonly retry = { maxRetries: 0, backoffMs: 0, hedging: undefined };
  readonly line: HttpPool["line"];
  readonly gate: FlowGate | undefined;
  readonly endpoints: readonly FleetEndpoint[];
  readonly answered = true;
  readonly isOwn = false;

  constructor(
    servers: readonly FleetServer[],
    {
      capacity,
      clock,
      ...flow
    }: { capacity: number; clock: Clock } & { readonly line?: HttpPool["line"]; readonly gate?: FlowGate },
  ) {
    this.endpoints = servers.map((server) => new FleetEndpoint(server, capacity));
    this.line =
      flow.line ?? new RequestLine({ clock, maxQueue: Number.MAX_SAFE_INTEGER, onRefused: () => undefined });
    this.gate = flow.gate;
  }

  endpointsFor(): readonly HttpEndpoint[] {
    return this.endpoints;
  }

  candidatesFor(): readonly HttpEndpoint[] {
    return this.endpoints;
  }

  refusalFor(): undefined {
    return undefined;
  }

  models() {
    return [];
  }

  onRoom(_listener: () => void): void {
    // Servers neither come nor go: leases say when there is room.
  }

  inspect() {
    return { name: this.name };
  }
}

/** A request as a dialect and routing make it. One token is four bytes of text. */
export function inferenceRequest(request: FleetRequest): InferenceRequest<ForwardPayload> {
  const { ask, arrivedAt } = request;
  const payload: ForwardPayload = {
    kind: "forward",
    dialect: "openai",
    operation: "chat",
    stream: true,
    repeatable: true,
    bytes: ask.text.tokens * 4,
    estimate: { promptTokens: ask.text.tokens, maxCompletionTokens: ask.maxOutputTokens },
    promptParts: () => ask.text.bytes(),
    prepare: () => undefined,
    attempt() {
      throw new Error("nothing is sent in a simulation");
    },
  };
  return {
    id: String(request.index),
    model: ask.adapter ?? baseModel,
    version: undefined,
    caller: { id: "local", scopes: ["infer"] },
    receivedAt: arrivedAt,
    deadline: Number.POSITIVE_INFINITY,
    priority: ask.priority ?? 0,
    traits: {
      fairnessId: ask.tenant ?? defaultFlow,
      objective: undefined,
      ttftSloMs: undefined,
      tpotSloMs: undefined,
      sessionId: ask.session,
    },
    payload,
    cancellation: new Cancellation(),
  };
}
