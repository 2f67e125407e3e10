import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { CompiledConfig } from "./compiled.ts";
import { builtinModels } from "./builtin.ts";
import { loadConfig } from "./load-config.ts";
import { parseConfig } from "./read-config.ts";
import { findSurprises } from "./relations.ts";

const environment = { PORT: "8080", NOT_A_NUMBER: "eighty", SECRET: "sk-\nsecret", HOST: "spillway.example" };
const folder = mkdtempSync(join(tmpdir(), "spillway-config-"));
after(() => rmSync(folder, { recursive: true }));

function parse(text: string): CompiledConfig {
  const result = parseConfig(text, { directory: folder, environment });
  assert.ok("config" in result, JSON.stringify(result));
  return result.config;
}

function errorsOf(text: string): readonly string[] {
  const result = parseConfig(text, { directory: folder, environment });
  return "errors" in result ? result.errors : [];
}

describe("messages for people", () => {
  // Each case is `=== title`, the file, `---`, the messages. SPILLWAY_UPDATE_GOLDEN=1 writes what is said now.
  const golden = join(import.meta.dirname, "fixtures/errors.golden");
  const cases = readFileSync(golden, "utf8")
    .split(/^=== /m)
    .slice(1)
    .map((text) => /^(?<title>.*)\n(?<input>[^]*?)^---\n(?<expected>[^]*)$/m.exec(text)?.groups ?? {});
  const update = process.env["SPILLWAY_UPDATE_GOLDEN"] === "1";

  for (const { title = "", input = "", expected = "" } of cases) {
    test(title, { skip: update }, () => {
      const errors = errorsOf(input);
      assert.ok(errors.length > 0, "no error");
      assert.equal(`${errors.join("\n")}\n`, expected);
    });
  }

  test("the cases are as written", { skip: !update }, () => {
    const written = cases.map(
      ({ title, input = "" }) => `=== ${title}\n${input}---\n${errorsOf(input).join("\n")}\n`,
    );
    writeFileSync(golden, written.join(""));
  });

  test("at most 50 are listed", () => {
    const errors = errorsOf(Array.from({ length: 80 }, (_, index) => `key${index}: 1`).join("\n"));
    assert.equal(errors.length, 51);
    assert.equal(errors.at(-1), "and 30 more problems");
  });
});

describe("files", () => {
  const load = (file: string | undefined) => loadConfig({ file, workingDirectory: folder, environment });

  test("what cannot be read is one clear error", async () => {
    mkdirSync(join(folder, "folder.yaml"));
    writeFileSync(join(folder, "huge.yaml"), "#".repeat(1_048_577));
    assert.deepEqual(await load("none.yaml"), { errors: ["none.yaml: there is no such file"] });
    assert.deepEqual(await load("folder.yaml"), {
      errors: ["folder.yaml: folder.yaml is a folder; expected a file"],
    });
    assert.deepEqual(await load("huge.yaml"), {
      errors: ["huge.yaml: expected at most 1048576 bytes, got 1048577"],
    });
  });

  test("messages call the file as it was called", async () => {
    writeFileSync(join(folder, "wrong.yaml"), "x: 1");
    const result = await load("./wrong.yaml");
    assert.match("errors" in result ? (result.errors[0] ?? "") : "", /^\.\/wrong\.yaml:1:1: x: unknown key/);
  });

  test("a key in the wrong place is told where it belongs", async () => {
    writeFileSync(
      join(folder, "misplaced.yaml"),
      'port: 1\nkeys: []\nhost: "::"\nprot: 2\npools:\n  a: { dialect: ollama, endpoints: ["http://a:1"], maxQueue: 3 }\n',
    );
    const result = await load("misplaced.yaml");
    const errors = "errors" in result ? result.errors : [];
    assert.deepEqual(errors.slice(0, 3), [
      "misplaced.yaml:1:1: port: unknown key; port belongs to listen[], grpc, extProc or pools.NAME.metrics",
      "misplaced.yaml:2:1: keys: unknown key; keys belongs to auth",
      'misplaced.yaml:3:1: host: unknown key; host belongs to listen[], grpc or extProc; or did you mean "hosts"?',
    ]);
    assert.match(errors[3] ?? "", /:4:1: prot: unknown key; known here: listen, /);
    assert.match(errors[4] ?? "", /maxQueue: unknown key; maxQueue belongs to flow$/);
  });

  test("a pool of HTTP servers without a dialect is told that it needs one", async () => {
    writeFileSync(join(folder, "no-dialect.yaml"), 'pools: { a: { endpoints: ["http://a:1"] } }');
    const result = await load("no-dialect.yaml");
    assert.match("errors" in result ? (result.errors[0] ?? "") : "", /endpoints\[0\].*dialect: auto.*http:/);
  });

  test("paths start from the file's folder", async () => {
    mkdirSync(join(folder, "etc"));
    writeFileSync(
      join(folder, "etc/paths.yaml"),
      'models: { repository: ../zoo }\npools: { a: { endpoints: ["grpcs://a:1"], ca: ca.pem } }',
    );
    const result = await load("etc/paths.yaml");
    assert.ok("config" in result);
    assert.equal(result.config.repository?.directory, join(folder, "zoo"));
    assert.deepEqual(result.config.llama?.folders, [join(folder, "zoo")]);
    assert.equal(result.config.pools[0]?.ca, join(folder, "etc/ca.pem"));
  });

  test("without a file: the models of the folder if it has some, else those that come with Spillway", async () => {
    const directory = async () => {
      const result = await load(undefined);
      return "config" in result ? result.config.repository?.directory : undefined;
    };
    assert.equal(await directory(), builtinModels());
    mkdirSync(join(folder, "models/views"), { recursive: true });
    assert.equal(await directory(), builtinModels(), "a folder of something else");
    mkdirSync(join(folder, "models/qwen/1"), { recursive: true });
    writeFileSync(join(folder, "models/qwen/1/model.gguf"), "");
    assert.equal(await directory(), builtinModels(), "GGUF files are served beside the models of Spillway");
    mkdirSync(join(folder, "models/iris/1"), { recursive: true });
    assert.equal(await directory(), join(folder, "models"));
    rmSync(join(folder, "models"), { recursive: true });
  });
});

