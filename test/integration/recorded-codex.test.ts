/** What the Codex CLI sends (test/fixtures/clients), through the gateway to servers of every kind. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { SimulatorOptions } from "@spillway/simulator";
import { gatewayOverSimulator } from "../harness/gateway-over.ts";
import { eventsOf, recordedCalls, replay } from "../harness/recorded-clients.ts";

const model = "test-model:8b";
const calls = recordedCalls("codex");

const servers: Readonly<Record<string, SimulatorOptions>> = {
  "an older vLLM": { face: "vllm", version: "0.9.0" },
  "an older Ollama": { face: "ollama", version: "0.12.0" },
  anthropic: { face: "anthropic" },
};

const setUp = (t: TestContext, options: SimulatorOptions) =>
  gatewayOverSimulator(t, { ...options, models: [model] });

function callOf(what: string): NonNullable<ReturnType<typeof calls.get>> {
  const call = calls.get(what);
  assert.ok(call !== undefined, what);
  return call;
}

for (const [name, options] of Object.entries(servers)) {
  describe(`what Codex sends, for ${name}`, () => {
    it("is answered, and streams end as they should", async (t) => {
      const { url } = await setUp(t, options);
      for (const [what, call] of calls) {
        const { status, text } = await replay(url, call, model);
        if (what === "a search of the web") {
          assert.deepEqual([status, /its type is web_search/.test(text)], [400, true]);
          continue;
        }
        assert.equal(status, 200, `${what}: ${text}`);
        const types = eventsOf(text).map(({ type }) => type);
        assert.deepEqual([types[0], types.at(-1)], ["response.created", "response.completed"], what);
      }
    });

    it("has its rules in one message, at the beginning", async (t) => {
      const { url, simulator } = await setUp(t, options);
      await replay(url, callOf("the result of a command"), model);
      const { body = "{}" } = simulator.requests.all().findLast(({ method }) => method === "POST") ?? {};
      const { messages } = JSON.parse(body) as { messages: readonly { readonly role: string }[] };
      const roles = messages.map(({ role }) => role);
      assert.ok(!roles.slice(1).includes("system"), roles.join());
    });

    it("gets the group of a tool back with a call of it", async (t) => {
      const { url } = await setUp(t, {
        ...options,
        answer: () => ({ toolCalls: [{ name: "spawn_agent", arguments: { message: "hello" } }] }),
      });
      const first = callOf("the first of a session");
      const { text } = await replay(url, first, model);
      const items = eventsOf(text).flatMap(({ type, item }) =>
        type === "response.output_item.done" ? [item as Readonly<Record<string, unknown>>] : [],
      );
      const call = items.find(({ type }) => type === "function_call");
      assert.deepEqual([call?.["name"], call?.["namespace"]], ["spawn_agent", "multi_agent_v1"]);
      const body = { ...(first.body as object), stream: false };
      const whole = await replay(url, { ...first, body }, model);
      assert.match(whole.text, /"namespace":"multi_agent_v1"/);
    });
  });
}
