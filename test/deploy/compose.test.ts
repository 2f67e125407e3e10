/**
 * deploy/compose.yaml and what it mounts belong together: services, ports, networks, files and addresses. The files of the
 * image are put together and run. That containers come up is not tried here: it takes a Docker daemon.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { parse } from "yaml";
import { parseConfig } from "../../packages/gateway/src/config/with-plugins.ts";
import { isGrpcPool, isHttpPool } from "../../packages/gateway/src/contracts/options.ts";
import { repositoryRoot } from "../harness/gateway.ts";
import { runSpillway } from "../harness/spillway.ts";

interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly command?: readonly unknown[];
  readonly ports: readonly string[];
  readonly volumes: readonly string[];
  readonly networks: readonly string[];
  readonly environment?: Readonly<Record<string, unknown>>;
  readonly healthcheck?: { readonly test: readonly unknown[] };
  readonly depends_on?: readonly string[];
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, unknown>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

const folder = path.join(repositoryRoot, "deploy");
const read = (file: string): string => readFileSync(path.join(folder, file), "utf8");
const compose = parse(read("compose.yaml"), { merge: true }) as Compose;
const { services } = compose;

/** With the variables' defaults. */
const filledIn = (text: string): string => text.replace(/\$\{\w+:-([^}]*)\}/g, "$1");

function service(name: string): Service {
  const found = services[name];
  assert.ok(found, `no service ${name}`);
  return found;
}

/** `[address, host port or ports, container port]` of everything published. */
function published(name: string): string[][] {
  return service(name).ports.map((text) => filledIn(text).split(":"));
}

/** `[source, target, mode]` of every mount. */
function mounts(name: string): string[][] {
  return service(name).volumes.map((text) => filledIn(text).split(":"));
}

/** The file or folder of the checkout that is at `target` in a container. */
function mountedAt(name: string, target: string): string {
  const mount = mounts(name).find(([, at = ""]) => target === at || target.startsWith(`${at}/`));
  const [source = "", at = ""] = mount ?? [];
  assert.ok(mount, `nothing of the checkout is at ${target} of ${name}`);
  return path.join(folder, source, target.slice(at.length));
}

/** Both are in one network, and the other listens there. */
function assertReaches(from: string, url: string, listens: Readonly<Record<string, number>>): void {
  const { hostname, port } = new URL(url);
  const shared = service(from).networks.filter((network) => service(hostname).networks.includes(network));
  assert.notEqual(shared.length, 0, `${from} and ${hostname} share no network`);
  assert.equal(Number(port), listens[hostname], url);
}

/** What listens in the containers: their images say so, the flags of ours. */
const listens = {
  gateway: 30_080,
  "inference-service": 50_051,
  ollama: 11_434,
  prometheus: 9_090,
  grafana: 3_000,
};

describe("the compose file", () => {
  test("has the services, their ports and networks", () => {
    const shown = Object.fromEntries(
      Object.keys(services).map((name) => [
        name,
        published(name).map(([, host, inside]) => `${host}:${inside}`),
      ]),
    );
    assert.deepEqual(shown, {
      gateway: ["30080:30080", "3000:30080", "50051:50051"],
      "inference-service": ["8001-8016:50051"],
      ollama: ["11435:11434"],
      prometheus: ["9090:9090"],
      grafana: ["3007:3000"],
    });
    for (const [name, port] of Object.entries(listens)) {
      assert.ok(
        published(name).some(([, , inside]) => Number(inside) === port),
        `${name} ${port}`,
      );
    }
    assert.deepEqual(Object.keys(compose.networks), ["front", "inference", "monitoring"]);
    assert.deepEqual(service("gateway").networks, ["front", "inference", "monitoring"]);
    for (const name of ["inference-service", "ollama"])
      assert.deepEqual(service(name).networks, ["inference"]);
    for (const name of ["prometheus", "grafana"]) assert.deepEqual(service(name).networks, ["monitoring"]);
  });

  test("opens ports to this machine alone unless it is told otherwise", () => {
    for (const name of Object.keys(services)) {
      for (const [address] of published(name)) assert.equal(address, "127.0.0.1", name);
      const opened = service(name).ports.filter((text) => text.startsWith("${SPILLWAY_BIND"));
      assert.equal(opened.length > 0, name === "gateway", name);
    }
  });

  test("mounts what is there, what is of the checkout read-only, volumes by their names", () => {
    for (const name of Object.keys(services)) {
      for (const [source = "", target = "", mode] of mounts(name)) {
        assert.ok(target.startsWith("/"), target);
        if (!source.startsWith(".")) assert.ok(source in compose.volumes, source);
        else {
          assert.ok(existsSync(path.join(folder, source)), source);
          assert.equal(mode, "ro", source);
        }
      }
    }
  });

  test("ends the servers of the gateway's models after it", () => {
    const models = Object.keys(services).filter((name) => service(name).networks.includes("inference"));
    assert.deepEqual(new Set(["gateway", ...(service("gateway").depends_on ?? [])]), new Set(models));
  });

  test("says commands and checks in words only", () => {
    for (const { command = [], healthcheck, image } of Object.values(services)) {
      for (const word of [...command, ...(healthcheck?.test ?? [])])
        assert.equal(typeof word, "string", String(word));
      assert.match(image, /:[\w.-]+$/);
      assert.doesNotMatch(image, /:latest$/);
    }
  });
});

