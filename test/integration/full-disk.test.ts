/** No room left where sockets are made: a file system of a few files, which only the gateway under test sees. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { createModelFolder, type ModelFolder } from "../harness/gateway.ts";
import { createHttpClient } from "../harness/http-client.ts";
import { startSpillway, type Running } from "../harness/spillway.ts";
import { until } from "../harness/until.ts";

/** Runs what follows with a file system for `$1` files and folders at `$2`, one of them `filler`, in a mount namespace that ends with it. */
const mountAndRun =
  'mount -t tmpfs -o nr_inodes="$1" spillway "$2" && touch "$2/filler" && shift 2 && exec "$@"';

/** Why the tests cannot run here; false when they can. */
function missing(): string | false {
  const folder = mkdtempSync(path.join(tmpdir(), "spt-"));
  const tried = spawnSync("unshare", ["-rm", "sh", "-c", mountAndRun, "sh", "9", folder, "true"]);
  rmSync(folder, { recursive: true });
  if (tried.status === 0) return false;
  const why = tried.error?.message ?? String(tried.stderr).trim();
  return `needs unshare and mount of a tmpfs, as on Linux with user namespaces or as root: ${why}`;
}

const skip = missing();

/** Two models, each in a process of its own. */
function twoModels(test: TestContext): ModelFolder {
  const models = createModelFolder(test);
  for (const name of ["a", "b"]) models.addMock(name, "mock: { identity: true, width: 1 }");
  return models;
}

/** Starts where the temporary folder, and nothing else, has room for so many files and folders. */
function startWithRoom(
  test: TestContext,
  files: number,
): { readonly running: Running; readonly temporary: string } {
  const temporary = mkdtempSync(path.join(tmpdir(), "spt-"));
  // The root of a file system is a folder as well.
  const wrapper = ["unshare", "-rm", "sh", "-c", mountAndRun, "sh", String(files + 2), temporary];
  const running = startSpillway(["serve", "--models", twoModels(test).path, "--port", "0", "--no-grpc"], {
    cwd: temporary,
    env: { TMPDIR: temporary },
    wrapper,
  });
  test.after(async () => {
    running.kill("SIGKILL");
    await running.ended;
    rmSync(temporary, { recursive: true });
  });
  return { running, temporary };
}

interface IndexEntry {
  readonly name: string;
  readonly state: string;
  readonly reason: string;
}

describe("a full disk", { skip }, () => {
  it("without room for the sockets' folder is said in a line, with the way out", async (test) => {
    const { running, temporary } = startWithRoom(test, 0);
    const { code, stdout, stderr } = await running.ended;
    assert.deepEqual([code, stdout], [1, ""]);
    const [line, ...more] = stderr.split("\n");
    assert.deepEqual(more, [""]);
    assert.match(line!, /^spillway: No folder for the workers' sockets can be made in /);
    assert.ok(line!.includes(temporary));
    assert.match(line!, /ENOSPC: no space left on device.*set TMPDIR to another folder/);
  });

  it("with room for one socket of two: one model serves, the other says why and comes when there is room", async (test) => {
    const { running, temporary } = startWithRoom(test, 2);
    const [, url = ""] = await running.printed(/http {4}(http:\S+)/);
    await running.printed(/Ctrl-C stops\./);
    const http = createHttpClient(url.replace("localhost", "127.0.0.1"));
    test.after(() => http.close());
    const index = async (): Promise<IndexEntry[]> => {
      const answer = await http.ask({ path: "/v2/repository/index", method: "POST" });
      return answer.json as unknown as IndexEntry[];
    };
    const predict = (model: string) =>
      http.ask({ path: `/v1/models/${model}:predict`, body: { instances: [[7]] } });
    const entries = await index();
    const good = entries.find(({ state }) => state === "READY");
    const bad = entries.find(({ state }) => state === "UNAVAILABLE");
    assert.ok(good !== undefined && bad !== undefined, JSON.stringify(entries));
    assert.match(bad.reason, /could not load it: it exited with code 1: .*ENOSPC: no space left on device/);
    const refused = await predict(bad.name);
    assert.equal(refused.status, 503);
    assert.ok(String(refused.json["error"]).includes(bad.reason));
    assert.deepEqual((await predict(good.name)).json["predictions"], [[7]]);
    rmSync(`/proc/${running.pid}/root${temporary}/filler`);
    await until("the other serves once there is room", async () =>
      (await index()).every(({ state, reason }) => state === "READY" && reason === ""),
    );
    assert.deepEqual((await predict(bad.name)).json["predictions"], [[7]]);
  });

  it("without room for the compile cache costs time only", async (test) => {
    const cache = mkdtempSync(path.join(tmpdir(), "spt-"));
    writeFileSync(path.join(cache, "file"), "");
    test.after(() => rmSync(cache, { recursive: true }));
    const models = twoModels(test);
    const running = startSpillway(["serve", "--models", models.path, "--port", "0", "--no-grpc"], {
      cwd: models.path,
      env: { NODE_COMPILE_CACHE: path.join(cache, "file") },
    });
    test.after(async () => {
      running.kill("SIGKILL");
      await running.ended;
    });
    await running.printed(/ready {3}a 1[^]*ready {3}b 1|ready {3}b 1[^]*ready {3}a 1/);
    running.kill("SIGINT");
    assert.equal((await running.ended).code, 0);
  });
});
