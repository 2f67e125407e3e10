/** Versions of models: side by side, new ones, broken ones, changed ones; and what callers notice of it, which should be nothing. */
import assert from "node:assert/strict";
import { renameSync, rmSync } from "node:fs";
import { describe, it, type TestContext } from "node:test";
import {
  createModelFolder,
  startTestGateway,
  testConfig,
  type JsonAnswer,
  type ModelFolder,
  type TestGateway,
} from "../harness/gateway.ts";
import { linearModel, linearYaml, seedOf } from "../harness/linear-model.ts";
import { startLoad, type Load } from "../harness/load.ts";
import { createPollClock, type PollClock } from "../harness/poll-clock.ts";
import { haltProcess, isRunning } from "../harness/processes.ts";
import { until } from "../harness/until.ts";

const row = [1, -2, 0.5, 3];

interface Setup {
  readonly models: ModelFolder;
  readonly gateway: TestGateway;
  readonly clock: PollClock;
}

/** A gateway that looks at its folder when told to. */
async function setup(test: TestContext, prepare: (models: ModelFolder) => void): Promise<Setup> {
  const models = createModelFolder(test);
  prepare(models);
  const clock = createPollClock();
  const config = testConfig(models.path);
  const repository = { ...config.repository!, pollMs: clock.pollMs };
  const gateway = await startTestGateway(test, { ...config, repository }, { clock });
  return { models, gateway, clock };
}

/** A v2 request of one row. */
function ask(
  gateway: TestGateway,
  {
    model = "m",
    version,
    values = row,
  }: { model?: string; version?: string; values?: readonly number[] } = {},
): Promise<JsonAnswer> {
  const path = version === undefined ? model : `${model}/versions/${version}`;
  const inputs = [{ name: "x", datatype: "FP32", shape: [1, values.length], data: values }];
  return gateway.post(`/v2/models/${path}/infer`, { inputs });
}

function outputOf({ body }: JsonAnswer): number[] {
  return (body["outputs"] as [{ data: number[] }])[0].data;
}

/** An answer of the load, and when it was asked for and given. */
interface Timed {
  readonly answer: JsonAnswer;
  readonly askedAt: number;
  readonly answeredAt: number;
}

function startTimedLoad(gateway: TestGateway, options: Parameters<typeof ask>[1] = {}): Load<Timed> {
  return startLoad(8, async () => {
    const askedAt = performance.now();
    const answer = await ask(gateway, options);
    return { answer, askedAt, answeredAt: performance.now() };
  });
}

/** Every request was answered; gives the seeds that answered, by the seeds that may have. */
function seedsOf(timed: readonly Timed[], seeds: readonly number[]): number[] {
  const refused = timed.filter(({ answer }) => answer.status !== 200);
  assert.deepEqual(
    refused.map(({ answer }) => answer.body),
    [],
  );
  return timed.map(({ answer }) => seedOf(outputOf(answer), row, seeds));
}

/** Who asked after the first answer of the new model got an answer of the new model. */
function assertOneSwitch(timed: readonly Timed[], { from, to }: { from: number; to: number }): void {
  const seeds = seedsOf(timed, [from, to]);
  const switchedAt = Math.min(...timed.filter((_, i) => seeds[i] === to).map((entry) => entry.answeredAt));
  assert.ok(Number.isFinite(switchedAt), "the new model never answered");
  assert.ok(seeds.includes(from), "the old model never answered");
  const late = timed.filter(({ askedAt }, i) => askedAt > switchedAt && seeds[i] === from);
  assert.equal(late.length, 0, `${late.length} later requests were answered by the old model`);
}

async function indexOf(gateway: TestGateway): Promise<Record<string, string>[]> {
  const response = await fetch(`${gateway.url}/v2/repository/index`, { method: "POST" });
  return (await response.json()) as Record<string, string>[];
}

/** Waits until the index says it of a version; gives the entry. */
function untilState(gateway: TestGateway, version: string, state: string): Promise<Record<string, string>> {
  return until(`version ${version} is ${state}`, async () =>
    (await indexOf(gateway)).find((entry) => entry["version"] === version && entry["state"] === state),
  );
}

