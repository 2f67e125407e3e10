/** A gateway that has used up its file descriptors: no server is blamed for it, and all is well once callers have left. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { it, type TestContext } from "node:test";
import { RawHttpClient, type RawAnswer } from "../../packages/gateway/test/support/raw-http-client.ts";
import { callers } from "../harness/chat-wire.ts";
import { startCall, type ForwardCall } from "../harness/forward-call.ts";
import { createModelFolder } from "../harness/gateway.ts";
import { processesAreKnown } from "../harness/processes.ts";
import { answerWhole, startScriptedModel, type ModelCall } from "../harness/scripted-model.ts";
import { startSpillway, type Running } from "../harness/spillway.ts";
import { until } from "../harness/until.ts";

/** Descriptors of the gateway's process: some 30 are its own. */
const limit = 100;

interface Bench {
  readonly running: Running;
  readonly port: number;
}

/** A gateway with so few descriptors, over one pool of the server and no models of its own. */
async function startBench(t: TestContext, server: string): Promise<Bench> {
  const folder = mkdtempSync(path.join(tmpdir(), "spf-"));
  const pool = { dialect: "openai", endpoints: [server], models: ["m"], health: { interval: "100ms" } };
  writeFileSync(
    path.join(folder, "spillway.yaml"),
    JSON.stringify({ models: { poll: "0s" }, pools: { m: pool } }),
  );
  const models = createModelFolder(t).path;
  const args = ["serve", "--config", "spillway.yaml", "--models", models, "--port", "0", "--no-grpc"];
  const running = startSpillway(args, {
    cwd: folder,
    wrapper: ["sh", "-c", `ulimit -n ${limit} && exec "$@"`, "sh"],
  });
  t.after(async () => {
    running.kill("SIGKILL");
    await running.ended;
    rmSync(folder, { recursive: true });
  });
  const [, port] = await running.printed(/http {4}http:\S+:(\d+)/);
  await running.printed(/Ctrl-C stops\./);
  return { running, port: Number(port) };
}

/** Opens connections that ask nothing, until the gateway has no descriptor left; gives the function that closes them. */
async function fill({ running, port }: Bench): Promise<() => void> {
  const sockets: Socket[] = [];
  let looks = 0;
  await until("no descriptor is left", () => {
    // What the process opens for a moment is no sign. The system's library keeps one for just this case.
    looks = readdirSync(`/proc/${running.pid}/fd`).length >= limit - 1 ? looks + 1 : 0;
    if (looks > 0) return looks > 20;
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => undefined);
    sockets.push(socket);
    return false;
  });
  return () => {
    for (const socket of sockets) socket.destroy();
  };
}

const { path: address, body: chat } = callers.chat;
const text = JSON.stringify(chat("m", false));
const head = `POST ${address} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json`;

function ask({ port }: Bench): Promise<ForwardCall> {
  return startCall(`http://127.0.0.1:${port}`, { path: address, body: text }).ended();
}

async function askOver(client: RawHttpClient): Promise<RawAnswer> {
  client.write(`${head}\r\ncontent-length: ${text.length}\r\n\r\n${text}`);
  return client.answer();
}

/** What the metrics say, asked over a connection that is there. */
async function sampleOver(client: RawHttpClient, name: string): Promise<number> {
  client.write("GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n");
  const { status, body: page } = await client.answer();
  assert.equal(status, 200, page.toString());
  const lines = page.toString().split("\n");
  return Number(lines.find((line) => line.startsWith(`${name}{`))?.split(" ")[1]);
}

it("without descriptors callers are told so, the server stays ready, and all is well afterwards", async (t) => {
  if (!processesAreKnown) return t.skip("needs /proc, which tells how many descriptors a process has open");
  const held: ModelCall[] = [];
  const server = await startScriptedModel(t, ["m"], (call) => void held.push(call));
  const bench = await startBench(t, server.url);
  const steady = await RawHttpClient.open(bench.port);
  const clients = await Promise.all(Array.from({ length: 16 }, () => RawHttpClient.open(bench.port)));
  const release = await fill(bench);
  const told: RawAnswer[] = [];
  // Some find a descriptor that was just freed, or a connection to the server that is kept.
  const answers = clients.map(async (client) => void told.push(await askOver(client)));
  await until("each is told, or asked for", () => told.length + held.length === clients.length);
  assert.ok(told.length >= 4, `${told.length} of ${clients.length} were told`);
  for (const { status, headers, body } of told) {
    assert.equal(status, 503, body.toString());
    assert.match(body.toString(), /Spillway has as many connections open as it may have/);
    assert.ok(Number(headers["retry-after"]) >= 1);
  }
  assert.equal(await sampleOver(steady, "spillway_pool_ready_endpoints"), 1);
  release();
  server.script = answerWhole;
  for (const call of held) answerWhole(call);
  await Promise.all(answers);
  await until("new callers get in", async () => (await ask(bench)).status === 200);
  assert.equal(bench.running.output.stderr, "");
  for (const client of [steady, ...clients]) client.leave();
});
