import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { runSpillway, type Ended } from "../../../../test/harness/spillway.ts";
import type { PooledModel } from "../contracts/http-endpoint.ts";
import { defaultHttpPool } from "../config/index.ts";
import { ollamaAnswers, openaiAnswers, startFakeServer } from "../../test/support/fake-model-server.ts";
import { eventually, startServerPool } from "../../test/support/server-pool.ts";
import { checkPools } from "./doctor-pools.ts";
import { PoolProgress } from "./pool-progress.ts";
import { pickChatModel, suggestChats } from "./try-lines.ts";

const folder = mkdtempSync(join(tmpdir(), "spillway-cli-pools-"));
after(() => rmSync(folder, { recursive: true }));

const file = `
models: false
pools:
  a: { dialect: ollama, endpoints: ["http://10.0.0.1:11434"], models: [m, n], credentials: "\${KEY}", headers: { x-team: hidden-team } }
  b: { dialect: openai, endpoints: ["http://10.0.0.2:8000"], endpointsFile: more.yaml, models: [m, n] }
rules: [{ type: validate, parameters: { maxMessages: 9 } }, { type: system-prompt, name: tone, parameters: { text: x } }]
routes:
  - { model: n, targets: [{ pool: b }, { pool: a, model: m, weight: 3 }] }
  - { model: o, targets: [{ pool: a, model: m }], escalate: { to: { pool: b, model: n }, when: { offline: true } } }
`;

function check(...args: string[]): Promise<Ended> {
  return runSpillway(["check", ...args], { cwd: folder, env: { KEY: "sk-hidden" } });
}

describe("check", () => {
  test("says what would be served from where, and no secrets", async () => {
    writeFileSync(join(folder, "spillway.yaml"), file);
    writeFileSync(join(folder, "more.yaml"), "- http://10.0.0.3:8000\n");
    const { code, stdout, stderr } = await check();
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^a +ollama +http:\/\/10\.0\.0\.1:11434 +m n$/m);
    assert.match(stdout, /^b +openai +http:\/\/10\.0\.0\.2:8000 those of .*more\.yaml +m n$/m);
    assert.match(stdout, /^n +b\/n 1, a\/m 3$/m);
    assert.match(stdout, /^rules +validate, then tone$/m);
    assert.match(stdout, /^o +a\/m 1; escalates to b\/n$/m);
    assert.match(
      stdout,
      /note: model m is in the pools a and b; without a route requests go to a, the first/,
    );
    assert.doesNotMatch(stdout, /model n is in/);
    const json = await check("--json");
    assert.equal(json.code, 0);
    assert.doesNotMatch(stdout + json.stdout, /hidden/);
    assert.match(json.stdout, /"credentials": "\[secret\]"/);
  });

  test("says by which profiles servers are chosen, and makes the plugins of shadows too", async () => {
    const scheduling = (shadow: string): string => `
models: false
pools:
  a:
    dialect: openai
    endpoints: ["http://10.0.0.1:8000"]
    scheduling:
      profiles: { usual: { filters: [label-selector-filter], scorers: [queue-scorer] } }
      shadows: { next: { scorers: [${shadow}] } }
`;
    writeFileSync(join(folder, "spillway.yaml"), scheduling("kv-cache-utilization-scorer"));
    const good = await check();
    assert.equal(good.code, 0, good.stderr);
    assert.match(good.stdout, /^a +usual +label-selector-filter +queue-scorer ×1 +max-score-picker$/m);
    assert.match(
      good.stdout,
      /^a +next \(shadow\) +none +kv-cache-utilization-scorer ×1 +max-score-picker$/m,
    );
    writeFileSync(
      join(folder, "spillway.yaml"),
      scheduling(
        "kv-cache-utilization-scorer], filters: [{ type: prefix-cache-affinity-filter, parameters: { ttftSource: latencyPredictor } }",
      ),
    );
    const bad = await check();
    assert.equal(bad.code, 1);
    assert.match(
      bad.stderr,
      /^pools\.a\.scheduling\.shadows\.next: Plugin prefix-cache-affinity-filter: .* there is none$/m,
    );
  });

  test("reads the files that pools name", async () => {
    writeFileSync(join(folder, "spillway.yaml"), file.replace('"${KEY}"', '"file:none"'));
    writeFileSync(join(folder, "more.yaml"), "- nonsense\n");
    const { code, stderr } = await check();
    assert.equal(code, 1);
    assert.match(stderr, /Pool a: credentials cannot be read: .*none/);
    assert.match(stderr, /Pool b: .*more\.yaml: item 1: expected an address/);
  });
});

test("doctor asks every server what it is", async (t) => {
  const ollama = await startFakeServer(t, ollamaAnswers(["a:latest", "b:1b"]));
  const denied = await startFakeServer(t, { "/v1/models": [401, {}] });
  const findings = await checkPools([
    defaultHttpPool("boxes", "auto", [ollama.url, "http://127.0.0.1:9"]),
    defaultHttpPool("cloud", "openai", [denied.url]),
  ]);
  assert.deepEqual(
    findings.map(({ name, status, message }) => [name, status, message]),
    [
      ["pool boxes", "ok", `127.0.0.1:${ollama.port}: ollama 0.14.1, 2 models`],
      ["pool boxes", "warn", "127.0.0.1:9: no answer"],
      ["pool cloud", "fail", `127.0.0.1:${denied.port}: it refuses our questions`],
    ],
  );
});

test("each server is told of once, with what it serves", async (t) => {
  const server = await startFakeServer(t, openaiAnswers(["a", "b", "c", "d", "e", "f"]));
  const { pool } = await startServerPool(t, {
    dialect: "openai",
    endpoints: [server.url, "http://127.0.0.1:9"],
  });
  await eventually(() => pool.settled, Boolean);
  const printed: string[] = [];
  const progress = new PoolProgress({ print: (text) => void printed.push(text) });
  progress.update([pool]);
  progress.update([pool]);
  assert.deepEqual(printed, [
    `  ready   chat at 127.0.0.1:${server.port}: a, b, c, d and 2 more\n`,
    "  failed  chat at 127.0.0.1:9: it cannot be reached or does not answer; it is asked again and again\n",
  ]);
});

test("the calls to try name a model that chats, one in memory first", () => {
  const model = (name: string, loaded: number, ready = 1): PooledModel => {
    return { name, pool: "p", dialects: [], ready, endpoints: 1, loaded, card: undefined, running: [] };
  };
  assert.equal(pickChatModel([model("nomic-embed-text", 1), model("a", 0), model("b", 1)]), "b");
  assert.equal(pickChatModel([model("a", 0, 0), model("b", 0)]), "b");
  assert.equal(pickChatModel([]), undefined);
  const lines = suggestChats(
    { listening: { http: [{ host: "127.0.0.1", port: 1 }], grpc: undefined } },
    "it's",
  );
  assert.equal(lines.length, 2);
  assert.match(lines[0] ?? "", /^curl -s localhost:1\/api\/chat .*"model":"it'\\''s"/);
  assert.match(lines[1] ?? "", /\/v1\/chat\/completions .*"stream":true/);
});
