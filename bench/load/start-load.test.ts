import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { LoadSpec } from "./load-spec.ts";
import { startLoad } from "./start-load.ts";

async function serve(context: TestContext, answer = "ok"): Promise<LoadSpec> {
  const server = createServer((_request, response) => response.end(answer));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => server.closeAllConnections());
  context.after(() => server.close());
  return {
    protocol: "http1",
    target: { host: "127.0.0.1", port: (server.address() as AddressInfo).port },
    connections: 2,
    pace: { kind: "closed" },
    warmUpMs: 20,
    bound: { durationMs: 100 },
    timeoutMs: 1000,
    requests: [{ method: "GET", path: "/" }],
  };
}

test("a run in its own process tells its phases and its result, then ends", async (context) => {
  const spec = await serve(context);
  const load = startLoad(spec);
  await load.measuring;
  await load.measured;
  const result = await load.result;
  assert.ok(result.ok > 0 && result.errors === 0, JSON.stringify(result));
  assert.ok(result.generator.cpuMs > 0);
});

test("stop ends a long run early with its result", async (context) => {
  const load = startLoad({ ...(await serve(context)), bound: { durationMs: 60_000 } });
  await load.measuring;
  load.stop();
  const result = await load.result;
  assert.ok(result.windowMs < 30_000);
  assert.equal(result.errors, 0);
});

test("stop before anything was sent ends the run too", async (context) => {
  const load = startLoad({ ...(await serve(context)), bound: { durationMs: 60_000 } });
  load.stop();
  assert.equal((await load.result).requests, 0);
});

test("a process that is killed rejects every promise", async (context) => {
  const load = startLoad({ ...(await serve(context)), bound: { durationMs: 60_000 } });
  await load.measuring;
  load.close();
  await assert.rejects(load.measured, /ended early \(SIGKILL\)/);
  await assert.rejects(load.result, /ended early \(SIGKILL\)/);
});

test("a specification that cannot be run is an error, not a silence", async (context) => {
  const load = startLoad({ ...(await serve(context)), connections: 0 });
  await assert.rejects(load.result, /connections: expected a number/);
});

test("a check is found by module and export", async (context) => {
  const check = { module: "bench/load/checks.ts", export: "equalsBody", options: { text: "right" } };
  const right = await startLoad({ ...(await serve(context, "right")), check }).result;
  assert.ok(right.ok > 0 && right.errors === 0);
  const wrong = await startLoad({ ...(await serve(context, "wrong")), check, bound: { requests: 10 } })
    .result;
  assert.deepEqual(wrong.failures, { check: 10 });
});
