/** The channel against our own server: what callers may rely on. */
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { createChannel, createGrpcServer, grpcStatus } from "../src/index.ts";
import type { ChannelState, UnaryServerCall } from "../src/index.ts";
import { call, echoMethods, failureOf, openChannel, socketPath, startServer } from "./harness.ts";

test("messages of many sizes come back whole, in pieces or not, many at a time", async (t) => {
  const channel = openChannel(t, await startServer(t));
  const sizes = [0, 1, 4_095, 4_096, 16_379, 16_380, 65_536, 1_048_571, 1_048_576, 5_000_000];
  const outcomes = sizes.map(async (size) => {
    const bytes = Buffer.alloc(size, size % 251);
    const third = Math.floor(size / 3);
    const pieces = [bytes.subarray(0, third), Buffer.alloc(0), bytes.subarray(third)];
    const outcome = await call(channel, { message: pieces });
    assert.ok(outcome.ok && outcome.message.equals(bytes), `${size} bytes`);
  });
  await Promise.all(outcomes);
});

test("more calls than the server allows streams wait for their turn", async (t) => {
  const channel = openChannel(t, await startServer(t, { maxConcurrentStreams: 3 }));
  const outcomes = await Promise.all(Array.from({ length: 300 }, () => call(channel)));
  assert.ok(outcomes.every((outcome) => outcome.ok));
});

test("a small call overtakes a large one on the same connection", async (t) => {
  const channel = openChannel(t, await startServer(t));
  await call(channel);
  const order: string[] = [];
  const large = call(channel, { message: [Buffer.alloc(30_000_000)] }).then(() => order.push("large"));
  const small = call(channel).then(() => order.push("small"));
  await Promise.all([large, small]);
  assert.deepEqual(order, ["small", "large"]);
});

test("metadata and status text survive in both directions", async (t) => {
  const extra: [string, { kind: "unary"; handle(each: UnaryServerCall): void }] = [
    "/t.T/Fail",
    {
      kind: "unary",
      handle: (each) => each.fail(grpcStatus.notFound, "nö: 100 %\n", [["x-detail", "a\r\nb"]]),
    },
  ];
  const channel = openChannel(t, await startServer(t, { extra: [extra] }));
  const good = await call(channel, {
    metadata: [
      ["x-key", "value"],
      ["x-bin", "AAEC"],
    ],
  });
  assert.deepEqual(good.ok && good.metadata, [
    ["x-key", "value"],
    ["x-bin", "AAEC"],
  ]);
  const failure = await failureOf(call(channel, { path: "/t.T/Fail" }));
  assert.deepEqual(failure, {
    code: 5,
    message: "nö: 100 %\n",
    metadata: [["x-detail", "a  b"]],
    unsent: false,
  });
});

test("headers larger than a frame are continued", async (t) => {
  const channel = openChannel(t, await startServer(t));
  const good = await call(channel, { metadata: [["x-a", "a".repeat(14_000)]] });
  assert.ok(good.ok);
  const failure = await failureOf(call(channel, { metadata: [["x-a", "a".repeat(17_000)]] }));
  assert.equal(failure.code, grpcStatus.resourceExhausted);
});

test("an unknown method is unimplemented, and a throwing handler is internal without its text", async (t) => {
  const thrown: unknown[] = [];
  const path = await startServer(t, {
    onHandlerError: (error) => thrown.push(error),
    extra: [
      [
        "/t.T/Throw",
        {
          kind: "unary",
          handle: () => {
            throw new Error("secret");
          },
        },
      ],
    ],
  });
  const channel = openChannel(t, path);
  assert.equal((await failureOf(call(channel, { path: "/t.T/Nope" }))).code, grpcStatus.unimplemented);
  const failure = await failureOf(call(channel, { path: "/t.T/Throw" }));
  assert.equal(failure.code, grpcStatus.internal);
  assert.ok(!failure.message.includes("secret"));
  assert.equal(thrown.length, 1);
});

test("admit refuses before the body, by the head alone", async (t) => {
  const path = await startServer(t, {
    admit: (head) =>
      head.metadata.some(([name]) => name === "authorization")
        ? undefined
        : { code: grpcStatus.unauthenticated, message: "no key" },
  });
  const channel = openChannel(t, path);
  const failure = await failureOf(call(channel, { message: [Buffer.alloc(20_000_000)] }));
  assert.deepEqual([failure.code, failure.message], [grpcStatus.unauthenticated, "no key"]);
  assert.ok((await call(channel, { metadata: [["authorization", "x"]] })).ok);
});

