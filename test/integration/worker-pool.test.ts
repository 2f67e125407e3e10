/** `spillway worker` as the servers of a pool: the same answers as from workers of the gateway's own, and no request lost with a worker. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import { test, type TestContext } from "node:test";
import {
  createModelFolder,
  repositoryRoot,
  startTestGateway,
  testConfig,
  type TestGateway,
} from "../harness/gateway.ts";
import { until } from "../harness/until.ts";

/** A port that was free a moment ago on both addresses. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  await once(probe, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Resolves when it has loaded its models. */
async function startWorker(
  test: TestContext,
  options: { readonly models: string; readonly host: string; readonly port: number },
): Promise<ChildProcess> {
  const main = path.join(repositoryRoot, "packages/gateway/src/cli/main.ts");
  const flags = ["--models", options.models, "--host", options.host, "--port", String(options.port)];
  const child = spawn(
    process.execPath,
    ["--conditions=source", main, "worker", ...flags, "--log-format", "json"],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  test.after(() => child.kill("SIGKILL"));
  for await (const line of createInterface(child.stderr)) if (line.includes('"event":"loaded"')) break;
  child.stderr.resume();
  return child;
}

interface Setup {
  readonly gateway: TestGateway;
  readonly workers: readonly [ChildProcess, ChildProcess];
  readonly restart: (index: 0 | 1) => Promise<ChildProcess>;
  readonly ready: () => number | undefined;
}

/** A gateway without models of its own and two workers that serve iris and a slow mock. */
async function setup(test: TestContext): Promise<Setup> {
  const folder = createModelFolder(test);
  folder.addBuiltin("iris");
  const port = await freePort();
  const start = (index: 0 | 1) =>
    startWorker(test, { models: folder.path, host: `127.0.0.${index + 1}`, port });
  const workers = await Promise.all([start(0), start(1)]);
  const gateway = await startTestGateway(test, {
    ...testConfig(""),
    repository: undefined,
    pools: [
      {
        name: "workers",
        dialect: "kserve-grpc",
        endpoints: [`grpc://127.0.0.1:${port}`, `grpc://127.0.0.2:${port}`],
        models: [],
        maxBatch: 1,
        concurrency: 1,
        timeoutMs: 5_000,
        ca: undefined,
      },
    ],
  });
  const ready = (): number | undefined => gateway.catalog.list()[0]?.instances.ready;
  await until("both serve", () => ready() === 2);
  return { gateway, workers, restart: start, ready };
}

/** Asks until stopped, eight at a time; gives the number of answers. Any other answer than setosa fails. */
function keepAsking(gateway: TestGateway): () => Promise<number> {
  let going = true;
  let answered = 0;
  const one = async (): Promise<void> => {
    while (going) {
      const { status, body } = await gateway.post("/predict", {
        features: [5.1, 3.5, 1.4, 0.2],
        model_name: "iris",
      });
      assert.deepEqual([status, body["label"]], [200, "setosa"], JSON.stringify(body));
      answered++;
    }
  };
  const all = Promise.all(Array.from({ length: 8 }, one));
  all.catch(() => (going = false));
  return async () => {
    going = false;
    await all;
    return answered;
  };
}

test("labels, batching and the mock's name travel with the models", async (test) => {
  const { gateway } = await setup(test);
  const answer = await gateway.post("/predict", { features: [6.7, 3, 5.2, 2.3], model_name: "iris" });
  assert.equal(answer.status, 200);
  assert.equal(answer.body["label"], "virginica");
  const found = gateway.catalog.find("iris", undefined);
  assert.ok("maxBatch" in found && found.batchable && found.maxBatch > 1, JSON.stringify(found));
});

test("a worker that is killed, and one that is told to stop, cost no request", async (test) => {
  const { gateway, workers, restart, ready } = await setup(test);
  const stop = keepAsking(gateway);
  workers[1].kill("SIGKILL");
  await until("the death is noticed", () => ready() === 1);
  await restart(1);
  await until("the second is back", () => ready() === 2);
  const exited = once(workers[0], "exit");
  workers[0].kill("SIGTERM");
  await until("the goodbye is noticed", () => ready() === 1);
  assert.deepEqual(await exited, [0, null]);
  assert.ok((await stop()) > 50);
});
