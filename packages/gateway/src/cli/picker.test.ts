import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { Command } from "commander";
import { isHttpPool } from "../contracts/options.ts";
import { addPickerFlags, settleFlags } from "./picker-command.ts";
import { readPickerConfig, type PickerConfig } from "./picker-config.ts";
import { runCli } from "./run-cli.ts";
import type { Terminal } from "./terminal.ts";
import { defaultScheduling } from "../plugins/default-scheduling.ts";

const folder = mkdtempSync(join(tmpdir(), "spillway-picker-"));
after(() => rmSync(folder, { recursive: true }));

const head = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n";

function write(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return name;
}

/** A terminal that keeps what is printed. */
function terminal(): Terminal & { readonly printed: string[]; readonly complained: string[] } {
  const [printed, complained]: string[][] = [[], []];
  return {
    printed: printed ?? [],
    complained: complained ?? [],
    print: (text) => void printed?.push(text),
    complain: (text) => void complained?.push(text),
    interactive: false,
    interactiveErrors: false,
    environment: {},
    workingDirectory: folder,
    onStop() {},
    exit: (code) => {
      throw new Error(`exit ${code}`);
    },
  };
}

async function read(
  ...args: readonly string[]
): Promise<PickerConfig & { readonly flags: readonly string[] }> {
  const command = addPickerFlags(new Command("picker").exitOverride());
  command.parse([...args], { from: "user" });
  const { options, notes } = settleFlags(command.opts());
  return { ...(await readPickerConfig(options, terminal())), flags: notes };
}

