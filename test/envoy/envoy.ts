/**
 * `npm run test:envoy`: the picker behind a real Envoy, with the configuration of deploy/envoy. Not part of `npm test`:
 * Envoy is 100 MB. What it sent is kept in test/fixtures/extproc, which `npm test` plays again.
 */
import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import { startSimulator } from "@spillway/simulator";
import { decisionCases, type OpenDoor } from "../harness/decision-cases.ts";
import { startEnvoy } from "../harness/envoy.ts";
import { startPicker } from "../harness/extproc-picker.ts";
import { startCall } from "../harness/forward-call.ts";
import { until } from "../harness/until.ts";

/** The door with TLS, as it is by default, and Envoy in front of it. `mode`: over the processing mode of the file. */
function openWith(mode: Readonly<Record<string, string>>): OpenDoor {
  return async (t, setup) => {
    const { gateway } = await startPicker(t, { ...setup, door: { tls: "self-signed" } });
    const envoy = await startEnvoy(t, {
      pickerPort: gateway.listening.extProc?.port ?? 0,
      bufferBytes: 4_194_304,
      mode,
    });
    if (envoy === undefined) return undefined;
    return {
      gateway,
      ask({ path = "/v1/chat/completions", ...asked }) {
        const call = startCall(envoy.url, { path, ...asked });
        const answer = call.ended().then(({ status, text }) => ({ status, text }));
        return { answer, leave: () => call.leave() };
      },
    };
  };
}

const modes: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "bodies streamed both ways": {},
  "bodies buffered": {
    request_body_mode: "BUFFERED",
    response_body_mode: "BUFFERED",
    request_trailer_mode: "SKIP",
    response_trailer_mode: "SKIP",
  },
};

for (const [name, mode] of Object.entries(modes)) {
  describe(`asked through Envoy, ${name}`, () => {
    for (const each of decisionCases) it(each.name, (t) => each.run(t, openWith(mode)));
  });
}

test("a thousand streamed chats pass whole, and leave nothing behind", async (t) => {
  const simulators = await Promise.all(
    [1, 2, 3].map(() => startSimulator({ face: "vllm", models: ["a"], record: false })),
  );
  t.after(() => Promise.all(simulators.map((each) => each.close())));
  const { gateway } = await startPicker(t, {
    pools: { pool: { dialect: "auto", endpoints: simulators.map(({ url }) => url) } },
    door: { tls: "self-signed" },
  });
  const envoy = await startEnvoy(t, { pickerPort: gateway.listening.extProc?.port ?? 0 });
  if (envoy === undefined) return;
  let next = 0;
  const one = async (): Promise<void> => {
    for (let i = next++; i < 1_000; i = next++) {
      const body = {
        model: "a",
        messages: [{ role: "user", content: `chat ${i}` }],
        max_tokens: 20,
        stream: true,
      };
      const call = await startCall(envoy.url, { path: "/v1/chat/completions", body }).ended();
      assert.equal(call.status, 200, call.text);
      assert.ok(call.isComplete);
      assert.match(call.text, /data: \[DONE\]\n\n$/);
      assert.doesNotMatch(call.text, /"usage":\{/);
    }
  };
  await Promise.all(Array.from({ length: 50 }, one));
  const [pool] = gateway.forward.pools();
  await until("every place is given back", () => pool?.endpoints.every(({ inFlight }) => inFlight === 0));
  assert.deepEqual(
    gateway.events.filter(({ level }) => level === "error"),
    [],
  );
});

test("without a picker nothing is let through, and GET requests go to any server", async (t) => {
  const simulator = await startSimulator({ face: "vllm", models: ["a"] });
  t.after(() => simulator.close());
  const { gateway } = await startPicker(t, {
    pools: { pool: { dialect: "auto", endpoints: [simulator.url] } },
    door: { tls: "self-signed" },
  });
  const envoy = await startEnvoy(t, { pickerPort: gateway.listening.extProc?.port ?? 0 });
  if (envoy === undefined) return;
  const list = await fetch(`${envoy.url}/v1/models`);
  assert.equal(list.status, 200);
  assert.match(await list.text(), /"id":"a"/);
  await gateway.close({ graceMs: 0 });
  assert.ok((await fetch(`${envoy.url}/v1/models`)).status >= 500);
});

for (const [name, mode] of Object.entries(modes)) {
  test(`a head that suffices is answered before its body, ${name}`, async (t) => {
    const simulator = await startSimulator({ face: "vllm", models: ["a"] });
    t.after(() => simulator.close());
    const { gateway } = await startPicker(t, {
      pools: { pool: { dialect: "openai", endpoints: [simulator.url], passthrough: true } },
      door: { tls: "self-signed" },
    });
    const pickerPort = gateway.listening.extProc?.port ?? 0;
    const envoy = await startEnvoy(t, { pickerPort, bufferBytes: 4_194_304, mode });
    if (envoy === undefined) return;
    const [pool] = gateway.forward.pools();
    const underWay = (): number | undefined => pool?.endpoints[0]?.load.requests;
    for (const hasLength of [true, false]) {
      const text = JSON.stringify({
        model: "a",
        messages: [{ role: "user", content: "x".repeat(220_000) }],
        max_tokens: 3,
        stream: true,
      });
      const length = hasLength ? { "content-length": String(text.length) } : undefined;
      const headers = { "x-gateway-model-name": "a", ...length };
      const call = startCall(envoy.url, { path: "/v1/chat/completions", headers });
      call.request.flushHeaders();
      await until("it has its place", () => underWay() === 1);
      call.request.write(text.slice(0, 100_000));
      call.request.end(text.slice(100_000));
      await call.ended();
      assert.equal(call.status, 200, call.text);
      assert.match(call.text, /data: \[DONE\]\n\n$/);
      const came = simulator.requests.last("/v1/chat");
      assert.equal(came?.body, text);
      // Of a body that is streamed both ways, Envoy keeps no length.
      const isHeld = mode["request_body_mode"] === "BUFFERED";
      if (hasLength && isHeld) assert.equal(came.headers["content-length"], String(text.length));
      await until("its place is given back", () => underWay() === 0);
    }
  });
}