describe("versions side by side", () => {
  it("the highest answers, the others when they are asked for", async (test) => {
    const { gateway } = await setup(test, (models) => {
      models.addOnnx("m", linearModel(2), { version: "2", yaml: `${linearYaml}\nversions: { policy: all }` });
      models.addOnnx("m", linearModel(10), { version: "10" });
    });
    const seed = async (version?: string): Promise<number> =>
      seedOf(outputOf(await ask(gateway, version === undefined ? {} : { version })), row, [2, 10]);
    assert.deepEqual([await seed(), await seed("2"), await seed("10")], [10, 2, 10]);
    const plain = await gateway.post("/predict", { features: row, model_name: "m" });
    const named = await gateway.post("/predict", { features: row, model_name: "m", model_version: "2" });
    assert.deepEqual([plain.body["model_version"], named.body["model_version"]], ["10", "2"]);
    const v1 = await gateway.post("/v1/models/m/versions/2:predict", { instances: [row] });
    assert.equal(seedOf((v1.body["predictions"] as [number[]])[0], row, [2, 10]), 2);
    const metadata = await gateway.client().ask({ path: "/v2/models/m" });
    assert.deepEqual(metadata.json["versions"], ["2", "10"]);
  });

  it("one that is not served is unknown, and the answer says which are", async (test) => {
    const { gateway } = await setup(test, (models) => {
      models.addOnnx("m", linearModel(1), {
        yaml: `${linearYaml}\nversions: { policy: specific, list: [1, 3] }`,
      });
      for (const version of ["2", "3"]) models.addOnnx("m", linearModel(Number(version)), { version });
    });
    const answer = await ask(gateway, { version: "2" });
    assert.equal(answer.status, 404);
    assert.deepEqual(answer.body, { error: "Model m has no version 2; it serves 1, 3" });
    assert.equal((await ask(gateway, { version: "1" })).status, 200);
    const viaRpc = await gateway.rpc().call("inference.GRPCInferenceService", "ModelMetadata", {
      name: "m",
      version: "2",
    });
    assert.equal(viaRpc.code, 5);
  });
});