describe("the router's flags", () => {
  test("defaults are the router's", async () => {
    const { config } = await read("--endpoints", "10.0.0.5:8000");
    const door = config.extProc;
    assert.equal(door?.port, 9002);
    assert.equal(door.healthPort, 9003);
    assert.equal(door.tls, "self-signed");
    assert.equal(door.drainMs, 30_000);
    assert.equal(door.subsets, true);
    assert.equal(door.scores, false);
    assert.equal(config.http[0]?.port, 9090);
    assert.equal(config.http[0].scopes?.includes("infer"), false);
    assert.equal(config.access.mode, "loopback");
    const [pool] = config.pools.filter(isHttpPool);
    assert.deepEqual(pool?.endpoints, ["http://10.0.0.5:8000"]);
    assert.equal(pool.passthrough, true);
    assert.deepEqual(pool.scheduling, defaultScheduling({ readsMetrics: true }));
    assert.equal(pool.data?.metrics?.intervalMs, 50);
    assert.equal(pool.data.metrics.staleAfterMs, 2_000);
  });

  test("each says what it says there", async () => {
    const file = write("picker.yaml", `${head}plugins: [{ type: queue-scorer }]\n`);
    const { config, flags } = await read(
      "--config-file",
      file,
      "--endpoints",
      "a:1,b:2",
      "--grpc-port=1",
      "--grpc-health-port",
      "2",
      "--metrics-port=3",
      "--metrics-endpoint-auth=false",
      "--cert-path",
      "certs",
      "--pool-name",
      "mine",
      "--emit-endpoint-scores",
      "--disable-endpoint-subset-filter=true",
      "--drain-timeout=1m30s",
      "--refresh-metrics-interval",
      "200ms",
      "--metrics-staleness-threshold=5s",
      "--tracing=false",
      "--enable-pprof=true",
      "--pool-namespace",
      "default",
      "-v",
      "4",
    );
    const door = config.extProc;
    assert.deepEqual(door?.tls, { cert: join(folder, "certs/tls.crt"), key: join(folder, "certs/tls.key") });
    assert.deepEqual([door.port, door.healthPort, config.http[0]?.port], [1, 2, 3]);
    assert.deepEqual([door.scores, door.subsets, door.drainMs], [true, false, 90_000]);
    assert.equal(config.access.mode, "none");
    const [pool] = config.pools.filter(isHttpPool);
    assert.equal(pool?.name, "mine");
    assert.equal(pool.scheduling?.profiles[0].scorers[0]?.plugin, "queue-scorer");
    assert.equal(pool.data?.metrics?.intervalMs, 200);
    assert.equal(pool.data.metrics.staleAfterMs, 5_000);
    assert.deepEqual(
      flags.map((note) => note.split(" ")[0]),
      ["--pool-namespace", "--enable-pprof", "--v"],
    );
  });

  test("what cannot be is refused in a sentence", async () => {
    const refused = (...args: readonly string[]) =>
      read(...args).then(
        () => "",
        (error: unknown) => (error instanceof Error ? error.message : ""),
      );
    assert.match(await refused("--endpoint-selector", "app=vllm"), /selects pods, and is for Kubernetes/);
    assert.match(await refused("--ha-enable-leader-election"), /elects a leader among pods/);
    assert.match(await refused("--metrics-cert-dir", "certs"), /metrics are served without TLS/);
    assert.match(await refused("--lora-info-metric", "a"), /engineConfigs/);
    assert.equal(await refused("--ha-enable-leader-election=false", "--endpoints", "a:1"), "");
    assert.match(await refused(), /there is nothing to choose from/);
    assert.match(await refused("--endpoints", "http://a:1/path"), /expected host:port/);
    assert.match(await refused("--endpoints", "a"), /expected host:port/);
    assert.match(await refused("--config-file", "a", "--config-text", "b"), /say the same thing/);
    assert.match(
      await refused("--config-text", `${head}plugins: [{ type: nix }]`),
      /--config-text:3:\d+: plugins\[0\].type: there is no plugin/,
    );
    assert.match(await refused("--config-file", "gone.yaml"), /gone.yaml: there is no such file/);
    assert.match(await refused("--plugin", "gone.ts"), /gone.ts: there is no such file/);
    const spoilt = write("spoilt.js", "export default 1;\n");
    assert.match(await refused("--plugin", spoilt), /spoilt.js: exports a number/);
  });

  test("what means something else here is taken and told", async () => {
    const { config, flags, notes } = await read(
      "--endpoints=a:1",
      "--metrics-endpoint-auth",
      "--enable-cert-reload=false",
      "--health-checking",
      "--enable-pprof=0",
      "--zap-encoder=json",
      "--refresh-metrics-interval=10ms",
    );
    assert.deepEqual(flags, [
      "--health-checking health is always answered",
      "--enable-cert-reload certificates are watched all the same",
      "--zap-encoder --log-format says how it is logged",
      "--metrics-endpoint-auth asks for no token of Kubernetes: metrics are for this machine only",
    ]);
    assert.deepEqual(notes, ["--refresh-metrics-interval is 50ms at least"]);
    assert.equal(config.access.mode, "loopback");
    const [pool] = config.pools.filter(isHttpPool);
    assert.equal(pool?.data?.metrics?.intervalMs, 50);
  });

  test("every flag of the router's is known", () => {
    const routers =
      "grpc-port ha-enable-leader-election drain-timeout grpc-max-recv-msg-size grpc-max-send-msg-size pool-group pool-namespace pool-name endpoint-selector endpoint-target-ports disable-endpoint-subset-filter refresh-metrics-interval refresh-prometheus-metrics-interval metrics-staleness-threshold total-queued-requests-metric total-running-requests-metric kv-cache-usage-percentage-metric lora-info-metric cache-info-metric v tracing health-checking metrics-port grpc-health-port enable-pprof cert-path enable-cert-reload enable-grpc-stream-metrics secure-serving metrics-endpoint-auth metrics-client-ca-file metrics-cert-dir config-file config-text allow-experimental-plugins emit-endpoint-scores kubeconfig zap-encoder zap-devel zap-log-level zap-stacktrace-level zap-time-encoding";
    const known = addPickerFlags(new Command("picker")).options.map(({ long }) => long?.slice(2));
    for (const flag of routers.split(" ")) assert.ok(known.includes(flag), flag);
  });

  test("a file of endpoints is enough", async () => {
    const text = `${head}plugins: [{ type: file-discovery, parameters: { path: e.yaml } }]\ndataLayer: { discovery: { pluginRef: file-discovery } }\n`;
    const { config } = await read("--config-text", text);
    assert.equal(config.pools.filter(isHttpPool)[0]?.data?.discovery?.type, "file-discovery");
  });
});

