// What the command line says of GGUF files and the engine for them.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { runSpillway } from "../../../../test/harness/spillway.ts";
import { engineVersion, installedMark } from "../workers/llama/engine-files.ts";
import { CommandError } from "./command-error.ts";
import { offerEngine } from "./offer-engine.ts";
import { readConfig } from "./serve-config.ts";
import type { Terminal } from "./terminal.ts";

function setUp(t: TestContext, files: readonly string[]) {
  const cwd = mkdtempSync(join(tmpdir(), "spillway-gguf-"));
  t.after(() => rmSync(cwd, { recursive: true }));
  const write = (file: string, text: string): void => {
    mkdirSync(dirname(join(cwd, file)), { recursive: true });
    writeFileSync(join(cwd, file), text);
  };
  for (const file of files) write(file, "");
  const env = { SPILLWAY_DATA: join(cwd, "data") };
  const mark = (version: string): void =>
    write(join("data/engines/llama", installedMark), JSON.stringify({ version }));
  return { cwd, env, write, mark };
}

const missing = /^GGUF files need the llama engine, which is not installed: spillway engines add llama$/m;

describe("the offer at the start", () => {
  /** What is printed, what was asked, and what was installed. */
  async function offered(
    t: TestContext,
    files: readonly string[],
    options: { readonly answer?: string; readonly format?: "json"; readonly fails?: boolean } = {},
  ) {
    const { cwd, env, mark } = setUp(t, files);
    const said: string[] = [];
    const installed: string[] = [];
    const { answer, format = "auto", fails = false } = options;
    const terminal: Terminal = {
      print: (text) => void said.push(text),
      complain: (text) => void said.push(text),
      interactive: false,
      interactiveErrors: false,
      environment: env,
      workingDirectory: cwd,
      onStop() {},
      ask: answer === undefined ? undefined : async (question) => (said.push(question), answer),
      exit: () => assert.fail("ended"),
    };
    const { config } = await readConfig({ logFormat: format }, terminal);
    const offer = () =>
      offerEngine(config, terminal, async (name) => {
        if (fails) throw new CommandError("no network");
        installed.push(name);
      });
    await offer();
    return { said, installed, mark, offer };
  }

  test("is one line where nobody can answer", async (t) => {
    const { said, installed } = await offered(t, ["models/a.gguf"]);
    assert.equal(said.length, 1);
    assert.match(said[0] ?? "", missing);
    assert.deepEqual(installed, []);
  });

  test("is a question where somebody can", async (t) => {
    const yes = await offered(t, ["models/a/1/model.gguf"], { answer: "y\n" });
    assert.deepEqual([yes.said.length, yes.installed], [2, ["llama"]]);
    for (const answer of ["", "no", "maybe"]) {
      const { said, installed } = await offered(t, ["models/a.gguf"], { answer });
      assert.deepEqual([said.length, installed], [2, []]);
    }
  });

  test("does not keep the gateway from starting when it fails", async (t) => {
    const { said } = await offered(t, ["models/a.gguf"], { answer: "yes", fails: true });
    assert.match(said[2] ?? "", /no network/);
  });

  test("is not made without a GGUF file, to machines, or where the engine is installed", async (t) => {
    assert.deepEqual((await offered(t, ["models/readme.md"], { answer: "y" })).said, []);
    assert.deepEqual((await offered(t, ["models/a.gguf"], { format: "json" })).said, []);
    const { said, mark, offer } = await offered(t, ["models/a.gguf"]);
    mark(engineVersion());
    await offer();
    assert.equal(said.length, 1);
    mark("1.0.0");
    await offer();
    assert.match(
      said[1] ?? "",
      /installed is 1\.0\.0, this Spillway is made for \d+\.\d+\.\d+: spillway engines add/,
    );
  });
});

describe("check", () => {
  test("names the files and says what they need", async (t) => {
    const { cwd, env } = setUp(t, [
      "models/a.gguf",
      "models/b/2/mmproj-b.gguf",
      "models/b/2/b-00001-of-00002.gguf",
    ]);
    const { code, stdout } = await runSpillway(["check"], { cwd, env });
    assert.equal(code, 0);
    assert.match(stdout, /^GGUF files +\.\/models\/a\.gguf, \.\/models\/b\/2\/b-00001-of-00002\.gguf$/m);
    assert.match(stdout, /^note: GGUF files need the llama engine/m);
    assert.match(stdout, /^iris /m, "the models that come with Spillway are served beside them");
    const own = await runSpillway(["check", "--models", "models", "--json"], { cwd, env });
    const report = JSON.parse(own.stdout) as {
      gguf: { files: string[]; engine: { state: string } };
      notes: string[];
    };
    assert.deepEqual([report.gguf.files.length, report.gguf.engine.state], [2, "missing"]);
    assert.ok(!report.notes.some((note) => note.startsWith("b:")), report.notes.join());
  });

  test("says that files are left where the engine is switched off", async (t) => {
    const { cwd, env, write } = setUp(t, ["models/b/2/b.gguf"]);
    write("spillway.yaml", "llama: false\nmodels: { repository: models }\n");
    const { stdout } = await runSpillway(["check"], { cwd, env });
    assert.match(stdout, /^note: b: not a model: its GGUF files are for the llama engine$/m);
    assert.doesNotMatch(stdout, /GGUF files need/);
  });
});

describe("doctor", () => {
  const finding = async (cwd: string, env: Readonly<Record<string, string>>) => {
    const { stdout } = await runSpillway(["doctor", "--json"], { cwd, env });
    const { findings } = JSON.parse(stdout) as {
      findings: { name: string; status: string; message: string; advice?: string }[];
    };
    return findings.find(({ name }) => name === "llama engine") ?? assert.fail(stdout);
  };

  test("says whether the engine is there, is needed, and starts", async (t) => {
    const { cwd, env, write, mark } = setUp(t, []);
    const none = await finding(cwd, env);
    assert.deepEqual([none.status, none.advice], ["ok", undefined]);
    write("models/a.gguf", "");
    const needed = await finding(cwd, env);
    assert.deepEqual([needed.status, needed.advice], ["warn", "spillway engines add llama"]);
    mark(engineVersion());
    const broken = await finding(cwd, env);
    assert.equal(broken.status, "fail");
    assert.match(broken.message, /does not start: node-llama-cpp is not installed/);
  });
});