describe("a new version", () => {
  it("is picked up by polling and takes over under load without a failed request", async (test) => {
    const models = createModelFolder(test);
    models.addOnnx("m", linearModel(1), { yaml: linearYaml });
    const config = testConfig(models.path);
    const repository = { ...config.repository!, pollMs: 20 };
    const gateway = await startTestGateway(test, { ...config, repository });
    const before = gateway.pids("m/1");
    const load = startTimedLoad(gateway);
    await until("answers", () => load.answers.length > 20);
    models.addOnnx("m", linearModel(2), { version: "2" });
    await until("version 2 answers", () => load.answers.at(-1)!.answer.body["model_version"] === "2");
    const seen = load.answers.length;
    await until("more answers", () => load.answers.length > seen + 20);
    assertOneSwitch(await load.stop(), { from: 1, to: 2 });
    await until("the old process has ended", () => !before.some(isRunning));
    assert.deepEqual(
      (await indexOf(gateway)).map(({ version, state }) => [version, state]),
      [["2", "READY"]],
    );
  });

  it("that cannot be loaded leaves the old one serving, and the index says why", async (test) => {
    const { models, gateway, clock } = await setup(test, (folder) =>
      folder.addOnnx("m", linearModel(1), { yaml: linearYaml }),
    );
    const load = startTimedLoad(gateway);
    models.write("m/2/model.onnx", "this is no ONNX file");
    await clock.lookTwice();
    const broken = await untilState(gateway, "2", "UNAVAILABLE");
    assert.match(broken["reason"]!, /model\.onnx/);
    assert.equal((await untilState(gateway, "1", "READY"))["reason"], "");
    // What serves is still looked after: its process is replaced when it dies.
    const [pid] = gateway.pids("m/1");
    process.kill(pid!, "SIGKILL");
    await until("version 1 is back", () => gateway.pids("m/1").some((other) => other !== pid));
    models.write("m/2/model.onnx", linearModel(2));
    await clock.lookTwice();
    await until("version 2 answers", () => load.answers.at(-1)?.answer.body["model_version"] === "2");
    assertOneSwitch(await load.stop(), { from: 1, to: 2 });
    assert.equal((await untilState(gateway, "2", "READY"))["reason"], "");
  });

  it("with other inputs: each request is answered by a version that takes it, or told what is expected", async (test) => {
    const { models, gateway, clock } = await setup(test, (folder) =>
      folder.addOnnx("m", linearModel(1), { yaml: linearYaml }),
    );
    const wide = [...row, 7, 8];
    const expecting = (values: readonly number[], width: number): string =>
      `Input "x" has shape [1,${values.length}]; model "m" expects [-1,${width}]`;
    const load = startLoad(8, async (turn) => {
      const values = turn % 2 === 0 ? row : wide;
      return { values, answer: await ask(gateway, { values }) };
    });
    await until("answers", () => load.answers.length > 20);
    models.addOnnx("m", linearModel(2, wide.length), { version: "2" });
    await clock.lookTwice();
    const isSix = ({ values, answer }: { values: readonly number[]; answer: JsonAnswer }): boolean =>
      values === wide && answer.status === 200;
    await until("the wide ones are answered", () => load.answers.slice(-8).some(isSix));
    for (const { values, answer } of await load.stop()) {
      const seed = values === row ? 1 : 2;
      if (answer.status === 200) assert.equal(seedOf(outputOf(answer), values, [seed]), seed);
      else {
        const text = expecting(values, values === row ? wide.length : row.length);
        assert.deepEqual([answer.status, answer.body], [400, { error: text }]);
      }
    }
    assert.equal((await ask(gateway, { values: row })).status, 400);
    assert.equal((await ask(gateway, { values: wide })).status, 200);
  });
});

describe("a change in place", () => {
  it("of the model file takes over under load without a failed request", async (test) => {
    const { models, gateway, clock } = await setup(test, (folder) =>
      folder.addOnnx("m", linearModel(1), { yaml: linearYaml }),
    );
    const load = startTimedLoad(gateway);
    await until("answers", () => load.answers.length > 20);
    for (let seed = 2; seed <= 4; seed++) {
      const seen = load.answers.length;
      models.addOnnx("m", linearModel(seed));
      await clock.lookTwice();
      await until(`seed ${seed} answers`, () =>
        load.answers.slice(seen).some(({ answer }) => answer.status === 200 && outputIsOf(answer, seed)),
      );
    }
    const timed = await load.stop();
    const seeds = seedsOf(timed, [1, 2, 3, 4]);
    assert.deepEqual(new Set(seeds), new Set([1, 2, 3, 4]));
  });

  it("lets what waits in line be answered by what it was checked against", async (test) => {
    const { models, gateway } = await setup(test, (folder) =>
      folder.addMock("m", "batching: { maxBatch: 1 }\nmock: { identity: true, width: 4 }"),
    );
    const four = [1, 2, 3, 4];
    const send = (values: readonly number[]): Promise<JsonAnswer> =>
      gateway.post("/v2/models/m/infer", {
        inputs: [{ name: "input", datatype: "FP32", shape: [1, values.length], data: values }],
      });
    const [pid] = gateway.pids("m/1");
    const goOn = haltProcess(test, pid!);
    const waiting = Array.from({ length: 6 }, (_, i) => send([...four.slice(1), i]));
    await gateway.waiting("m", 4);
    models.addMock("m", "batching: { maxBatch: 1 }\nmock: { identity: true, width: 2 }");
    const loaded = await gateway.post("/v2/repository/models/m/load", {});
    assert.equal(loaded.status, 200);
    const narrow = await send([5, 6]);
    assert.deepEqual(outputOf(narrow), [5, 6]);
    const refused = await send(four);
    assert.equal(refused.status, 400);
    goOn();
    for (const [i, answer] of (await Promise.all(waiting)).entries())
      assert.deepEqual(outputOf(answer), [2, 3, 4, i]);
  });

  it("of model.yaml that breaks it leaves everything as it is, until it is mended", async (test) => {
    const yaml = `${linearYaml}\ndescription: first`;
    const { models, gateway, clock } = await setup(test, (folder) =>
      folder.addOnnx("m", linearModel(1), { yaml }),
    );
    const load = startTimedLoad(gateway);
    models.write("m/model.yaml", "batching: { maxBatc: 8 }");
    await clock.lookTwice();
    const entry = await until("the index says why", async () =>
      (await indexOf(gateway)).find(({ reason }) => reason !== ""),
    );
    assert.deepEqual([entry["version"], entry["state"]], ["1", "READY"]);
    assert.deepEqual(gateway.catalog.list()[0]?.instances, { wanted: 1, ready: 1 });
    assert.match(
      entry["reason"]!,
      /m\/model\.yaml:1: batching\.maxBatc: unknown key; did you mean "maxBatch"\?/,
    );
    const seen = load.answers.length;
    await until("more answers", () => load.answers.length > seen + 20);
    models.write("m/model.yaml", `${linearYaml}\ntask: classify\nlabels: [a, b, c]\noutputs: { scores: y }`);
    await clock.lookTwice();
    await until("it is mended", async () => {
      const predicted = await gateway.post("/predict", { features: row, model_name: "m" });
      return ["a", "b", "c"].includes(String(predicted.body["label"]));
    });
    assert.equal(new Set(seedsOf(await load.stop(), [1])).size, 1);
    assert.deepEqual(
      (await indexOf(gateway)).map(({ state, reason }) => [state, reason]),
      [["READY", ""]],
    );
  });
});

