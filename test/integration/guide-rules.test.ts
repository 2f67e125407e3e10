// The rule of one's own that docs/guides/routing-rules.md writes works as it is written there.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { loadConfig } from "../../packages/gateway/src/config/index.ts";
import { startCall } from "../harness/forward-call.ts";
import { createModelFolder, repositoryRoot, startTestGateway, testConfig } from "../harness/gateway.ts";
import { startScriptedModel } from "../harness/scripted-model.ts";

test("a rule of one's own, from its file to the decision", async (t) => {
  const guide = readFileSync(join(repositoryRoot, "docs/guides/routing-rules.md"), "utf8");
  const [, source = ""] = /```ts\n(\/\/ needs-user\.ts\n[^]*?)```/.exec(guide) ?? [];
  const [, plugins = "", rules = ""] =
    /`(plugins: \[[^`]*)`, and use it in `(rules: [^`]*)`/.exec(guide) ?? [];
  assert.ok(source !== "" && plugins !== "" && rules !== "");
  const folder = mkdtempSync(join(tmpdir(), "spillway-rule-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const model = await startScriptedModel(t, ["m"]);
  const pools = `pools: { p: { dialect: openai, endpoints: ["${model.url}"], models: [m] } }`;
  writeFileSync(join(folder, "needs-user.ts"), source);
  writeFileSync(join(folder, "spillway.yaml"), [plugins, rules, pools].join("\n"));
  const read = await loadConfig({ file: "spillway.yaml", workingDirectory: folder, environment: {} });
  assert.ok("config" in read, JSON.stringify(read));
  const base = testConfig(createModelFolder(t).path);
  const { config } = read;
  const given = { pools: config.pools, rules: config.rules, plugins: config.plugins };
  const { url } = await startTestGateway(t, { ...base, ...given });
  const body = { model: "m", messages: [{ role: "user", content: "hi" }] };
  const ask = (headers: Readonly<Record<string, string>>) =>
    startCall(url, { path: "/v1/chat/completions", body, headers }).ended();
  const refused = await ask({});
  assert.equal(refused.status, 403);
  assert.match(refused.text, /Say for whom in x-user/);
  assert.equal(refused.headers["x-spillway-rule"], "needs-user");
  const answered = await ask({ "x-user": "ada" });
  assert.equal(answered.status, 200, answered.text);
  assert.match(String(answered.headers["x-spillway-rules"]), /^needs-user=changed/);
  assert.equal(model.calls.length, 1);
});