test("cancelling tells the server at once and the handler nothing", async (t) => {
  const started = Promise.withResolvers<void>();
  const cancelled = Promise.withResolvers<void>();
  const handle = (each: UnaryServerCall): void => {
    each.onCancel(() => cancelled.resolve());
    started.resolve();
  };
  const channel = openChannel(t, await startServer(t, { extra: [["/t.T/Wait", { kind: "unary", handle }]] }));
  let ended = false;
  const running = channel.unary(
    { path: "/t.T/Wait", message: [] },
    {
      done: () => {
        ended = true;
      },
      failed: () => {
        ended = true;
      },
    },
  );
  await started.promise;
  running.cancel();
  running.cancel();
  await cancelled.promise;
  assert.ok((await call(channel)).ok);
  assert.equal(ended, false);
});

test("a client that dies cancels its calls", async (t) => {
  const started = Promise.withResolvers<void>();
  const cancelled = Promise.withResolvers<void>();
  const handle = (each: UnaryServerCall): void => {
    each.onCancel(() => cancelled.resolve());
    started.resolve();
  };
  const path = await startServer(t, { extra: [["/t.T/Wait", { kind: "unary", handle }]] });
  const client = fork(new URL("hanging-client.ts", import.meta.url), [path], { execArgv: process.execArgv });
  await started.promise;
  client.kill("SIGKILL");
  await cancelled.promise;
});

test("the deadline ends the call on both sides", async (t) => {
  const cancelled = Promise.withResolvers<void>();
  const handle = (each: UnaryServerCall): void => each.onCancel(() => cancelled.resolve());
  const channel = openChannel(t, await startServer(t, { extra: [["/t.T/Wait", { kind: "unary", handle }]] }));
  const failure = await failureOf(call(channel, { path: "/t.T/Wait", timeoutMs: 30 }));
  assert.deepEqual([failure.code, failure.unsent], [grpcStatus.deadlineExceeded, false]);
  await cancelled.promise;
});

test("no server: calls fail unsent, and the next one tries again", async (t) => {
  const path = socketPath(t);
  const channel = openChannel(t, path);
  const states: ChannelState[] = [];
  channel.onState((state) => states.push(state));
  const failure = await failureOf(call(channel));
  assert.deepEqual([failure.code, failure.unsent, channel.state], [grpcStatus.unavailable, true, "failed"]);
  const server = createGrpcServer({ methods: new Map(echoMethods) });
  await server.listen({ path });
  assert.ok((await call(channel)).ok);
  await server.close();
  assert.deepEqual(states.slice(0, 4), ["connecting", "failed", "connecting", "ready"]);
});

test("a server that accepts and says nothing fails the connect in time", async (t) => {
  const path = socketPath(t);
  const silent = createServer().listen(path);
  await once(silent, "listening");
  t.after(() => silent.close());
  const channel = openChannel(t, path, { connectTimeoutMs: 50, maxWaitingCalls: 2 });
  const outcomes = [1, 2, 3].map(() => failureOf(call(channel)));
  const failures = await Promise.all(outcomes);
  assert.ok(failures.every((failure) => failure.code === grpcStatus.unavailable && failure.unsent));
  assert.match(failures[2]?.message ?? "", /too many calls wait/);
});

test("a server that is killed fails what runs once, not unsent, and what comes next once it is back", async (t) => {
  const path = socketPath(t);
  const start = async (): Promise<ReturnType<typeof fork>> => {
    const child = fork(new URL("echo-server.ts", import.meta.url), [path], { execArgv: process.execArgv });
    t.after(() => child.kill("SIGKILL"));
    await once(child, "message");
    return child;
  };
  const first = await start();
  const channel = openChannel(t, path);
  assert.ok((await call(channel)).ok);
  const running = [1, 2, 3].map(() => failureOf(call(channel, { path: "/t.T/Never" })));
  await call(channel);
  first.kill("SIGKILL");
  for (const failure of await Promise.all(running))
    assert.deepEqual([failure.code, failure.unsent], [grpcStatus.unavailable, false]);
  await start();
  assert.ok((await call(channel)).ok);
});

