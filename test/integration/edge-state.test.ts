// What the edge keeps, and how it goes on where it cannot: data directories, ports, the configuration that changes while it runs.
import assert from "node:assert/strict";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import {
  createDataFolder,
  digit,
  edgeOptions,
  isSeven,
  startEdgeGateway,
  whichDigit,
} from "../harness/edge-gateway.ts";
import { makeKey } from "../harness/key-options.ts";

const png = { "content-type": "image/png" };

test("nothing is made before there is something to keep; then the folder is its owner's alone", async (t) => {
  const dataFolder = join(createDataFolder(t), "inner");
  const gateway = await startEdgeGateway(t, { dataFolder });
  assert.equal(statSync(dataFolder, { throwIfNoEntry: false }), undefined);
  await gateway.ask(whichDigit, digit(7));
  await gateway.close({ graceMs: 0 });
  assert.equal(statSync(dataFolder).mode & 0o777, 0o700);
});

test("a data directory that cannot be had: answers go on, promises are refused, health says so", async (t) => {
  const inTheWay = join(createDataFolder(t), "a-file");
  writeFileSync(inTheWay, "");
  const gateway = await startEdgeGateway(t, { dataFolder: join(inTheWay, "data") });
  const answer = await gateway.ask(whichDigit, digit(7));
  assert.equal(answer.status, 200);
  const later = await gateway.ask(whichDigit, digit(7), { query: "want_async=true" });
  assert.equal(later.status, 503);
  assert.match(String(later.body["detail"]), /\S/);
  const config = await gateway.call("PUT", "/edge-config", { edge_inference_configs: {}, detectors: [] });
  assert.equal(config.status, 503);
  const health = await gateway.call("GET", "/health");
  assert.equal(health.status, 200);
  assert.equal(typeof health.body["storage"], "string");
  assert.ok(
    gateway.events.some(({ event, level }) => event === "edge_store_unavailable" && level === "warn"),
  );
});

test("a data directory belongs to one process: a second gateway answers without it", async (t) => {
  const dataFolder = createDataFolder(t);
  const first = await startEdgeGateway(t, { dataFolder });
  const kept = await first.ask(whichDigit, digit(7), { query: "want_async=true" });
  assert.equal(kept.status, 200);
  const second = await startEdgeGateway(t, { dataFolder });
  assert.equal((await second.ask(isSeven, digit(7))).status, 200);
  assert.match(String((await second.call("GET", "/health")).body["storage"]), /process/);
});

test("a port for cameras that is taken keeps nothing from starting", async (t) => {
  const holder = createServer();
  await new Promise<void>((resolve) => void holder.listen(0, "127.0.0.1", resolve));
  t.after(() => holder.close());
  const { port } = holder.address() as AddressInfo;
  const shared = {
    host: "127.0.0.1",
    maxBodyBytes: 2 ** 26,
    maxTotalBodyBytes: 2 ** 28,
    receiveTimeoutMs: 60_000,
    maxConnections: 100,
    tls: undefined,
  };
  const gateway = await startEdgeGateway(t, {
    config: {
      http: [
        { ...shared, port: 0 },
        { ...shared, port, edge: true, optional: true },
      ],
    },
  });
  assert.equal(gateway.listening.http.length, 1);
  const skipped = gateway.events.find(({ event }) => event === "listener_skipped");
  assert.equal(skipped?.fields["port"], port);
  assert.equal((await fetch(`${gateway.url}/health`)).status, 200);
});

