/** A supervised process, played by a gRPC server in this process. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { createGrpcServer } from "@spillway/grpc";
import { inference } from "@spillway/protocol";
import type { LaunchedWorker, WorkerExit } from "../contracts/launcher.ts";
import type { Logger } from "../contracts/telemetry.ts";
import { systemClock } from "../core/clock.ts";
import { WorkerProcess } from "./worker-process.ts";

const worker = {
  memoryLimitBytes: 2 ** 40,
  startTimeoutMs: 10_000,
  drainTimeoutMs: 1_000,
  backoffMs: { initial: 1, max: 1 },
};

const ignore = (): void => {};
const logger: Logger = { error: ignore, warn: ignore, info: ignore, debug: ignore };

/** A server without models, and the launcher that takes it for a process. */
async function setup(test: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), "spw-process-"));
  const socket = join(folder, "0.sock");
  const index = inference.RepositoryIndexResponse.encode({}).finish();
  const path = "/inference.GRPCInferenceService/RepositoryIndex";
  const server = createGrpcServer({
    methods: new Map([[path, { kind: "unary", handle: (call) => call.respond([index]) }]]),
  });
  await server.listen({ path: socket });
  const ready = Promise.withResolvers<void>();
  const exited = Promise.withResolvers<string>();
  let onExit: (exit: WorkerExit) => void = ignore;
  const exit = (): void => onExit({ code: null, signal: "SIGKILL", said: undefined });
  const child: LaunchedWorker = {
    pid: 1,
    address: `unix:${socket}`,
    onExit: (listener) => void (onExit = listener),
    memoryBytes: () => 1,
    kill: exit,
  };
  const process = new WorkerProcess({
    spec: { id: "m/1#0", models: [] },
    launcher: { launch: () => child, close: ignore },
    clock: systemClock,
    logger,
    worker,
    onReady: () => ready.resolve(),
    onRetire: ignore,
    onExit: (reason) => exited.resolve(reason),
  });
  test.after(async () => {
    process.kill("the test is over");
    await server.close({ graceMs: 0 });
    rmSync(folder, { recursive: true });
  });
  await ready.promise;
  return { process, server, exit, exited: exited.promise };
}

describe("WorkerProcess", () => {
  it("takes no call from the moment its connection is lost, before its end is known", async (test) => {
    const { process, server, exit, exited } = await setup(test);
    assert.equal(process.host.open, true);
    const gone = new Promise<void>((resolve) => process.host.onChange(resolve));
    await server.close({ graceMs: 0 });
    await gone;
    assert.deepEqual([process.host.open, process.host.idle, process.host.state], [false, false, "gone"]);
    exit();
    assert.equal(await exited, "it was ended by SIGKILL");
  });

  it("is killed when it stays on without its connection", async (test) => {
    const { server, exited } = await setup(test);
    await server.close({ graceMs: 0 });
    assert.equal(await exited, "its connection was lost");
  });
});
