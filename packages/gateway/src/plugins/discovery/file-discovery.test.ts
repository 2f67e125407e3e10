import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import type { DiscoveredEndpoint, EndpointDiscovery } from "../../contracts/plugins/data.ts";
import type { PluginHost } from "../../contracts/plugins/plugin.ts";
import { createManualClock, type ManualClock } from "../../testing.ts";
import { fileDiscovery } from "./file-discovery.ts";
import { parseEndpointList } from "./parse-endpoint-list.ts";

const limit = { timeout: 20_000 };

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "spillway-discovery-"));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

/** A discovery and what it told. */
interface Told {
  readonly found: (readonly DiscoveredEndpoint[])[];
  readonly failed: string[];
  readonly clock: ManualClock;
  /** Lets it look once, and waits for what it found. */
  readonly look: () => Promise<void>;
  readonly discovery: EndpointDiscovery;
}

async function discover(t: TestContext, parameters: { path: string; watchFile?: boolean }): Promise<Told> {
  const clock = createManualClock();
  const given = fileDiscovery.parameters.parse(parameters);
  const discovery = fileDiscovery.create(given, { clock } as Pick<PluginHost, "clock"> as PluginHost);
  const told = { found: [] as (readonly DiscoveredEndpoint[])[], failed: [] as string[] };
  await discovery.start({
    found: (endpoints) => void told.found.push(endpoints),
    failed: (reason) => void told.failed.push(reason),
  });
  t.after(() => discovery.close());
  const look = async (): Promise<void> => {
    clock.advance(500);
    while (clock.dueInMs() === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  return { ...told, clock, look, discovery };
}

function fileOf(...ports: number[]): string {
  const items = ports.map((port) => `  - { name: s${port}, address: 127.0.0.1, port: ${port} }\n`);
  return `endpoints:\n${items.join("")}`;
}

function portsOf(endpoints: readonly DiscoveredEndpoint[] | undefined): number[] | undefined {
  return endpoints?.map(({ port }) => port);
}

describe("a file of endpoints", limit, () => {
  test("is read, and again when it changes: written in place, replaced by renaming, behind a link", async (t) => {
    const dir = folder(t);
    const path = join(dir, "endpoints.yaml");
    writeFileSync(path, fileOf(8000));
    const { found, failed, look } = await discover(t, { path });
    assert.deepEqual(portsOf(found.at(-1)), [8000]);
    await look();
    assert.equal(found.length, 1, "what has not changed is not told again");
    writeFileSync(path, fileOf(8000, 8001));
    await look();
    assert.deepEqual(portsOf(found.at(-1)), [8000, 8001]);
    writeFileSync(join(dir, "next"), fileOf(8002));
    renameSync(join(dir, "next"), path);
    await look();
    assert.deepEqual(portsOf(found.at(-1)), [8002]);
    writeFileSync(join(dir, "linked"), fileOf(8003));
    symlinkSync(join(dir, "linked"), join(dir, "next"));
    renameSync(join(dir, "next"), path);
    await look();
    assert.deepEqual(portsOf(found.at(-1)), [8003]);
    assert.deepEqual(failed, []);
  });

  test("that is bad changes nothing, says so once, and is taken when it is mended", async (t) => {
    const path = join(folder(t), "endpoints.yaml");
    writeFileSync(path, fileOf(8000));
    const { found, failed, look } = await discover(t, { path });
    for (const [text, reason] of [
      ["endpoints: [", /not valid YAML: .*before are kept/],
      ["", /expected a mapping with a list under "endpoints"/],
      [
        "endpoints: [{ name: a, address: a.example, port: 1 }]",
        /line 1: endpoints\[0\]\.address: expected an IP address/,
      ],
      [`${fileOf(8001)}# ${"x".repeat(1_048_577)}`, /expected at most 1048576 bytes/],
    ] as const) {
      writeFileSync(path, text);
      await look();
      await look();
      assert.match(failed.at(-1) ?? "", reason);
    }
    unlinkSync(path);
    await look();
    await look();
    assert.match(failed.at(-1) ?? "", /there is no such file/);
    assert.equal(failed.length, 5);
    assert.equal(found.length, 1);
    writeFileSync(path, fileOf(8000));
    await look();
    assert.equal(found.length, 2, "it says what it said before: that ends the trouble");
    assert.deepEqual(found[1], found[0]);
    writeFileSync(path, "endpoints: []\n");
    await look();
    assert.deepEqual(found.at(-1), []);
  });

  test("that is not there yet is taken when it comes; one that is not watched is read once", async (t) => {
    const path = join(folder(t), "endpoints.json");
    const late = await discover(t, { path });
    assert.match(late.failed[0] ?? "", /there is no such file/);
    writeFileSync(path, JSON.stringify({ endpoints: [{ name: "a", address: "::1", port: "80" }] }));
    await late.look();
    assert.deepEqual(portsOf(late.found.at(-1)), [80]);
    const once = await discover(t, { path, watchFile: false });
    assert.equal(once.found.length, 1);
    assert.equal(once.clock.dueInMs(), undefined);
    late.discovery.close();
    late.discovery.close();
    assert.equal(late.clock.dueInMs(), undefined);
  });
});

function complaintOf(text: string): string {
  const result = parseEndpointList(text);
  return typeof result === "string" ? result : "no complaint";
}

describe("its form", () => {
  test("name, namespace, address, port, labels; what is not known is passed over", () => {
    const text = `
kind: Something
endpoints:
  - name: vllm-0
    namespace: serving
    address: 10.0.0.5
    port: 8000
    labels: { llm-d.ai/role: decode, zone: eu-1 }
    weight: 3
  - { name: vllm-0, namespace: serving, address: 10.0.0.5, port: 8001 }
`;
    assert.deepEqual(parseEndpointList(text), [
      {
        name: "vllm-0",
        namespace: "serving",
        address: "10.0.0.5",
        port: 8000,
        labels: { "llm-d.ai/role": "decode", zone: "eu-1" },
      },
      { name: "vllm-0", namespace: "serving", address: "10.0.0.5", port: 8001, labels: {} },
    ]);
    assert.deepEqual(parseEndpointList("endpoints:\n"), []);
  });

  test("mistakes are told with their place", () => {
    const item = (more: string): string =>
      `endpoints: [{ name: a, address: 10.0.0.1, port: 1 }, { ${more} }]`;
    const cases: [string, RegExp][] = [
      ["- a", /expected a mapping/],
      ["endpoints:\n  - { name: a, address: 10.0.0.1", /^line 3: not valid YAML: |^line 2: not valid YAML: /],
      [
        "endpoints:\n  - name: a\n    adress: 10.0.0.1\n    port: 1\n",
        /^line 2: endpoints\[0\]\.address: .*; no endpoint has the key adress$/,
      ],
      ["endpoints: 7", /^line 1: endpoints: /],
      [item("address: 10.0.0.2, port: 1"), /^line 1: endpoints\[1\]\.name: /],
      [item("name: b, address: 10.0.0.2, port: 70000"), /^line 1: endpoints\[1\]\.port: /],
      [item("name: b, address: 10.0.0.2, port: http"), /^line 1: endpoints\[1\]\.port: /],
      [item("name: b, address: 10.0.0.2, port: 1, labels: { a: 1 }"), /^line 1: endpoints\[1\]\.labels\.a: /],
      [
        item("name: b, address: 10.0.0.1, port: 1"),
        /endpoints\[1\]: 10\.0\.0\.1 port 1 is there already, as endpoints\[0\]/,
      ],
      [
        item("name: a, address: 10.0.0.2, port: 1"),
        /endpoints\[1\]: default\/a with port 1 is there already/,
      ],
    ];
    for (const [text, reason] of cases) {
      assert.match(complaintOf(text), reason, text);
    }
    const many = Array.from({ length: 1_025 }, (_, index) => ({
      name: `n${index}`,
      address: "10.0.0.1",
      port: index + 1,
    }));
    assert.match(complaintOf(JSON.stringify({ endpoints: many })), /^line 1: endpoints: /);
    assert.match(complaintOf("a: &a [1]\nendpoints: [*a, *a]"), /not valid YAML|endpoints/);
  });
});
