/** What docs/guides/edge.md shows works word for word, but for the ports: its commands are run by a shell. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { promisify } from "node:util";
import { repositoryRoot } from "../harness/gateway.ts";
import { requireProgram } from "../harness/requires.ts";
import { startSpillway } from "../harness/spillway.ts";

const guide = readFileSync(path.join(repositoryRoot, "docs/guides/edge.md"), "utf8");
const [first = "", simulate = "", start = "", unsure = "", config = ""] = [
  ...guide.matchAll(/^```sh\n([^]*?)^```$/gm),
].map(([, block = ""]) => block);

function run(t: TestContext, args: readonly string[], cwd: string) {
  const running = startSpillway(args, { cwd, env: { SPILLWAY_DATA: path.join(cwd, "data") } });
  t.after(async () => {
    running.kill("SIGTERM");
    await running.ended;
  });
  return running;
}

test("the guide's commands do what it says: an answer here, one of the cloud, one while the cloud is away", async (t) => {
  if (requireProgram(t, "curl", "apt-get install curl") === undefined) return;
  const cwd = mkdtempSync(path.join(tmpdir(), "spw-guide-edge-"));
  t.after(() => rmSync(cwd, { recursive: true, force: true }));
  const cloudArgs = /npx spillway (.*) --port 9000/.exec(simulate)?.[1]?.split(" ") ?? [];
  const inRepository = cloudArgs.map((arg) => (arg.endsWith(".json") ? path.join(repositoryRoot, arg) : arg));
  const cloud = run(t, [...inRepository, "--port", "0"], cwd);
  const [, cloudPort = ""] = await cloud.printed(/http:\/\/[\d.]+:(\d+)/);
  const file = /--config (\S+)/.exec(start)?.[1] ?? "";
  const yaml = readFileSync(path.join(repositoryRoot, file), "utf8");
  const own = path.join(cwd, "spillway.yaml");
  writeFileSync(
    own,
    yaml.replace(":9000", `:${cloudPort}`).replace("../../models", path.join(repositoryRoot, "models")),
  );
  const gateway = run(t, ["serve", "--port", "0", "--no-grpc"], cwd);
  const [, port = ""] = await gateway.printed(/http {4}http:\/\/localhost:(\d+)/);
  await gateway.printed(/Ready after/);
  const shell = async (text: string): Promise<string> => {
    const command = text.replaceAll("localhost:30101", `localhost:${port}`);
    return (await promisify(execFile)("sh", ["-ec", command], { cwd: repositoryRoot })).stdout;
  };
  const answers = await shell(first);
  assert.match(answers, /"label":"7"[^]*"label":"YES"/);
  assert.match(answers, /"source":"ALGORITHM"[^]*"from_edge":true/);
  const asked = await shell(unsure);
  assert.match(asked, /x-spillway-answered-by: cloud\r\nx-spillway-escalation: unsure/);
  assert.match(asked, /"label":"8"/);
  assert.match(await shell(config), /"global_config"[^]*"ready":true/);
  cloud.kill("SIGTERM");
  await cloud.ended;
  const alone = await shell(unsure);
  assert.match(
    alone,
    /x-spillway-answered-by: edge\r\nx-spillway-escalation: unsure\r\nx-spillway-withheld: cloud_unreachable/,
  );
  assert.match(alone, /"label":"2"[^]*"done_processing":false/);
});
