/** docs/guides/custom-scorer.md, word for word: its files in a folder, its commands, both doors. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { startSimulator, type Simulator } from "@spillway/simulator";
import { ExtProcCarrier } from "../harness/extproc-carrier.ts";
import { repositoryRoot } from "../harness/gateway.ts";
import { runSpillway, startSpillway } from "../harness/spillway.ts";
import { until } from "../harness/until.ts";

const limit = { timeout: 60_000 };
const guide = readFileSync(path.join(repositoryRoot, "docs/guides/custom-scorer.md"), "utf8");
const folder = mkdtempSync(path.join(tmpdir(), "spillway-guide-scorer-"));
let servers: readonly Simulator[] = [];

/** The guide's blocks by the names in their first lines. */
const files = new Map(
  [...guide.matchAll(/^```(?:ts|yaml)\n(?:\/\/|#) ([\w.-]+)\n([^]*?)^```$/gm)].map(
    ([, name = "", text = ""]) => [name, text],
  ),
);

before(async () => {
  servers = await Promise.all([
    startSimulator({ face: "vllm", models: ["a"] }),
    startSimulator({ face: "vllm", models: ["a"] }),
  ]);
  const [rented, owned] = servers.map(({ url }) => new URL(url).port);
  for (const [name, text] of files) {
    const own = text.replace("port: 8000", `port: ${rented}`).replace("port: 8001", `port: ${owned}`);
    writeFileSync(path.join(folder, name), own);
  }
});
after(async () => {
  await Promise.all(servers.map((server) => server.close()));
  rmSync(folder, { recursive: true });
});

const cheap = (): string => new URL(servers[1]?.url ?? "").host;

test("the guide has the files it speaks of", () => {
  assert.deepEqual(
    [...files.keys()],
    ["cost-scorer.ts", "cost-scorer.test.ts", "endpoints.yaml", "spillway.yaml", "picker.yaml"],
  );
});

test("the scorer passes its test", limit, async () => {
  // What the guide does with `ln`.
  mkdirSync(path.join(folder, "node_modules/@spillway"), { recursive: true });
  symlinkSync(
    path.join(repositoryRoot, "packages/gateway"),
    path.join(folder, "node_modules/@spillway/gateway"),
  );
  try {
    const args = ["--conditions=source", "--test", "--test-reporter=tap", "cost-scorer.test.ts"];
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: folder, env });
    assert.match(stdout, /^# pass 12$/m);
    assert.match(stdout, /^# fail 0$/m);
  } finally {
    rmSync(path.join(folder, "node_modules"), { recursive: true });
  }
});

test("spillway check reads it, with nothing installed beside it", limit, async () => {
  const { code, stdout, stderr } = await runSpillway(["check"], { cwd: folder });
  assert.equal(code, 0, stdout + stderr);
});

test("in the proxy, the cheap server answers", limit, async (t) => {
  const running = startSpillway(["serve", "--port", "0", "--no-grpc", "--log-format", "pretty"], {
    cwd: folder,
  });
  t.after(async () => {
    running.kill("SIGTERM");
    await running.ended;
  });
  const [, url = ""] = await running.printed(/http {4}(http:\/\/\S+)/);
  const [, body = ""] = /-d '(\{.*\})'/.exec(guide) ?? [];
  const ask = (): Promise<Response> =>
    fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
  // Both servers have to be known before the choice says anything.
  await until("both servers are known", async () => {
    const answer = await ask();
    await answer.text();
    return answer.headers.get("x-spillway-endpoint") === `chat/${cheap()}`;
  });
  for (let count = 0; count < 6; count++) {
    const answer = await ask();
    assert.equal(answer.status, 200, await answer.text());
    assert.equal(answer.headers.get("x-spillway-endpoint"), `chat/${cheap()}`);
  }
});

test("for Envoy, the cheap server is named", limit, async (t) => {
  const [, command = ""] = /^spillway (picker .*)$/m.exec(guide) ?? [];
  const free = ["--host", "127.0.0.1", "--grpc-port", "0", "--grpc-health-port", "0", "--metrics-port", "0"];
  const args = [...command.split(" "), ...free, "--log-format", "pretty"];
  const running = startSpillway(args, { cwd: folder });
  t.after(async () => {
    running.kill("SIGTERM");
    const { code } = await running.ended;
    assert.equal(code, 0);
  });
  const [, address = ""] = await running.printed(/ext_proc (\S+) with TLS/);
  const carrier = new ExtProcCarrier(address, { tls: true });
  t.after(() => carrier.close());
  const [, body = ""] = /-d '(\{.*\})'/.exec(guide) ?? [];
  await until("both servers are known", async () => {
    const { destinations } = await carrier.ask({ path: "/v1/chat/completions", body });
    return destinations[0] === cheap();
  });
  for (let count = 0; count < 6; count++) {
    const answer = await carrier.ask({ path: "/v1/chat/completions", body });
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(answer.destinations, [cheap()]);
  }
});
