/** Our server and channel against an independent implementation, @grpc/grpc-js, over TCP and TLS. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import * as grpc from "@grpc/grpc-js";
import { createChannel, createGrpcServer, grpcStatus } from "../src/index.ts";
import type {
  ChannelOptions,
  GrpcChannel,
  GrpcServerOptions,
  MethodHandler,
  StreamServerCall,
} from "../src/index.ts";
import { requireProgram } from "../../../test/harness/requires.ts";
import { call, failureOf } from "./harness.ts";

const same = (bytes: Buffer): Buffer => bytes;
const unlimited = {
  "grpc.ssl_target_name_override": "localhost",
  "grpc.max_receive_message_length": -1,
  "grpc.max_send_message_length": -1,
};

function method(path: string, streaming: boolean): grpc.MethodDefinition<Buffer, Buffer> {
  return {
    path,
    requestStream: streaming,
    responseStream: streaming,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

/** The reference client with the few calls the tests make. */
class ReferenceClient extends grpc.Client {
  unary(
    path: string,
    message: Buffer,
    options: grpc.CallOptions & { readonly metadata?: grpc.Metadata } = {},
  ): Promise<{ message: Buffer; trailers: grpc.Metadata }> {
    return new Promise((resolve, reject) => {
      let answer: Buffer | undefined;
      const running = this.makeUnaryRequest(
        path,
        same,
        same,
        message,
        options.metadata ?? new grpc.Metadata(),
        options,
        (error, value) => {
          if (error) reject(error);
          else answer = value;
        },
      );
      running.on("status", (status) => {
        if (answer) resolve({ message: answer, trailers: status.metadata });
      });
    });
  }
}

interface Key {
  readonly cert: string;
  readonly key: string;
}