describe("spillway check --config-file", () => {
  const scenario = write(
    "busy.yaml",
    `endpoints:
  - { address: 10.0.0.5, port: 8000, waiting: 5, kvUsage: 0.4, labels: { tier: slow } }
  - { address: 10.0.0.6, port: 8000, waiting: 0, kvUsage: 0.9 }
  - { address: 10.0.0.7, port: 8000, waiting: 9, kvUsage: 0.1 }
request: { model: a, headers: { X-Tier: slow }, prompt: hello }
`,
  );
  const file = write(
    "check.yaml",
    `${head}plugins:
  - type: queue-scorer
  - type: kv-cache-utilization-scorer
  - { type: label-selector-filter, parameters: { matchExpressions: [{ key: tier, operator: DoesNotExist }] } }
schedulingProfiles:
  - name: default
    plugins:
      - pluginRef: label-selector-filter
      - { pluginRef: queue-scorer, weight: 2 }
      - pluginRef: kv-cache-utilization-scorer
`,
  );
  const run = async (...args: readonly string[]) => {
    const screen = terminal();
    const code = await runCli(["check", "--config-file", ...args], screen);
    return { code, out: screen.printed.join(""), err: screen.complained.join("") };
  };

  test("says which endpoint a request gets, and why", async () => {
    const { code, out } = await run(file, "--scenario", scenario);
    assert.equal(code, 0, out);
    assert.match(out, /label-selector-filter left out 10\.0\.0\.5:8000/);
    assert.match(out, /10\.0\.0\.6:8000 +1\.000 +0\.100 +2\.100 +picked/);
    assert.match(out, /10\.0\.0\.7:8000 +0\.000 +0\.900 +0\.900/);
    assert.match(out, /^pick {2}10\.0\.0\.6:8000$/m);
  });

  test("as JSON", async () => {
    const { out } = await run(file, "--scenario", scenario, "--json");
    const report = JSON.parse(out) as {
      ok: boolean;
      pick: { pick: string[]; profiles: { scored: unknown[] }[] };
    };
    assert.equal(report.ok, true);
    assert.deepEqual(report.pick.pick, ["10.0.0.6:8000"]);
    assert.equal(report.pick.profiles[0]?.scored.length, 2);
  });

  test("nobody left, mistakes of the files, plugins that cannot be made", async () => {
    const strict = write(
      "strict.yaml",
      `${head}plugins: [{ type: label-selector-filter, parameters: { matchLabels: { tier: none } } }]\n`,
    );
    const nobody = await run(strict, "--scenario", scenario);
    assert.equal(nobody.code, 1);
    assert.match(nobody.err, /^no pick: /);
    assert.match(
      (await run(write("bad.yaml", `${head}plugins: 1\n`))).err,
      /^bad\.yaml:3:10: plugins: expected a list/,
    );
    const odd = write("odd.yaml", "endpoints: [{ address: a, port: 99999 }]\n");
    assert.match((await run(file, "--scenario", odd)).err, /^odd\.yaml: endpoints\.0\.port: /);
    const handler = write(
      "handler.yaml",
      `${head}plugins: [{ type: header-profile-handler }, { type: queue-scorer }]\n`,
    );
    const unmade = await run(handler);
    assert.equal(unmade.code, 1);
    assert.match(unmade.err, /there is no profile decode/);
  });
});
