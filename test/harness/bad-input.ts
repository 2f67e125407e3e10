/** A gateway whose callers make mistakes, with healthy requests beside each: shared by the tests of bad input. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import type { TestContext } from "node:test";
import {
  createModelFolder,
  repositoryRoot,
  startTestGateway,
  testConfig,
  type TestGateway,
} from "./gateway.ts";
import type { HttpAsk, HttpClient } from "./http-client.ts";
import type { RpcClient } from "./rpc-client.ts";
import { until } from "./until.ts";

/** What is sent, what comes back. `error` and `code` are all members there are in the body. */
export interface HttpCase {
  readonly ask: HttpAsk;
  readonly status: number;
  readonly error: string | RegExp;
  readonly code?: string;
}

/** A gateway with `iris` and `digits` that serve, and `text`, `empty`, `half` and `folder` whose files are no ONNX files. */
export interface Victim {
  readonly gateway: TestGateway;
  readonly http: HttpClient;
  readonly rpc: RpcClient;
  /** A good request, for the same time as a bad one; fails unless it is answered as if it were alone. */
  healthy(): Promise<void>;
  /** Sends a bad request beside a good one and compares the answer. */
  check(bad: HttpCase): Promise<void>;
  /** Fails unless all is as it was at the start: the same processes, nothing held, nothing under way. */
  assertUndisturbed(): Promise<void>;
}

/** How unknown models are answered. */
export const served = "served are digits, empty, folder, half, iris, text";

/** What `iris` takes, in the words of a refusal. */
export const irisTakes = 'model "iris" takes features FP32 [-1,4]';

const picture = readFileSync(path.join(repositoryRoot, "models/digits/samples/7.png"));

/** A picture of which the second half is missing, and what is said of it. */
export const halfPicture: Buffer = picture.subarray(0, picture.length >> 1);
export const damaged = /^model "digits": input "image": the picture is damaged or truncated: /;

const deployments = ["iris/1", "digits/1"];

/** Starts it; ends with `context`. */
export async function startVictim(context: Pick<TestContext, "after">): Promise<Victim> {
  const models = createModelFolder(context);
  for (const name of ["iris", "digits"]) {
    models.addBuiltin(name);
    const yaml = readFileSync(path.join(models.path, name, "model.yaml"), "utf8");
    models.write(`${name}/model.yaml`, yaml.replace(/^group: .*$/m, "batching: { maxBatch: 8 }"));
  }
  const iris = readFileSync(path.join(models.path, "iris/1/model.onnx"));
  models.write("text/1/model.onnx", "this is no ONNX file");
  models.write("empty/1/model.onnx", "");
  models.write("half/1/model.onnx", iris.subarray(0, iris.length >> 1));
  models.write("folder/1/model.onnx/file", "");
  const gateway = await startTestGateway(context, testConfig(models.path));
  const http = gateway.client();
  const pids = deployments.flatMap((deployment) => gateway.pids(deployment));
  assert.equal(pids.length, deployments.length);
  const healthy = async (): Promise<void> => {
    const body = { features: [5.1, 3.5, 1.4, 0.2], model_name: "iris" };
    const answer = await http.ask({ path: "/predict", body });
    assert.deepEqual([answer.status, answer.json["label"]], [200, "setosa"], answer.text);
  };
  return {
    gateway,
    http,
    rpc: gateway.rpc(),
    healthy,
    check: (bad) => check(http, healthy, bad),
    async assertUndisturbed() {
      await until("nothing is under way but this question", async () => {
        const metrics = await gateway.metrics();
        const value = (name: string): number | undefined => metrics.get(name)?.samples.get(name);
        return value("spillway_http_requests_in_flight") === 1 && value("spillway_http_body_bytes") === 0;
      });
      assert.deepEqual(
        deployments.flatMap((deployment) => gateway.pids(deployment)),
        pids,
      );
    },
  };
}

async function check(
  http: HttpClient,
  healthy: Victim["healthy"],
  { ask, status, error, code }: HttpCase,
): Promise<void> {
  const [answer] = await Promise.all([http.ask(ask), healthy()]);
  assert.equal(answer.status, status, answer.text);
  assert.match(String(answer.headers["content-type"]), /^application\/json/);
  assert.ok(answer.headers["x-request-id"], "every answer has an id");
  assert.deepEqual(Object.keys(answer.json), code === undefined ? ["error"] : ["error", "code"]);
  if (code !== undefined) assert.equal(answer.json["code"], code);
  const text = String(answer.json["error"]);
  if (typeof error === "string") assert.equal(text, error);
  else assert.match(text, error);
}