test("an empty file means every default", () => {
  for (const text of ["", "# nothing\n", "---\n"]) {
    assert.deepEqual(parse(text), parse("{}"));
  }
  const door = {
    host: "127.0.0.1",
    maxBodyBytes: 64 * 2 ** 20,
    maxTotalBodyBytes: 256 * 2 ** 20,
    receiveTimeoutMs: 60_000,
    maxConnections: 10_000,
    tls: undefined,
  };
  assert.deepEqual(parse(""), {
    http: [{ ...door, port: 30_080 }],
    grpc: { ...door, port: 50_051 },
    access: { mode: "loopback", hosts: [], origins: [], keys: [], keysFile: undefined },
    flow: { maxQueue: 1_024, requestTimeoutMs: 60_000 },
    workers: {
      memoryLimitBytes: 2 ** 30,
      startTimeoutMs: 60_000,
      drainTimeoutMs: 30_000,
      backoffMs: { initial: 250, max: 30_000 },
    },
    repository: {
      directory: builtinModels(),
      pollMs: 2_000,
      instances: Object.create(null) as object,
      control: "all",
    },
    pools: [],
    routes: [],
    traits: {
      objectives: new Map(),
      fairness: "header",
      session: { headers: ["x-session-token", "x-session-id"], cookie: undefined },
      trust: new Set(),
    },
    rules: [],
    escalate: [],
    discovery: true,
    llama: {
      folders: [builtinModels(), join(folder, "models")],
      threads: undefined,
      sequences: 4,
      contextSize: 4_096,
      memoryBytes: undefined,
      keepAliveMs: 300_000,
    },
    edge: undefined,
    predict: { featuresModel: "iris", promptModel: "sentiment" },
    monitoring: { grafana: undefined, prometheus: undefined },
    extProc: undefined,
    plugins: [],
    notes: [],
    log: { level: undefined, format: "auto" },
  });
});

test("the engine for GGUF files is a pool that routes may name, where there is one", () => {
  const route = "routes: [{ model: a, targets: [{ pool: llama, model: qwen }] }]";
  assert.equal(parse(route).routes[0]?.targets[0]?.pool, "llama");
  for (const without of ["llama: false", "models: false"]) {
    assert.match(
      errorsOf(`${without}\n${route}`)[0] ?? "",
      /expected a pool [^]* \(there is none\), got "llama"/,
    );
  }
});

