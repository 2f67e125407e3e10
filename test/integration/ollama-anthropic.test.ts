/** Ollama's and Anthropic's clients through the gateway to servers of every dialect. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { Ollama } from "ollama";
import { checkWords, startSimulator, type FaceName, type Simulator } from "@spillway/simulator";
import { gatewayOver } from "../harness/gateway-over.ts";

const model = "test-model:8b";
const messages = [{ role: "user" as const, content: "Tell me of the weather" }];
const parameters = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer", minimum: 1, maximum: 7 } },
  required: ["city", "days"],
  additionalProperties: false,
};

async function simulated(t: TestContext, face: FaceName): Promise<Simulator> {
  const simulator = await startSimulator({ face, models: [model] });
  t.after(() => simulator.close());
  return simulator;
}

/** Rejects with an error of that status. */
function withStatus(status: number): (error: unknown) => boolean {
  return (error) => {
    const told = error as { status?: number; status_code?: number };
    assert.equal(told.status ?? told.status_code, status, String(error));
    return true;
  };
}

for (const face of ["ollama", "vllm", "anthropic"] as const) {
  describe(`the ollama client over ${face}`, () => {
    it("lists, chats, streams, calls tools, embeds and is told of errors", async (t) => {
      const { url: host } = await gatewayOver(t, { pool: [(await simulated(t, face)).url] });
      const client = new Ollama({ host });
      assert.deepEqual(
        (await client.list()).models.map(({ name }) => name),
        [model],
      );
      await client.ps();
      for (const method of ["GET", "HEAD"]) assert.equal((await fetch(host, { method })).status, 200);
      assert.match(await (await fetch(host)).text(), /Ollama is running/);
      const shown = await client.show({ model });
      assert.ok(shown.capabilities.includes("completion"));
      assert.ok((await client.version()).version);
      const whole = await client.chat({ model, messages, options: { num_predict: 5 } });
      assert.equal(whole.done_reason, "length");
      assert.equal(whole.eval_count, 5);
      let streamed = "";
      let last;
      for await (const part of await client.chat({ model, messages, stream: true })) {
        streamed += part.message.content;
        last = part;
      }
      assert.deepEqual(checkWords(streamed), { words: 24, intact: true });
      assert.deepEqual([last?.done, last?.done_reason, last?.eval_count], [true, "stop", 24]);
      const generated = await client.generate({ model, prompt: "weather" });
      assert.ok(checkWords(generated.response ?? "").intact);
      const tools = [
        { type: "function", function: { name: "forecast", description: "weather", parameters } },
      ];
      const called = await client.chat({ model, messages, tools });
      const call = called.message.tool_calls?.[0];
      assert.equal(call?.function.name, "forecast");
      assert.equal(typeof call?.function.arguments["city"], "string");
      const schema = await client.chat({ model, messages, format: parameters });
      assert.equal(typeof (JSON.parse(schema.message.content) as { city: unknown }).city, "string");
      const missing = client.chat({ model: "nobody", messages });
      await assert.rejects(missing, withStatus(404));
      const loaded = await client.generate({ model, prompt: "" });
      assert.deepEqual([loaded.done, loaded.done_reason], [true, "load"]);
      if (face === "anthropic") {
        await assert.rejects(client.embed({ model, input: "x" }), withStatus(400));
        await assert.rejects(client.chat({ model, messages, options: { seed: 3 } }), /seed/);
        return;
      }
      const { embeddings } = await client.embed({ model, input: ["a", "b"] });
      assert.equal(embeddings.length, 2);
      assert.ok((await client.embeddings({ model, prompt: "a" })).embedding.length > 1);
    });
  });

  describe(`the Anthropic client over ${face}`, () => {
    it("answers, streams, calls tools and is told of errors", async (t) => {
      const { url: baseURL } = await gatewayOver(t, { pool: [(await simulated(t, face)).url] });
      const client = new Anthropic({ baseURL, apiKey: "any", maxRetries: 0 });
      const whole = await client.messages.create({ model, max_tokens: 5, messages });
      assert.deepEqual([whole.stop_reason, whole.usage.output_tokens], ["max_tokens", 5]);
      const final = await client.messages.stream({ model, max_tokens: 100, messages }).finalMessage();
      const [text] = final.content;
      assert.ok(text?.type === "text");
      assert.deepEqual(checkWords(text.text), { words: 24, intact: true });
      assert.deepEqual([final.stop_reason, final.usage.output_tokens], ["end_turn", 24]);
      const tools = [{ name: "forecast", input_schema: { ...parameters, type: "object" as const } }];
      const called = await client.messages.stream({ model, max_tokens: 100, messages, tools }).finalMessage();
      const use = called.content.find((part) => part.type === "tool_use");
      assert.deepEqual([use?.name, called.stop_reason], ["forecast", "tool_use"]);
      const counted = client.messages.countTokens({ model, messages });
      if (face === "ollama") await assert.rejects(counted, Anthropic.BadRequestError);
      else assert.ok((await counted).input_tokens > 0);
      const missing = client.messages.create({ model: "nobody", max_tokens: 5, messages });
      await assert.rejects(missing, (error: Error) => {
        assert.ok(error instanceof Anthropic.NotFoundError);
        assert.match(error.message, /not_found_error/);
        return true;
      });
      const aborted = client.messages.stream({ model, max_tokens: 100, messages });
      aborted.on("text", () => aborted.abort());
      await assert.rejects(aborted.done());
    });
  });
}
