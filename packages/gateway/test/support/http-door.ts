/** A listening HTTP door with a pipeline that a test plays by hand. */
import type { TestContext } from "node:test";
import type { DoorOptions } from "../../src/contracts/options.ts";
import type { Decision, Pipeline, ResponseSink } from "../../src/contracts/pipeline.ts";
import { wireAnswer, type HttpCall, type Route } from "../../src/contracts/route.ts";
import type { LogFields } from "../../src/contracts/telemetry.ts";
import type { CancelReason } from "../../src/core/cancellation.ts";
import { systemClock } from "../../src/core/clock.ts";
import { errorTable, type Failure } from "../../src/core/errors.ts";
import { createSystemRandom } from "../../src/core/random.ts";
import type { InferenceRequest, RequestHead, WireAnswer } from "../../src/core/request.ts";
import { createHttpDoor, type HttpDoor, type HttpDoorOptions } from "../../src/doors/http/http-door.ts";
import { createMetrics } from "../../src/telemetry/index.ts";
import { RawHttpClient } from "./raw-http-client.ts";

/** What a test may set. */
export interface DoorSetup extends Partial<
  Pick<HttpDoorOptions, "routes" | "origins" | "stallTimeoutMs" | "clock">
> {
  readonly options?: Partial<DoorOptions>;
  readonly admit?: Pipeline["admit"];
  readonly decide?: Pipeline["decide"];
  readonly carry?: Pipeline["carry"];
}

/** The door and what went through it. */
export interface DoorFixture {
  readonly door: HttpDoor;
  readonly port: number;
  readonly heads: RequestHead[];
  readonly logs: { readonly event: string; readonly fields: LogFields }[];
  readonly connect: () => Promise<RawHttpClient>;
  /** Value of a sample as it is written in the exposition, 0 when it is not there. */
  readonly metric: (sample: string) => number;
  /** Bytes of bodies and large answers held now. */
  readonly heldBytes: () => number;
}

const defaults: DoorOptions = {
  host: "127.0.0.1",
  port: 0,
  maxBodyBytes: 1_000_000,
  maxTotalBodyBytes: 4_000_000,
  receiveTimeoutMs: 10_000,
  maxConnections: 100,
  tls: undefined,
};

/** A door that does not listen yet, and what it tells. */
export function createTestDoor(setup: DoorSetup = {}) {
  const metrics = createMetrics();
  const heads: RequestHead[] = [];
  const logs: DoorFixture["logs"] = [];
  const log = (event: string, fields: LogFields = {}): void => void logs.push({ event, fields });
  const admit = setup.admit ?? (() => ({ id: "local", scopes: ["infer", "status", "admin"] }));
  const door = createHttpDoor({
    routes: [echoRoute],
    origins: [],
    clock: systemClock,
    ...setup,
    options: { ...defaults, ...setup.options },
    pipeline: {
      admit(head) {
        heads.push(head);
        return admit(head);
      },
      decide: setup.decide ?? unexpected,
      carry: setup.carry ?? unexpected,
    },
    random: createSystemRandom(),
    logger: { error: log, warn: log, info: log, debug: log },
    metrics,
  });
  return { door, metrics, heads, logs };
}

/** Listens on a port of its own until the test ends. */
export async function startDoor(t: TestContext, setup: DoorSetup = {}): Promise<DoorFixture> {
  const { door, metrics, heads, logs } = createTestDoor(setup);
  const { port } = await door.listen();
  const clients: RawHttpClient[] = [];
  t.after(async () => {
    for (const client of clients) client.leave();
    await door.close({ graceMs: 0 });
  });
  return {
    door,
    port,
    heads,
    logs,
    async connect() {
      const client = await RawHttpClient.open(port);
      clients.push(client);
      return client;
    },
    heldBytes: () => (door.inspect() as { bodyBytesHeld: number }).bodyBytesHeld,
    metric(sample) {
      const line = metrics
        .render()
        .split("\n")
        .find((each) => each.startsWith(`${sample} `));
      return Number(line?.slice(sample.length + 1) ?? 0);
    },
  };
}

function unexpected(): never {
  throw new Error("the test does not expect the pipeline to be asked");
}

/** `{error, code, id}`, so that a test sees that the route's own writer was asked. */
function writeTestFailure({ code, message }: Failure, requestId: string): WireAnswer {
  const body = Buffer.from(JSON.stringify({ error: message, code, id: requestId }));
  return wireAnswer(errorTable[code].http, "application/json", [body]);
}

/** A route that answers with what `handle` gives. */
export function route(path: string, handle: Route["handle"], changes: Partial<Route> = {}): Route {
  return {
    method: "POST",
    path,
    scope: "infer",
    body: "bytes",
    writeFailure: writeTestFailure,
    handle,
    ...changes,
  };
}

/** `POST /echo`: the body again. */
export const echoRoute = route("/echo", (call) =>
  wireAnswer(200, "application/octet-stream", [Buffer.from(call.body)]),
);

/** A request for the pipeline, called off together with the call. */
export function pipelineRequest(call: HttpCall): InferenceRequest {
  return {
    id: call.requestId,
    model: "m",
    version: undefined,
    caller: call.caller,
    receivedAt: call.receivedAt,
    deadline: call.receivedAt + 60_000,
    priority: 0,
    payload: { kind: "tensors", bind: unexpected, write: unexpected },
    cancellation: call.cancellation,
  };
}

/** A decision that only `carry` of the same test reads. */
export function decisionFor(request: InferenceRequest): Decision {
  // The door hands a decision from one function of the pipeline to the other and looks into nothing but a failure's code.
  return { request } as unknown as Decision;
}

/** `carry` as a test plays it: keeps the sinks, and what was asked of the answers. */
export class PlayedUpstream {
  readonly sinks: ResponseSink[] = [];
  readonly cancelled: CancelReason[] = [];
  resumed = 0;
  readonly #waiting: ((sink: ResponseSink) => void)[] = [];

  /** For `DoorSetup`. */
  readonly carry: Pipeline["carry"] = (_decision, sink) => {
    this.sinks.push(sink);
    for (const resolve of this.#waiting.splice(0)) resolve(sink);
    return {
      resume: () => void this.resumed++,
      cancel: (reason) => void this.cancelled.push(reason),
    };
  };

  /** The newest sink, waited for when there is none yet. */
  sink(): Promise<ResponseSink> {
    const sink = this.sinks.at(-1);
    return sink === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(sink);
  }
}
