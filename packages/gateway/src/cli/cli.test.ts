import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { runSpillway, type Ended } from "../../../../test/harness/spillway.ts";
import { packageVersion } from "./version.ts";

const folder = mkdtempSync(join(tmpdir(), "spillway-cli-"));
const builtin = join(import.meta.dirname, "../../../../models");
after(() => rmSync(folder, { recursive: true }));

function write(file: string, text: string): void {
  const path = join(folder, file);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
}

function run(...args: string[]): Promise<Ended> {
  return runSpillway(args, { cwd: folder });
}

/** Exactly one line on standard error, and nothing else. */
function assertOneLine({ code, stdout, stderr }: Ended, expected: number, pattern: RegExp): void {
  assert.equal(code, expected, stderr);
  assert.equal(stdout, "");
  assert.match(stderr, pattern);
  assert.equal(stderr.split("\n").length, 2, stderr);
}

describe("the command line", () => {
  test("--version prints the version", async () => {
    const { code, stdout } = await run("--version");
    assert.equal(code, 0);
    assert.equal(stdout, `${packageVersion()}\n`);
  });

  for (const args of [["--help"], ["help", "serve"], ["models", "load", "--help"]]) {
    test(`${args.join(" ")} is not a failure`, async () => {
      const { code, stdout, stderr } = await run(...args);
      assert.equal(code, 0);
      assert.equal(stderr, "");
      assert.match(stdout, /^Usage: spillway/);
      assert.match(stdout, /Examples:|Exit codes:/);
    });
  }

  const mistakes: [args: string[], message: RegExp][] = [
    [[], /^Usage: spillway/],
    [["serv"], /unknown command 'serv'[^]*Did you mean serve\?/],
    [["serve", "--prot", "1"], /unknown option '--prot'[^]*Did you mean --port\?/],
    [["serve", "--port", "70000"], /Expected a port from 0 to 65535/],
    [["serve", "--log-level", "loud"], /Allowed choices are error, warn, info, debug/],
    [["worker"], /required option '-m, --models <folder>'/],
    [["predict", "iris"], /--features, --prompt or --image/],
    [["predict", "iris", "--features", "1,x"], /"x" is not a number/],
    [["predict", "iris", "--features", "1", "--prompt", "x"], /cannot be used with/],
    [["models", "load"], /missing required argument 'model'/],
    [["models", "list", "--url", "nowhere"], /Expected an address/],
  ];
  for (const [args, message] of mistakes) {
    test(`usage: spillway ${args.join(" ")}`, async () => {
      const { code, stdout, stderr } = await run(...args);
      assert.equal(code, 2, stderr);
      assert.equal(stdout, "");
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /\n {4}at /, "a stack trace");
    });
  }
});

describe("what cannot be started is one clear line", () => {
  const failures: [args: string[], message: RegExp][] = [
    [["serve", "--config", "none.yaml"], /^none\.yaml: there is no such file$/m],
    [
      ["serve", "--models", "none"],
      /none: there is no such folder; expected the folder that holds the models/,
    ],
    [["worker", "--models", "none"], /none: there is no such folder/],
    [["serve", "--config", "off.yaml", "--models", "x"], /the configuration says models: false/],
    [["predict", "digits", "--image", "none.png"], /none\.png: there is no such file/],
    [["predict", "digits", "--image", "a.gif"], /expected a picture: \.jpg, \.jpeg, \.png, \.webp/],
  ];
  before(() => write("off.yaml", "models: false\n"));
  for (const [args, message] of failures) {
    test(`spillway ${args.join(" ")}`, async () => assertOneLine(await run(...args), 1, message));
  }

  test("no gateway there", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const ended = await run("models", "--url", `http://127.0.0.1:${port}`);
    assertOneLine(ended, 1, /no answer from http:\S+ \(ECONNREFUSED\); "spillway serve" starts a gateway/);
  });

  test("a taken port", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    mkdirSync(join(folder, "empty"), { recursive: true });
    const args = ["serve", "--models", "empty", "--port", String(port), "--grpc-port", "0"];
    assertOneLine(await run(...args), 1, new RegExp(`^spillway: .*${port}.* taken`));
    await new Promise((resolve) => server.close(resolve));
  });
});

