/** What Ollama's own command sends (test/fixtures/clients), through the gateway to servers of every kind. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { startSimulator, type SimulatorOptions } from "@spillway/simulator";
import { gatewayOver, gatewayOverSimulator } from "../harness/gateway-over.ts";
import { makeKey } from "../harness/keys.ts";
import { recordedCalls } from "../harness/recorded-clients.ts";
import { until } from "../harness/until.ts";

const model = "test-model:8b";
const calls = recordedCalls("ollama");

const servers: Readonly<Record<string, SimulatorOptions>> = {
  ollama: { face: "ollama" },
  vllm: { face: "vllm" },
  anthropic: { face: "anthropic" },
};

const setUp = (t: TestContext, options: SimulatorOptions) =>
  gatewayOverSimulator(t, { ...options, models: [model] });

/** Makes the call for this model, which stands where the command put its name. */
async function run(url: string, what: string, name = model): Promise<{ status: number; text: string }> {
  const { method, path, headers, body } = calls.get(what) ?? assert.fail(what);
  const named = Object.entries(body as object).map(([key, value]): [string, unknown] => {
    const isName = ["model", "name", "source"].includes(key) && value !== "";
    return [key, isName ? name : value];
  });
  const sent = JSON.stringify(Object.fromEntries(named));
  const response = await fetch(url + path, { method, headers, body: sent });
  return { status: response.status, text: await response.text() };
}

async function list(url: string, path: string): Promise<readonly Record<string, unknown>[]> {
  return ((await (await fetch(url + path)).json()) as { models: Record<string, unknown>[] }).models;
}

/** `list` and `ps` print the first twelve digits, and the command ends with a panic where there are fewer. */
const printable = /^[0-9a-f]{12,}$/;

for (const [name, options] of Object.entries(servers)) {
  describe(`what the ollama command sends, for ${name}`, () => {
    it("is answered, as whole lines that end with done", async (t) => {
      const { url } = await setUp(t, options);
      for (const [what, { path }] of calls) {
        if (!["/api/chat", "/api/generate"].includes(path)) continue;
        const { status, text } = await run(url, what);
        const uncarried = name === "anthropic" && /json$|parameter$/.exec(what);
        if (uncarried) {
          assert.deepEqual([status, /(format|seed) cannot be carried/.test(text)], [400, true], what);
          continue;
        }
        assert.equal(status, 200, `${what}: ${text}`);
        const lines = text.trimEnd().split("\n");
        assert.equal((JSON.parse(lines.at(-1) ?? "") as { done: boolean }).done, true, what);
      }
    });

    it("is given vectors, where servers make them", async (t) => {
      const { url } = await setUp(t, options);
      const { status, text } = await run(url, "ollama run of a model that embeds");
      if (name === "anthropic") assert.equal(status, 400);
      else assert.ok((JSON.parse(text) as { embeddings: number[][] }).embeddings[0]?.length, text);
    });

    it("finds every model listed with a digest, and with its time", async (t) => {
      const { url } = await setUp(t, options);
      const [card] = await list(url, "/api/tags");
      assert.match(String(card?.["digest"]), printable);
      assert.ok(Date.parse(String(card?.["modified_at"])) > Date.parse("2025-01-01"));
    });

    it("is shown the model, whose name stands under `name` beside an empty `model`", async (t) => {
      const { url } = await setUp(t, options);
      const { status, text } = await run(url, "ollama show");
      assert.equal(status, 200, text);
      const { model_info: about, capabilities } = JSON.parse(text) as {
        model_info: Record<string, unknown>;
        capabilities: string[];
      };
      assert.ok(capabilities.includes("tools"));
      assert.equal(capabilities.includes("vision"), name !== "vllm");
      const architecture = about["general.architecture"];
      assert.equal(
        about[`${String(architecture)}.context_length`],
        name === "anthropic" ? undefined : 32_768,
      );
    });
  });
}

describe("what the ollama command sends, without a key", () => {
  it("is refused in words that it shows", async (t) => {
    const simulator = await startSimulator({ face: "vllm", models: [model] });
    t.after(() => simulator.close());
    const keys = `auth: { keys: [${makeKey("someone").yaml}] }\n`;
    const { url } = await gatewayOver(t, { pool: [simulator.url] }, keys);
    assert.deepEqual(
      [(await fetch(url, { method: "HEAD" })).status, (await fetch(url)).status],
      [200, 401],
      "the heartbeat before each command",
    );
    for (const what of calls.keys()) {
      const { status, text } = await run(url, what);
      const { error, status: shown } = JSON.parse(text) as { error: string; status: string };
      assert.deepEqual([status, shown], [401, error], what);
      assert.match(shown, /needs a key/);
    }
  });
});

describe("what the ollama command sends to change servers", () => {
  it("pulls, copies and removes", async (t) => {
    const { url, simulator } = await setUp(t, { face: "ollama" });
    const named = async (): Promise<string> =>
      (await list(simulator.url, "/api/tags")).map((card) => String(card["name"])).join(" ");
    const pulled = await run(url, "ollama pull", "tiny");
    assert.match(pulled.text, /"status":"success"/);
    assert.equal((await run(url, "ollama cp")).status, 200);
    assert.equal(await named(), `${model} tiny:latest copy1:latest`);
    assert.equal((await run(url, "ollama rm")).status, 200);
    assert.equal(await named(), "tiny:latest copy1:latest");
  });

  it("finds a loaded model in the list of those, with a digest", async (t) => {
    const { url } = await setUp(t, { face: "ollama" });
    await run(url, "the first message");
    await until("the gateway knows what is loaded", async () => (await list(url, "/api/ps")).length === 1);
    const [card] = await list(url, "/api/ps");
    assert.match(String(card?.["digest"]), printable);
  });
});
