import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { loadKeys } from "../config/index.ts";
import { digestSecret, parseKey } from "../core/api-key.ts";
import { runCli } from "./run-cli.ts";
import type { Terminal } from "./terminal.ts";

function workplace(test: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), "spillway-keys-"));
  test.after(() => rmSync(folder, { recursive: true }));
  const run = async (...args: string[]) => {
    const out = { stdout: "", stderr: "" };
    const terminal: Terminal = {
      print: (text) => void (out.stdout += text),
      complain: (text) => void (out.stderr += text),
      interactive: false,
      interactiveErrors: false,
      environment: {},
      workingDirectory: folder,
      onStop: () => {},
      exit: () => assert.fail("exit"),
    };
    return { code: await runCli(["keys", ...args], terminal), ...out };
  };
  const read = (name: string) => readFileSync(join(folder, name), "utf8");
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
  return { folder, run, read, write };
}

describe("spillway keys", () => {
  it("makes a key, keeps its SHA-256 for the owner's eyes, lists and revokes it", async (test) => {
    const { folder, run, read } = workplace(test);
    const made = await run(
      "create",
      "--id",
      "line-3",
      "--scopes",
      "infer,status",
      "--requests-per-minute",
      "600",
      "--models",
      "digits, gpt-*",
      "--expires",
      "2030-01-31",
    );
    assert.equal(made.code, 0, made.stderr);
    assert.match(made.stderr, /auth: \{\}/);
    const key = made.stdout.trim();
    const secret = parseKey(key)?.secret ?? "";
    assert.equal(statSync(join(folder, "keys.yaml")).mode & 0o777, 0o600);
    assert.ok(!read("keys.yaml").includes(secret));
    const loaded = await loadKeys({ file: join(folder, "keys.yaml"), inline: [] });
    assert.ok("keys" in loaded);
    assert.deepEqual(loaded.keys, [
      {
        id: "line-3",
        secretSha256: digestSecret(secret),
        scopes: ["infer", "status"],
        limits: {
          requestsPerMinute: 600,
          burst: undefined,
          tokensPerMinute: undefined,
          concurrency: undefined,
        },
        expiresAtMs: Date.UTC(2030, 0, 31),
        models: ["digits", "gpt-*"],
      },
    ]);
    const list = await run("list");
    assert.match(list.stdout, /line-3 +infer,status +requestsPerMinute=600 +digits,gpt-\* +2030-01-31T/);
    const json = await run("list", "--json");
    assert.ok(!json.stdout.includes(digestSecret(secret)) && json.stdout.includes('"line-3"'));
    assert.equal((await run("revoke", "line-3")).stdout, "line-3 revoked\n");
    assert.equal((await run()).stdout, "no keys\n");
    assert.deepEqual(readdirSync(folder), ["keys.yaml"]);
  });

  it("keeps the comments of the file and the keys of others, in order", async (test) => {
    const { run, read, write } = workplace(test);
    write("spillway.yaml", "auth: { keysFile: team.yaml }\n");
    const digest = "0".repeat(64);
    write("team.yaml", `# ours\nkeys:\n  # the line\n  - { id: a, secret: "sha256:${digest}" }\n`);
    const made = await run("create", "--id", "b");
    assert.equal(made.code, 0);
    assert.doesNotMatch(made.stderr, /auth/);
    assert.match(read("team.yaml"), /^# ours\nkeys:\n {2}# the line\n {2}- \{ id: a,.*\n {2}- id: b\n/);
    assert.equal((await run("revoke", "b")).code, 0);
    assert.match(read("team.yaml"), /# the line\n {2}- \{ id: a,/);
  });

  it("makes many at once and loses none", async (test) => {
    const { folder, run } = workplace(test);
    const made = await Promise.all(Array.from({ length: 12 }, (_, i) => run("create", "--id", `k${i}`)));
    assert.deepEqual(
      made.map(({ code }) => code),
      made.map(() => 0),
    );
    const loaded = await loadKeys({ file: join(folder, "keys.yaml"), inline: [] });
    assert.ok("keys" in loaded && loaded.keys.length === 12);
  });

  it("prints what can be pasted instead", async (test) => {
    const { folder, run, write } = workplace(test);
    const made = await run("create", "--id", "a", "--print", "--concurrency", "3");
    assert.match(made.stderr, /shown this once: spw_a_/);
    assert.deepEqual(readdirSync(folder), []);
    write("keys.yaml", made.stdout);
    const loaded = await loadKeys({ file: join(folder, "keys.yaml"), inline: [] });
    assert.ok("keys" in loaded && loaded.keys[0]?.limits.concurrency === 3);
  });

  it("says what is wrong", async (test) => {
    const { run, write } = workplace(test);
    write("spillway.yaml", `auth: { keys: [{ id: a, secret: "sha256:${"1".repeat(64)}" }] }\n`);
    const cases: [string[], RegExp][] = [
      [["create", "--id", "a"], /there is a key a already/],
      [["create", "--id", "local"], /--id "local": expected at most 64/],
      [["create", "--id", "b", "--burst", "3"], /no requestsPerMinute/],
      [["create", "--id", "b", "--models", "a*b"], /expected a model's name/],
      [["create", "--id", "b", "--scopes", "all"], /Expected infer, status or admin/],
      [["create", "--id", "b", "--expires", "soon"], /Expected a day/],
      [["create", "--id", "b", "--expires", "2020-01-31"], /It has passed/],
      [["revoke", "a"], /stands in the configuration itself/],
      [["revoke", "b"], /no key b in .*keys\.yaml/],
    ];
    for (const [args, expected] of cases) {
      const { code, stderr } = await run(...args);
      assert.notEqual(code, 0, args.join(" "));
      assert.match(stderr, expected);
    }
    write("keys.yaml", "keys: [{ id: x }]\n");
    const broken = await run("create", "--id", "b");
    assert.match(broken.stderr, /keys\.yaml:1:\d+: keys\[0\]\.secret: missing/);
  });
});