describe("check", () => {
  before(() => {
    cpSync(join(builtin, "iris"), join(folder, "zoo/iris"), { recursive: true });
    write("zoo/broken/model.yaml", "engine: onx\n");
    write("zoo/notes/readme.txt", "not a model");
    cpSync(join(builtin, "sentiment"), join(folder, "good/sentiment"), { recursive: true });
    cpSync(join(builtin, "iris"), join(folder, "good/iris"), { recursive: true });
    write(
      "good.yaml",
      "models: { repository: good, instances: { irsi: 2, sentiment: 2 } }\npredict: { features: false }\n",
    );
    write("wrong.yaml", "listen: []\nflow: { maxQueu: 1 }\n");
  });

  test("says what would run", async () => {
    const { code, stdout, stderr } = await run("check", "--config", "good.yaml");
    assert.equal(stderr, "");
    assert.equal(code, 0);
    assert.equal(
      stdout,
      `configuration  good.yaml
listen         http 127.0.0.1:30080; grpc 127.0.0.1:50051
callers        this machine only
models         ./good
discovery      model servers at the usual ports of this machine

MODEL      VERSION  ENGINE  PROCESS      INSTANCES
iris             1  onnx    group small          2
sentiment        1  text    group small          2
2 processes
note: models.instances: no model irsi; did you mean "iris"?

ok
`,
    );
  });

  test("where Envoy asks, and how a pool's servers are found", async () => {
    const pool = "{ dialect: openai, discovery: { type: file-discovery, parameters: { path: list.yaml } } }";
    write("envoy.yaml", `models: false\nextProc: { tls: none }\npools:\n  chat: ${pool}\n`);
    const { code, stdout } = await run("check", "--config", "envoy.yaml");
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^envoy {10}ext_proc .*:9002, health on port 9003$/m);
    assert.match(stdout, /^chat {2}openai {3}found by file-discovery {2}all$/m);
  });

  test("all mistakes of the file, on standard error", async () => {
    const { code, stdout, stderr } = await run("check", "--config", "wrong.yaml");
    assert.equal(code, 1);
    assert.equal(stdout, "");
    assert.match(stderr, /^wrong\.yaml:1:9: listen: .*\nwrong\.yaml:2:9: flow\.maxQueu: .*\n\n2 errors\n$/);
  });

  test("a broken model", async () => {
    const { code, stdout, stderr } = await run("check", "--models", "zoo");
    assert.equal(code, 1);
    assert.match(stderr, /^broken\/model\.yaml:1: engine: .*did you mean "onnx"\?\n\n1 error\n$/);
    assert.match(stdout, /^iris +1 +onnx/m);
    assert.match(stdout, /^note: notes: not a model/m);
  });

  test("--json", async () => {
    const good = await run("check", "--json", "--config", "good.yaml");
    assert.equal(good.code, 0);
    const report = JSON.parse(good.stdout) as { ok: boolean; models: { name: string }[]; processes: number };
    assert.equal(report.ok, true);
    assert.deepEqual(
      report.models.map(({ name }) => name),
      ["iris", "sentiment"],
    );
    assert.equal(report.processes, 2);
    const wrong = await run("check", "--json", "--config", "wrong.yaml");
    assert.equal(wrong.code, 1);
    assert.equal((JSON.parse(wrong.stdout) as { errors: string[] }).errors.length, 2);
    assert.equal(wrong.stderr, "");
  });

  test("detectors, what answers them, and a model that is not there", async () => {
    const detectors = `[{ id: det_2pXbyyXPTCjC4kJDPZQ3dQmLQ9F, model: iriz }, { id: det_2pXbyyXPTCjC4kJDPZQ3dQmLQ9G }]`;
    const edge = `{ cloud: { origin: "http://127.0.0.1:9000" }, detectors: ${detectors} }`;
    write("edge.yaml", `models: { repository: good }\nedge: ${edge}\n`);
    const { code, stdout } = await run("check", "--config", "edge.yaml");
    assert.equal(code, 0);
    assert.match(stdout, /^det_\w+F +iriz +default\n.*G +fetched, or the cloud +default\ncloud: http:/m);
    assert.match(stdout, /^note: .*: no model iriz; did you mean "iris"\?; its queries go to the cloud$/m);
  });

  test("spillway.yaml of the working folder is taken without --config", async () => {
    write("here/spillway.yaml", "models: { repository: ../good }\nlisten: [ { port: 1234 } ]\n");
    const { stdout } = await runSpillway(["check"], { cwd: join(folder, "here") });
    assert.match(stdout, /^configuration {2}spillway\.yaml\nlisten +http 127\.0\.0\.1:1234/);
  });
});

describe("doctor", () => {
  test("--json says ok or what to do", async () => {
    write("doctor.yaml", "listen: [ { port: 0 } ]\ngrpc: { port: 0 }\nmodels: { repository: none }\n");
    const { code, stdout } = await run("doctor", "--json", "--config", "doctor.yaml");
    const report = JSON.parse(stdout) as {
      ok: boolean;
      findings: { name: string; status: string; advice?: string }[];
    };
    const models = report.findings.find(({ name }) => name === "models");
    assert.equal(models?.status, "fail");
    assert.match(models?.advice ?? "", /--models/);
    assert.equal(report.ok, false);
    assert.equal(code, 1);
    for (const name of ["node", "sockets", "onnxruntime-node", "sharp"]) {
      assert.equal(report.findings.find((finding) => finding.name === name)?.status, "ok", name);
    }
  });

  test("a line a finding", async () => {
    write("doctor.yaml", "listen: [ { port: 0 } ]\ngrpc: false\nmodels: { repository: good }\n");
    const { code, stdout } = await run("doctor", "--config", "doctor.yaml");
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^ok {4}node: Node 24/m);
    assert.match(stdout, /^ok {4}models: 2 in /m);
  });
});
