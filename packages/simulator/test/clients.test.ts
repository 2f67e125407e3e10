// The real npm clients against each face: what they can read, a program built on them can.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { Ollama } from "ollama";
import OpenAI from "openai";
import { checkWords, startSimulator } from "@spillway/simulator";
import type { FaceName, Simulator } from "@spillway/simulator";

const MODEL = "test-model:8b";
const schema = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer", minimum: 1, maximum: 7 } },
  required: ["city", "days"],
  additionalProperties: false,
};
const messages = [{ role: "user" as const, content: "Tell me of the weather" }];

function serve(face: FaceName): { current(): Simulator } {
  let simulator: Simulator | undefined;
  before(async () => void (simulator = await startSimulator({ face, models: [MODEL] })));
  after(async () => simulator?.close());
  return {
    current: () => {
      assert.ok(simulator);
      return simulator;
    },
  };
}

for (const face of ["vllm", "openai", "ollama"] as const)
  describe(`openai client on ${face}`, () => {
    const server = serve(face);
    const client = (): OpenAI =>
      new OpenAI({ baseURL: `${server.current().url}/v1`, apiKey: "any", maxRetries: 0 });

    it("streams text", async () => {
      const stream = await client().chat.completions.create({
        model: MODEL,
        messages,
        stream: true,
        stream_options: { include_usage: true },
      });
      let text = "";
      let tokens = 0;
      let finish: string | null = null;
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? "";
        finish = chunk.choices[0]?.finish_reason ?? finish;
        tokens = chunk.usage?.completion_tokens ?? tokens;
      }
      assert.deepEqual(checkWords(text), { words: 24, intact: true });
      assert.deepEqual([finish, tokens], ["stop", 24]);
    });

    it("answers whole, and the same again", async () => {
      const ask = { model: MODEL, messages, max_tokens: 5 };
      const first = await client().chat.completions.create(ask);
      const second = await client().chat.completions.create(ask);
      assert.equal(first.choices[0]?.message.content, second.choices[0]?.message.content);
      assert.equal(first.choices[0]?.finish_reason, "length");
      assert.equal(first.usage?.completion_tokens, 5);
    });

    it("calls a tool, whole and streamed, and answers its result", async () => {
      const tools = [{ type: "function" as const, function: { name: "forecast", parameters: schema } }];
      const whole = await client().chat.completions.create({ model: MODEL, messages, tools });
      const call = whole.choices[0]?.message.tool_calls?.[0];
      assert.ok(call?.type === "function");
      assert.equal(call.function.name, "forecast");
      const streamed = await client()
        .chat.completions.stream({ model: MODEL, messages, tools })
        .finalChatCompletion();
      const again = streamed.choices[0]?.message.tool_calls?.[0];
      assert.ok(again?.type === "function");
      assert.deepEqual(JSON.parse(again.function.arguments), JSON.parse(call.function.arguments));
      const answer = { role: "tool" as const, tool_call_id: call.id, content: "rain" };
      const turns = [...messages, { role: "assistant" as const, tool_calls: [call] }, answer];
      const told = await client().chat.completions.create({ model: MODEL, messages: turns, tools });
      assert.ok(checkWords(told.choices[0]?.message.content ?? "").intact);
    });

    it("answers JSON of a schema", async () => {
      const format = { type: "json_schema" as const, json_schema: { name: "w", schema, strict: true } };
      const answer = await client().chat.completions.create({
        model: MODEL,
        messages,
        response_format: format,
      });
      const value = JSON.parse(answer.choices[0]?.message.content ?? "") as { city: unknown; days: unknown };
      assert.equal(typeof value.city, "string");
      assert.ok(Number.isInteger(value.days) && Number(value.days) >= 1 && Number(value.days) <= 7);
    });

    it("completes, embeds and lists", async () => {
      const completion = await client().completions.create({ model: MODEL, prompt: "once", max_tokens: 4 });
      assert.deepEqual(checkWords(completion.choices[0]?.text ?? ""), { words: 4, intact: true });
      const embedded = await client().embeddings.create({ model: MODEL, input: ["a", "b"], dimensions: 8 });
      assert.deepEqual(
        embedded.data.map(({ embedding }) => embedding.length),
        [8, 8],
      );
      const models = await client().models.list();
      assert.deepEqual(
        models.data.map(({ id }) => id),
        [MODEL],
      );
    });

    it("streams a response with numbered events", async () => {
      const stream = await client().responses.create({ model: MODEL, input: "hello", stream: true });
      let text = "";
      const numbers: number[] = [];
      let last = "";
      for await (const event of stream) {
        numbers.push(event.sequence_number);
        if (event.type === "response.output_text.delta") text += event.delta;
        last = event.type;
      }
      assert.ok(checkWords(text).intact);
      assert.equal(last, "response.completed");
      assert.deepEqual(
        numbers,
        numbers.map((_, at) => at),
      );
      const whole = await client().responses.create({ model: MODEL, input: "hello" });
      assert.equal(whole.output_text, text);
    });

    it("says that a model is not there", async () => {
      await assert.rejects(
        client().chat.completions.create({ model: "nope", messages }),
        OpenAI.NotFoundError,
      );
    });

    it("notices within 100 ms that a stream's reader left", async () => {
      const { requests } = server.current();
      const stream = await client().chat.completions.create(
        { model: MODEL, messages, stream: true, max_tokens: 2000 },
        { headers: { "x-simulator-answer": '{"outputTokens":2000}' } },
      );
      for await (const _ of stream) break;
      const left = performance.timeOrigin + performance.now();
      stream.controller.abort();
      const record = await requests.until(({ ended }) => ended === "client_closed");
      assert.ok((record.endedAt ?? Infinity) - left < 100);
      assert.ok(record.tokens > 0 && record.tokens < 2000);
      requests.clear();
    });
  });

