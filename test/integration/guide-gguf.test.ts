/** What docs/guides/gguf.md shows works word for word, but for the port: its commands are run by a shell. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { parseConfig } from "../../packages/gateway/src/config/with-plugins.ts";
import { engineFolder } from "../../packages/gateway/src/workers/llama/engine-files.ts";
import { repositoryRoot } from "../harness/gateway.ts";
import { buildGguf } from "../harness/gguf-build.ts";
import { engineMissing } from "../harness/llama-engine.ts";
import { requireProgram } from "../harness/requires.ts";
import { startSpillway } from "../harness/spillway.ts";

const guide = readFileSync(path.join(repositoryRoot, "docs/guides/gguf.md"), "utf8");

function blocks(language: string): string[] {
  const pattern = new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, "gm");
  return [...guide.matchAll(pattern)].map((match) => match[1] ?? "");
}

test("every configuration of the guide is accepted", () => {
  const examples = blocks("yaml");
  assert.ok(examples.length >= 2);
  for (const text of examples) {
    const result = parseConfig(text, { directory: "/", environment: {} });
    assert.ok("config" in result, `${text}\n${JSON.stringify(result)}`);
  }
});

test("from the file to an answer, by the guide's own commands", { skip: engineMissing() }, async (t) => {
  if (requireProgram(t, "curl", "apt-get install curl") === undefined) return;
  const cwd = mkdtempSync(path.join(tmpdir(), "spw-guide-"));
  t.after(() => rmSync(cwd, { recursive: true, force: true }));
  const [home, bin, data] = ["home", "bin", "data"].map((name) => path.join(cwd, name)) as [
    string,
    string,
    string,
  ];
  mkdirSync(path.join(home, "Downloads"), { recursive: true });
  writeFileSync(path.join(home, "Downloads/Qwen3-0.6B-Q8_0.gguf"), buildGguf({ seed: 1, contextSize: 256 }));
  mkdirSync(bin);
  const program = path.join(repositoryRoot, "packages/gateway/src/cli/main.ts");
  const script = `#!/bin/sh\nexec '${process.execPath}' --conditions=source '${program}' "$@"\n`;
  writeFileSync(path.join(bin, "spillway"), script, { mode: 0o755 });
  mkdirSync(path.join(data, "engines/llama"), { recursive: true });
  symlinkSync(path.join(engineFolder, "node_modules"), path.join(data, "engines/llama/node_modules"));
  const env = { HOME: home, PATH: `${bin}:${process.env["PATH"]}`, SPILLWAY_DATA: data };
  const shell = (text: string) => promisify(execFile)("sh", ["-ec", text], { cwd, env });

  const [install = "", ...calls] = blocks("sh");
  assert.match(install, /\nspillway serve\n$/);
  const { stdout } = await shell(install.replace("spillway serve", ""));
  assert.match(stdout, /The llama engine [\d.]+ is installed/);
  const gateway = startSpillway(["serve", "--port", "0", "--no-grpc"], { cwd, env });
  t.after(async () => {
    gateway.kill("SIGTERM");
    await gateway.ended;
  });
  const [, port = ""] = await gateway.printed(/http {4}http:\/\/localhost:(\d+)/);
  await gateway.printed(/ready {3}llama at engine: qwen:latest/);
  await gateway.printed(/Ready after/);
  const said: string[] = [];
  for (const text of calls)
    said.push((await shell(text.replaceAll("localhost:30080", `localhost:${port}`))).stdout);
  const [chats = "", schema = "", memory = ""] = said;
  assert.match(chats, /"done":true/);
  assert.match(chats, /data: \[DONE\]/);
  const { message } = JSON.parse(schema) as { message: { content: string } };
  assert.deepEqual(Object.keys(JSON.parse(message.content) as object), ["city"]);
  assert.match(memory, /"done_reason":"load"[^]*"name":"qwen:latest"[^]*"done_reason":"unload"/);
});
