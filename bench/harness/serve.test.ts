import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { LoadPlan } from "../load/load-spec.ts";
import { cpuUsPerRequest, measureLoad } from "./measure.ts";
import { repositoryRoot } from "./paths.ts";
import { freePort, ServerProcess } from "./serve.ts";
import type { ServerSpec } from "./serve.ts";

const ECHO: ServerSpec = { name: "echo", script: "bench/reference/echo-json.ts", ready: { kind: "message" } };

async function start(context: TestContext, spec: ServerSpec): Promise<ServerProcess> {
  const server = await ServerProcess.start(spec);
  context.after(() => server.close());
  return server;
}

/** A server script of the test's own; gives its path from the repository root. */
async function script(context: TestContext, code: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "serve-"));
  context.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "server.mjs"), code);
  return relative(repositoryRoot, join(folder, "server.mjs"));
}

function plan(changes: Partial<LoadPlan> = {}): LoadPlan {
  return {
    protocol: "http1",
    connections: 4,
    pace: { kind: "closed" },
    warmUpMs: 100,
    bound: { durationMs: 400 },
    timeoutMs: 2000,
    requests: [{ path: "/", body: { kind: "v2-json", input: "x", shape: [1, 64], seed: 1, variants: 4 } }],
    ...changes,
  };
}

test("the echo server answers what it was sent, and bad JSON with 400", async (context) => {
  const { address } = await start(context, ECHO);
  const url = `http://${address.host}:${address.port}/`;
  const good = await fetch(url, { method: "POST", body: '{ "a": [1, 2.5] }' });
  assert.deepEqual([good.status, await good.text()], [200, '{"a":[1,2.5]}']);
  const bad = await fetch(url, { method: "POST", body: "{" });
  assert.equal(bad.status, 400);
  assert.match(await bad.text(), /SyntaxError/);
});

test("a measured load knows the server's CPU time, memory and loop delay", async (context) => {
  const server = await start(context, ECHO);
  const measured = await measureLoad(plan(), { servers: [server] });
  assert.equal(measured.load.errors, 0);
  assert.ok(measured.load.ok > 100);
  const cpuUs = cpuUsPerRequest(measured);
  assert.ok(cpuUs > 1 && cpuUs < 5000, `${cpuUs} µs`);
  assert.equal(cpuUsPerRequest(measured, "another"), 0);
  assert.deepEqual(Object.keys(measured.loopDelays), ["echo"]);
  assert.ok((measured.loopDelays["echo"]?.maxMs ?? -1) >= 0);
  assert.ok((measured.processes[0]?.rss.maxBytes ?? 0) > 2 ** 24);
});

test("the window ends when what runs beside the load does", async (context) => {
  const server = await start(context, ECHO);
  const order: string[] = [];
  const measured = await measureLoad(plan({ bound: { durationMs: 60_000 } }), {
    servers: [server],
    during: async () => {
      await new Promise((resolve) => setTimeout(resolve, 150));
      order.push("done");
    },
  });
  assert.deepEqual(order, ["done"]);
  assert.ok(measured.load.windowMs >= 100 && measured.load.windowMs < 30_000, `${measured.load.windowMs} ms`);
});

test("what fails beside the load fails the measurement", async (context) => {
  const server = await start(context, ECHO);
  const during = (): Promise<void> => Promise.reject(new Error("nothing to kill"));
  await assert.rejects(
    measureLoad(plan({ bound: { durationMs: 60_000 } }), { servers: [server], during }),
    /nothing to kill/,
  );
});

test("a server without messages is ready when it answers, tells loop delay by its own way, stops on SIGTERM", async (context) => {
  const port = await freePort();
  const code = `
    import { createServer } from "node:http";
    const startMs = Date.now();
    const server = createServer((_, response) => {
      response.statusCode = Date.now() - startMs < 200 ? 503 : 200;
      response.end();
    });
    server.listen(${port}, "127.0.0.1");
    process.on("SIGTERM", () => process.exit(7));`;
  const delay = { meanMs: 1, p50Ms: 1, p99Ms: 2, maxMs: 3 };
  const server = await start(context, {
    name: "own",
    script: await script(context, code),
    ready: { kind: "http", address: { host: "127.0.0.1", port }, path: "/ready" },
    loopDelay: () => Promise.resolve(delay),
  });
  assert.ok(server.readyAfterMs >= 150, `${server.readyAfterMs} ms`);
  assert.deepEqual(await server.loopDelay(), delay);
  assert.equal((await server.close()).code, 7);
  assert.equal((await server.close()).code, 7);
});

test("a server that ends before it is ready, or is never ready, is an error with its output", async (context) => {
  const dying = await script(context, 'console.error("no such port"); process.exit(3);');
  const silent = await script(context, "setInterval(() => {}, 1000);");
  await assert.rejects(
    ServerProcess.start({ name: "dying", script: dying, ready: { kind: "message" } }),
    /dying .* ended with 3\n[^]*no such port/,
  );
  await assert.rejects(
    ServerProcess.start({ name: "silent", script: silent, ready: { kind: "message" }, readyTimeoutMs: 300 }),
    /silent .* not ready after 300 ms/,
  );
});

test("a server that does not stop is killed", async (context) => {
  const code = 'process.on("message", () => {}); process.send({ type: "listening", port: 1 });';
  const server = await start(context, {
    name: "deaf",
    script: await script(context, code),
    ready: { kind: "message" },
    stopTimeoutMs: 200,
  });
  assert.equal((await server.close()).signal, "SIGKILL");
  assert.equal(await server.loopDelay(), null);
});
