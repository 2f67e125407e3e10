// GGUF files in the model folder become models of a gateway.
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { Ollama } from "ollama";
import OpenAI from "openai";
import type { LlamaOptions } from "../../packages/gateway/src/contracts/options.ts";
import {
  createModelFolder,
  startTestGateway,
  testConfig,
  type ModelFolder,
  type TestGateway,
} from "../harness/gateway.ts";
import { buildGguf } from "../harness/gguf-build.ts";
import { engineMissing } from "../harness/llama-engine.ts";
import { isRunning } from "../harness/processes.ts";
import { until } from "../harness/until.ts";

const skip = engineMissing();

interface Setup {
  readonly folder: ModelFolder;
  readonly gateway: TestGateway;
  /** Names of the models that HTTP servers have, without tags. */
  readonly names: () => string;
  /** Process ids of the engines that were started, the last last. */
  readonly pids: () => number[];
}

interface SetupOptions {
  readonly library?: string;
  readonly llama?: Partial<LlamaOptions>;
  /** Pause before the second restart, ms. */
  readonly backoffMs?: number;
}

async function setUp(
  t: TestContext,
  files: Readonly<Record<string, Buffer>>,
  options: SetupOptions = {},
): Promise<Setup> {
  const folder = createModelFolder(t);
  for (const [name, bytes] of Object.entries(files)) folder.write(name, bytes);
  const llama: LlamaOptions = {
    folders: [folder.path],
    threads: 1,
    sequences: 2,
    contextSize: 1_024,
    memoryBytes: undefined,
    keepAliveMs: 60_000,
    ...options.llama,
  };
  const config = testConfig(folder.path);
  const repository = { directory: folder.path, pollMs: 50, instances: {}, control: "all" } as const;
  const { library } = options;
  const gateway = await startTestGateway(
    t,
    {
      ...config,
      repository,
      llama,
      workers: { ...config.workers, backoffMs: { initial: options.backoffMs ?? 250, max: 5_000 } },
    },
    library === undefined ? {} : { library },
  );
  const names = (): string =>
    gateway.forward
      .models()
      .map(({ name }) => name.replace(/:latest$/, ""))
      .toSorted()
      .join();
  const pids = (): number[] =>
    gateway.events
      .filter(({ event }) => event === "engine_listening")
      .map(({ fields }) => Number(fields["pid"]));
  return { folder, gateway, names, pids };
}

const talk = buildGguf({ seed: 1 });
/** Slow enough to be disturbed. */
const slow = buildGguf({ seed: 1, width: 256, layers: 4 });
const messages = [{ role: "user" as const, content: "hello" }];

interface ChatAnswer {
  readonly choices: readonly { readonly message: { readonly content: string } }[];
}

function contentOf(body: object): string {
  return (body as ChatAnswer).choices[0]?.message.content ?? "";
}

