/**
 * Measures the channel against the server over a Unix socket, one process each, and beside them a bare
 * length-prefixed echo as the ceiling. Stops by itself after about `--seconds` a row (default 2).
 *
 * Run: node --conditions=source packages/grpc/bench.ts [--seconds 2]
 */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createChannel, createGrpcServer } from "./src/index.ts";
import type { GrpcChannel } from "./src/index.ts";

const path = "/bench.Echo/Call";

interface Row {
  readonly label: string;
  readonly bytes: number;
  readonly concurrency: number;
  readonly timeoutMs?: number;
}

const rows: readonly Row[] = [
  { label: "256 B, 1 at a time", bytes: 256, concurrency: 1 },
  { label: "256 B, 64 at a time", bytes: 256, concurrency: 64 },
  { label: "256 B, 64 at a time, with timeout", bytes: 256, concurrency: 64, timeoutMs: 5_000 },
  { label: "602 KB, 8 at a time", bytes: 602_112, concurrency: 8 },
  { label: "602 KB, 1 at a time", bytes: 602_112, concurrency: 1 },
  { label: "19 MB, 2 at a time", bytes: 19_267_584, concurrency: 2 },
];

async function serve(socketPath: string): Promise<void> {
  const server = createGrpcServer({
    methods: new Map([[path, { kind: "unary", handle: (call) => call.respond([call.message]) }]]),
  });
  await server.listen({ path: socketPath });
  process.send?.("listening");
  process.on("disconnect", () => process.exit());
  process.on("message", () => process.send?.(process.cpuUsage()));
}

/** Latencies in milliseconds of calls made one after another in each of the slots. */
function load(channel: GrpcChannel, row: Row, durationMs: number): Promise<number[]> {
  const message = [Buffer.alloc(row.bytes, 7)];
  const latencies: number[] = [];
  const end = performance.now() + durationMs;
  let running = row.concurrency;
  return new Promise((resolve, reject) => {
    const next = (): void => {
      const start = performance.now();
      if (start >= end) {
        if (--running === 0) resolve(latencies);
        return;
      }
      const request =
        row.timeoutMs === undefined ? { path, message } : { path, message, timeoutMs: row.timeoutMs };
      channel.unary(request, {
        done: () => {
          latencies.push(performance.now() - start);
          next();
        },
        failed: (failure) => reject(new Error(failure.message)),
      });
    };
    for (let slot = 0; slot < row.concurrency; slot++) next();
  });
}

function cpuOf(server: ChildProcess): Promise<NodeJS.CpuUsage> {
  return new Promise((resolve) => {
    server.once("message", (usage) => resolve(usage as NodeJS.CpuUsage));
    server.send("cpu");
  });
}

const total = (usage: NodeJS.CpuUsage): number => usage.user + usage.system;

async function measure(channel: GrpcChannel, server: ChildProcess, row: Row, seconds: number): Promise<void> {
  await load(channel, row, 500);
  const [clientBefore, serverBefore] = [process.cpuUsage(), await cpuOf(server)];
  const start = performance.now();
  const latencies = (await load(channel, row, seconds * 1000)).sort((a, b) => a - b);
  const elapsed = (performance.now() - start) / 1000;
  const serverAfter = await cpuOf(server);
  const at = (share: number): string => (latencies[Math.floor(latencies.length * share)] ?? 0).toFixed(3);
  const perCall = (micros: number): string => (micros / latencies.length).toFixed(1);
  const cells = [
    row.label.padEnd(34),
    `${Math.round(latencies.length / elapsed)} calls/s`.padStart(15),
    `p50 ${at(0.5)} ms`.padStart(14),
    `p99 ${at(0.99)} ms`.padStart(15),
    `CPU µs/call: client ${perCall(total(process.cpuUsage(clientBefore)))}, server ${perCall(total(serverAfter) - total(serverBefore))}`,
  ];
  process.stdout.write(`${cells.join("  ")}\n`);
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "grpc-bench-"));
  const socketPath = join(folder, "s");
  const server = fork(import.meta.filename, ["--serve", socketPath]);
  await new Promise((resolve) => server.once("message", resolve));
  const seconds = Number(process.argv[process.argv.indexOf("--seconds") + 1] ?? 2) || 2;
  const channel = createChannel({ address: `unix:${socketPath}` });
  for (const row of rows) await measure(channel, server, row, seconds);
  channel.close();
  server.disconnect();
  rmSync(folder, { recursive: true });
}

const serveAt = process.argv.indexOf("--serve");
if (serveAt > 0) await serve(process.argv[serveAt + 1] ?? "");
else await main();
