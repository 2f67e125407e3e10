/**
 * Measures echo calls over a Unix socket, one client and one server process: this package, grpc-js with
 * its defaults, and bare length-prefixed frames as the ceiling. Rounds are interleaved. It stops by
 * itself after about half a minute for each second of `--seconds` (default 1) and round of `--rounds` (default 3).
 *
 * Run: node --conditions=source packages/grpc/test/bench.ts [--seconds 1] [--rounds 3]
 */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import * as grpc from "@grpc/grpc-js";
import { createChannel, createGrpcServer } from "../src/index.ts";

const path = "/bench.Echo/Call";
const same = (bytes: Buffer): Buffer => bytes;
const unlimited = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };

/** A client that makes echo calls. */
interface Caller {
  call(message: Buffer, done: (error?: unknown) => void): void;
  close(): void;
}

/** One of the things compared. */
interface Contender {
  serve(socketPath: string): Promise<unknown>;
  open(socketPath: string): Caller;
}

const own: Contender = {
  serve: (socketPath) =>
    createGrpcServer({
      methods: new Map([[path, { kind: "unary", handle: (call) => call.respond([call.message]) }]]),
    }).listen({ path: socketPath }),
  open: (socketPath) => {
    const channel = createChannel({ address: `unix:${socketPath}` });
    return {
      call: (message, done) =>
        void channel.unary(
          { path, message: [message] },
          { done: () => done(), failed: (failure) => done(failure) },
        ),
      close: () => channel.close(),
    };
  },
};

const grpcJs: Contender = {
  serve: (socketPath) => {
    const server = new grpc.Server(unlimited);
    const codec = {
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    };
    const handle: grpc.handleUnaryCall<Buffer, Buffer> = (call, done) => done(null, call.request);
    server.addService(
      { call: { path, requestStream: false, responseStream: false, ...codec } },
      { call: handle },
    );
    return new Promise((resolve) => {
      server.bindAsync(`unix:${socketPath}`, grpc.ServerCredentials.createInsecure(), resolve);
    });
  },
  open: (socketPath) => {
    const client = new grpc.Client(`unix:${socketPath}`, grpc.credentials.createInsecure(), unlimited);
    return {
      call: (message, done) =>
        void client.makeUnaryRequest(path, same, same, message, (error) => done(error ?? undefined)),
      close: () => client.close(),
    };
  },
};

/** Calls back with each frame of four length bytes and a body, in a buffer of its own. */
function readFrames(onFrame: (bytes: Buffer) => void): (chunk: Buffer) => void {
  let body: Buffer | undefined;
  let rest = Buffer.alloc(0);
  let filled = 0;
  return (chunk) => {
    let bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    while (body || bytes.length >= 4) {
      if (!body) {
        body = Buffer.allocUnsafeSlow(bytes.readUInt32LE());
        filled = 0;
        bytes = bytes.subarray(4);
      }
      const count = bytes.copy(body, filled);
      filled += count;
      bytes = bytes.subarray(count);
      if (filled < body.length) break;
      onFrame(body);
      body = undefined;
    }
    rest = body ? Buffer.alloc(0) : Buffer.from(bytes);
  };
}

function frameOf(body: Buffer): [Buffer, Buffer] {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(body.length);
  return [length, body];
}

const frames: Contender = {
  serve: (socketPath) =>
    new Promise<void>((resolve) => {
      const server = createServer((socket) => {
        const reply = readFrames((body) => frameOf(body).forEach((piece) => socket.write(piece)));
        socket.on("error", () => {});
        socket.on("data", (chunk: Buffer) => {
          socket.cork();
          reply(chunk);
          socket.uncork();
        });
      });
      server.listen(socketPath, resolve);
    }),
  open: (socketPath) => {
    const socket = connect(socketPath);
    const waiting: (() => void)[] = [];
    const read = readFrames(() => waiting.shift()?.());
    socket.on("data", (chunk: Buffer) => {
      socket.cork();
      read(chunk);
      socket.uncork();
    });
    return {
      call: (message, done) => {
        waiting.push(done);
        for (const piece of frameOf(message)) socket.write(piece);
      },
      close: () => void socket.destroy(),
    };
  },
};

const contenders: Readonly<Record<string, Contender>> = {
  "this package": own,
  "grpc-js": grpcJs,
  "bare frames": frames,
};

const rows = [
  { label: "256 B, 1 at a time", bytes: 256, concurrency: 1 },
  { label: "256 B, 64 at a time", bytes: 256, concurrency: 64 },
  { label: "602 KB, 8 at a time", bytes: 602_112, concurrency: 8 },
  { label: "19 MB, 2 at a time", bytes: 19_267_584, concurrency: 2 },
] as const;

