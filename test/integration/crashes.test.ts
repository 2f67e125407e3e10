/** Workers that die, hang, grow and are killed, under load: what the callers see. Real processes and sockets. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import {
  createModelFolder,
  startTestGateway,
  testConfig,
  type JsonAnswer,
  type TestGateway,
} from "../harness/gateway.ts";

const iris = [5.1, 3.5, 1.4, 0.2];

/** Predictions in a loop on several connections until `stop`; gives back every answer. */
function loadLoop(gateway: TestGateway, model: string, features: readonly number[], connections = 8) {
  const answers: JsonAnswer[] = [];
  let running = true;
  const loops = Array.from({ length: connections }, async () => {
    while (running) answers.push(await gateway.post("/predict", { features, model_name: model }));
  });
  return {
    answers,
    async stop(): Promise<JsonAnswer[]> {
      running = false;
      await Promise.all(loops);
      return answers;
    },
  };
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 15_000;
  while (!condition()) {
    assert.ok(performance.now() < end, `not within 15 s: ${what}`);
    await delay(5);
  }
}

function failures(answers: readonly JsonAnswer[]): unknown[] {
  return answers.filter((answer) => answer.status !== 200).map((answer) => answer.body);
}

async function twoMocks(test: TestContext, yaml: string, limits = {}): Promise<TestGateway> {
  const models = createModelFolder(test);
  models.addMock("m", `instances: 2\n${yaml}`);
  const config = testConfig(models.path);
  return startTestGateway(test, { ...config, workers: { ...config.workers, ...limits } });
}

describe("crashes", () => {
  it("loses no request when one of two instances is killed again and again", async (test) => {
    const gateway = await twoMocks(test, "mock: { latencyMs: 2 }");
    const load = loadLoop(gateway, "m", iris);
    for (let round = 0; round < 5; round++) {
      const [victim] = gateway.pids("m/1");
      assert.ok(victim);
      process.kill(victim, "SIGKILL");
      await until(() => !gateway.pids("m/1").includes(victim), "the end is noticed");
      await until(() => gateway.pids("m/1").length === 2, "a replacement is ready");
    }
    const answers = await load.stop();
    assert.ok(answers.length > 50, `only ${answers.length} answers`);
    assert.deepEqual(failures(answers), []);
  });

  it("replaces a hung instance after the batch's deadline and loses no request", async (test) => {
    const gateway = await twoMocks(test, "batching: { timeoutMs: 300 }\nmock: { latencyMs: 2 }");
    const load = loadLoop(gateway, "m", iris);
    await until(() => load.answers.length > 20, "answers");
    const [victim] = gateway.pids("m/1");
    assert.ok(victim);
    process.kill(victim, "SIGSTOP");
    await until(() => !gateway.pids("m/1").includes(victim), "the hung instance is ended");
    await until(() => gateway.pids("m/1").length === 2, "a replacement is ready");
    assert.deepEqual(failures(await load.stop()), []);
  });

  it("replaces an instance that outgrows its memory and loses no request", async (test) => {
    const gateway = await twoMocks(test, "mock: { latencyMs: 5, growMb: 4 }", {
      memoryLimitBytes: 250 * 2 ** 20,
    });
    const before = gateway.pids("m/1");
    const load = loadLoop(gateway, "m", iris, 4);
    await until(
      () => gateway.pids("m/1").every((pid) => !before.includes(pid)) && gateway.pids("m/1").length > 0,
      "both are replaced",
    );
    assert.deepEqual(failures(await load.stop()), []);
    assert.ok(
      gateway.events.some(
        ({ event, fields }) => event === "worker_ended" && /memory/.test(String(fields["reason"])),
      ),
    );
  });

  it("answers every good request beside a poison one, which takes two instances at most", async (test) => {
    const gateway = await twoMocks(test, "mock: { latencyMs: 5, crashOn: 666 }");
    const load = loadLoop(gateway, "m", iris, 16);
    await until(() => load.answers.length > 50, "answers");
    const poisoned = await gateway.post("/predict", { features: [1, 666, 3, 4], model_name: "m" });
    assert.equal(poisoned.status, 500);
    assert.equal(poisoned.body["code"], "model_crashed");
    await until(() => gateway.pids("m/1").length === 2, "both instances are back");
    assert.deepEqual(failures(await load.stop()), []);
    const deaths = gateway.events.filter(({ event }) => event === "worker_ended");
    assert.ok(deaths.length <= 2, `${deaths.length} instances died`);
  });

  it("keeps the line while the only instance is replaced", async (test) => {
    const models = createModelFolder(test);
    models.addMock("m", "mock: { latencyMs: 1 }");
    const gateway = await startTestGateway(test, testConfig(models.path));
    const [victim] = gateway.pids("m/1");
    assert.ok(victim);
    process.kill(victim, "SIGKILL");
    const answer = await gateway.post("/predict", { features: iris, model_name: "m" });
    assert.equal(answer.status, 200);
  });

  it("answers 503 with Retry-After at the deadline when no instance comes back", async (test) => {
    const models = createModelFolder(test);
    models.addMock("m", "batching: { timeoutMs: 60000 }\nmock: { latencyMs: 1 }");
    const config = testConfig(models.path);
    const gateway = await startTestGateway(test, {
      ...config,
      flow: { ...config.flow, requestTimeoutMs: 400 },
    });
    const [victim] = gateway.pids("m/1");
    assert.ok(victim);
    process.kill(victim, "SIGSTOP");
    test.after(() => process.kill(victim, "SIGKILL"));
    const held = gateway.post("/predict", { features: iris, model_name: "m" }).catch(() => undefined);
    test.after(() => held);
    await delay(50);
    const answer = await gateway.post("/predict", { features: iris, model_name: "m" });
    assert.equal(answer.status, 503);
    assert.equal(answer.body["code"], "queue_timeout");
    assert.ok(Number(answer.headers.get("retry-after")) >= 1);
  });
});