describe("GGUF files in the model folder", { skip }, () => {
  test("are served from the start: the gateway is ready when they are", async (t) => {
    const { gateway, names } = await setUp(t, { "talk.gguf": talk });
    assert.equal(names(), "talk");
    const answer = await gateway.post("/v1/chat/completions", { model: "talk", messages, max_tokens: 5 });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    assert.equal(contentOf(answer.body).length, 5);
    assert.equal(answer.headers.get("x-spillway-endpoint"), "llama/engine");
    // The workers' repository makes nothing of them.
    assert.deepEqual(gateway.catalog.list(), []);
  });

  test("come and go while the gateway runs, and the process with the last", async (t) => {
    const { gateway, folder, names, pids } = await setUp(t, {});
    assert.deepEqual([names(), pids()], ["", []]);
    folder.write("talk.gguf", talk);
    folder.write("more/1/model.gguf", buildGguf({ seed: 2 }));
    await until("both are served", () => names() === "more,talk");
    const ask = async (model: string) =>
      (await gateway.post("/v1/chat/completions", { model, messages, max_tokens: 2 })).status;
    assert.deepEqual([await ask("talk"), await ask("more")], [200, 200]);
    folder.remove("talk.gguf");
    await until("one has gone", () => names() === "more");
    assert.deepEqual([await ask("talk"), await ask("more")], [404, 200]);
    const [pid = 0] = pids();
    folder.remove("more");
    await until("its process has gone", () => !isRunning(pid) && gateway.forward.pools().length === 0);
    assert.equal(await ask("more"), 404);
    folder.write("talk.gguf", talk);
    await until("it is served again", () => names() === "talk");
    assert.equal(await ask("talk"), 200);
    assert.equal(pids().length, 2);
  });

  test("are answered by the next process when one dies, and nothing is left of it at the end", async (t) => {
    const { gateway, pids } = await setUp(t, { "talk.gguf": talk });
    const ask = () => gateway.post("/v1/chat/completions", { model: "talk", messages, max_tokens: 500 });
    await ask();
    const running = Array.from({ length: 6 }, ask);
    await until("they run", () => inFlight(gateway) === 6);
    process.kill(pids()[0] ?? 0, "SIGKILL");
    const late = ask();
    for (const answer of await Promise.all([...running, late])) {
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      assert.equal(contentOf(answer.body).length, 500);
    }
    assert.equal(pids().length, 2);
    assert.equal(inFlight(gateway), 0);
    await gateway.close({ graceMs: 0 });
    await until("no engine is left", () => !pids().some(isRunning));
  });

  test("are refused with Retry-After while the process keeps dying, and served when it does not", async (t) => {
    const { gateway, pids } = await setUp(t, { "slow.gguf": slow }, { backoffMs: 1_500 });
    const body = { model: "slow", messages, max_tokens: 1_000 };
    const twice = gateway.post("/v1/chat/completions", body);
    for (const round of [1, 2, 3]) {
      await until("it listens", () => pids().length === round);
      if (round < 3)
        await until("the request is there", () => count(gateway, "engine_model_loaded") === round);
      process.kill(pids().at(-1) ?? 0, "SIGKILL");
      // Whose request took two processes with it is told so.
      if (round === 2) assert.equal((await twice).status, 502);
    }
    await until("it is given a rest", () => count(gateway, "engine_ended") === 3);
    const refused = await gateway.post("/v1/chat/completions", body);
    assert.equal(refused.status, 503, JSON.stringify(refused.body));
    assert.match(refused.headers.get("retry-after") ?? "", /^[1-3]$/);
    await until("it listens again", () => pids().length === 4);
    const answer = await gateway.post("/v1/chat/completions", { ...body, max_tokens: 2 });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
  });

  test("end a stream whose process dies with an error, never as if it were whole", async (t) => {
    const { gateway, pids } = await setUp(t, { "slow.gguf": slow });
    const calls = [
      [
        "/v1/chat/completions",
        { model: "slow", messages, stream: true, max_tokens: 1_000 },
        /"error"/,
        /\[DONE\]/,
      ],
      ["/api/chat", { model: "slow", messages, options: { num_predict: 1_000 } }, /"error"/, /"done":true/],
    ] as const;
    const streams = await Promise.all(calls.map(([path, body]) => startStream(gateway, path, body)));
    process.kill(pids()[0] ?? 0, "SIGKILL");
    for (const [index, stream] of streams.entries()) {
      const text = await stream.rest();
      const [path, , error, end] = calls[index] ?? assert.fail();
      assert.match(text, error, `${path}: ${text.slice(-300)}`);
      assert.doesNotMatch(text, end);
    }
  });

  test("are computed for nobody who has left, and to the end for who is there when the gateway stops", async (t) => {
    const { gateway } = await setUp(t, { "slow.gguf": slow });
    const body = { model: "slow", messages, stream: true, max_tokens: 200 };
    const left = await startStream(gateway, "/v1/chat/completions", body);
    assert.equal(inFlight(gateway), 1);
    left.leave();
    await until("the engine is left alone", () => inFlight(gateway) === 0);
    const whole = await startStream(gateway, "/v1/chat/completions", body);
    const closed = gateway.close({ graceMs: 3_600_000 });
    assert.match(await whole.rest(), /\[DONE\]\s*$/);
    await closed;
  });

  test("leave memory to those that are asked for, as much as there may be", async (t) => {
    const files = {
      "one.gguf": talk,
      "two.gguf": buildGguf({ seed: 2 }),
      "three.gguf": buildGguf({ seed: 3 }),
    };
    const { gateway } = await setUp(t, files, { llama: { sequences: 1, memoryBytes: 4 * 2 ** 20 } });
    for (const model of ["one", "two", "one", "three"]) {
      const answer = await gateway.post("/api/generate", {
        model,
        stream: false,
        options: { num_predict: 2 },
      });
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
    }
    const models = (event: string) =>
      gateway.events.filter((each) => each.event === event).map(({ fields }) => fields["model"]);
    assert.deepEqual(models("engine_model_loaded"), ["one", "two", "three"]);
    assert.deepEqual(models("engine_model_unloaded"), ["two"]);
    await gateway.post("/api/generate", { model: "one", keep_alive: 0 });
    await until("it is unloaded at once", () => models("engine_model_unloaded").includes("one"));
  });

  test("are no business of calls that bring and remove models", async (t) => {
    const { gateway } = await setUp(t, { "talk.gguf": talk });
    const answer = await gateway.post("/api/pull", { model: "other" });
    assert.equal(answer.status, 503);
    assert.match(JSON.stringify(answer.body), /No pool has an Ollama server/);
  });
});

