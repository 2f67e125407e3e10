import assert from "node:assert/strict";
import { createServer } from "node:http2";
import type { Http2Server, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import net from "node:net";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { TestContext } from "node:test";
import grpc from "@grpc/grpc-js";
import { withPrefix } from "./grpc-requests.ts";
import type { LoadResult } from "./load-result.ts";
import type { LoadSpec, RequestSpec, Target } from "./load-spec.ts";
import { runLoad } from "./run-load.ts";
import type { RunOptions } from "./run-load.ts";

const PATH = "/test.Echo/Call";
const same = (bytes: Buffer): Buffer => bytes;
type Handler = grpc.handleUnaryCall<Buffer, Buffer>;

/** A grpc-js server with one unary method over raw bytes. */
async function serveGrpc(context: TestContext, call: Handler): Promise<Target> {
  const server = new grpc.Server({ "grpc.max_receive_message_length": -1 });
  const method = {
    path: PATH,
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  server.addService({ call: method }, { call });
  const credentials = grpc.ServerCredentials.createInsecure();
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", credentials, (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  context.after(() => server.forceShutdown());
  return { host: "127.0.0.1", port };
}

/** A bare HTTP/2 server. */
async function serveHttp2(
  context: TestContext,
  onStream: (stream: ServerHttp2Stream) => void,
  configure: (server: Http2Server) => void = () => undefined,
): Promise<Target> {
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer({ settings: { maxConcurrentStreams: 4 } });
  server.on("session", (session) => {
    sessions.add(session);
    session.on("error", () => undefined);
  });
  server.on("stream", (stream) => {
    stream.on("error", () => undefined);
    stream.resume();
    onStream(stream);
  });
  configure(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.close();
    for (const session of sessions) session.destroy();
  });
  return { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
}

/** Answers a stream as a gRPC server does. */
function answer(stream: ServerHttp2Stream, message: Uint8Array, status = 0): void {
  stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": String(status) }));
  stream.end(withPrefix(message));
}

function spec(target: Target, changes: Partial<LoadSpec> = {}): LoadSpec {
  return {
    protocol: "grpc",
    target,
    connections: 2,
    streamsPerConnection: 8,
    pace: { kind: "closed" },
    warmUpMs: 0,
    bound: { requests: 400 },
    timeoutMs: 3000,
    requests: [{ path: PATH, body: { kind: "text", value: "hello" } }],
    ...changes,
  };
}

async function run(load: LoadSpec, options: RunOptions = {}): Promise<LoadResult> {
  return (await runLoad(load, options)).result;
}

test("unary calls are echoed whole, several streams on each connection", async (context) => {
  const paths = new Set<string>();
  const target = await serveGrpc(context, (call, callback) => {
    paths.add(call.getPath());
    callback(null, call.request);
  });
  const values = ["one", "two", ""];
  const requests: RequestSpec[] = values.map((value) => ({ path: PATH, body: { kind: "text", value } }));
  const result = await run(spec(target, { requests }), {
    check: ({ request, body }) => body.toString() === values[request],
  });
  assert.deepEqual([result.ok, result.errors, result.statuses], [400, 0, { 0: 400 }]);
  assert.equal(result.generator.connects, 2);
  assert.deepEqual(paths, new Set([PATH]));
});

test("error statuses of one and two digits, with and without headers before them", async (context) => {
  const codes = [grpc.status.INVALID_ARGUMENT, grpc.status.UNAVAILABLE, grpc.status.UNAUTHENTICATED];
  let count = 0;
  const target = await serveGrpc(context, (call, callback) => {
    const code = codes[count++ % codes.length] ?? 2;
    if (count % 2 === 0) call.sendMetadata(new grpc.Metadata());
    callback({ code, details: "no" });
  });
  const result = await run(spec(target, { bound: { requests: 90 } }));
  assert.deepEqual(result.statuses, { 3: 30, 14: 30, 16: 30 });
  assert.deepEqual([result.ok, result.errors, result.latency.count], [0, 90, 0]);
});

test("messages of 600 KB pass both ways through the server's default windows", async (context) => {
  const target = await serveGrpc(context, (call, callback) => callback(null, call.request));
  const body = { kind: "grpc-infer", model: "m", input: "x", shape: [150_528], seed: 1 } as const;
  let size = 0;
  const result = await run(spec(target, { requests: [{ path: PATH, body }], bound: { requests: 24 } }), {
    check: (response) => {
      size ||= response.body.length;
      return response.body.length === size && size > 602_112;
    },
  });
  assert.deepEqual([result.ok, result.failures], [24, {}]);
});

test("the server's limit of concurrent streams holds calls back", async (context) => {
  let open = 0;
  let most = 0;
  const target = await serveHttp2(context, (stream) => {
    open += 1;
    most = Math.max(most, open);
    setTimeout(() => answer(stream, Buffer.from("x")), 5);
    stream.on("close", () => (open -= 1));
  });
  const result = await run(
    spec(target, { connections: 1, streamsPerConnection: 16, bound: { requests: 100 } }),
  );
  assert.deepEqual([result.ok, result.errors], [100, 0]);
  assert.ok(most <= 4, `${most} streams at once`);
});

test("open loop over streams counts the wait for a stream", async (context) => {
  const target = await serveGrpc(context, (call, callback) =>
    setTimeout(() => callback(null, call.request), 50),
  );
  const pace = { kind: "open", ratePerSecond: 100, arrivals: "uniform", seed: 1 } as const;
  const load = spec(target, { connections: 1, streamsPerConnection: 2, pace, bound: { durationMs: 500 } });
  const result = await run(load);
  // Two streams of 50 ms carry 40 a second; the line grows to half a second and more.
  assert.equal(result.requests, 50);
  assert.equal(result.ok, 50);
  assert.ok(result.latency.maxMs > 400, JSON.stringify(result.latency));
  assert.ok(result.waitedForSlot > 25, `${result.waitedForSlot} waited`);
});

test("reset streams, silent streams and answers without a status are failures by kind", async (context) => {
  let count = 0;
  const target = await serveHttp2(context, (stream) => {
    count += 1;
    if (count % 4 === 1) stream.close(2);
    else if (count % 4 === 2) stream.respond({ ":status": 200 }, { endStream: true });
    else if (count % 4 === 3) answer(stream, Buffer.from("fine"));
  });
  const load = spec(target, {
    connections: 1,
    streamsPerConnection: 1,
    bound: { requests: 20 },
    timeoutMs: 400,
  });
  const result = await run(load);
  assert.deepEqual(result.failures, { timeout: 5, stream: 5, malformed: 5 });
  assert.equal(result.ok, 5);
  assert.equal(result.generator.connects, 1);
});

test("after GOAWAY open calls end and the next ones get a new connection", async (context) => {
  let count = 0;
  const target = await serveHttp2(context, (stream) => {
    count += 1;
    if (count % 10 === 0) stream.session?.goaway(0, 2 ** 31 - 1);
    setTimeout(() => answer(stream, Buffer.from("x")), 2);
  });
  const result = await run(
    spec(target, { connections: 1, streamsPerConnection: 3, bound: { requests: 60 } }),
  );
  assert.deepEqual([result.ok, result.failures], [60, {}]);
  assert.ok(result.generator.connects >= 5, `${result.generator.connects} connections`);
});

test("connections that break take their calls with them, and later calls connect again", async (context) => {
  let count = 0;
  const target = await serveHttp2(context, (stream) => {
    count += 1;
    if (count % 10 === 0) stream.session?.socket.destroy();
    else answer(stream, Buffer.from("x"));
  });
  const result = await run(
    spec(target, { connections: 1, streamsPerConnection: 1, bound: { requests: 50 } }),
  );
  assert.equal(result.ok, 45);
  assert.equal(result.errors, 5);
  assert.deepEqual(
    Object.keys(result.failures).filter((kind) => kind !== "closed" && kind !== "reset"),
    [],
  );
});

test("what is no HTTP/2, what never answers, and nobody at all", async (context) => {
  const babbler = net.createServer((socket) => {
    socket.on("error", () => undefined);
    socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
  });
  const mute = net.createServer((socket) => void socket.on("error", () => undefined).resume());
  const outcomes = new Map([
    [babbler, "malformed"],
    [mute, "timeout"],
  ]);
  for (const [server, kind] of outcomes) {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    context.after(() => server.close());
    const target = { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
    const result = await run(spec(target, { bound: { requests: 16 }, timeoutMs: 100 }));
    assert.deepEqual(result.failures, { [kind]: 16 });
  }
  const gone = net.createServer();
  await new Promise<void>((resolve) => gone.listen(0, "127.0.0.1", resolve));
  const { port } = gone.address() as AddressInfo;
  await new Promise((resolve) => gone.close(resolve));
  const refused = await run(spec({ host: "127.0.0.1", port }, { bound: { requests: 16 } }));
  assert.deepEqual(refused.failures, { refused: 16 });
});

test("a call answered before its message is sent gives the stream back", async (context) => {
  const target = await serveHttp2(context, (stream) => {
    stream.pause();
    answer(stream, Buffer.from("early"));
  });
  const body = { kind: "grpc-infer", model: "m", input: "x", shape: [300_000], seed: 1 } as const;
  const load = spec(target, { connections: 1, streamsPerConnection: 1, requests: [{ path: PATH, body }] });
  const result = await run({ ...load, bound: { requests: 5 } });
  assert.deepEqual([result.ok, result.failures], [5, {}]);
});
