// What a user gets: the packed tarballs, installed with npm in an empty folder, run by the machine's Node.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { buildPackages, packPackages } from "../../scripts/lib/build.ts";
import { root } from "../../scripts/lib/paths.ts";
import { buildGguf } from "../harness/gguf-build.ts";
import { engineMissing } from "../harness/llama-engine.ts";
import { skipWithout } from "../harness/requires.ts";

const run = promisify(execFile);
const INSTALL_TIMEOUT_MS = 300_000;
const READY_TIMEOUT_MS = 30_000;

/** The environment of somebody who runs npm by hand: nothing of the npm that runs this test. */
function freshEnvironment(): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_|INIT_CWD)/.test(name));
  const folders = (process.env["PATH"] ?? "")
    .split(path.delimiter)
    .filter((folder) => !folder.startsWith(root));
  return {
    ...Object.fromEntries(inherited),
    PATH: folders.join(path.delimiter),
    ONNXRUNTIME_NODE_INSTALL: "skip",
    ...cacheFolder(),
  };
}

/** Where npm keeps what it fetched, if the home folder that it would take is not to be written. */
function cacheFolder(): NodeJS.ProcessEnv {
  try {
    accessSync(homedir(), constants.W_OK);
    return {};
  } catch {
    return { npm_config_cache: path.join(tmpdir(), "spillway-npm-cache") };
  }
}

const registryAway = /\b(ENOTCACHED|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT)\b/;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

const program = path.join(root, "packages/gateway/src/cli/main.ts");
const skip = existsSync(program) ? false : "needs the command line";

