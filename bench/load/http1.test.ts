import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { RequestListener } from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { LoadResult } from "./load-result.ts";
import type { LoadSpec, Target } from "./load-spec.ts";
import { runLoad } from "./run-load.ts";
import type { RunOptions } from "./run-load.ts";

/** Listens on a free loopback port until the test is over. */
async function listen(context: TestContext, server: net.Server): Promise<Target> {
  const sockets = new Set<net.Socket>();
  server.on("connection", (socket: net.Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { host: "127.0.0.1", port: (server.address() as net.AddressInfo).port };
}

function serveHttp(context: TestContext, listener: RequestListener): Promise<Target> {
  return listen(context, createServer(listener));
}

function spec(target: Target, changes: Partial<LoadSpec> = {}): LoadSpec {
  return {
    protocol: "http1",
    target,
    connections: 4,
    pace: { kind: "closed" },
    warmUpMs: 0,
    bound: { requests: 200 },
    timeoutMs: 2000,
    requests: [{ path: "/", body: { kind: "text", value: '{"a":1}' } }],
    ...changes,
  };
}

async function run(load: LoadSpec, options: RunOptions = {}): Promise<LoadResult> {
  return (await runLoad(load, options)).result;
}

test("closed loop bounded by count sends so many requests over the connections", async (context) => {
  const seen: string[] = [];
  const target = await serveHttp(context, (request, response) => {
    request.setEncoding("utf8").on("data", (text: string) => seen.push(text));
    request.on("end", () => response.end("ok"));
  });
  const requests = ["one", "two"].map((value) => ({ path: "/", body: { kind: "text" as const, value } }));
  const result = await run(spec(target, { requests }));
  assert.deepEqual(
    { requests: result.requests, ok: result.ok, errors: result.errors, statuses: result.statuses },
    { requests: 200, ok: 200, errors: 0, statuses: { 200: 200 } },
  );
  assert.equal(result.generator.connects, 4);
  assert.equal(seen.filter((text) => text === "one").length, 100);
  assert.equal(seen.filter((text) => text === "two").length, 100);
});

test("a run bounded by count sends no more than that, and its window ends with the last answer", async (context) => {
  const target = await serveHttp(context, (_request, response) => setTimeout(() => response.end("ok"), 20));
  const open = { kind: "open", ratePerSecond: 2000, arrivals: "poisson", seed: 1 } as const;
  for (const pace of [{ kind: "closed" } as const, open]) {
    const result = await run(spec(target, { pace, bound: { requests: 20 } }));
    assert.deepEqual([result.requests, result.ok], [20, 20]);
    // Four connections at 20 ms each carry 20 requests in 100 ms at best.
    assert.ok(result.windowMs >= 95, `${result.windowMs} ms`);
    assert.ok(
      Math.abs((result.ratePerSecond * result.windowMs) / 1000 - 20) < 0.01,
      `${result.ratePerSecond}/s`,
    );
  }
});

test("the warm-up is not counted", async (context) => {
  let answered = 0;
  const target = await serveHttp(context, (_request, response) => {
    answered += 1;
    response.end("ok");
  });
  const result = await run(spec(target, { warmUpMs: 100, bound: { requests: 50 } }));
  assert.equal(result.requests, 50);
  assert.ok(answered > 50, `${answered} answered in all`);
});

test("closed-loop rate, latency and window of a server that takes 20 ms", async (context) => {
  const target = await serveHttp(context, (_request, response) => setTimeout(() => response.end("ok"), 20));
  const phases: string[] = [];
  const result = await run(spec(target, { bound: { durationMs: 500 }, warmUpMs: 50 }), {
    onPhase: (phase) => phases.push(phase),
  });
  assert.ok(Math.abs(result.windowMs - 500) < 0.001, `${result.windowMs} ms`);
  assert.ok(result.ratePerSecond > 60 && result.ratePerSecond <= 204, `${result.ratePerSecond}/s`);
  assert.ok(result.latency.p50Ms >= 19 && result.latency.minMs >= 19, JSON.stringify(result.latency));
  assert.equal(result.errors, 0);
  assert.deepEqual(phases, ["measuring", "measured"]);
});

test("open-loop latency counts from the intended time: a stall of 200 ms shows in the percentiles", async (context) => {
  let firstMs = 0;
  const target = await serveHttp(context, (_request, response) => {
    firstMs ||= performance.now();
    const sinceFirstMs = performance.now() - firstMs;
    const waitMs = sinceFirstMs >= 400 && sinceFirstMs < 600 ? 600 - sinceFirstMs : 0;
    if (waitMs > 0) setTimeout(() => response.end("ok"), waitMs);
    else response.end("ok");
  });
  const pace = { kind: "open", ratePerSecond: 200, arrivals: "uniform", seed: 1 } as const;
  const result = await run(spec(target, { connections: 2, pace, bound: { durationMs: 1000 } }));
  assert.equal(result.requests, 200);
  assert.equal(result.errors, 0);
  // Two connections can carry two stalled requests; the 38 others of those 200 ms waited in the generator.
  assert.ok(result.waitedForSlot >= 30, `${result.waitedForSlot} waited`);
  assert.ok(result.latency.p90Ms >= 70, JSON.stringify(result.latency));
  assert.ok(result.latency.maxMs >= 150, JSON.stringify(result.latency));
});

test("open loop keeps the rate while the server is slow, as far as connections reach", async (context) => {
  const target = await serveHttp(context, (_request, response) => setTimeout(() => response.end("ok"), 100));
  const pace = { kind: "open", ratePerSecond: 100, arrivals: "poisson", seed: 5 } as const;
  const result = await run(spec(target, { connections: 64, pace, bound: { durationMs: 800 } }));
  assert.ok(result.requests >= 60 && result.requests <= 100, `${result.requests} sent`);
  assert.equal(result.ok, result.requests);
  assert.equal(result.waitedForSlot, 0);
});

test("open loop uses its connections in turn", async (context) => {
  const counts = new Map<number | undefined, number>();
  const target = await serveHttp(context, (request, response) => {
    const { remotePort } = request.socket;
    counts.set(remotePort, (counts.get(remotePort) ?? 0) + 1);
    response.end("ok");
  });
  const pace = { kind: "open", ratePerSecond: 200, arrivals: "uniform", seed: 1 } as const;
  await run(spec(target, { pace, bound: { requests: 40 } }));
  assert.equal(counts.size, 4);
  assert.ok(Math.min(...counts.values()) >= 5, [...counts.values()].join(", "));
});

test("open loop: requests that wait past the timeout fail without being sent", async (context) => {
  let received = 0;
  const target = await serveHttp(context, () => (received += 1));
  const pace = { kind: "open", ratePerSecond: 100, arrivals: "uniform", seed: 1 } as const;
  const result = await run(
    spec(target, { connections: 1, pace, bound: { durationMs: 300 }, timeoutMs: 150 }),
  );
  assert.deepEqual(result.failures, { timeout: 30 });
  assert.equal(result.requests, 30);
  assert.ok(received <= 20, `${received} received`);
});

test("statuses are counted, and only 2xx answers make the rate and the latency", async (context) => {
  let count = 0;
  const target = await serveHttp(context, (_request, response) => {
    count += 1;
    response.writeHead(count % 4 === 0 ? 503 : 200).end("x");
  });
  const result = await run(spec(target, { connections: 1 }));
  assert.deepEqual(result.statuses, { 200: 150, 503: 50 });
  assert.deepEqual([result.ok, result.errors, result.latency.count], [150, 50, 150]);
});

test("chunked answers and answers that end the connection are whole", async (context) => {
  const target = await serveHttp(context, (_request, response) => {
    response.setHeader("connection", "close");
    response.write("a");
    response.end("b");
  });
  const result = await run(spec(target, { bound: { requests: 40 } }));
  assert.equal(result.ok, 40);
  assert.ok(result.generator.connects >= 40, `${result.generator.connects} connections`);
});

test("a server that is not there: refused, again and again, and the run ends", async (context) => {
  const server = net.createServer();
  const target = await listen(context, server);
  await new Promise((resolve) => server.close(resolve));
  const result = await run(spec(target, { bound: { durationMs: 200 } }));
  assert.equal(result.ok, 0);
  assert.deepEqual(Object.keys(result.failures), ["refused"]);
  assert.ok(result.errors >= 4 && result.errors <= 100, `${result.errors} refusals`);
});

test("connections that end or break before the answer are failures by kind", async (context) => {
  const endings: ((socket: net.Socket) => void)[] = [
    (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
    (socket) => socket.resetAndDestroy(),
    (socket) => socket.write("HTTP/1.1 nonsense\r\n\r\n"),
    (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
  ];
  let count = 0;
  const server = net.createServer((socket) => {
    socket.on("data", () => {
      endings[count % endings.length]?.(socket);
      count += 1;
    });
  });
  const target = await listen(context, server);
  const result = await run(spec(target, { connections: 1, bound: { requests: 40 } }));
  assert.deepEqual(result.failures, { reset: 10, closed: 10, malformed: 10 });
  assert.deepEqual(result.statuses, { 200: 10 });
});

test("a silent server: timeouts, each on a fresh connection", async (context) => {
  const target = await serveHttp(context, () => undefined);
  const result = await run(spec(target, { connections: 2, bound: { requests: 4 }, timeoutMs: 100 }));
  assert.deepEqual(result.failures, { timeout: 4 });
  assert.ok(result.generator.connects >= 3, `${result.generator.connects} connections`);
});

test("a check judges whole bodies", async (context) => {
  let count = 0;
  const target = await serveHttp(context, (_request, response) => {
    count += 1;
    response.write("answer ");
    response.end(String(count % 5));
  });
  const result = await run(spec(target, { connections: 1, bound: { requests: 50 } }), {
    check: ({ body, status }) => status === 200 && body.toString() !== "answer 3",
  });
  assert.deepEqual(result.failures, { check: 10 });
  assert.equal(result.ok, 40);
});

test("a Unix socket serves as well as a port", async (context) => {
  const folder = await mkdtemp(join(tmpdir(), "load-"));
  context.after(() => rm(folder, { recursive: true }));
  const path = join(folder, "s");
  const server = createServer((_request, response) => response.end("ok"));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  context.after(() => server.closeAllConnections());
  context.after(() => server.close());
  assert.equal((await run(spec({ path }))).ok, 200);
});

test("the series covers the window and adds up", async (context) => {
  const target = await serveHttp(context, (_request, response) => setTimeout(() => response.end("ok"), 5));
  const result = await run(spec(target, { bound: { durationMs: 300 }, seriesIntervalMs: 100 }));
  assert.ok(result.series !== undefined && result.series.ok.length >= 3);
  assert.equal(
    result.series.ok.reduce((sum, count) => sum + count, 0),
    result.ok,
  );
});

test("a body of 600 KB goes out whole on every connection", async (context) => {
  const target = await serveHttp(context, (request, response) => {
    let size = 0;
    request.on("data", (chunk: Buffer) => (size += chunk.length));
    request.on("end", () => response.end(String(size)));
  });
  const body = { kind: "v2-binary", input: "x", shape: [150_528], seed: 1 } as const;
  const sizes = new Set<string>();
  const result = await run(spec(target, { requests: [{ path: "/", body }], bound: { requests: 20 } }), {
    check: (response) => sizes.add(response.body.toString()).size === 1,
  });
  assert.equal(result.ok, 20);
  assert.ok(Number([...sizes][0]) > 602_112);
});

test("a plan that cannot be run is refused with the field and the range", async () => {
  await assert.rejects(
    runLoad(spec({ path: "/nowhere" }, { connections: 0 })),
    /connections: expected .* from 1 to 4096, got 0/,
  );
  await assert.rejects(
    runLoad(spec({ path: "/nowhere" }, { requests: [] })),
    /requests: expected at least one/,
  );
});