function outputIsOf(answer: JsonAnswer, seed: number): boolean {
  return seedOf(outputOf(answer), row, [1, 2, 3, 4]) === seed;
}

/** Sets of processes that were started, in order. */
function startedDeployments(gateway: TestGateway): string[] {
  return gateway.events
    .filter(({ event }) => event === "deployment_started")
    .map(({ fields }) => String(fields["deployment"]));
}

describe("a file that is still being copied", () => {
  it("is not touched until it is whole", async (test) => {
    const { models, gateway, clock } = await setup(test, (folder) =>
      folder.addOnnx("m", linearModel(1), { yaml: linearYaml }),
    );
    const whole = linearModel(2);
    for (let part = 1; part <= 8; part++) {
      models.write("m/2/model.onnx", whole.subarray(0, Math.ceil((whole.length * part) / 8)));
      await clock.look();
    }
    assert.deepEqual(startedDeployments(gateway), ["m/1"]);
    assert.equal((await ask(gateway)).body["model_version"], "1");
    await clock.look();
    await until("version 2 answers", async () => (await ask(gateway)).body["model_version"] === "2");
    assert.deepEqual(startedDeployments(gateway), ["m/1", "m/2"]);
  });

  it("is not touched either when another model is loaded through the API meanwhile", async (test) => {
    const { models, gateway, clock } = await setup(test, (folder) => {
      folder.addOnnx("m", linearModel(1), { yaml: linearYaml });
      folder.addOnnx("other", linearModel(5), { yaml: linearYaml });
    });
    const whole = linearModel(2);
    models.write("m/1/model.onnx", whole.subarray(0, 100));
    const answer = await gateway.post("/v2/repository/models/other/load", {});
    assert.equal(answer.status, 200);
    models.write("m/1/model.onnx", whole);
    await clock.lookTwice();
    await until("the whole file answers", async () => outputIsOf(await ask(gateway), 2));
    assert.deepEqual(startedDeployments(gateway), ["m/1", "other/1", "m/1"]);
  });
});

