/** Versions that a program chooses, in real worker processes: side by side, one preferred, broken ones, given up ones. */
import assert from "node:assert/strict";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { it, type TestContext } from "node:test";
import { workerEntry } from "@spillway/worker";
import { createModelFolder, testConfig, type ModelFolder } from "../../../../test/harness/gateway.ts";
import { linearModel, linearYaml } from "../../../../test/harness/linear-model.ts";
import type { ManagedModels } from "../contracts/managed-models.ts";
import { systemClock } from "../core/clock.ts";
import { isFailure } from "../core/errors.ts";
import { createSystemRandom } from "../core/random.ts";
import { createMetrics } from "../telemetry/index.ts";
import { createModelWorkers, type ModelWorkers } from "./model-workers.ts";

interface Setup {
  readonly folder: ModelFolder;
  readonly workers: ModelWorkers;
  readonly models: ManagedModels;
  /** Which version a caller without a version gets, or the code of the refusal. */
  readonly preferred: () => string;
}

async function setup(test: TestContext): Promise<Setup> {
  const folder = createModelFolder(test);
  const quiet = { error() {}, warn() {}, info() {}, debug() {} };
  const workers = createModelWorkers({
    config: { ...testConfig("/nowhere"), repository: undefined },
    context: {
      version: "0.0.0-test",
      clock: systemClock,
      random: createSystemRandom(),
      logger: quiet,
      metrics: createMetrics(),
      workerProgram: workerEntry.href,
    },
    managedFolder: folder.path,
    onChange() {},
  });
  test.after(() => workers.close());
  await workers.start();
  const { managed } = workers;
  assert.ok(managed);
  const preferred = (): string => {
    const found = workers.catalog.find("m", undefined);
    return isFailure(found) ? found.code : found.version;
  };
  return { folder, workers, models: managed, preferred };
}

function addVersion(folder: ModelFolder, version: string, width: number): void {
  folder.write(`m/${version}/model.yaml`, linearYaml);
  folder.write(`m/${version}/model.onnx`, linearModel(Number(version), width));
}

it("serves the versions that are chosen, whatever is there, and the preferred one to who names none", async (test) => {
  const { folder, workers, models, preferred } = await setup(test);
  addVersion(folder, "1", 4);
  addVersion(folder, "2", 6);
  assert.equal(preferred(), "model_not_found");
  await models.choose("m", { versions: ["1"], preferred: "1" });
  assert.deepEqual(workers.catalog.versions("m"), ["1"]);
  const running = workers.catalog.find("m", "1");
  await models.choose("m", { versions: ["1", "2"], preferred: "1" });
  assert.deepEqual([workers.catalog.versions("m"), preferred()], [["1", "2"], "1"]);
  assert.equal(workers.catalog.find("m", "1"), running, "a version that stays chosen is not started anew");
  assert.deepEqual(models.state("m", "2"), { ready: true, reason: "", version: "2" });
  await models.choose("m", { versions: ["1", "2"], preferred: "2" });
  assert.equal(preferred(), "2");
  await models.choose("m", { versions: ["2"], preferred: "2" });
  assert.deepEqual(workers.catalog.versions("m"), ["2"]);
  await models.choose("m", { versions: [], preferred: undefined });
  assert.deepEqual([workers.catalog.versions("m"), preferred()], [[], "model_unavailable"]);
});

it("says why a chosen version cannot be served, while the preferred one goes on", async (test) => {
  const { folder, workers, models, preferred } = await setup(test);
  addVersion(folder, "1", 4);
  folder.write("m/2/model.onnx", "this is no model");
  await models.choose("m", { versions: ["1"], preferred: "1" });
  await models.choose("m", { versions: ["1", "2"], preferred: "1" });
  const { ready, reason } = models.state("m", "2");
  assert.equal(ready, false);
  assert.match(reason, /model\.onnx/);
  assert.equal(preferred(), "1");
  await models.choose("m", { versions: ["1"], preferred: "1" });
  assert.deepEqual(workers.catalog.versions("m"), ["1"]);
  assert.equal(models.state("m", "1").ready, true);
  const missing = models.state("m", "7");
  assert.deepEqual([missing.ready, missing.version], [false, undefined]);
});

it("is not ready with a preferred version that cannot be loaded", async (test) => {
  const { folder, models, preferred } = await setup(test);
  folder.write("m/2/model.onnx", "this is no model");
  await models.choose("m", { versions: ["2"], preferred: "2" });
  assert.equal(preferred(), "model_unavailable");
  rmSync(join(folder.path, "m"), { recursive: true });
  assert.equal(existsSync(join(folder.path, "m")), false);
  await models.choose("m", { versions: [], preferred: undefined });
  assert.equal(preferred(), "model_not_found");
  assert.equal(models.state("none", "1").reason, "there is no such model");
});
