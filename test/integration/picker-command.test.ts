/** `spillway picker` as a process: what its three ports answer, and how it ends. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { startSimulator } from "@spillway/simulator";
import { ExtProcCarrier } from "../harness/extproc-carrier.ts";
import { startSpillway } from "../harness/spillway.ts";
import { until } from "../harness/until.ts";

const limit = { timeout: 60_000 };
const body = { model: "a", messages: [{ role: "user", content: "hello" }], max_tokens: 5 };

test("answers Envoy in plain text, shows metrics and nothing else by HTTP, and drains", limit, async (t) => {
  const server = await startSimulator({ face: "vllm", models: ["a"] });
  t.after(() => server.close());
  const folder = mkdtempSync(path.join(tmpdir(), "spillway-picker-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const { hostname, port } = new URL(server.url);
  writeFileSync(
    path.join(folder, "endpoints.yaml"),
    `endpoints: [{ name: one, namespace: default, address: ${hostname}, port: ${port} }]\n`,
  );
  const text = `apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
  - type: queue-scorer
  - { type: file-discovery, parameters: { path: endpoints.yaml } }
dataLayer: { discovery: { pluginRef: file-discovery } }
`;
  const ports = ["--grpc-port=0", "--grpc-health-port=0", "--metrics-port=0", "--host", "127.0.0.1"];
  const args = ["picker", "--config-text", text, "--secure-serving=false", ...ports, "--log-format", "json"];
  const running = startSpillway(args, { cwd: folder });
  t.after(() => running.kill("SIGKILL"));
  const [, http = ""] = await running.printed(/"door":"http","host":"127.0.0.1","port":(\d+)/, "stderr");
  const [, grpc = ""] = await running.printed(/"door":"extproc","host":"127.0.0.1","port":(\d+)/, "stderr");
  await running.printed(/"event":"configuration_note".* is called /, "stderr");
  const carrier = new ExtProcCarrier(`127.0.0.1:${grpc}`);
  t.after(() => carrier.close());
  await until("the server is known", async () => {
    return (await carrier.ask({ path: "/v1/chat/completions", body })).status === 200;
  });
  const answer = await carrier.ask({ path: "/v1/chat/completions", body });
  assert.deepEqual(answer.destinations, [`${hostname}:${port}`]);

  const metrics = await fetch(`http://127.0.0.1:${http}/metrics`);
  assert.equal(metrics.status, 200);
  assert.match(await metrics.text(), /^spillway_extproc_\w+/m);
  const page = await (await fetch(`http://127.0.0.1:${http}/`)).text();
  assert.match(page, /GET {2}\/admin\/picker /);
  assert.doesNotMatch(page, /\/api\/chat|\/predict/, "it answers no requests for models");
  const chat = await fetch(`http://127.0.0.1:${http}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  assert.equal(chat.status, 404);

  running.kill("SIGTERM");
  const { code, stderr } = await running.ended;
  assert.equal(code, 0, stderr);
  assert.match(stderr, /"event":"stopped"/);
});
