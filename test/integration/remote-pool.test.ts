/** Pools of model servers: every address of a name serves, servers come and go, and no request fails for it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { status } from "@grpc/grpc-js";
import { isFailure } from "../../packages/gateway/src/core/errors.ts";
import { startModelServer, type ModelServer, type ModelServerOptions } from "../harness/model-server.ts";
import { floats, keepAsking, numbers, startPool } from "../harness/pool.ts";
import { until } from "../harness/until.ts";

async function start(test: TestContext, options?: ModelServerOptions): Promise<ModelServer> {
  const server = await startModelServer(options);
  test.after(() => server.stop());
  return server;
}

/** Servers on 127.0.0.1, 127.0.0.2 … and one port, as the addresses of one name are. */
async function startSeveral(test: TestContext, count: number, options: ModelServerOptions = {}) {
  const first = await start(test, options);
  const more = Array.from({ length: count - 1 }, (_, index) =>
    start(test, { ...options, host: `127.0.0.${index + 2}`, port: first.port }),
  );
  return [first, ...(await Promise.all(more))] as const;
}

/** A server in a process of its own. */
async function startProcess(test: TestContext, options: ModelServerOptions) {
  const program = path.join(import.meta.dirname, "../harness/model-server.ts");
  const child = spawn(process.execPath, ["--conditions=source", program, JSON.stringify(options)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  test.after(() => child.kill("SIGKILL"));
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  return { child, port: Number(line) };
}

describe("the addresses of a name", () => {
  it("all serve, and share the work", async (test) => {
    const [first, second] = await startSeveral(test, 2, { latencyMs: 5 });
    const name = "grpc://models.test:" + first.port;
    const pool = await startPool(
      test,
      { endpoints: [name] },
      { resolve: () => Promise.resolve(["127.0.0.1", "127.0.0.2"]) },
    );
    await until("both serve", () => pool.readyInstances("double") === 2);
    const load = keepAsking(pool, 8);
    await until("both have answered", () => load.answered.size === 2);
    await load.stop();
    assert.deepEqual([...load.answered.keys()].sort(), [first.address, second!.address].sort());
    assert.deepEqual(pool.pool.list(), [
      {
        pool: "pool",
        name: "double",
        version: "1",
        state: "READY",
        reason: "",
        instances: { wanted: 2, ready: 2 },
      },
    ]);
  });

  it("scale up and down without a failed request", async (test) => {
    const servers = await startSeveral(test, 3, { latencyMs: 2 });
    let addresses = ["127.0.0.1"];
    const pool = await startPool(
      test,
      { endpoints: [`grpc://models.test:${servers[0].port}`] },
      { resolve: () => Promise.resolve(addresses) },
    );
    await until("the first serves", () => pool.readyInstances("double") === 1);
    const load = keepAsking(pool, 8);
    addresses = servers.map((server) => server.host);
    await until("all serve", () => load.answered.size === 3);
    addresses = ["127.0.0.3"];
    await until("one is left", () => pool.readyInstances("double") === 1);
    const before = servers[2]!.rows.length;
    await until("it serves on", () => servers[2]!.rows.length > before + 20);
    const settled = servers.slice(0, 2).map((server) => server.rows.length);
    await until("it serves alone", () => servers[2]!.rows.length > before + 40);
    await load.stop();
    assert.deepEqual(
      servers.slice(0, 2).map((server) => server.rows.length),
      settled,
    );
  });

  it("stay while the name cannot be resolved", async (test) => {
    const server = await start(test);
    let fails = false;
    const resolve = () => (fails ? Promise.reject(new Error("SERVFAIL")) : Promise.resolve(["127.0.0.1"]));
    const pool = await startPool(test, { endpoints: [`grpc://models.test:${server.port}`] }, { resolve });
    await until("it serves", () => pool.readyInstances("double") === 1);
    fails = true;
    await until("the name fails", () => pool.events.includes("pool_name_unresolved"));
    await pool.double();
  });

  it("are none: requests are told when to come again", async (test) => {
    const server = await start(test);
    let addresses = ["127.0.0.1"];
    const resolve = () => Promise.resolve(addresses);
    const pool = await startPool(test, { endpoints: [`grpc://models.test:${server.port}`] }, { resolve });
    await until("it serves", () => pool.readyInstances("double") === 1);
    addresses = [];
    await until("nobody is left", () => pool.stateOf("double") === "unavailable");
    const answer = await pool.ask({ model: "double", inputs: [numbers("x", [[1, 2]])] });
    assert.ok(isFailure(answer));
    assert.equal(answer.code, "model_unavailable");
    assert.ok((answer.retryAfterMs ?? 0) > 0);
    addresses = ["127.0.0.1"];
    await until("it is back", () => pool.stateOf("double") === "ready");
    await pool.double();
  });
});

describe("a server that goes away", () => {
  it("by a cut connection under load costs no request, and is used again when it is back", async (test) => {
    const [first, second] = await startSeveral(test, 2, { latencyMs: 2 });
    const endpoints = [`grpc://${first.address}`, `grpc://${second!.address}`];
    const pool = await startPool(test, { endpoints, maxBatch: 4 });
    await until("both serve", () => pool.readyInstances("double") === 2);
    const load = keepAsking(pool, 16);
    await until("both have answered", () => load.answered.size === 2);
    second!.stop();
    await until("it is noticed", () => pool.readyInstances("double") === 1);
    const back = await start(test, { host: second!.host, port: second!.port });
    await until("it answers again", () => back.rows.length > 0);
    assert.ok((await load.stop()) > 0);
  });

  it("by SIGKILL under load costs no request", async (test) => {
    const stays = await start(test, { latencyMs: 2 });
    const dies = await startProcess(test, { latencyMs: 20 });
    const endpoints = [`grpc://127.0.0.1:${dies.port}`, `grpc://${stays.address}`];
    const pool = await startPool(test, { endpoints });
    await until("both serve", () => pool.readyInstances("double") === 2);
    const load = keepAsking(pool, 16);
    await until("both have answered", () => load.answered.size === 2);
    dies.child.kill("SIGKILL");
    await until("it is noticed", () => pool.readyInstances("double") === 1);
    const before = stays.rows.length;
    await until("the other serves on", () => stays.rows.length > before + 50);
    await load.stop();
  });

  it("by SIGSTOP: its calls pass their deadline and are answered by another", async (test) => {
    const stays = await start(test);
    const hangs = await startProcess(test, {});
    test.after(() => hangs.child.kill("SIGCONT"));
    const endpoints = [`grpc://127.0.0.1:${hangs.port}`, `grpc://${stays.address}`];
    const pool = await startPool(test, { endpoints, timeoutMs: 300 });
    await until("both serve", () => pool.readyInstances("double") === 2);
    const load = keepAsking(pool, 4);
    await until("both have answered", () => load.answered.size === 2);
    hangs.child.kill("SIGSTOP");
    await until("it is noticed", () => pool.readyInstances("double") === 1);
    await load.stop();
    hangs.child.kill("SIGCONT");
    await until("it is back", () => pool.readyInstances("double") === 2);
  });

  it("with a goodbye finishes its calls", async (test) => {
    const [first, second] = await startSeveral(test, 2, { latencyMs: 30 });
    const endpoints = [`grpc://${first.address}`, `grpc://${second!.address}`];
    const pool = await startPool(test, { endpoints });
    await until("both serve", () => pool.readyInstances("double") === 2);
    const load = keepAsking(pool, 6);
    await until("it is at work", () => second!.running > 0);
    await second!.drain();
    await until("it is noticed", () => pool.readyInstances("double") === 1);
    await load.stop();
  });

  it("alone holds the line while it is tried again, then refuses with Retry-After, then recovers", async (test) => {
    const server = await start(test);
    const pool = await startPool(test, { endpoints: [`grpc://${server.address}`] });
    await until("it serves", () => pool.stateOf("double") === "ready");
    await pool.double();
    server.stop();
    await until("it is noticed", () => pool.stateOf("double") === "recovering");
    const waiting = pool.ask({ model: "double", inputs: [numbers("x", [[1, 2]])] });
    await until("it is given up for now", () => pool.stateOf("double") === "unavailable");
    const refused = await waiting;
    assert.ok(isFailure(refused));
    assert.equal(refused.code, "model_unavailable");
    assert.ok((refused.retryAfterMs ?? 0) > 0);
    const status = pool.pool.list()[0];
    assert.equal(status?.state, "UNAVAILABLE");
    assert.match(status.reason, /ECONNREFUSED/);
    await start(test, { port: server.port });
    await until("it is back", () => pool.stateOf("double") === "ready");
    await pool.double();
  });

  it("and comes back at once answers what waited", async (test) => {
    const server = await start(test);
    const pool = await startPool(
      test,
      { endpoints: [`grpc://${server.address}`] },
      { timing: { backoffMs: { initial: 500, max: 1_000 } } },
    );
    await until("it serves", () => pool.stateOf("double") === "ready");
    await pool.double();
    server.stop();
    await until("it is noticed", () => pool.stateOf("double") === "recovering");
    const waiting = pool.double();
    await start(test, { port: server.port });
    await waiting;
  });
});

describe("a server that lives", () => {
  it("and is not ready is not used", async (test) => {
    const [first, second] = await startSeveral(test, 2);
    const endpoints = [`grpc://${first.address}`, `grpc://${second!.address}`];
    const pool = await startPool(test, { endpoints });
    await until("both serve", () => pool.readyInstances("double") === 2);
    second!.ready = false;
    await until("it is noticed", () => pool.readyInstances("double") === 1);
    for (let count = 0; count < 10; count++) assert.equal(await pool.double(), first.address);
    second!.ready = true;
    await until("it is used again", () => pool.readyInstances("double") === 2);
  });

  it("and answers UNAVAILABLE is answered 503, not tried elsewhere", async (test) => {
    const server = await start(test);
    const pool = await startPool(test, { endpoints: [`grpc://${server.address}`] });
    await until("it serves", () => pool.stateOf("double") === "ready");
    server.refuseWith = { code: status.UNAVAILABLE, details: "too much to do" };
    const answer = await pool.ask({ model: "double", inputs: [numbers("x", [[1, 2]])] });
    assert.deepEqual(answer, { code: "model_unavailable", message: "too much to do", retryAfterMs: 1_000 });
    assert.equal(server.rows.length, 1);
  });

  it("loads and unloads models: they are found and forgotten", async (test) => {
    const server = await start(test);
    const pool = await startPool(test, { endpoints: [`grpc://${server.address}`] });
    await until("it serves", () => pool.stateOf("double") === "ready");
    server.models = [{ name: "double" }, { name: "double", version: "2" }, { name: "other" }];
    await until("new ones are found", () => pool.stateOf("other") === "ready");
    assert.deepEqual(pool.pool.versions("double"), ["1", "2"]);
    const wrong = pool.pool.endpointFor("double", "7");
    assert.ok(wrong !== undefined && isFailure(wrong));
    assert.equal(wrong.code, "version_not_found");
    server.models = [
      { name: "double", version: "2" },
      { name: "other", state: "UNAVAILABLE" },
    ];
    await until("old ones are forgotten", () => pool.stateOf("other") === undefined);
    assert.deepEqual(pool.pool.versions("double"), ["2"]);
    const gone = pool.pool.endpointFor("other", undefined);
    assert.ok(gone !== undefined && isFailure(gone));
    assert.equal(gone.code, "model_unavailable");
    assert.equal(pool.pool.endpointFor("never", undefined), undefined);
  });

  it("has another model under the old version: it is used as it is now", async (test) => {
    const server = await start(test);
    const pool = await startPool(test, { endpoints: [`grpc://${server.address}`] });
    await until("it serves", () => pool.stateOf("double") === "ready");
    server.models = [{ name: "double", shape: [-1, 3] }];
    await until("it is noticed", () => {
      const endpoint = pool.pool.endpointFor("double", undefined);
      return endpoint !== undefined && "model" in endpoint && endpoint.model.inputs[0]?.shape[1] === 3;
    });
    const answer = await pool.ask({ model: "double", inputs: [numbers("x", [[1, 2, 3]])] });
    assert.ok(!isFailure(answer));
    assert.deepEqual(floats(answer.outputs[0]), [2, 4, 6]);
  });

  it("describes a model otherwise than the others do: it waits until they are gone", async (test) => {
    const [first, second] = await startSeveral(test, 2);
    second!.models = [{ name: "double", shape: [-1, 3] }];
    let addresses = [first.host];
    const pool = await startPool(
      test,
      { endpoints: [`grpc://models.test:${first.port}`] },
      { resolve: () => Promise.resolve(addresses) },
    );
    await until("the first serves", () => pool.readyInstances("double") === 1);
    addresses = [first.host, second!.host];
    await until("the other is noticed", () => pool.events.includes("pool_models_differ"));
    for (let count = 0; count < 5; count++) assert.equal(await pool.double(), first.address);
    addresses = [second!.host];
    await until("it takes over", () => {
      const endpoint = pool.pool.endpointFor("double", undefined);
      return endpoint !== undefined && "model" in endpoint && endpoint.model.inputs[0]?.shape[1] === 3;
    });
  });
});

describe("what a server does not say", () => {
  it("an index: the named models are asked for", async (test) => {
    const server = await start(test, { index: "none", models: [{ name: "double", version: "" }] });
    const pool = await startPool(test, {
      endpoints: [`grpc://${server.address}`],
      models: ["double", "other"],
    });
    await until("it serves", () => pool.stateOf("double") === "ready");
    await pool.double();
    const other = pool.pool.endpointFor("other", undefined);
    assert.ok(other !== undefined && isFailure(other));
    assert.equal(other.code, "model_unavailable");
    assert.match(other.message, /no model other/);
    server.models = [
      { name: "double", version: "" },
      { name: "other", version: "" },
    ];
    await until("the other is noticed", () => pool.stateOf("other") === "ready");
  });

  it("an index, and no model is named: the reason is told", async (test) => {
    const server = await start(test, { index: "none" });
    const pool = await startPool(test, { endpoints: [`grpc://${server.address}`] });
    await until("it is tried", () => pool.pool.settled);
    assert.deepEqual(pool.pool.list(), []);
    assert.match(JSON.stringify(pool.pool.inspect()), /no repository index, and no models are named/);
  });

  it("a named model: the list says so", async (test) => {
    const server = await start(test);
    const pool = await startPool(test, {
      endpoints: [`grpc://${server.address}`],
      models: ["double", "absent"],
    });
    await until("it serves", () => pool.stateOf("double") === "ready");
    const absent = pool.pool.list().find((row) => row.name === "absent");
    assert.equal(absent?.state, "UNAVAILABLE");
    assert.equal(absent.reason, "no server of the pool lists it");
  });

  it("versions: the model has version 1 and is called without one", async (test) => {
    const server = await start(test, { models: [{ name: "double", version: "" }] });
    const pool = await startPool(test, { endpoints: [`grpc://${server.address}`] });
    await until("it serves", () => pool.stateOf("double", "1") === "ready");
    await pool.double();
  });

  it("a maximum batch: the pool's is taken, so many rows travel in one call", async (test) => {
    const server = await start(test, { latencyMs: 20 });
    const pool = await startPool(test, { endpoints: [`grpc://${server.address}`], maxBatch: 4 });
    await until("it serves", () => pool.stateOf("double") === "ready");
    await Promise.all(Array.from({ length: 17 }, (_, index) => pool.double(index)));
    assert.ok(server.rows.includes(4));
    assert.ok(server.rows.every((rows) => rows <= 4));
  });

  it("or says in its configuration, as Triton does: then that counts, and 0 means one at a time", async (test) => {
    for (const [configuredMaxBatch, most] of [
      [3, 3],
      [0, 1],
    ] as const) {
      const server = await start(test, { latencyMs: 20, configuredMaxBatch });
      const pool = await startPool(test, { endpoints: [`grpc://${server.address}`], maxBatch: 8 });
      await until("it serves", () => pool.stateOf("double") === "ready");
      await Promise.all(Array.from({ length: 13 }, (_, index) => pool.double(index)));
      assert.equal(Math.max(...server.rows), most);
    }
  });

  it("which outputs it answers by itself: all are asked for", async (test) => {
    const server = await start(test);
    const pool = await startPool(test, { endpoints: [`grpc://${server.address}`] });
    await until("it serves", () => pool.stateOf("double") === "ready");
    await pool.double();
    assert.deepEqual(server.lastOutputs, ["y"]);
  });

  it("how many calls it works on at once: the pool's concurrency, and one ahead", async (test) => {
    for (const [concurrency, most] of [
      [1, 2],
      [6, 7],
    ] as const) {
      const server = await start(test, { latencyMs: 20 });
      const pool = await startPool(test, { endpoints: [`grpc://${server.address}`], concurrency });
      await until("it serves", () => pool.stateOf("double") === "ready");
      await Promise.all(Array.from({ length: 30 }, (_, index) => pool.double(index)));
      assert.equal(server.mostRunning, most);
    }
  });
});

it("a pool that is closed answers what waits and takes nothing more", async (test) => {
  const server = await start(test, { latencyMs: 1_000 });
  const pool = await startPool(test, { endpoints: [`grpc://${server.address}`] });
  await until("it serves", () => pool.stateOf("double") === "ready");
  const asked = Array.from({ length: 5 }, () =>
    pool.ask({ model: "double", inputs: [numbers("x", [[1, 2]])] }),
  );
  await until("it is at work", () => server.running > 0);
  pool.pool.close();
  pool.pool.close();
  for (const answer of await Promise.all(asked)) {
    assert.ok(isFailure(answer));
    assert.equal(answer.code, "model_unavailable");
  }
});
