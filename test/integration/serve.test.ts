// `spillway serve` as people meet it: a real process, what it prints, and how it stops.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { TestContext } from "node:test";
import { promisify } from "node:util";
import { requireProgram } from "../harness/requires.ts";
import { runSpillway, startSpillway } from "../harness/spillway.ts";
import type { Running } from "../harness/spillway.ts";

const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), "spillway-serve-"));
after(() => rmSync(folder, { recursive: true }));

/** Starts on free ports in an empty folder; the test's end is the gateway's end. */
function serve(t: TestContext, ...args: string[]): Running {
  const cwd = mkdtempSync(join(folder, "empty-"));
  const running = startSpillway(["serve", "--port", "0", "--grpc-port", "0", ...args], { cwd });
  t.after(async () => {
    running.kill("SIGKILL");
    await running.ended;
  });
  return running;
}

/** A repository with one mock that takes its time. */
function slowModels(latencyMs: number): string {
  const models = join(folder, `slow-${latencyMs}`);
  mkdirSync(join(models, "slow"), { recursive: true });
  const yaml = `engine: mock\nmock: { latencyMs: ${latencyMs} }\nbatching: { timeoutMs: 60000 }\n`;
  writeFileSync(join(models, "slow/model.yaml"), yaml);
  return models;
}

/** Processes that a process has started and that still run; Linux only, elsewhere none. */
function childrenOf(pid: number): number[] {
  if (process.platform !== "linux") return [];
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

/** Until the process has ended; one that nobody has waited for yet has ended too. */
async function gone(pid: number): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    const file = `/proc/${pid}/stat`;
    if (!existsSync(file) || / Z /.test(readFileSync(file, "utf8"))) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(`worker ${pid} still runs`);
}

/** Asks the slow model. */
function askSlow(url: string): Promise<Response> {
  return fetch(`${url}/predict`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ features: [1], model_name: "slow" }),
  });
}

describe("in an empty folder", () => {
  test("the models that come with Spillway answer the four printed lines; Ctrl-C drains", async (t) => {
    if (requireProgram(t, "curl", "apt-get install curl") === undefined) return;
    const running = serve(t);
    await running.printed(/Ctrl-C stops\./);
    const { stdout } = running.output;
    for (const name of ["breast-cancer", "digits", "iris", "sentiment", "v1-mock"]) {
      assert.match(stdout, new RegExp(`^ {2}ready {3}${name} 1$`, "m"));
    }
    // oxlint-disable-next-line eslint/no-control-regex -- looks for the escape character
    assert.doesNotMatch(stdout, /\u001B/, "no colour codes where nobody watches");
    const printed = [...stdout.matchAll(/^ {2}(curl .*)$/gm)].map(([, line = ""]) => line);
    // A model server that runs on this machine is found, and adds lines of its own.
    const lines = printed.filter((line) => !/\/api\/chat|\/v1\/chat/.test(line));
    assert.equal(lines.length, 4, stdout);
    const answers = await Promise.all(lines.map((line) => run("sh", ["-c", line])));
    const [iris, sentiment, digit, query] = answers.map(
      (answer) => JSON.parse(answer.stdout) as Record<string, unknown>,
    );
    assert.equal(iris?.["label"], "setosa");
    assert.equal(sentiment?.["label"], "positive");
    assert.ok(JSON.stringify(digit).includes('"0"'), JSON.stringify(digit));
    assert.equal((query?.["result"] as { label?: unknown } | undefined)?.label, "7");
    const workers = childrenOf(running.pid);
    if (process.platform === "linux") assert.equal(workers.length, 2);
    running.kill("SIGINT");
    const { code, stdout: whole, stderr } = await running.ended;
    assert.equal(code, 0);
    assert.match(whole, /draining…/);
    assert.equal(stderr, "");
    await Promise.all(workers.map(gone));
  });
});