test("an edge endpoint has the detectors over digits where that model is served and nobody names others", () => {
  assert.equal(parse("edge: {}").edge?.detectors.length, 2);
  assert.deepEqual(parse("edge: { detectors: [] }").edge?.detectors, []);
  assert.deepEqual(parse("edge: {}\nmodels: false").edge?.detectors, []);
  assert.deepEqual(parse("edge: {}\nmodels: { repository: elsewhere }").edge?.detectors, []);
  assert.equal(parse("edge: false").edge, undefined);
  const ports = parse("edge: {}").http.map(({ port, edge, optional }) => [port, edge, optional]);
  assert.deepEqual(ports, [
    [30_080, undefined, undefined],
    [30_101, true, true],
  ]);
});

test("what is switched off", () => {
  const config = parse("grpc: false\nmodels: false\npredict: { features: false, prompt: false }");
  assert.equal(config.grpc, undefined);
  assert.equal(config.repository, undefined);
  assert.equal(config.llama, undefined, "it serves from the model folder");
  assert.equal(parse("llama: false").llama, undefined);
  assert.deepEqual(config.predict, { featuresModel: undefined, promptModel: undefined });
});

test("variables of the environment take the type that the key has", () => {
  const config = parse(
    'listen: [ { port: "${PORT}" } ]\nhosts: [ "${HOST}.", "a-${PORT}.example" ]\ngrpc:\n  port: 5${PORT}',
  );
  assert.equal(config.http[0]?.port, 8080);
  assert.equal(config.grpc?.port, 58_080);
  assert.deepEqual(config.access.hosts, ["spillway.example", "a-8080.example"]);
  assert.deepEqual(errorsOf('hosts: [ "$${PORT}" ]'), [
    'spillway.yaml:1:10: hosts[0]: expected a host name without a port, such as spillway.example, got "${PORT}" from $${PORT}',
  ]);
});

test("a model may have the name of what every object has", () => {
  const repository = parse("models: { instances: { toString: 2 } }").repository;
  assert.equal(repository?.instances["toString"], 2);
  assert.equal(repository?.instances["constructor"], undefined);
});

test("a calibration that is to be used and would never come about is told, with a rate that suits", () => {
  const notesOf = (edge: string) => findSurprises(parse(`edge: { cloud: {}, ${edge} }`));
  const automatic = "defaults: { calibration: { mode: automatic } }";
  assert.deepEqual(notesOf(automatic), [
    "calibration is automatic for det_WhichDigitIsThis00000000000 and 2 more, but an auditRate of 0.00001 needs 5,900,000 sure answers for the first one; 0.01 needs 5,900",
  ]);
  assert.match(notesOf(`auditRate: 0, ${automatic}`)[0] ?? "", /an auditRate of 0 checks none/);
  assert.deepEqual(notesOf(`auditRate: 0.01, ${automatic}`), []);
  assert.deepEqual(notesOf("defaults: { calibration: { mode: suggest } }"), []);
  assert.deepEqual(notesOf(`defaults: { policy: no_cloud, calibration: { mode: automatic } }`), []);
  assert.deepEqual(findSurprises(parse(`edge: { ${automatic} }`)), []);
});

test("the configuration of a picker in the place of the gateway's is told as such", () => {
  const [error, ...others] = errorsOf(
    "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins: []\n",
  );
  assert.match(error ?? "", /^spillway\.yaml: is an EndpointPickerConfig, .*--config-file" read it$/);
  assert.deepEqual(others, []);
});

test("surprises are told", () => {
  const notesOf = (text: string) => findSurprises(parse(text));
  const cameras = "listen: [ { port: 1, edge: true } ]\n";
  assert.match(notesOf(cameras).join(), /^port 1 is for cameras .*"edge: \{\}" answers them$/);
  assert.deepEqual(notesOf(`${cameras}edge: {}\n`), []);
  assert.deepEqual(notesOf(""), []);
  assert.match(
    notesOf("listen: [ { host: 0.0.0.0 } ]")[0] ?? "",
    /only callers on this machine are answered/,
  );
  assert.deepEqual(notesOf("auth: none\nlisten: [ { host: 0.0.0.0 } ]"), []);
  assert.match(notesOf("models: false\ndiscovery: false")[0] ?? "", /nothing will be served/);
  assert.deepEqual(notesOf("models: false\ndiscovery: false\nedge: {}"), []);
});
