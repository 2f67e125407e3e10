/** A plain gRPC client for the worker's services: another implementation than the server's, from the .proto files. */
import { fileURLToPath } from "node:url";
import type { ServiceError } from "@grpc/grpc-js";
import { Client, credentials } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const protoFolder = fileURLToPath(new URL("../../../../proto/", import.meta.url));

const definitions = loadSync(
  ["kserve.proto", "inference.proto", "health.proto", "reflection.proto", "reflection-v1alpha.proto"],
  { includeDirs: [protoFolder], keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true },
);

/** Answer of a call as plain data, in the names of the .proto files. */
export type Answer = Readonly<Record<string, unknown>>;

/** Services that tests call. */
type Service = "inference.GRPCInferenceService" | "inference.ModelInference" | "grpc.health.v1.Health";

/** A client of one server. */
export interface TestClient {
  /** Calls `Service/Method`; rejects with grpc-js's error, which has `code`, `details` and `metadata`. */
  call<Result = Answer>(
    method: `${Service}/${string}`,
    request?: object,
    deadlineMs?: number,
  ): Promise<Result>;
  /** The client itself, for streams. */
  readonly raw: Client;
  readonly definitions: typeof definitions;
  close(): void;
}

/** Connects to `host:port` or `unix:/path`. */
export function createTestClient(address: string): TestClient {
  const raw = new Client(address, credentials.createInsecure());
  return {
    raw,
    definitions,
    call: <Result>(method: string, request: object = {}, deadlineMs = 10_000) => {
      const [service = "", name = ""] = method.split("/");
      const definition = (definitions[service] as unknown as Record<string, MethodDefinition>)[name];
      if (definition === undefined) throw new Error(`no method ${method}`);
      return new Promise<Result>((resolve, reject) =>
        raw.makeUnaryRequest(
          definition.path,
          definition.requestSerialize,
          definition.responseDeserialize,
          request,
          { deadline: Date.now() + deadlineMs },
          (error: ServiceError | null, answer?: Result) =>
            error === null ? resolve(answer as Result) : reject(error),
        ),
      );
    },
    close: () => raw.close(),
  };
}

interface MethodDefinition {
  readonly path: string;
  readonly requestSerialize: (value: object) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => never;
}

/** Raw contents of FP32 values. */
export function floats(...values: number[]): Buffer {
  return Buffer.from(Float32Array.from(values).buffer);
}

/** The FP32 values of raw contents. */
export function toFloats(raw: Uint8Array): number[] {
  return [...new Float32Array(new Uint8Array(raw).buffer)];
}
