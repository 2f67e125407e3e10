/**
 * Asks a running MLServer what a pool asks, and keeps the answers' bytes in fixtures/. The client is
 * grpc-js, so that nothing of Spillway's own framing is between. README.md says how to start the server.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Client, credentials, type ServiceError } from "@grpc/grpc-js";
import { inference } from "@spillway/protocol";

const address = process.argv[2] ?? "127.0.0.1:18081";
const folder = path.join(import.meta.dirname, "fixtures");
const client = new Client(address, credentials.createInsecure());

/** The answer's message as it came, or the status and text of a refusal. */
function ask(method: string, message: Uint8Array): Promise<Buffer | ServiceError> {
  const send = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
  const keep = (bytes: Buffer): Buffer => bytes;
  const call = `/inference.GRPCInferenceService/${method}`;
  return new Promise((resolve) => {
    client.makeUnaryRequest<Uint8Array, Buffer>(call, send, keep, message, (error, answer) =>
      resolve(error ?? answer ?? Buffer.alloc(0)),
    );
  });
}

/** Two irises as FP64 rows: a setosa and a virginica. */
const irises = Float64Array.of(5.1, 3.5, 1.4, 0.2, 6.7, 3, 5.2, 2.3);

interface Asked {
  readonly model?: string;
  readonly version?: string;
  readonly outputs?: readonly string[];
  /** `typed`: in `contents`, which makes the server answer in kind. */
  readonly form?: "raw" | "typed";
}

function infer({ model = "iris", version = "v1", outputs = [], form = "raw" }: Asked): Uint8Array {
  const contents = form === "typed" ? { contents: { fp64Contents: [...irises] } } : {};
  return inference.ModelInferRequest.encode({
    modelName: model,
    modelVersion: version,
    inputs: [{ name: "features", datatype: "FP64", shape: [2, 4], ...contents }],
    outputs: outputs.map((name) => ({ name })),
    rawInputContents: form === "raw" ? [new Uint8Array(irises.buffer)] : [],
  }).finish();
}

const both = ["predict", "predict_proba"];
const empty = new Uint8Array();
const named = (name: string): Uint8Array => inference.ModelMetadataRequest.encode({ name }).finish();
const toUnload = inference.RepositoryModelUnloadRequest.encode({ modelName: "bare" }).finish();

/** In this order: the last ones see a server that has unloaded a model. */
const questions: readonly (readonly [name: string, method: string, message: Uint8Array])[] = [
  ["server-ready", "ServerReady", empty],
  ["model-ready", "ModelReady", inference.ModelReadyRequest.encode({ name: "iris" }).finish()],
  ["repository-index", "RepositoryIndex", empty],
  ["model-metadata-iris", "ModelMetadata", named("iris")],
  ["model-metadata-bare", "ModelMetadata", named("bare")],
  ["model-config", "ModelConfig", inference.ModelConfigRequest.encode({ name: "iris" }).finish()],
  ["infer-none-named", "ModelInfer", infer({})],
  ["infer-both-named", "ModelInfer", infer({ outputs: both })],
  ["infer-both-typed", "ModelInfer", infer({ outputs: both, form: "typed" })],
  ["infer-bare", "ModelInfer", infer({ model: "bare", version: "" })],
  ["infer-unknown-model", "ModelInfer", infer({ model: "tulips", version: "" })],
  ["infer-unknown-version", "ModelInfer", infer({ version: "7" })],
  ["infer-unknown-output", "ModelInfer", infer({ outputs: ["colour"] })],
  ["unload", "RepositoryModelUnload", toUnload],
  ["repository-index-unloaded", "RepositoryIndex", empty],
];

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder);
const refusals: Record<string, { code: number; details: string }> = {};
for (const [name, method, message] of questions) {
  const answer = await ask(method, message);
  if (Buffer.isBuffer(answer)) writeFileSync(path.join(folder, `${name}.bin`), answer);
  else refusals[name] = { code: answer.code, details: answer.details };
}
writeFileSync(path.join(folder, "refusals.json"), `${JSON.stringify(refusals, null, 2)}\n`);
client.close();