describe("a GGUF file", { skip }, () => {
  const schema = {
    type: "object",
    properties: { city: { enum: ["Bern", "Oslo"] }, warm: { type: "boolean" } },
    required: ["city", "warm"],
    additionalProperties: false,
  };

  test("answers the ollama client", async (t) => {
    const { gateway } = await setUp(t, { "talk.gguf": talk });
    const client = new Ollama({ host: gateway.url });
    const model = "talk";
    const { models } = await client.list();
    assert.deepEqual(
      models.map(({ name, size, details }) => [name, size, details.format]),
      [["talk:latest", talk.length, "gguf"]],
    );
    assert.equal((await client.show({ model })).details.family, "llama");
    const whole = await client.chat({ model, messages, options: { num_predict: 5, temperature: 0 } });
    assert.deepEqual([whole.message.content.length, whole.done_reason, whole.eval_count], [5, "length", 5]);
    let streamed = "";
    const stream = await client.chat({
      model,
      messages,
      stream: true,
      options: { num_predict: 5, temperature: 0 },
    });
    for await (const { message } of stream) streamed += message.content;
    assert.equal(streamed, whole.message.content);
    const { message } = await client.chat({ model, messages, format: schema, options: { num_predict: 200 } });
    assert.deepEqual(Object.keys(JSON.parse(message.content) as object), ["city", "warm"]);
    const generated = await client.generate({
      model,
      prompt: "hello",
      raw: true,
      options: { num_predict: 3 },
    });
    assert.equal(generated.response?.length, 3);
    const { embeddings } = await client.embed({ model, input: ["a", "b"] });
    assert.deepEqual(
      embeddings.map((vector) => vector.length),
      [32, 32],
    );
    await until("it is told to be loaded", async () => (await client.ps()).models[0]?.name === "talk:latest");
    await assert.rejects(client.chat({ model: "nobody", messages }), /nobody/);
  });

  test("answers the openai client", async (t) => {
    const { gateway } = await setUp(t, { "talk.gguf": talk });
    const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none" });
    const model = "talk";
    const ids = (await client.models.list()).data.map(({ id }) => id);
    assert.deepEqual(ids, ["talk:latest"]);
    const whole = await client.chat.completions.create({ model, messages, max_tokens: 5, temperature: 0 });
    assert.deepEqual([whole.choices[0]?.message.content?.length, whole.usage?.completion_tokens], [5, 5]);
    let streamed = "";
    const body = { model, messages, max_tokens: 5, temperature: 0, stream: true } as const;
    for await (const { choices } of await client.chat.completions.create(body))
      streamed += choices[0]?.delta.content ?? "";
    assert.equal(streamed, whole.choices[0]?.message.content);
    const held = await client.chat.completions.create({
      model,
      messages,
      max_tokens: 200,
      response_format: { type: "json_schema", json_schema: { name: "weather", schema, strict: true } },
    });
    assert.deepEqual(Object.keys(JSON.parse(held.choices[0]?.message.content ?? "") as object), [
      "city",
      "warm",
    ]);
    const continued = await client.completions.create({ model, prompt: "hello", max_tokens: 3 });
    assert.equal(continued.choices[0]?.text.length, 3);
    const { data } = await client.embeddings.create({ model, input: "a", encoding_format: "float" });
    assert.equal(data[0]?.embedding.length, 32);
    await assert.rejects(
      client.chat.completions.create({ model, messages, temperature: 9 }),
      (error) => error instanceof OpenAI.APIError && error.status === 400,
    );
  });

  test("answers the anthropic client", async (t) => {
    const { gateway } = await setUp(t, { "talk.gguf": talk });
    const client = new Anthropic({ baseURL: gateway.url, apiKey: "none" });
    const { content, usage } = await client.messages.create({ model: "talk", max_tokens: 5, messages });
    assert.equal(content[0]?.type === "text" && content[0].text.length, 5);
    assert.equal(usage.output_tokens, 5);
  });
});

/** A stream whose first content has come. */
async function startStream(
  { url }: TestGateway,
  path: string,
  body: object,
): Promise<{ rest(): Promise<string>; leave(): void }> {
  const gone = new AbortController();
  const response = await fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: gone.signal,
  });
  const reader = response.body?.getReader() ?? assert.fail("no body");
  let text = Buffer.from((await reader.read()).value ?? []).toString();
  assert.equal(response.status, 200, text);
  return {
    leave: () => gone.abort(),
    async rest() {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return text;
        text += Buffer.from(value).toString();
      }
    },
  };
}

/** How often something was logged. */
function count({ events }: TestGateway, name: string): number {
  return events.filter(({ event }) => event === name).length;
}

function inFlight(gateway: TestGateway): number {
  const [pool] = gateway.forward.pools();
  return pool?.endpoints.reduce((sum, endpoint) => sum + endpoint.inFlight, 0) ?? 0;
}

test("without the engine the gateway says what to do, and starts no process", async (t) => {
  const library = createModelFolder(t).path;
  const { gateway, names, pids } = await setUp(t, { "talk.gguf": talk }, { library });
  const { fields } = gateway.events.find(({ event }) => event === "engine_missing") ?? assert.fail();
  assert.match(String(fields["reason"]), /spillway engines add llama/);
  assert.deepEqual([names(), pids()], ["", []]);
});
