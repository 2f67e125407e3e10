/** Everything at once for some seconds: deaths, changes, mistakes and mendings of models under load. No request fails. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { createModelFolder, startTestGateway, testConfig, type JsonAnswer } from "../harness/gateway.ts";
import { linearModel, linearYaml, seedOf } from "../harness/linear-model.ts";
import { startLoad } from "../harness/load.ts";
import { childrenOf, processesAreKnown } from "../harness/processes.ts";
import { until } from "../harness/until.ts";

const row = [1, 2, 3, 4];
const yaml = `${linearYaml}\ninstances: 2`;
const grouped = `${linearYaml}\ngroup: g`;

it("two instances and a group answer every request through it all", async (test) => {
  const models = createModelFolder(test);
  models.addOnnx("m", linearModel(1), { yaml });
  models.addOnnx("a", linearModel(1), { yaml: grouped });
  models.addOnnx("b", linearModel(1), { yaml: grouped });
  const config = testConfig(models.path);
  const gateway = await startTestGateway(test, {
    ...config,
    repository: { ...config.repository!, pollMs: 25 },
  });
  const ask = (model: string) => async (): Promise<JsonAnswer> => {
    const inputs = [{ name: "x", datatype: "FP32", shape: [1, row.length], data: row }];
    return gateway.post(`/v2/models/${model}/infer`, { inputs });
  };
  const loads = [startLoad(6, ask("m")), startLoad(2, ask("a"))];
  const killOne = (): void => {
    const pids = gateway.pids("m/1");
    if (pids.length >= 2) process.kill(pids[0]!, "SIGKILL");
  };
  const settle = (model: string): Promise<unknown> => gateway.post(`/v2/repository/models/${model}/load`, {});
  const steps: readonly (() => unknown)[] = [
    killOne,
    () => models.addOnnx("m", linearModel(2)),
    killOne,
    () => models.write("m/2/model.onnx", "no model"),
    () => models.addOnnx("a", linearModel(2)),
    killOne,
    () => models.remove("m/2"),
    () => models.write("m/model.yaml", "no: configuration"),
    () => models.write("b/1/model.onnx", "no model"),
    () => models.write("m/model.yaml", yaml),
    () => gateway.post("/v2/repository/models/b/unload", {}),
    () => models.addOnnx("b", linearModel(2)),
    () => settle("b"),
    () => models.addOnnx("m", linearModel(3)),
    () => settle("m"),
  ];
  for (const pauseMs of [100, 20]) {
    for (const step of steps) {
      await step();
      await pause(pauseMs);
      // One that dies while the other is being replaced would leave none: that is another promise.
      if (step === killOne) await until("both are back", () => gateway.pids("m/1").length >= 2);
    }
    await settle("m");
    await settle("a");
  }
  for (const load of loads) {
    const answers = await load.stop();
    assert.ok(answers.length > 100, `only ${answers.length} answers`);
    const refused = answers.filter(({ status }) => status !== 200);
    assert.deepEqual(
      refused.map(({ status, body }) => [status, body]),
      [],
    );
    for (const { body } of answers) seedOf((body["outputs"] as [{ data: number[] }])[0].data, row, [1, 2, 3]);
  }
  assert.deepEqual(
    gateway.catalog.list().map(({ name, state, reason }) => [name, state, reason]),
    ["a", "b", "m"].map((name) => [name, "READY", ""]),
  );
  if (processesAreKnown) await until("three processes are left", () => childrenOf(process.pid).length === 3);
});