describe("openai client on what OpenAI keeps", () => {
  const server = serve("openai");

  it("continues a stored response", async () => {
    const client = new OpenAI({ baseURL: `${server.current().url}/v1`, apiKey: "any", maxRetries: 0 });
    const first = await client.responses.create({ model: MODEL, input: "hello" });
    const second = await client.responses.create({
      model: MODEL,
      input: "and",
      previous_response_id: first.id,
    });
    assert.ok((second.usage?.input_tokens ?? 0) > (first.usage?.input_tokens ?? 0) + 20);
    assert.equal((await client.responses.retrieve(first.id)).output_text, first.output_text);
    await client.responses.delete(first.id);
    await assert.rejects(client.responses.retrieve(first.id), OpenAI.NotFoundError);
  });

  it("refuses a field it does not know", async () => {
    const body = JSON.stringify({ model: MODEL, messages, options: {} });
    const response = await fetch(`${server.current().url}/v1/chat/completions`, { method: "POST", body });
    assert.equal(response.status, 400);
    assert.match(await response.text(), /Unrecognized request argument supplied: options/);
  });
});

describe("thinking in responses", () => {
  const wishes = [{ effort: "high" }, { effort: "high", summary: "auto" }] as const;
  // Words of thinking that each face tells, without and with the wish for a summary.
  const told = { openai: [0, 8], vllm: [8, 8], ollama: [8, 8] } as const;
  for (const face of ["openai", "vllm", "ollama"] as const) {
    const server = serve(face);
    it(`is told as ${face} does`, async () => {
      const client = new OpenAI({ baseURL: `${server.current().url}/v1`, apiKey: "any", maxRetries: 0 });
      for (const [index, reasoning] of wishes.entries()) {
        const ask = { model: MODEL, input: "x", reasoning };
        let streamed = "";
        for await (const event of await client.responses.create({ ...ask, stream: true })) {
          if (event.type === "response.reasoning_text.delta") streamed += event.delta;
          if (event.type === "response.reasoning_summary_text.delta") streamed += event.delta;
        }
        const [item] = (await client.responses.create(ask)).output;
        assert.ok(item?.type === "reasoning");
        const whole = [...(item.content ?? []), ...item.summary].map(({ text }) => text).join("");
        for (const text of [whole, streamed]) assert.equal(checkWords(text).words, told[face][index]);
      }
    });
  }
});

describe("ollama client", () => {
  const server = serve("ollama");
  const client = (): Ollama => new Ollama({ host: server.current().url });

  it("streams chat and generate", async () => {
    let text = "";
    let last: { done_reason?: string | undefined; eval_count?: number; total_duration?: number } = {};
    for await (const part of await client().chat({ model: MODEL, messages, stream: true })) {
      text += part.message.content;
      last = part;
    }
    assert.deepEqual(checkWords(text), { words: 24, intact: true });
    assert.deepEqual([last.done_reason, last.eval_count], ["stop", 24]);
    assert.ok((last.total_duration ?? 0) > 1e6);
    const whole = await client().generate({ model: MODEL, prompt: "x", options: { num_predict: 3 } });
    assert.deepEqual([whole.done_reason, checkWords(whole.response ?? "").words], ["length", 3]);
  });

  it("thinks, calls tools and answers in a format", async () => {
    const thought = await client().chat({ model: MODEL, messages, think: true });
    assert.ok(checkWords(thought.message.thinking ?? "").intact);
    const tool = { type: "function", function: { name: "forecast", parameters: schema } };
    const called = await client().chat({ model: MODEL, messages, tools: [tool] });
    assert.equal(called.message.tool_calls?.[0]?.function.name, "forecast");
    assert.equal(typeof called.message.tool_calls?.[0]?.function.arguments["city"], "string");
    const formatted = await client().chat({ model: MODEL, messages, format: schema });
    assert.deepEqual(Object.keys(JSON.parse(formatted.message.content ?? "") as object), ["city", "days"]);
  });

  it("embeds, lists, shows, loads and unloads", async () => {
    const { embeddings } = await client().embed({ model: MODEL, input: ["a", "b"] });
    assert.equal(embeddings.length, 2);
    assert.deepEqual(
      (await client().list()).models.map(({ name }) => name),
      [MODEL],
    );
    assert.ok((await client().show({ model: MODEL })).capabilities.includes("completion"));
    const loaded = await client().generate({ model: MODEL, prompt: "", keep_alive: "10m" });
    assert.equal(loaded.done_reason, "load");
    assert.deepEqual(
      (await client().ps()).models.map(({ name }) => name),
      [MODEL],
    );
    await client().generate({ model: MODEL, prompt: "", keep_alive: 0 });
    assert.deepEqual((await client().ps()).models, []);
  });

  it("pulls with progress, copies and deletes", async () => {
    const seen: string[] = [];
    for await (const { status } of await client().pull({ model: "fresh", stream: true })) seen.push(status);
    assert.equal(seen.at(-1), "success");
    await client().copy({ source: "fresh", destination: "copied" });
    await client().delete({ model: "fresh" });
    const names = (await client().list()).models.map(({ name }) => name);
    assert.deepEqual(names.sort(), ["copied:latest", MODEL]);
    await client().delete({ model: "copied" });
    await assert.rejects(client().pull({ model: "missing" }), /file does not exist/);
  });

  it("says in Ollama's words that a model is not there", async () => {
    await assert.rejects(client().chat({ model: "nope", messages }), /model "nope" not found/);
  });
});

