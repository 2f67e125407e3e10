/** Loading and unloading through the repository API: over HTTP and gRPC, under both kinds of control, and who may. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { GatewayConfig } from "../../packages/gateway/src/app/options.ts";
import {
  createModelFolder,
  startTestGateway,
  testConfig,
  type JsonAnswer,
  type ModelFolder,
  type TestGateway,
} from "../harness/gateway.ts";
import { linearModel, linearYaml } from "../harness/linear-model.ts";
import { startLoad } from "../harness/load.ts";
import { haltProcess, isRunning } from "../harness/processes.ts";
import { until } from "../harness/until.ts";

const row = [1, 2, 3, 4];
const service = "inference.GRPCInferenceService";

async function setup(
  test: TestContext,
  change: (config: GatewayConfig) => Partial<GatewayConfig> = () => ({}),
): Promise<{ readonly models: ModelFolder; readonly gateway: TestGateway }> {
  const models = createModelFolder(test);
  models.addOnnx("a", linearModel(1), { yaml: linearYaml });
  models.addOnnx("b", linearModel(2), { yaml: linearYaml });
  const config = testConfig(models.path);
  return { models, gateway: await startTestGateway(test, { ...config, ...change(config) }) };
}

function explicit(config: GatewayConfig): Partial<GatewayConfig> {
  return { repository: { ...config.repository!, control: "explicit" } };
}

function infer(gateway: TestGateway, model: string): Promise<JsonAnswer> {
  return gateway.post(`/v2/models/${model}/infer`, {
    inputs: [{ name: "x", datatype: "FP32", shape: [1, 4], data: row }],
  });
}

function change(gateway: TestGateway, model: string, action: "load" | "unload"): Promise<JsonAnswer> {
  return gateway.post(`/v2/repository/models/${model}/${action}`, {});
}

interface IndexEntry {
  readonly name: string;
  readonly version: string;
  readonly state: string;
  readonly reason: string;
}

async function indexOf(gateway: TestGateway, filter: object = {}): Promise<IndexEntry[]> {
  const answer = await gateway.post("/v2/repository/index", filter);
  return answer.body as unknown as IndexEntry[];
}

async function statesOf(gateway: TestGateway): Promise<Record<string, string>> {
  return Object.fromEntries((await indexOf(gateway)).map(({ name, state }) => [name, state]));
}

describe("load and unload", () => {
  it("take a model out of service and back, and let the others be", async (test) => {
    const { gateway } = await setup(test);
    const load = startLoad(4, () => infer(gateway, "b"));
    const [pid] = gateway.pids("a/1");
    const unloaded = await change(gateway, "a", "unload");
    assert.deepEqual([unloaded.status, unloaded.body], [200, {}]);
    assert.deepEqual(await statesOf(gateway), { a: "UNAVAILABLE", b: "READY" });
    assert.deepEqual(
      (await indexOf(gateway, { ready: true })).map(({ name }) => name),
      ["b"],
    );
    const refused = await infer(gateway, "a");
    assert.equal(refused.status, 503);
    assert.deepEqual(refused.body, { error: "Model a cannot be served: it was unloaded" });
    await until("its process has ended", () => !isRunning(pid!));
    assert.equal((await change(gateway, "a", "load")).status, 200);
    assert.equal((await infer(gateway, "a")).status, 200);
    for (const answer of await load.stop()) assert.equal(answer.status, 200, JSON.stringify(answer.body));
  });

  it("answer what waits before the model goes", async (test) => {
    const { gateway, models } = await setup(test);
    models.addMock("slow", "batching: { maxBatch: 1 }\nmock: {}");
    assert.equal((await change(gateway, "slow", "load")).status, 200);
    const predict = (): Promise<JsonAnswer> =>
      gateway.post("/predict", { features: row, model_name: "slow" });
    const [pid] = gateway.pids("slow/1");
    const goOn = haltProcess(test, pid!);
    const waiting = Array.from({ length: 6 }, predict);
    await gateway.waiting("slow", 4);
    assert.equal((await change(gateway, "slow", "unload")).status, 200);
    assert.equal((await predict()).status, 503);
    goOn();
    for (const answer of await Promise.all(waiting)) assert.equal(answer.status, 200);
  });

  it("work over gRPC, with its status codes", async (test) => {
    const { gateway } = await setup(test);
    const rpc = gateway.rpc();
    await rpc.ask(service, "RepositoryModelUnload", { model_name: "a" });
    assert.deepEqual(await rpc.ask(service, "ModelReady", { name: "a" }), { ready: false });
    await rpc.ask(service, "RepositoryModelLoad", { model_name: "a" });
    assert.deepEqual(await rpc.ask(service, "ModelReady", { name: "a" }), { ready: true });
    const index = await rpc.ask(service, "RepositoryIndex", { ready: true });
    assert.deepEqual(
      (index["models"] as IndexEntry[]).map(({ name, state }) => [name, state]),
      [
        ["a", "READY"],
        ["b", "READY"],
      ],
    );
    const unknown = await rpc.call(service, "RepositoryModelLoad", { model_name: "nobody" });
    assert.equal(unknown.code, 5);
    const path = await rpc.call(service, "RepositoryModelLoad", { model_name: "../a" });
    assert.equal(path.code, 3);
  });

  it("say what is wrong: no such model, no model name, a model from the call, a broken file", async (test) => {
    const { gateway, models } = await setup(test);
    const http = gateway.client();
    const unknown = await change(gateway, "nobody", "load");
    assert.deepEqual([unknown.status, unknown.body], [404, { error: "The repository has no model nobody" }]);
    assert.equal((await change(gateway, "nobody", "unload")).status, 404);
    for (const name of ["..%2Fa", "%2e%2e", "a%00"]) {
      const answer = await http.ask({ path: `/v2/repository/models/${name}/load`, body: "" });
      assert.equal(answer.status, 400, name);
      assert.match(String(answer.json["error"]), /is no model name: expected up to 128 letters/);
    }
    const sent = await gateway.post("/v2/repository/models/a/load", { parameters: { config: "{}" } });
    assert.equal(sent.status, 501);
    models.write("a/1/model.onnx", "no model");
    const broken = await change(gateway, "a", "load");
    assert.equal(broken.status, 400);
    assert.match(String(broken.body["error"]), /^failed to load 'a': .*model\.onnx/s);
    assert.equal((await infer(gateway, "a")).status, 200, "the one before still serves");
    models.addOnnx("a", linearModel(3));
    assert.equal((await change(gateway, "a", "load")).status, 200);
  });

  it("never contradict a look at the folder that happens at the same time", async (test) => {
    const { gateway } = await setup(test, (config) => ({
      repository: { ...config.repository!, pollMs: 1 },
    }));
    for (let round = 0; round < 4; round++) {
      assert.equal((await change(gateway, "a", "unload")).status, 200);
      assert.equal((await infer(gateway, "a")).status, 503, `round ${round}`);
      assert.equal((await change(gateway, "a", "load")).status, 200);
      for (let i = 0; i < 5; i++) assert.equal((await infer(gateway, "a")).status, 200, `round ${round}`);
    }
  });

  it("asked for by many at once give the same to all", async (test) => {
    const { gateway } = await setup(test, explicit);
    const answers = await Promise.all(Array.from({ length: 8 }, () => change(gateway, "a", "load")));
    assert.deepEqual(
      answers.map(({ status }) => status),
      answers.map(() => 200),
    );
    const started = gateway.events.filter(({ event }) => event === "deployment_started");
    assert.equal(started.length, 1);
  });
});

describe("explicit control", () => {
  it("serves only what was loaded, and is ready without anything", async (test) => {
    const { gateway, models } = await setup(test, explicit);
    const ready = await fetch(`${gateway.url}/v2/health/ready`);
    assert.equal(ready.status, 200);
    assert.deepEqual(await statesOf(gateway), { a: "UNAVAILABLE", b: "UNAVAILABLE" });
    assert.equal((await infer(gateway, "a")).status, 503);
    assert.equal((await change(gateway, "a", "load")).status, 200);
    assert.deepEqual(await statesOf(gateway), { a: "READY", b: "UNAVAILABLE" });
    assert.equal((await infer(gateway, "a")).status, 200);
    assert.equal((await infer(gateway, "b")).status, 503);
    // What is asked for before it is there does not come by itself later.
    assert.equal((await change(gateway, "later", "load")).status, 404);
    models.addOnnx("later", linearModel(4), { yaml: linearYaml });
    assert.equal((await change(gateway, "a", "unload")).status, 200);
    assert.deepEqual(await statesOf(gateway), { a: "UNAVAILABLE", b: "UNAVAILABLE", later: "UNAVAILABLE" });
  });
});

describe("without credentials", () => {
  it("anyone may look, and nobody may load or unload", async (test) => {
    const { gateway } = await setup(test, (config) => ({ access: { ...config.access, mode: "none" } }));
    for (const action of ["load", "unload"] as const) {
      const answer = await change(gateway, "a", action);
      assert.equal(answer.status, 403);
      assert.deepEqual(answer.body, {
        error: "This call needs the scope admin; without credentials there is infer and status",
      });
      const method = action === "load" ? "RepositoryModelLoad" : "RepositoryModelUnload";
      const viaRpc = await gateway.rpc().call(service, method, { model_name: "a" });
      assert.equal(viaRpc.code, 7);
    }
    assert.deepEqual(await statesOf(gateway), { a: "READY", b: "READY" });
    assert.equal((await infer(gateway, "a")).status, 200);
  });
});
