/** A listening gRPC door with a pipeline that a test plays by hand, and an independent client. */
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import type { TestContext } from "node:test";
import type { DoorOptions } from "../../src/contracts/options.ts";
import type { Pipeline } from "../../src/contracts/pipeline.ts";
import type { RouteResult, RpcCall, RpcMethod } from "../../src/contracts/route.ts";
import type { LogFields } from "../../src/contracts/telemetry.ts";
import { systemClock } from "../../src/core/clock.ts";
import { createSystemRandom } from "../../src/core/random.ts";
import type { InferenceRequest, RequestHead, WireAnswer } from "../../src/core/request.ts";
import { createGrpcDoor, type GrpcDoor, type GrpcDoorOptions } from "../../src/doors/grpc/grpc-door.ts";
import { createMetrics } from "../../src/telemetry/index.ts";

/** What a test may set. */
export interface GrpcSetup extends Partial<Pick<GrpcDoorOptions, "methods" | "services">> {
  readonly options?: Partial<DoorOptions>;
  readonly admit?: Pipeline["admit"];
  readonly decide?: Pipeline["decide"];
  readonly carry?: Pipeline["carry"];
}

/** The door and what went through it. */
export interface GrpcFixture {
  readonly door: GrpcDoor;
  readonly port: number;
  readonly client: RawGrpcClient;
  readonly heads: RequestHead[];
  readonly logs: { readonly event: string; readonly fields: LogFields }[];
  /** Value of a sample as it is written in the exposition, 0 when it is not there. */
  readonly metric: (sample: string) => number;
}

/** How a unary call ended. */
export interface RpcEnd {
  /** 0 for an answer. */
  readonly code: number;
  readonly message: string;
  readonly metadata: Readonly<Record<string, unknown>>;
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

const asIs = (bytes: Buffer): Buffer => bytes;

/** Messages are bytes: nothing is encoded or decoded. */
export class RawGrpcClient {
  readonly #client: Client;

  constructor(port: number) {
    this.#client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  }

  /** One message there and one back. The message of an answer is its text. */
  call(path: string, message: string | Buffer, options: CallSetup = {}): Promise<RpcEnd> {
    return new Promise((resolve) => {
      let trailers: Record<string, unknown> = {};
      const done = (error: ServiceError | null, answer?: Buffer): void => {
        if (error !== null)
          resolve({ code: error.code, message: error.details, metadata: error.metadata.getMap() });
        else setImmediate(() => resolve({ code: 0, message: String(answer), metadata: trailers }));
      };
      const bytes = Buffer.from(message);
      const call = this.#client.makeUnaryRequest(
        path,
        asIs,
        asIs,
        bytes,
        toMetadata(options),
        deadline(options),
        done,
      );
      call.on("status", (status) => (trailers = status.metadata.getMap()));
      options.started?.(() => call.cancel());
    });
  }

  /** A stream of messages each way. */
  stream(path: string, options: CallSetup = {}) {
    return this.#client.makeBidiStreamRequest(path, asIs, asIs, toMetadata(options), deadline(options));
  }

  close(): void {
    this.#client.close();
  }
}

/** Around a call. */
export interface CallSetup {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  /** Given a function that calls the call off. */
  readonly started?: (cancel: () => void) => void;
}

function toMetadata({ metadata = {} }: CallSetup): Metadata {
  const result = new Metadata();
  for (const [name, value] of Object.entries(metadata)) result.set(name, value);
  return result;
}

function deadline({ timeoutMs }: CallSetup): { deadline?: number } {
  return timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
}

/** Listens on a port of its own until the test ends. */
export async function startGrpcDoor(t: TestContext, setup: GrpcSetup = {}): Promise<GrpcFixture> {
  const metrics = createMetrics();
  const heads: RequestHead[] = [];
  const logs: GrpcFixture["logs"] = [];
  const log = (event: string, fields: LogFields = {}): void => void logs.push({ event, fields });
  const admit = setup.admit ?? (() => ({ id: "local", scopes: ["infer", "status", "admin"] }));
  const door = createGrpcDoor({
    methods: setup.methods ?? [echoMethod],
    services: setup.services ?? new Map(),
    clock: systemClock,
    random: createSystemRandom(),
    options: { ...defaults, ...setup.options },
    pipeline: {
      admit(head) {
        heads.push(head);
        return admit(head);
      },
      decide: setup.decide ?? unexpected,
      carry: setup.carry ?? unexpected,
    },
    logger: { error: log, warn: log, info: log, debug: log },
    metrics,
  });
  const { port } = await door.listen();
  const client = new RawGrpcClient(port);
  t.after(async () => {
    client.close();
    await door.close({ graceMs: 0 });
  });
  const metric = (sample: string): number => {
    const line = metrics
      .render()
      .split("\n")
      .find((each) => each.startsWith(`${sample} `));
    return Number(line?.slice(sample.length + 1) ?? 0);
  };
  return { door, port, client, heads, logs, metric };
}

function unexpected(): never {
  throw new Error("the test does not expect the pipeline to be asked");
}

/** A method that answers with what `handle` gives. */
export function rpcMethod(
  name: string,
  handle: (call: RpcCall) => RouteResult | Promise<RouteResult>,
  changes: Partial<RpcMethod> = {},
): RpcMethod {
  return { path: `/test.Service/${name}`, scope: "infer", kind: "unary", handle, ...changes };
}

/** An answer of text. */
export function rpcText(text: string): WireAnswer {
  return { status: 200, headers: [], body: [Buffer.from(text)] };
}

/** The message again. */
export const echoMethod = rpcMethod("Echo", (call) => rpcText(Buffer.from(call.message).toString()));

/** A request for the pipeline, called off together with the call. */
export function rpcPipelineRequest(call: RpcCall): InferenceRequest {
  return {
    id: call.requestId,
    model: "m",
    version: undefined,
    caller: call.caller,
    receivedAt: call.receivedAt,
    deadline: call.receivedAt + (call.timeoutMs ?? 60_000),
    priority: 0,
    payload: { kind: "tensors", bind: unexpected, write: unexpected },
    cancellation: call.cancellation,
  };
}