describe("a folder that goes away", () => {
  it("takes its model with it once what waits is answered; the others do not notice", async (test) => {
    const { models, gateway, clock } = await setup(test, (folder) => {
      folder.addMock("gone", "batching: { maxBatch: 1 }\nmock: {}");
      folder.addOnnx("m", linearModel(1), { yaml: linearYaml });
    });
    const load = startTimedLoad(gateway);
    const predict = (): Promise<JsonAnswer> =>
      gateway.post("/predict", { features: row, model_name: "gone" });
    const [pid] = gateway.pids("gone/1");
    const goOn = haltProcess(test, pid!);
    const waiting = Array.from({ length: 6 }, predict);
    await gateway.waiting("gone", 4);
    models.remove("gone");
    await clock.lookTwice();
    const answer = await predict();
    assert.deepEqual([answer.status, answer.body["code"]], [404, "model_not_found"]);
    assert.equal(answer.body["error"], 'No model "gone"; served are m');
    goOn();
    for (const waited of await Promise.all(waiting)) assert.equal(waited.status, 200);
    await until("its process has ended", () => !isRunning(pid!));
    assert.deepEqual(
      (await indexOf(gateway)).map(({ name }) => name),
      ["m"],
    );
    seedsOf(await load.stop(), [1]);
  });
});

describe("a repository that cannot be read", () => {
  it("changes nothing, is told once, and is followed again when it is back", async (test) => {
    const { models, gateway, clock } = await setup(test, (folder) => {
      folder.addOnnx("m", linearModel(1), { yaml: linearYaml });
      folder.addOnnx("other", linearModel(5), { yaml: linearYaml });
    });
    const load = startTimedLoad(gateway);
    const away = `${models.path}-away`;
    renameSync(models.path, away);
    test.after(() => rmSync(away, { recursive: true, force: true }));
    await clock.lookTwice();
    const loaded = await gateway.post("/v2/repository/models/m/load", {});
    const error = "failed to load 'm': the model folder cannot be read: ENOENT";
    assert.deepEqual([loaded.status, loaded.body], [400, { error }]);
    const unloaded = await gateway.post("/v2/repository/models/other/unload", {});
    assert.equal(unloaded.status, 200);
    assert.equal((await ask(gateway, { model: "other" })).status, 503);
    renameSync(away, models.path);
    models.addOnnx("m", linearModel(2));
    await clock.lookTwice();
    await until("the change answers", async () => outputIsOf(await ask(gateway), 2));
    assertOneSwitch(await load.stop(), { from: 1, to: 2 });
    const told = gateway.events.filter(({ event }) => event.startsWith("repository_"));
    assert.deepEqual(
      told.map(({ level, event }) => [level, event]),
      [
        ["error", "repository_unreadable"],
        ["info", "repository_readable"],
      ],
    );
  });
});

describe("a group", () => {
  const yaml = `${linearYaml}\ngroup: g`;

  it("of which one member changes, or breaks, or is added or taken, fails no request of any", async (test) => {
    const { models, gateway, clock } = await setup(test, (folder) => {
      folder.addOnnx("a", linearModel(1), { yaml });
      folder.addOnnx("b", linearModel(2), { yaml });
    });
    const stays = startTimedLoad(gateway, { model: "a" });
    const changes = startTimedLoad(gateway, { model: "b" });
    assert.equal(gateway.pids("group:g").length, 1);
    models.addOnnx("b", linearModel(3));
    await clock.lookTwice();
    await until("the change serves", async () => outputIsOf(await ask(gateway, { model: "b" }), 3));
    models.write("b/1/model.onnx", "broken");
    await clock.lookTwice();
    await until("the index says why", async () =>
      (await indexOf(gateway)).some(({ name, reason }) => name === "b" && reason !== ""),
    );
    models.addOnnx("c", linearModel(4), { yaml });
    await clock.lookTwice();
    await until("the new member serves", async () => (await ask(gateway, { model: "c" })).status === 200);
    models.remove("c");
    await clock.lookTwice();
    await until("it is gone", async () => (await ask(gateway, { model: "c" })).status === 404);
    seedsOf(await stays.stop(), [1]);
    assert.deepEqual(new Set(seedsOf(await changes.stop(), [2, 3])), new Set([2, 3]));
  });
});
