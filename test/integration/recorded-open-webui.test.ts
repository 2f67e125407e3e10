/** What Open WebUI sends (test/fixtures/clients) over both of its connections, through the gateway to servers of every kind. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { Simulator, SimulatorOptions } from "@spillway/simulator";
import { gatewayOverSimulator } from "../harness/gateway-over.ts";
import { recordedCalls, replay } from "../harness/recorded-clients.ts";

const model = "test-model:8b";
const calls = recordedCalls("open-webui");

const servers: Readonly<Record<string, SimulatorOptions>> = {
  ollama: { face: "ollama" },
  vllm: { face: "vllm" },
  anthropic: { face: "anthropic" },
};

/** What a kind of server has no words for: a 400 that says what. */
const refused: Readonly<Record<string, Readonly<Record<string, RegExp>>>> = {
  ollama: { "a count of tokens": /count/ },
  vllm: {},
  anthropic: {
    "a message with parameters": /options\.seed cannot be carried/,
    "chunks of a document, engine ollama": /no embeddings/,
    "chunks of a document, engine openai": /no embeddings/,
  },
};

const setUp = (t: TestContext, options: SimulatorOptions) =>
  gatewayOverSimulator(t, { ...options, models: [model] });

function send(url: string, what: string): ReturnType<typeof replay> {
  return replay(url, calls.get(what) ?? assert.fail(what), model);
}

/** What the server was last asked. */
function asked(simulator: Simulator): Record<string, unknown> {
  const { body = "{}" } = simulator.requests.all().findLast(({ method }) => method === "POST") ?? {};
  return JSON.parse(body) as Record<string, unknown>;
}

for (const [name, options] of Object.entries(servers)) {
  describe(`what Open WebUI sends, for ${name}`, () => {
    it("is answered", async (t) => {
      const { url } = await setUp(t, options);
      for (const what of calls.keys()) {
        const { status, text } = await send(url, what);
        const expected = refused[name]?.[what];
        assert.equal(status, expected === undefined ? 200 : 400, `${what}: ${text}`);
        assert.match(text, expected ?? /./, what);
      }
    });

    it("has the result of a tool beside its call", async (t) => {
      const { url, simulator } = await setUp(t, options);
      await send(url, "the page gives the results of a tool");
      assert.match(JSON.stringify(asked(simulator)["messages"]), /get_current_timestamp.*81 characters/);
    });
  });
}

describe("chunks of a document over the connection of Ollama's kind", () => {
  it("become vectors at a vLLM, which is told nothing of cutting them", async (t) => {
    const { url, simulator } = await setUp(t, { face: "vllm" });
    const { text } = await send(url, "chunks of a document, engine ollama");
    assert.equal((JSON.parse(text) as { embeddings: unknown[] }).embeddings.length, 2);
    assert.equal("truncate" in asked(simulator), false);
  });

  it("are cut by an Ollama", async (t) => {
    const { url, simulator } = await setUp(t, { face: "ollama" });
    await send(url, "chunks of a document, engine ollama");
    assert.equal(asked(simulator)["truncate"], true);
  });
});