describe("the packed packages", { timeout: INSTALL_TIMEOUT_MS, skip }, () => {
  const folder = mkdtempSync(path.join(tmpdir(), "spillway packed "));
  const app = path.join(folder, "app");
  const env = freshEnvironment();
  const spillway = path.join(app, "node_modules/.bin/spillway");
  let lacks = "";
  /** A test of what was installed. */
  const packed = (
    name: string,
    run: (t: TestContext) => void | Promise<void>,
    skipped: string | false = false,
  ): void =>
    void test(name, { skip: skipped }, async (t) => {
      if (lacks !== "") return skipWithout(t, lacks);
      await run(t);
    });

  before(
    async () => {
      Object.assign(process.env, cacheFolder());
      const out = path.join(folder, "built");
      const tarballs = await packPackages(out, await buildPackages(out));
      mkdirSync(app);
      writeFileSync(path.join(app, "package.json"), JSON.stringify({ private: true }));
      const options = ["--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=0"];
      await run("npm", ["install", ...options, ...tarballs], { cwd: app, env }).catch((error: unknown) => {
        if (!(error instanceof Error) || !registryAway.test(error.message)) throw error;
        lacks = "needs the package registry, or npm's cache of an earlier installation";
      });
    },
    { timeout: INSTALL_TIMEOUT_MS },
  );
  after(() => rmSync(folder, { recursive: true, force: true }));

  packed("npx finds the command and it tells its version", async () => {
    const { stdout } = await run("npx", ["--no-install", "spillway", "--version"], { cwd: app, env });
    assert.match(stdout, /^(spillway )?\d+\.\d+\.\d+/);
  });

  packed("hold no sources, tests, training data or links to the checkout", () => {
    const installed = path.join(app, "node_modules/@spillway");
    const files = readdirSync(installed, { recursive: true, encoding: "utf8" }).map((file) =>
      file.split(path.sep).join("/"),
    );
    const surplus = files.filter((file) =>
      /\.test\.|train\.py|heldout|\/src(\/|$)|[^d]\.ts$|node_modules/.test(file),
    );
    assert.deepEqual(surplus, []);
    for (const file of [
      "gateway/bin/spillway.mjs",
      "gateway/models/digits/1/model.onnx",
      "gateway/engines/llama/dist/main.js",
      "gateway/engines/llama/package.json",
      "gateway/LICENSE",
    ]) {
      assert.ok(files.includes(file), file);
    }
  });

  packed("have declarations that a strict user can compile against", async () => {
    const names = readdirSync(path.join(app, "node_modules/@spillway"));
    const imports = names.map((name, index) => `export * as p${index} from "@spillway/${name}";`);
    writeFileSync(path.join(app, "user.ts"), imports.join("\n"));
    const options = ["--strict", "--noEmit", "--module", "nodenext", "--target", "es2024", "--types", "node"];
    const typeRoots = ["--typeRoots", path.join(root, "node_modules/@types"), "--skipLibCheck", "false"];
    await run(path.join(root, "node_modules/.bin/tsc"), [...options, ...typeRoots, "user.ts"], {
      cwd: app,
    }).catch((error: { stdout?: string }) => assert.fail(`\n${error.stdout}`));
  });

  packed("serve the models they carry, and end with 0 on SIGTERM", async (t) => {
    const port = await freePort();
    writeFileSync(path.join(app, "spillway.yaml"), `listen: [{ port: ${port} }]\ngrpc: false\n`);
    const server = spawn(spillway, ["serve", "--config", "spillway.yaml"], {
      cwd: app,
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    t.after(() => server.kill("SIGKILL"));
    const output = collect(server);
    await answers(`http://127.0.0.1:${port}/health/ready`, output);
    const response = await fetch(`http://127.0.0.1:${port}/predict`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ features: [5.1, 3.5, 1.4, 0.2], model_name: "iris" }),
    });
    const answer = (await response.json()) as { label?: string };
    assert.equal(response.status, 200, JSON.stringify(answer));
    assert.equal(answer.label, "setosa");
    server.kill("SIGTERM");
    const [code] = (await once(server, "exit")) as [number | null];
    assert.equal(code, 0, output.join("\n"));
  });

  packed("say how GGUF files are served that lie in ./models, beside the models they carry", async (t) => {
    const place = path.join(folder, "place");
    mkdirSync(path.join(place, "models"), { recursive: true });
    writeFileSync(path.join(place, "models/talk.gguf"), buildGguf({ seed: 1 }));
    t.after(() => rmSync(place, { recursive: true, force: true }));
    const { stdout } = await run(spillway, ["engines", "list"], { cwd: place, env });
    assert.match(stdout, /^llama +missing/m);
    const checked = await run(spillway, ["check"], { cwd: place, env });
    assert.match(checked.stdout, /spillway engines add llama/);
    assert.match(checked.stdout, /^iris /m);
  });

  packed(
    "serve GGUF files once the engine is installed",
    async (t) => {
      const place = path.join(folder, "place");
      mkdirSync(path.join(place, "models"), { recursive: true });
      writeFileSync(path.join(place, "models/talk.gguf"), buildGguf({ seed: 1 }));
      // The library alone; the engine's own code has to be that of the tarball.
      mkdirSync(path.join(place, "data/engines/llama"), { recursive: true });
      symlinkSync(
        path.join(root, "engines/llama/node_modules"),
        path.join(place, "data/engines/llama/node_modules"),
      );
      t.after(() => rmSync(place, { recursive: true, force: true }));
      const port = await freePort();
      const server = spawn(spillway, ["serve", "--port", String(port), "--no-grpc"], {
        cwd: place,
        env: { ...env, SPILLWAY_DATA: path.join(place, "data") },
        stdio: ["ignore", "pipe", "pipe"],
      });
      t.after(() => server.kill("SIGKILL"));
      const output = collect(server);
      await answers(`http://127.0.0.1:${port}/health/ready`, output);
      const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          model: "talk",
          messages: [{ role: "user", content: "hello" }],
          max_tokens: 5,
        }),
      });
      assert.equal(response.status, 200, `${await response.text()}\n${output.join("\n")}`);
      server.kill("SIGTERM");
      const [code] = (await once(server, "exit")) as [number | null];
      assert.equal(code, 0, output.join("\n"));
    },
    engineMissing(),
  );
});

/** The lines a process prints, growing. */
function collect(child: ChildProcess): string[] {
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (stream !== null) createInterface({ input: stream }).on("line", (line) => lines.push(line));
  }
  return lines;
}

/** Resolves once a URL answers with 200; rejects with what the server printed. */
async function answers(url: string, output: readonly string[]): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadline) {
    const response = await fetch(url).catch(() => undefined);
    if (response?.status === 200) return;
    await sleep(100);
  }
  assert.fail(
    `${url} did not answer 200 in ${READY_TIMEOUT_MS} ms; the server printed:\n${output.join("\n")}`,
  );
}