for (const face of ["anthropic", "vllm", "ollama"] as const)
  describe(`anthropic client on ${face}`, () => {
    const server = serve(face);
    const client = (): Anthropic =>
      new Anthropic({ baseURL: server.current().url, apiKey: "any", maxRetries: 0 });

    it("streams text", async () => {
      const stream = client().messages.stream({ model: MODEL, max_tokens: 100, messages });
      const message = await stream.finalMessage();
      const [block] = message.content;
      assert.ok(block?.type === "text");
      assert.deepEqual(checkWords(block.text), { words: 24, intact: true });
      assert.deepEqual([message.stop_reason, message.usage.output_tokens], ["end_turn", 24]);
    });

    it("answers whole, cut by its limit", async () => {
      const message = await client().messages.create({ model: MODEL, max_tokens: 3, messages });
      assert.deepEqual([message.stop_reason, message.usage.output_tokens], ["max_tokens", 3]);
    });

    it("thinks and calls a tool", async () => {
      const tools = [{ name: "forecast", input_schema: { ...schema, type: "object" as const } }];
      const thinking = { type: "enabled" as const, budget_tokens: 1024 };
      const message = await client()
        .messages.stream({ model: MODEL, max_tokens: 2000, messages, tools, thinking })
        .finalMessage();
      assert.deepEqual(
        message.content.map(({ type }) => type),
        ["thinking", "tool_use"],
      );
      const call = message.content[1];
      assert.ok(call?.type === "tool_use");
      assert.deepEqual(Object.keys(call.input as object), ["city", "days"]);
      assert.equal(message.stop_reason, "tool_use");
    });

    it("says that a model is not there", async () => {
      await assert.rejects(
        client().messages.create({ model: "nope", max_tokens: 3, messages }),
        Anthropic.NotFoundError,
      );
    });
  });

describe("keys", () => {
  it("are asked for by openai, anthropic and vllm", async () => {
    for (const face of ["openai", "anthropic", "vllm"] as const) {
      const simulator = await startSimulator({ face, models: [MODEL], apiKeys: ["right"] });
      try {
        const base = { baseURL: face === "anthropic" ? simulator.url : `${simulator.url}/v1`, maxRetries: 0 };
        const list = async (apiKey: string): Promise<void> => {
          if (face === "anthropic") await new Anthropic({ ...base, apiKey }).models.list();
          else await new OpenAI({ ...base, apiKey }).models.list();
        };
        await assert.rejects(list("wrong"), /401/);
        await list("right");
      } finally {
        await simulator.close();
      }
    }
  });
});

describe("older versions", () => {
  const cases = [
    { face: "ollama", path: "/api/version", versions: ["0.13.2", "0.13.3", "0.14.0"] },
    { face: "vllm", path: "/version", versions: ["0.9.2", "0.10.0", "0.11.1"] },
  ] as const;
  for (const { face, path, versions } of cases) {
    it(`of ${face} lack what came later`, async () => {
      for (const [age, version] of versions.entries()) {
        const simulator = await startSimulator({ face, version });
        try {
          const said = (await (await fetch(simulator.url + path)).json()) as { version: string };
          assert.equal(said.version, version);
          const status = async (address: string): Promise<number> =>
            (await fetch(simulator.url + address, { method: "POST", body: "{}" })).status;
          assert.equal((await status("/v1/responses")) !== 404, age >= 1);
          assert.equal((await status("/v1/messages")) !== 404, age >= 2);
          const asked = await fetch(`${simulator.url}/v1/responses`);
          assert.equal(asked.status, age >= 1 ? 405 : 404);
          assert.equal(asked.headers.get("allow"), age >= 1 ? "POST" : null);
        } finally {
          await simulator.close();
        }
      }
    });
  }
});