describe("the gateway's file", () => {
  const { config } = ((): {
    readonly config: Extract<ReturnType<typeof parseConfig>, { config: unknown }>["config"];
  } => {
    const result = parseConfig(read("spillway.yaml"), { directory: folder, environment: {} });
    assert.ok("config" in result, JSON.stringify(result));
    return result;
  })();

  test("is the one that is mounted, and passes spillway check", async () => {
    const command = (service("gateway").command ?? []).map(String);
    const file = command[command.indexOf("--config") + 1] ?? "";
    assert.equal(mountedAt("gateway", file), path.join(folder, "spillway.yaml"));
    const { code, stdout, stderr } = await runSpillway(["check", "--config", "deploy/spillway.yaml"], {
      cwd: repositoryRoot,
    });
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /^workers +kserve-grpc +grpc:\/\/inference-service:50051/m);
    assert.match(stdout, /^ollama +ollama +http:\/\/ollama:11434/m);
  });

  test("listens for containers, and names services that it reaches", () => {
    assert.deepEqual(
      config.http.map(({ host, port }) => ({ host, port })),
      [{ host: "0.0.0.0", port: 30_080 }],
    );
    const { grafana = "", prometheus = "" } = config.monitoring;
    const http = config.pools.filter(isHttpPool).flatMap(({ endpoints }) => endpoints);
    const grpc = config.pools.filter(isGrpcPool).flatMap(({ endpoints }) => endpoints);
    assert.deepEqual([http.length, grpc.length], [1, 1]);
    for (const url of [...http, ...grpc, grafana, prometheus]) assertReaches("gateway", url, listens);
  });

  test("finds the worker where it listens, with models", () => {
    const command = (service("inference-service").command ?? []).map(String);
    const flag = (name: string): string => command[command.indexOf(`--${name}`) + 1] ?? "";
    assert.deepEqual([command[0], flag("host"), flag("port")], ["worker", "0.0.0.0", "50051"]);
    assert.equal(mountedAt("inference-service", flag("models")), path.join(repositoryRoot, "models"));
  });
});

describe("monitoring", () => {
  test("Prometheus scrapes the gateway and serves where the gateway shows it", () => {
    const command = (service("prometheus").command ?? []).map(String);
    const flag = (name: string): string =>
      command.find((word) => word.startsWith(`--${name}=`))?.slice(name.length + 3) ?? "";
    const file = mountedAt("prometheus", flag("config.file"));
    const config = parse(readFileSync(file, "utf8")) as {
      readonly rule_files: readonly string[];
      readonly scrape_configs: readonly {
        readonly static_configs: readonly { readonly targets: readonly string[] }[];
      }[];
    };
    for (const rules of config.rule_files) assert.ok(existsSync(path.join(path.dirname(file), rules)), rules);
    const targets = config.scrape_configs.flatMap((job) =>
      job.static_configs.flatMap(({ targets: each }) => each),
    );
    assert.deepEqual(targets, ["gateway:30080"]);
    assertReaches("prometheus", `http://${targets[0]}`, listens);
    assert.equal(new URL(flag("web.external-url")).pathname, "/prometheus/");
  });

  test("Grafana finds Prometheus and the dashboard, and serves where the gateway shows it", () => {
    const source = parse(
      readFileSync(mountedAt("grafana", "/etc/grafana/provisioning/datasources/prometheus.yml"), "utf8"),
    ) as {
      readonly datasources: readonly [{ readonly url: string }];
    };
    const [{ url }] = source.datasources;
    assertReaches("grafana", url, listens);
    assert.equal(new URL(url).pathname, "/prometheus");
    const provider = parse(
      readFileSync(mountedAt("grafana", "/etc/grafana/provisioning/dashboards/spillway.yml"), "utf8"),
    ) as {
      readonly providers: readonly [{ readonly options: { readonly path: string } }];
    };
    const dashboards = mountedAt("grafana", provider.providers[0].options.path);
    for (const name of ["spillway.json", "picker.json"])
      assert.ok(existsSync(path.join(dashboards, name)), name);
    const { environment = {} } = service("grafana");
    assert.equal(new URL(String(environment["GF_SERVER_ROOT_URL"])).pathname, "/grafana/");
    assert.equal(environment["GF_SERVER_SERVE_FROM_SUB_PATH"], "true");
  });
});