test("graceful close lets running calls end and refuses new ones unsent", async (t) => {
  const path = socketPath(t);
  const running = Promise.withResolvers<UnaryServerCall>();
  const wait = { kind: "unary", handle: (each: UnaryServerCall) => running.resolve(each) } as const;
  const server = createGrpcServer({ methods: new Map([...echoMethods, ["/t.T/Wait", wait]]) });
  await server.listen({ path });
  const channel = openChannel(t, path);
  const answer = call(channel, { path: "/t.T/Wait" });
  const held = await running.promise;
  const closed = server.close();
  await call(channel).then((outcome) => {
    // Either it raced the GOAWAY on the old connection or it found no server on a new one.
    if (!outcome.ok) assert.equal(outcome.failure.unsent, true);
  });
  held.respond([Buffer.from("late")]);
  const outcome = await answer;
  assert.equal(outcome.ok && outcome.message.toString(), "late");
  await closed;
  await server.close();
});

test("closing the channel fails what runs, and later calls", async (t) => {
  const channel = openChannel(t, await startServer(t));
  await call(channel);
  const running = failureOf(call(channel, { path: "/t.T/Never" }));
  channel.close();
  channel.close();
  assert.deepEqual([(await running).code, (await running).unsent], [grpcStatus.unavailable, false]);
  const after = await failureOf(call(channel));
  assert.deepEqual([after.code, after.unsent, channel.state], [grpcStatus.unavailable, true, "closed"]);
  const connect = await new Promise((resolve) => channel.connect(resolve));
  assert.ok(connect);
});

test("connect calls back when ready, and at once when it is", async (t) => {
  const channel = openChannel(t, await startServer(t));
  assert.equal(await new Promise((resolve) => channel.connect(resolve)), undefined);
  assert.equal(channel.state, "ready");
  assert.equal(await new Promise((resolve) => channel.connect(resolve)), undefined);
});

test("answers beyond the bounds are refused", async (t) => {
  const channel = openChannel(t, await startServer(t), { maxMessageBytes: 1_000 });
  const failure = await failureOf(call(channel, { message: [Buffer.alloc(2_000)] }));
  assert.equal(failure.code, grpcStatus.resourceExhausted);
  assert.ok((await call(channel, { message: [Buffer.alloc(1_000)] })).ok);
});

test("keep-alive finds a peer that has stopped", async (t) => {
  const path = socketPath(t);
  const child = fork(new URL("echo-server.ts", import.meta.url), [path], { execArgv: process.execArgv });
  t.after(() => child.kill("SIGKILL"));
  await once(child, "message");
  const channel = openChannel(t, path, { keepAliveMs: 60 });
  await call(channel);
  // A call that runs for long is no reason to give up.
  const patient = call(channel, { path: "/t.T/After", message: [Buffer.from("400")] });
  assert.ok((await patient).ok);
  child.kill("SIGSTOP");
  const failure = await failureOf(call(channel, { path: "/t.T/Never" }));
  assert.deepEqual([failure.code, failure.unsent], [grpcStatus.unavailable, false]);
});

test("whoever hears of a lost connection finds the channel ready to try again", async (t) => {
  const path = socketPath(t);
  const child = fork(new URL("echo-server.ts", import.meta.url), [path], { execArgv: process.execArgv });
  t.after(() => child.kill("SIGKILL"));
  await once(child, "message");
  const channel = openChannel(t, path);
  await call(channel);
  const state = new Promise<ChannelState>((resolve) => {
    const failed = (): void => resolve(channel.state);
    channel.unary({ path: "/t.T/Never", message: [] }, { done: () => {}, failed });
  });
  child.kill("SIGKILL");
  assert.equal(await state, "failed");
});

test("a handler that throws is heard of and the connection goes on", async (t) => {
  const path = await startServer(t);
  const client = fork(new URL("throwing-client.ts", import.meta.url), [path], { execArgv: process.execArgv });
  const heard = Promise.withResolvers<unknown>();
  client.once("message", heard.resolve);
  client.once("exit", heard.resolve);
  assert.equal(await heard.promise, "from a handler");
});

test("metadata that HTTP/2 forbids is made harmless", async (t) => {
  const channel = openChannel(t, await startServer(t));
  const good = await call(channel, { metadata: [["X-Key", "a\r\nb"]] });
  assert.deepEqual(good.ok && good.metadata, [["x-key", "a  b"]]);
});

test("a malformed address is refused", () => {
  for (const address of ["", "unix:", "localhost", "localhost:0", "localhost:99999", "a:b:1"])
    assert.throws(() => createChannel({ address }), TypeError, address);
});
