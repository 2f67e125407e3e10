/** What tritonclient sent to both doors, byte for byte, is understood; and the client itself runs where it is installed. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { Client, credentials, type ServiceError } from "@grpc/grpc-js";
import { inference } from "@spillway/protocol";
import { createModelFolder, startTestGateway, testConfig, type TestGateway } from "../../harness/gateway.ts";
import { replayRequests, splitRequests, type RawAnswer } from "./replay-http.ts";

type Step =
  | { readonly door: "http"; readonly name: string; readonly statuses: readonly number[] }
  | { readonly door: "grpc"; readonly name: string; readonly calls: readonly RpcStep[] };

interface RpcStep {
  readonly method: string;
  readonly file: string;
  readonly code: number;
}

const folder = path.join(import.meta.dirname, "fixtures");
const steps = JSON.parse(readFileSync(path.join(folder, "steps.json"), "utf8")) as readonly Step[];

function startGateway(t: TestContext): Promise<TestGateway> {
  const models = createModelFolder(t);
  for (const name of ["iris", "digits", "sentiment"]) models.addBuiltin(name);
  return startTestGateway(t, testConfig(models.path));
}

/** The scores of an answer over HTTP, wherever they lie in it. */
function httpScores({ headers, body }: RawAnswer): number[] | undefined {
  const length = headers.get("inference-header-content-length");
  const json = JSON.parse(
    body.subarray(0, length === undefined ? body.length : Number(length)).toString(),
  ) as {
    outputs?: { datatype: string; data?: number[]; parameters?: { binary_data_size?: number } }[];
  };
  const output = json.outputs?.find(({ datatype }) => datatype === "FP32");
  if (output === undefined) return undefined;
  return output.data ?? [...new Float32Array(new Uint8Array(body.subarray(Number(length))).buffer)];
}

/** The best class of every row of three. */
function bestClasses(scores: readonly number[]): number[] {
  return Array.from({ length: scores.length / 3 }, (_, row) => {
    const slice = scores.slice(row * 3, row * 3 + 3);
    return slice.indexOf(Math.max(...slice));
  });
}

/** Irises: a setosa and a virginica. Texts: a positive and a negative one. The raw request sends the first iris alone. */
function expectedClasses(step: string): number[] {
  if (step.includes("bytes")) return [1, 0];
  return step === "http-raw" ? [0] : [0, 2];
}

test("every recorded HTTP request is answered as it was", async (t) => {
  const gateway = await startGateway(t);
  const port = Number(new URL(gateway.url).port);
  for (const step of steps) {
    if (step.door !== "http") continue;
    const requests = splitRequests(readFileSync(path.join(folder, `${step.name}.http`)));
    const answers = await replayRequests(port, requests);
    assert.deepEqual(
      answers.map(({ status }) => status),
      step.statuses,
      step.name,
    );
    for (const answer of answers) checkHttpAnswer(step.name, answer);
  }
});

function checkHttpAnswer(name: string, answer: RawAnswer): void {
  if (answer.body.length === 0) return;
  if (answer.status !== 200) {
    const { error } = JSON.parse(answer.body.toString()) as { error: unknown };
    assert.ok(typeof error === "string" && error.length > 5, name);
  } else if (/infer|bytes|async|raw|aio/.test(name)) {
    const scores = httpScores(answer);
    assert.deepEqual(scores && bestClasses(scores), expectedClasses(name), name);
  }
}

test("every recorded gRPC message is answered as it was", async (t) => {
  const gateway = await startGateway(t);
  const client = new Client(gateway.grpc, credentials.createInsecure());
  t.after(() => client.close());
  for (const step of steps) {
    if (step.door !== "grpc") continue;
    if (step.name === "grpc-stream") await replayStream(client, step.calls);
    else for (const call of step.calls) await replayCall(client, step.name, call);
  }
});

const asBytes = (bytes: Buffer): Buffer => bytes;

async function replayCall(client: Client, name: string, { method, file, code }: RpcStep): Promise<void> {
  const message = readFileSync(path.join(folder, file));
  const { error, answer } = await new Promise<{ error: ServiceError | null; answer: Buffer | undefined }>(
    (resolve) => {
      client.makeUnaryRequest<Buffer, Buffer>(method, asBytes, asBytes, message, (error, answer) =>
        resolve({ error, answer }),
      );
    },
  );
  assert.equal(error?.code ?? 0, code, `${name}: ${error?.details}`);
  if (answer === undefined || !method.endsWith("/ModelInfer") || name === "grpc-classification") return;
  const response = inference.ModelInferResponse.decode(answer);
  assert.deepEqual(bestClasses(rawScores(response)), expectedClasses(name), name);
}

function rawScores({ rawOutputContents = [] }: inference.ModelInferResponse.$Properties): number[] {
  return [...new Float32Array(new Uint8Array(rawOutputContents?.[0] ?? []).buffer)];
}

async function replayStream(client: Client, calls: readonly RpcStep[]): Promise<void> {
  const stream = client.makeBidiStreamRequest<Buffer, Buffer>(calls[0]?.method ?? "", asBytes, asBytes);
  for (const { file } of calls) stream.write(readFileSync(path.join(folder, file)));
  stream.end();
  const errors: string[] = [];
  const ids: string[] = [];
  for await (const message of stream as AsyncIterable<Buffer>) {
    const { errorMessage, inferResponse } = inference.ModelStreamInferResponse.decode(message);
    if (errorMessage !== "") errors.push(errorMessage);
    else if (inferResponse) {
      assert.deepEqual(bestClasses(rawScores(inferResponse)), [0, 2]);
      ids.push(inferResponse.id ?? "");
    }
  }
  assert.deepEqual(ids.toSorted(), ["0", "2", "3"]);
  assert.match(errors.join(), /shape \[1,3\].*expects \[-1,4\]/);
}

test("a cut recording is an error", () => {
  const recording = readFileSync(path.join(folder, "http-infer-json.http"));
  assert.equal(splitRequests(Buffer.concat([recording, recording])).length, 2);
  assert.throws(() => splitRequests(recording.subarray(0, -1)), /ends inside a request/);
});

const python = process.env["SPILLWAY_TRITONCLIENT_PYTHON"];
const howTo = "set SPILLWAY_TRITONCLIENT_PYTHON to a Python that has tritonclient[all]; README.md says how";

test("tritonclient itself passes every step", { skip: python === undefined && howTo }, async (t) => {
  const gateway = await startGateway(t);
  const script = path.join(import.meta.dirname, "record.py");
  const target = ["--http", new URL(gateway.url).host, "--grpc", gateway.grpc];
  const { stdout } = await promisify(execFile)(python ?? "", [script, ...target], { timeout: 60_000 });
  assert.match(stdout, /all passed/);
  assert.doesNotMatch(stdout, /FAIL/);
});