describe("stopping", () => {
  test("SIGTERM while the models load", async (t) => {
    const running = serve(t);
    await running.printed(/^Spillway/);
    running.kill("SIGTERM");
    assert.equal((await running.ended).code, 0);
  });

  test("what runs is answered first", async (t) => {
    const running = serve(t, "--models", slowModels(1_000));
    const [, url = ""] = await running.printed(/http {4}(http:\S+)/);
    await running.printed(/Ctrl-C stops\./);
    const answer = askSlow(url);
    await waitForRequest(url);
    running.kill("SIGINT");
    assert.equal((await answer).status, 200);
    assert.equal((await running.ended).code, 0);
  });

  test("a second Ctrl-C does not wait for it", async (t) => {
    const running = serve(t, "--models", slowModels(30_000));
    const [, url = ""] = await running.printed(/http {4}(http:\S+)/);
    await running.printed(/Ctrl-C stops\./);
    const workers = childrenOf(running.pid);
    const lost = assert.rejects(askSlow(url));
    await waitForRequest(url);
    running.kill("SIGINT");
    await running.printed(/draining…/);
    running.kill("SIGINT");
    assert.equal((await running.ended).code, 130);
    await lost;
    await Promise.all(workers.map(gone));
  });
});

/** Until the model's instance works on the request. */
async function waitForRequest(url: string): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    const text = await (await fetch(`${url}/metrics`)).text();
    if (/^spillway_http_requests_in_flight [2-9]/m.test(text)) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail("the request never arrived");
}

test("with --log-format json everything is JSON lines on standard error", async (t) => {
  const running = serve(t, "--models", slowModels(1), "--log-format", "json");
  await running.printed(/"event":"worker_ready"/, "stderr");
  running.kill("SIGINT");
  const { code, stdout, stderr } = await running.ended;
  assert.equal(code, 0);
  assert.equal(stdout, "");
  const events = stderr
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { time: string; level: string; event: string; door?: string });
  assert.deepEqual(
    events.filter(({ event }) => event === "listening").map(({ door }) => door),
    ["http", "grpc"],
  );
  assert.equal(events.at(-1)?.event, "stopped");
});

test("a worker of its own, a gateway that has it in a pool, and the commands that ask the gateway", async (t) => {
  const cwd = mkdtempSync(join(folder, "pool-"));
  const models = join(import.meta.dirname, "../../models");
  const worker = startSpillway(["worker", "--models", models, "--port", "0", "--log-format", "json"], {
    cwd,
  });
  t.after(async () => {
    worker.kill("SIGINT");
    assert.equal((await worker.ended).code, 0);
  });
  const [, port = ""] = await worker.printed(/"event":"listening".*"port":(\d+)/, "stderr");
  await worker.printed(/"event":"loaded"/, "stderr");
  writeFileSync(
    join(cwd, "spillway.yaml"),
    `models: false\ngrpc: false\nlisten: [{ port: 0 }]\npools: { workers: { endpoints: ["grpc://127.0.0.1:${port}"] } }\n`,
  );
  const gateway = startSpillway(["serve"], { cwd });
  t.after(async () => {
    gateway.kill("SIGINT");
    assert.equal((await gateway.ended).code, 0);
  });
  const [, url = ""] = await gateway.printed(/http {4}(http:\S+)/);
  await gateway.printed(/ready {3}digits 1/);
  const ask = async (...args: string[]) => {
    const { code, stdout, stderr } = await runSpillway(args, { cwd, env: { SPILLWAY_URL: url } });
    assert.equal(code, 0, stderr);
    return stdout;
  };
  assert.match(await ask("models"), /^iris +1 +READY$/m);
  assert.match(await ask("predict", "iris", "--features", "5.1,3.5,1.4,0.2"), /^setosa \(class 0\)/);
  assert.match(await ask("predict", "sentiment", "--prompt", "I love it"), /^positive \(class 1\)/);
  const picture = join(models, "digits/samples/7.png");
  assert.match(await ask("predict", "digits", "--image", picture), /^7 \(class 7\)/);
  assert.match(await ask("models", "stats", "iris"), /^iris +1 +1 +0 +1 +1 /m);
});