/** A certificate for localhost that is its own authority; undefined, and the test is skipped, where openssl is missing. */
function selfSigned(t: TestContext): Key | undefined {
  const openssl = requireProgram(t, "openssl", "apt install openssl");
  if (openssl === undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "grpc-tls-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const [key, cert] = [join(folder, "key"), join(folder, "cert")];
  const request =
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost";
  const names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  execFileSync(openssl, [...request.split(" "), ...names, "-keyout", key, "-out", cert], {
    stdio: "ignore",
  });
  return { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
}

async function ourServer(
  t: TestContext,
  methods: readonly [string, MethodHandler][],
  options: Partial<GrpcServerOptions> = {},
): Promise<ReferenceClient> {
  const server = createGrpcServer({ methods: new Map(methods), ...options });
  const port = await server.listen({ host: "127.0.0.1", port: 0 });
  const credentials = options.tls
    ? grpc.credentials.createSsl(Buffer.from(options.tls.cert))
    : grpc.credentials.createInsecure();
  const client = new ReferenceClient(`127.0.0.1:${port}`, credentials, unlimited);
  t.after(async () => {
    client.close();
    await server.close({ graceMs: 0 });
  });
  return client;
}

const echo: [string, MethodHandler] = [
  "/t.T/Echo",
  {
    kind: "unary",
    handle: (each) =>
      each.respond(
        [each.message],
        each.metadata.filter(([name]) => name.startsWith("x-")),
      ),
  },
];

const failing: [string, MethodHandler] = [
  "/t.T/Fail",
  {
    kind: "unary",
    handle: (each) => each.fail(grpcStatus.failedPrecondition, "grün, 50 %", [["x-why-bin", "AAEC"]]),
  },
];

test("server: unary calls, metadata, an error with details", async (t) => {
  const client = await ourServer(t, [echo, failing]);
  const metadata = new grpc.Metadata();
  metadata.set("x-text", "value");
  metadata.set("x-data-bin", Buffer.from([0, 255]));
  const answer = await client.unary("/t.T/Echo", Buffer.from("hello"), { metadata });
  assert.equal(answer.message.toString(), "hello");
  assert.deepEqual(answer.trailers.get("x-text"), ["value"]);
  assert.deepEqual(answer.trailers.get("x-data-bin"), [Buffer.from([0, 255])]);
  await assert.rejects(client.unary("/t.T/Fail", Buffer.alloc(0)), (error: grpc.ServiceError) => {
    assert.deepEqual([error.code, error.details], [grpc.status.FAILED_PRECONDITION, "grün, 50 %"]);
    assert.deepEqual(error.metadata.get("x-why-bin"), [Buffer.from([0, 1, 2])]);
    return true;
  });
  await assert.rejects(client.unary("/t.T/Nope", Buffer.alloc(0)), { code: grpc.status.UNIMPLEMENTED });
});

test("server: 20 MB each way, gzip, many at a time", async (t) => {
  const client = await ourServer(t, [echo]);
  const large = Buffer.alloc(20_000_000, "large");
  assert.ok((await client.unary("/t.T/Echo", large)).message.equals(large));
  const zipped = new ReferenceClient(client.getChannel().getTarget(), grpc.credentials.createInsecure(), {
    ...unlimited,
    "grpc.default_compression_algorithm": 2,
  });
  t.after(() => zipped.close());
  assert.ok((await zipped.unary("/t.T/Echo", large)).message.equals(large));
  const sizes = Array.from({ length: 500 }, (_, index) => index * 7);
  const answers = await Promise.all(sizes.map((size) => client.unary("/t.T/Echo", Buffer.alloc(size))));
  assert.deepEqual(
    answers.map((answer) => answer.message.length),
    sizes,
  );
});

test("server: a compressed message that claims or hides its size is refused", async (t) => {
  const client = await ourServer(t, [echo], { maxMessageBytes: 100_000 });
  const zipped = new ReferenceClient(client.getChannel().getTarget(), grpc.credentials.createInsecure(), {
    "grpc.default_compression_algorithm": 2,
  });
  t.after(() => zipped.close());
  await assert.rejects(zipped.unary("/t.T/Echo", Buffer.alloc(5_000_000)), {
    code: grpc.status.RESOURCE_EXHAUSTED,
  });
  assert.equal((await zipped.unary("/t.T/Echo", Buffer.alloc(99_000))).message.length, 99_000);
});

test("server: cancel and deadline reach the handler", async (t) => {
  const cancelled = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const started = Promise.withResolvers<void>();
  let calls = 0;
  const hang: MethodHandler = {
    kind: "unary",
    handle: (each) => {
      const mine = cancelled[calls++];
      each.onCancel(() => mine?.resolve());
      started.resolve();
    },
  };
  const client = await ourServer(t, [["/t.T/Hang", hang]]);
  const running = client.makeUnaryRequest("/t.T/Hang", same, same, Buffer.alloc(0), () => {});
  await started.promise;
  running.cancel();
  await cancelled[0]?.promise;
  await assert.rejects(client.unary("/t.T/Hang", Buffer.alloc(0), { deadline: Date.now() + 50 }), {
    code: grpc.status.DEADLINE_EXCEEDED,
  });
  await cancelled[1]?.promise;
});

test("server: a stream both ways, with back-pressure and pause", async (t) => {
  const count = 200;
  const handle = (each: StreamServerCall): void => {
    const waiting: Uint8Array[] = [];
    each.onMessage((message) => {
      waiting.push(message);
      each.pause();
      setImmediate(() => {
        const next = waiting.shift();
        if (next) each.send([next]);
        each.resume();
      });
    });
    each.onEnd(() => setImmediate(() => each.end([["x-end", "yes"]])));
  };
  const client = await ourServer(t, [["/t.T/Stream", { kind: "stream", handle }]]);
  const stream = client.makeBidiStreamRequest("/t.T/Stream", same, same, new grpc.Metadata());
  const sizes: number[] = [];
  const ended = new Promise<grpc.StatusObject>((resolve) => stream.on("status", resolve));
  stream.on("data", (message: Buffer) => sizes.push(message.length));
  for (let index = 0; index < count; index++) stream.write(Buffer.alloc(index * 500));
  stream.end();
  const status = await ended;
  assert.deepEqual([status.code, status.metadata.get("x-end")], [grpc.status.OK, ["yes"]]);
  assert.deepEqual(
    sizes,
    Array.from({ length: count }, (_, index) => index * 500),
  );
});

test("server: a slow reader stops the sender until it reads", async (t) => {
  const full = Promise.withResolvers<number>();
  const total = 300;
  let sent = 0;
  const handle = (each: StreamServerCall): void => {
    const pump = (): void => {
      while (sent < total) {
        sent++;
        if (!each.send([Buffer.alloc(100_000)])) {
          full.resolve(sent);
          return;
        }
      }
      each.end();
    };
    each.onDrain(pump);
    pump();
  };
  const client = await ourServer(t, [["/t.T/Much", { kind: "stream", handle }]]);
  const stream = client.makeBidiStreamRequest("/t.T/Much", same, same, new grpc.Metadata());
  const atFirst = await full.promise;
  assert.ok(atFirst < total, `${atFirst} sent before the client read`);
  let received = 0;
  for await (const _message of stream) received++;
  assert.equal(received, total);
});

test("server: TLS", async (t) => {
  const tls = selfSigned(t);
  if (tls === undefined) return;
  const client = await ourServer(t, [echo], { tls });
  assert.equal((await client.unary("/t.T/Echo", Buffer.alloc(3_000_000))).message.length, 3_000_000);
});

async function referenceServer(
  t: TestContext,
  options: Partial<ChannelOptions> & { readonly key?: Key } = {},
): Promise<GrpcChannel> {
  const { key, ...channelOptions } = options;
  const server = new grpc.Server(unlimited);
  const services = {
    Echo: method("/t.T/Echo", false),
    Fail: method("/t.T/Fail", false),
    Never: method("/t.T/Never", false),
    Twice: method("/t.T/Twice", true),
  };
  server.addService(services, {
    Echo: (each: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => {
      const head = new grpc.Metadata();
      head.set("x-head", "1");
      each.sendMetadata(head);
      done(null, each.request, each.metadata);
    },
    Fail: (_call: unknown, done: grpc.sendUnaryData<Buffer>) => {
      const metadata = new grpc.Metadata();
      metadata.set("x-why", "because");
      done({ code: grpc.status.ABORTED, details: "wäre schön", metadata });
    },
    Never: () => {},
    Twice: (each: grpc.ServerDuplexStream<Buffer, Buffer>) => {
      each.write(Buffer.from("1"));
      each.write(Buffer.from("2"));
      each.end();
    },
  });
  const credentials = key
    ? grpc.ServerCredentials.createSsl(null, [
        { private_key: Buffer.from(key.key), cert_chain: Buffer.from(key.cert) },
      ])
    : grpc.ServerCredentials.createInsecure();
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  const channel = createChannel({ address: `127.0.0.1:${port}`, ...channelOptions });
  t.after(() => {
    channel.close();
    server.forceShutdown();
  });
  return channel;
}

test("channel: unary calls, metadata, an error with details", async (t) => {
  const channel = await referenceServer(t);
  const answer = await call(channel, { metadata: [["x-mine", "2"]] });
  assert.ok(answer.ok && answer.message.toString() === "hello");
  assert.deepEqual(
    answer.metadata.filter(([name]) => name.startsWith("x-")),
    [
      ["x-head", "1"],
      ["x-mine", "2"],
    ],
  );
  const failure = await failureOf(call(channel, { path: "/t.T/Fail" }));
  assert.deepEqual(
    [failure.code, failure.message, failure.unsent],
    [grpcStatus.aborted, "wäre schön", false],
  );
  assert.deepEqual(
    failure.metadata.find(([name]) => name === "x-why"),
    ["x-why", "because"],
  );
  assert.equal((await failureOf(call(channel, { path: "/t.T/Nope" }))).code, grpcStatus.unimplemented);
});

test("channel: 20 MB each way, many at a time, deadline, cancel", async (t) => {
  const channel = await referenceServer(t);
  const large = Buffer.alloc(20_000_000, "large");
  const answer = await call(channel, { message: [large] });
  assert.ok(answer.ok && answer.message.equals(large));
  const answers = await Promise.all(
    Array.from({ length: 500 }, (_, size) => call(channel, { message: [Buffer.alloc(size)] })),
  );
  assert.ok(answers.every((each, size) => each.ok && each.message.length === size));
  assert.equal(
    (await failureOf(call(channel, { path: "/t.T/Never", timeoutMs: 30 }))).code,
    grpcStatus.deadlineExceeded,
  );
  const unwanted = (): void => assert.fail("a cancelled call calls back");
  channel.unary({ path: "/t.T/Never", message: [] }, { done: unwanted, failed: unwanted }).cancel();
  assert.ok((await call(channel)).ok);
});

test("channel: more than one message in a unary answer is an error", async (t) => {
  const channel = await referenceServer(t);
  assert.equal((await failureOf(call(channel, { path: "/t.T/Twice" }))).code, grpcStatus.unimplemented);
});

test("channel: TLS is checked", async (t) => {
  const key = selfSigned(t);
  if (key === undefined) return;
  const good = await referenceServer(t, { key, tls: { ca: key.cert, serverName: "localhost" } });
  assert.ok((await call(good, { message: [Buffer.alloc(3_000_000)] })).ok);
  const byAddress = await referenceServer(t, { key, tls: { ca: key.cert } });
  assert.ok((await call(byAddress)).ok);
  const stranger = await referenceServer(t, { key, tls: {} });
  const refused = await failureOf(call(stranger));
  assert.deepEqual([refused.code, refused.unsent], [grpcStatus.unavailable, true]);
  const misnamed = await referenceServer(t, { key, tls: { ca: key.cert, serverName: "example.com" } });
  assert.equal((await failureOf(call(misnamed))).code, grpcStatus.unavailable);
});