/** One measurement. */
interface Sample {
  readonly callsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly clientMicros: number;
  readonly serverMicros: number;
}

/** Makes calls one after another in each slot; gives their latencies in milliseconds, sorted. */
function load(caller: Caller, row: (typeof rows)[number], durationMs: number): Promise<number[]> {
  const message = Buffer.alloc(row.bytes, 7);
  const latencies: number[] = [];
  const end = performance.now() + durationMs;
  let running: number = row.concurrency;
  return new Promise((resolve, reject) => {
    const next = (): void => {
      const start = performance.now();
      if (start >= end) {
        if (--running === 0) resolve(latencies.sort((a, b) => a - b));
        return;
      }
      caller.call(message, (error) => {
        if (error !== undefined) reject(new Error("a call failed", { cause: error }));
        latencies.push(performance.now() - start);
        next();
      });
    };
    for (let slot = 0; slot < row.concurrency; slot++) next();
  });
}

function cpuOf(server: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    server.once("message", (micros) => resolve(Number(micros)));
    server.send("cpu");
  });
}

function ownCpu(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

async function measure(
  caller: Caller,
  server: ChildProcess,
  row: (typeof rows)[number],
  seconds: number,
): Promise<Sample> {
  await load(caller, row, 300);
  const before = [ownCpu(), await cpuOf(server)] as const;
  const start = performance.now();
  const latencies = await load(caller, row, seconds * 1_000);
  const elapsed = (performance.now() - start) / 1_000;
  const count = latencies.length;
  return {
    callsPerSecond: count / elapsed,
    p50Ms: latencies[Math.floor(count * 0.5)] ?? 0,
    p99Ms: latencies[Math.floor(count * 0.99)] ?? 0,
    clientMicros: (ownCpu() - before[0]) / count,
    serverMicros: ((await cpuOf(server)) - before[1]) / count,
  };
}

async function startServer(name: string, socketPath: string): Promise<ChildProcess> {
  const server = fork(import.meta.filename, ["--serve", name, "--socket", socketPath]);
  await new Promise((resolve) => server.once("message", resolve));
  return server;
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

/** Lowest, median and highest of one figure over the rounds. */
function spread(samples: readonly Sample[], pick: (sample: Sample) => number): string {
  const values = samples.map(pick);
  const [low, middle, high] = [Math.min(...values), median(values), Math.max(...values)].map((value) =>
    value >= 100 ? String(Math.round(value)) : value.toPrecision(2),
  );
  return `${low}/${middle}/${high}`;
}

function print(row: string, name: string, samples: readonly Sample[]): void {
  const cells = [
    row.padEnd(20),
    name.padEnd(13),
    `${spread(samples, (each) => each.callsPerSecond)} calls/s`.padEnd(30),
    `p50 ${median(samples.map((each) => each.p50Ms)).toFixed(3)} ms`.padEnd(15),
    `p99 ${median(samples.map((each) => each.p99Ms)).toFixed(3)} ms`.padEnd(16),
    `CPU µs a call ${Math.round(median(samples.map((each) => each.clientMicros)))}`,
    `+ ${Math.round(median(samples.map((each) => each.serverMicros)))}`,
  ];
  process.stdout.write(`${cells.join("  ")}\n`);
}

async function compare(seconds: number, rounds: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "grpc-bench-"));
  const started = await Promise.all(
    Object.entries(contenders).map(async ([name, contender], index) => {
      const socketPath = join(folder, String(index));
      return { name, server: await startServer(name, socketPath), caller: contender.open(socketPath) };
    }),
  );
  process.stdout.write(
    `calls/s as lowest/median/highest of ${rounds} rounds; load average ${loadavg()[0]?.toFixed(1)}\n`,
  );
  for (const row of rows) {
    const samples = new Map<string, Sample[]>(started.map(({ name }) => [name, []]));
    for (let round = 0; round < rounds; round++)
      for (const { name, server, caller } of started)
        samples.get(name)?.push(await measure(caller, server, row, seconds));
    for (const [name, taken] of samples) print(row.label, name, taken);
  }
  for (const { server, caller } of started) {
    caller.close();
    server.disconnect();
  }
  rmSync(folder, { recursive: true });
}

async function serve(name: string, socketPath: string): Promise<void> {
  await contenders[name]?.serve(socketPath);
  process.send?.("listening");
  process.on("disconnect", () => process.exit());
  process.on("message", () => process.send?.(ownCpu()));
}

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "1" },
    rounds: { type: "string", default: "3" },
    serve: { type: "string" },
    socket: { type: "string", default: "" },
  },
});
if (values.serve === undefined) await compare(Number(values.seconds), Number(values.rounds));
else await serve(values.serve, values.socket);