describe("the image", () => {
  const lines = read("Dockerfile").split("\n");
  const all = (instruction: string): string[] =>
    lines
      .filter((line) => line.startsWith(`${instruction} `))
      .map((line) => line.slice(instruction.length + 1));
  /** Files and folders of the checkout that are copied. */
  const copied = (): string[] =>
    all("COPY")
      .filter((line) => !line.startsWith("--from"))
      .flatMap((line) => line.split(" ").slice(0, -1));
  const ignoring = read("Dockerfile.dockerignore").split("\n");
  const leftOut = ignoring.slice(ignoring.findLastIndex((line) => line.startsWith("!")) + 1).filter(Boolean);
  /** Docker's `**` stands for any number of folders, as here. */
  const isLeftOut = (file: string): boolean => leftOut.some((pattern) => path.matchesGlob(file, pattern));

  test("is built from the checkout once, for both services", () => {
    for (const name of ["gateway", "inference-service"]) assert.equal(service(name).image, "spillway:local");
    const built = Object.values(services).flatMap(({ build }) => build ?? []);
    assert.deepEqual(
      built.map(({ context, dockerfile }) => [
        path.resolve(folder, context),
        path.resolve(repositoryRoot, dockerfile),
      ]),
      [[path.resolve(repositoryRoot), path.join(folder, "Dockerfile")]],
    );
  });

  test("is Node 24 with what the lockfile says, and does not run as root", () => {
    for (const from of all("FROM")) assert.match(from, /^node:24-/);
    assert.ok(all("RUN").some((line) => line.startsWith("npm ci --omit=dev ")));
    assert.equal(all("USER").at(-1), "node");
  });

  test("copies what is there, and the package.json of every workspace before npm ci", () => {
    const sources = copied();
    for (const source of sources) assert.ok(existsSync(path.join(repositoryRoot, source)), source);
    const workspaces = globSync("packages/*/package.json", { cwd: repositoryRoot });
    assert.deepEqual(
      sources.filter((source) => source.startsWith("packages/") && source !== "packages/").sort(),
      workspaces.sort(),
    );
    assert.deepEqual(JSON.parse(all("ENTRYPOINT")[0] ?? "[]"), ["spillway"]);
    assert.match(
      all("RUN").join("\n"),
      /ln -s \/app\/packages\/gateway\/bin\/spillway\.mjs \/usr\/local\/bin\/spillway/,
    );
  });

  test("has all that its program needs", async () => {
    const app = mkdtempSync(path.join(tmpdir(), "spillway-image-"));
    try {
      for (const source of copied()) {
        const isKept = (file: string): boolean => !isLeftOut(path.relative(repositoryRoot, file));
        cpSync(path.join(repositoryRoot, source), path.join(app, source), {
          recursive: true,
          filter: isKept,
        });
      }
      symlinkSync(path.join(repositoryRoot, "node_modules"), path.join(app, "node_modules"));
      const program = path.join(app, "packages/gateway/bin/spillway.mjs");
      const { stdout } = await promisify(execFile)(process.execPath, [program, "check"], { cwd: app });
      assert.match(stdout, /^digits /m);
    } finally {
      rmSync(app, { recursive: true, force: true });
    }
  });

  test("is not sent what it does not copy", () => {
    const kept = ignoring.filter((line) => line.startsWith("!")).map((line) => line.slice(1));
    assert.deepEqual(new Set(kept), new Set(copied().map((source) => source.split("/")[0])));
  });
});