test("PUT /edge-config: checked whole, in force at once, kept over restarts until spillway.yaml changes", async (t) => {
  const dataFolder = createDataFolder(t);
  const gateway = await startEdgeGateway(t, { dataFolder });
  const before = (await gateway.call("GET", "/edge-config")).body;
  const wrong = await gateway.call("PUT", "/edge-config", {
    ...before,
    detectors: [{ detector_id: whichDigit, edge_inference_config: "nothing" }],
  });
  assert.equal(wrong.status, 400);
  assert.deepEqual((await gateway.call("GET", "/edge-config")).body, before);
  const document = {
    global_config: { refresh_rate: 30, confident_audit_rate: 0.25 },
    edge_inference_configs: {
      off: { enabled: false, api_token: "api_secret_token_000001" },
    },
    detectors: [
      { detector_id: isSeven, edge_inference_config: "off" },
      { detector_id: "det_000000000000000000000000009", edge_inference_config: "default" },
    ],
  };
  const taken = await gateway.call("PUT", "/edge-config", document);
  assert.equal(taken.status, 200);
  assert.equal(statSync(join(dataFolder, "edge-config.json")).mode & 0o777, 0o600);
  const check = async (now: typeof gateway): Promise<void> => {
    const { body } = await now.call("GET", "/edge-config");
    assert.deepEqual(body["global_config"], document.global_config);
    assert.deepEqual(body["detectors"], document.detectors);
    assert.doesNotMatch(JSON.stringify(body), /api_secret/);
    const refused = await now.ask(isSeven, digit(7));
    assert.equal(refused.status, 503, JSON.stringify(refused.body));
    const readiness = (await now.call("GET", "/edge-detector-readiness")).body as Record<
      string,
      { ready: boolean }
    >;
    assert.deepEqual(Object.keys(readiness), [isSeven, "det_000000000000000000000000009"]);
    assert.equal(readiness["det_000000000000000000000000009"]?.ready, false);
  };
  await check(gateway);
  await gateway.close({ graceMs: 0 });
  const again = await startEdgeGateway(t, { dataFolder });
  await check(again);
  await again.close({ graceMs: 0 });
  const changed = await startEdgeGateway(t, { dataFolder, edge: { auditRate: 0.5 } });
  assert.deepEqual((await changed.call("GET", "/edge-config")).body["detectors"], before["detectors"]);
});

test("a configuration in the data directory that is damaged is said and passed over", async (t) => {
  const dataFolder = createDataFolder(t);
  mkdirSync(dataFolder, { recursive: true });
  writeFileSync(join(dataFolder, "edge-config.json"), "{");
  const gateway = await startEdgeGateway(t, { dataFolder });
  assert.ok(gateway.events.some(({ event }) => event === "edge_config_unreadable"));
  assert.equal((await gateway.ask(whichDigit, digit(7))).status, 200);
});

test("keys: cameras infer, who sees the status reads the configuration, who administers changes it", async (t) => {
  const camera = makeKey("camera");
  const viewer = makeKey("viewer", { scopes: ["status"] });
  const admin = makeKey("boss", { scopes: ["infer", "status", "admin"] });
  const gateway = await startEdgeGateway(t, {
    config: {
      access: {
        mode: "keys",
        hosts: [],
        origins: [],
        keys: [camera, viewer, admin].map(({ options }) => options),
        keysFile: undefined,
      },
    },
  });
  const as = (who: { readonly key: string }) => ({ "x-api-token": who.key });
  assert.equal((await gateway.ask(whichDigit, digit(7), { headers: png })).status, 401);
  assert.equal((await gateway.ask(whichDigit, digit(7), { headers: { ...png, ...as(camera) } })).status, 200);
  assert.equal((await gateway.call("GET", "/edge-config", undefined, as(camera))).status, 403);
  assert.equal((await gateway.call("GET", "/edge-config", undefined, as(viewer))).status, 200);
  assert.equal((await gateway.call("GET", "/admin/edge/models", undefined, as(viewer))).status, 403);
  const models = await gateway.call("GET", "/admin/edge/models", undefined, as(admin));
  assert.equal(models.status, 404);
  assert.match(JSON.stringify(models.body), /No models are fetched here/);
  const document = { detectors: [] };
  assert.equal((await gateway.call("PUT", "/edge-config", document, as(camera))).status, 403);
  assert.equal((await gateway.call("PUT", "/edge-config", document, as(admin))).status, 200);
  assert.equal(
    (await gateway.call("GET", "/edge-info")).status,
    200,
    "nobody needs a key to ask where the cloud is",
  );
});

test("secrets of the configuration are in no document", () => {
  const options = edgeOptions({
    policies: { a: { apiToken: "api_secret_token_000001" } },
    cloud: { token: "api_secret_token_000002" },
  });
  assert.doesNotMatch(JSON.stringify(options), /api_secret/);
});
