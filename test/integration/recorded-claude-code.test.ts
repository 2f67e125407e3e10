/** What Claude Code sends (test/fixtures/clients), through the gateway to servers of every kind. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { Simulator, SimulatorOptions } from "@spillway/simulator";
import { gatewayOverSimulator } from "../harness/gateway-over.ts";
import { eventsOf, recordedCalls, replay } from "../harness/recorded-clients.ts";

const model = "test-model:8b";
const calls = recordedCalls("claude-code");

/** What servers of OpenAI's and Ollama's APIs are sent. */
interface Sent {
  readonly messages: readonly { readonly role: string; readonly content: unknown }[];
  readonly tools?: readonly { readonly function: { readonly name: string } }[];
  readonly think?: unknown;
  readonly reasoning_effort?: unknown;
}

const servers: Readonly<Record<string, SimulatorOptions>> = {
  "an older vLLM": { face: "vllm", version: "0.9.0" },
  vllm: { face: "vllm" },
  "an older Ollama": { face: "ollama", version: "0.12.0" },
  ollama: { face: "ollama" },
  anthropic: { face: "anthropic" },
};

/** Answered by Anthropic's servers alone. */
const refused = new Map([
  ["a search of the web", /web_search_20250305 is Anthropic's own/],
  ["how many tokens", /counts no tokens/],
]);

const setUp = (t: TestContext, options: SimulatorOptions) =>
  gatewayOverSimulator(t, { ...options, engine: { maxContext: 200_000 }, models: [model] });

function sentTo(simulator: Simulator): Sent {
  const record = simulator.requests.all().findLast(({ method }) => method === "POST");
  return JSON.parse(record?.body ?? "{}") as Sent;
}

function textOf({ messages }: Sent): string {
  return JSON.stringify(messages);
}

function toolNames({ tools = [] }: Sent): readonly string[] {
  return tools.map((tool) => tool.function.name);
}

for (const [name, options] of Object.entries(servers)) {
  describe(`what Claude Code sends, for ${name}`, () => {
    it("is answered, and streams end as they should", async (t) => {
      const { url } = await setUp(t, options);
      for (const [what, call] of calls) {
        // Anthropic's models are known to the client, which says to them what they understand.
        if (options.face === "anthropic" && !what.startsWith("a known model")) continue;
        const { status, text } = await replay(url, call, model);
        const why = refused.get(what);
        if (status === 200 || why === undefined) {
          assert.equal(status, 200, `${what}: ${text}`);
          if (!call.path.includes("count_tokens")) assertWhole(text, what);
        } else assert.match(text, why);
      }
    });
  });
}

function assertWhole(text: string, what: string): void {
  const events = eventsOf(text);
  assert.deepEqual([events[0]?.["type"], events.at(-1)?.["type"]], ["message_start", "message_stop"], what);
  assert.ok(!events.some(({ type }) => type === "error"), what);
}

function callOf(what: string): NonNullable<ReturnType<typeof calls.get>> {
  const call = calls.get(what);
  assert.ok(call !== undefined, what);
  return call;
}

for (const name of ["vllm", "an older Ollama", "ollama"]) {
  describe(`Claude Code's requests in the words of ${name}`, () => {
    it("have rules at the beginning only, since templates refuse them further down", async (t) => {
      const { url, simulator } = await setUp(t, servers[name] ?? { face: "vllm" });
      await replay(url, callOf("the first of a session"), model);
      const sent = sentTo(simulator);
      assert.deepEqual(
        sent.messages.map(({ role }) => role),
        ["system", "user"],
      );
      assert.match(textOf(sent), /<system-reminder>/);
      await replay(url, callOf("two results"), model);
      const roles = sentTo(simulator).messages.map(({ role }) => role);
      assert.deepEqual(roles, ["system", "user", "assistant", "tool", "tool"]);
    });

    it("offer tools that wait to be asked for once they were", async (t) => {
      const { url, simulator } = await setUp(t, servers[name] ?? { face: "vllm" });
      await replay(url, callOf("the first of a session"), model);
      const first = toolNames(sentTo(simulator));
      assert.ok(first.includes("ToolSearch") && !first.includes("DeferredToolPlaceholder"));
      await replay(url, callOf("a tool that was searched"), model);
      const then = sentTo(simulator);
      assert.deepEqual(toolNames(then).toSorted(), [...first, "WebSearch"].toSorted());
      assert.match(textOf(then), /The tool WebSearch can be called now/);
    });

    it("tell the model of a document that it is not shown", async (t) => {
      const { url, simulator } = await setUp(t, servers[name] ?? { face: "vllm" });
      await replay(url, callOf("a PDF that was read"), model);
      assert.match(textOf(sentTo(simulator)), /A document was left out/);
    });

    it("wish no thinking of models that refuse to be asked", async (t) => {
      const { url, simulator } = await setUp(t, servers[name] ?? { face: "vllm" });
      await replay(url, callOf("the first of a session"), model);
      const { think, reasoning_effort: effort } = sentTo(simulator);
      assert.deepEqual([think, effort], name === "vllm" ? [undefined, "high"] : [undefined, undefined]);
    });
  });
}
