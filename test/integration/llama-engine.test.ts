// The llama engine as a process: both dialects, batching, prefixes, grammars, departures, memory, ends.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { root } from "../../scripts/lib/paths.ts";
import { buildGguf } from "../harness/gguf-build.ts";
import { engineMissing, startEngine, type TestEngine } from "../harness/llama-engine.ts";
import { isRunning } from "../harness/processes.ts";
import { until } from "../harness/until.ts";

interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

interface ToolCall {
  readonly id: string;
  readonly function: { readonly name: string; readonly arguments: string };
}

interface ChatAnswer {
  readonly choices: readonly {
    readonly finish_reason: string;
    readonly message: { readonly content: string | null; readonly tool_calls?: readonly ToolCall[] };
  }[];
  readonly usage: Usage;
}

interface ChatChunk {
  readonly choices: readonly {
    readonly finish_reason: string | null;
    readonly text?: string;
    readonly delta?: { readonly role?: string; readonly content?: string };
  }[];
  readonly usage?: Usage | null;
}

interface ErrorAnswer {
  readonly error: { readonly message: string; readonly param: string | null; readonly code: string };
}

const skip = engineMissing();
const hello = [{ role: "user", content: "hello" }];

function chatBody(more: object = {}): object {
  return { model: "alpha", messages: hello, temperature: 0, max_tokens: 12, ...more };
}

/** The data of server-sent events, the last line of which must be [DONE]. */
function eventsOf<T>(text: string): T[] {
  const lines = text.trimEnd().split("\n\n");
  assert.equal(lines.pop(), "data: [DONE]");
  return lines.map((line) => JSON.parse(line.slice("data: ".length)) as T);
}

async function chatWith(engine: TestEngine, more: object): Promise<ChatAnswer> {
  const response = await engine.post("/v1/chat/completions", chatBody(more));
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return JSON.parse(text) as ChatAnswer;
}

async function refusalOf(
  engine: TestEngine,
  body: object,
): Promise<{ readonly status: number } & ErrorAnswer["error"]> {
  const response = await engine.post("/v1/chat/completions", body);
  return { status: response.status, ...((await response.json()) as ErrorAnswer).error };
}

describe("the llama engine", { skip }, () => {
  let engine: TestEngine;
  before(async () => {
    engine = await startEngine({ alpha: { seed: 1 }, "beta/3/model": { seed: 2, width: 64 } });
  });
  after(() => engine.close());

  const chat = (more: object = {}): Promise<ChatAnswer> => chatWith(engine, more);

  test("lists what it has in both dialects", async () => {
    const { data } = (await (await fetch(`${engine.url}/v1/models`)).json()) as { data: { id: string }[] };
    assert.deepEqual(
      data.map(({ id }) => id),
      ["alpha", "beta"],
    );
    const { models } = (await (await fetch(`${engine.url}/api/tags`)).json()) as {
      models: { name: string }[];
    };
    assert.deepEqual(
      models.map(({ name }) => name),
      ["alpha:latest", "beta:latest"],
    );
    const show = (await (await engine.post("/api/show", { model: "beta" })).json()) as {
      details: { family: string };
      template: string;
    };
    assert.equal(show.details.family, "llama");
    assert.match(show.template, /im_start/);
    assert.equal((await engine.post("/api/show", { model: "", name: "beta" })).status, 200);
  });

  test("answers a chat whole and in pieces alike", async () => {
    const whole = await chat();
    const [choice] = whole.choices;
    assert.equal(choice?.message.content?.length, 12);
    assert.equal(choice?.finish_reason, "length");
    assert.equal(whole.usage.completion_tokens, 12);
    const response = await engine.post(
      "/v1/chat/completions",
      chatBody({ stream: true, stream_options: { include_usage: true } }),
    );
    assert.match(response.headers.get("content-type") ?? "", /^text\/event-stream/);
    const chunks = eventsOf<ChatChunk>(await response.text());
    const text = chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join("");
    assert.equal(text, choice?.message.content);
    assert.equal(chunks[0]?.choices[0]?.delta?.role, "assistant");
    assert.equal(chunks.at(-2)?.choices[0]?.finish_reason, "length");
    assert.deepEqual(chunks.at(-1)?.choices, []);
    assert.equal(chunks.at(-1)?.usage?.completion_tokens, 12);
    assert.equal(chunks.at(-1)?.usage?.prompt_tokens, whole.usage.prompt_tokens);
  });

  test("continues a text whole and in pieces alike", async () => {
    const body = { model: "beta", prompt: "once upon", temperature: 0, max_tokens: 9 };
    const whole = (await (await engine.post("/v1/completions", body)).json()) as {
      choices: { text: string; finish_reason: string }[];
      usage: Usage;
    };
    assert.equal(whole.choices[0]?.text.length, 9);
    assert.equal(whole.choices[0]?.finish_reason, "length");
    assert.equal(whole.usage.completion_tokens, 9);
    const streamed = await engine.post("/v1/completions", { ...body, stream: true });
    const chunks = eventsOf<ChatChunk>(await streamed.text());
    assert.equal(chunks.map((chunk) => chunk.choices[0]?.text ?? "").join(""), whole.choices[0]?.text);
  });

  test("speaks Ollama's chat, generate and embed", async () => {
    const options = { temperature: 0, num_predict: 5, repeat_penalty: 1 };
    const response = await engine.post("/api/chat", { model: "alpha", messages: hello, options });
    const lines = (await response.text())
      .trimEnd()
      .split("\n")
      .map(
        (line) => JSON.parse(line) as { message: { content: string }; done: boolean; done_reason?: string },
      );
    const text = lines.map(({ message }) => message.content).join("");
    assert.equal(text, (await chat({ max_tokens: 5 })).choices[0]?.message.content);
    assert.deepEqual([lines.at(-1)?.done, lines.at(-1)?.done_reason], [true, "length"]);
    const generated = (await (
      await engine.post("/api/generate", { model: "alpha:latest", prompt: "hello", stream: false, options })
    ).json()) as { response: string; eval_count: number; prompt_eval_count: number };
    assert.equal(generated.response, text);
    assert.equal(generated.eval_count, 5);
    const embedded = (await (
      await engine.post("/api/embed", { model: "alpha", input: ["a", "b"] })
    ).json()) as {
      embeddings: number[][];
    };
    assert.deepEqual(
      embedded.embeddings.map((vector) => vector.length),
      [32, 32],
    );
  });

  test("makes embeddings of length 1, the same as numbers and as base64", async () => {
    const body = { model: "alpha", input: "some text" };
    const numbers = (await (await engine.post("/v1/embeddings", body)).json()) as {
      data: { embedding: number[] }[];
    };
    const vector = numbers.data[0]?.embedding ?? [];
    assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-5);
    const packed = (await (
      await engine.post("/v1/embeddings", { ...body, encoding_format: "base64" })
    ).json()) as { data: { embedding: string }[] };
    const bytes = Buffer.from(packed.data[0]?.embedding ?? "", "base64");
    vector.forEach((value, index) => assert.ok(Math.abs(bytes.readFloatLE(index * 4) - value) < 1e-6));
  });

  test("ends at a stop text and leaves it out", async () => {
    const { content } = (await chat()).choices[0]!.message;
    const stop = content!.slice(4, 6);
    const stopped = await chat({ stop });
    assert.equal(stopped.choices[0]?.message.content, content!.slice(0, content!.indexOf(stop)));
    assert.equal(stopped.choices[0]?.finish_reason, "stop");
  });

  test("repeats itself with a seed and differs without", async () => {
    const hot = { temperature: 2, top_p: 1, top_k: 0, max_tokens: 30 };
    const said = async (more: object) => (await chat({ ...hot, ...more })).choices[0]?.message.content;
    assert.equal(await said({ seed: 7 }), await said({ seed: 7 }));
    assert.notEqual(await said({ seed: 7 }), await said({ seed: 8 }));
  });

  test("tells how much of the prompt was in memory, though others came between", async () => {
    const long = "a prefix of many words that two requests have in common ".repeat(8);
    const first = await chat({ messages: [{ role: "user", content: `${long}one` }] });
    await chat({ messages: [{ role: "user", content: "something else" }] });
    const second = await chat({ messages: [{ role: "user", content: `${long}two` }] });
    assert.ok(first.usage.prompt_tokens_details.cached_tokens < 40);
    assert.ok(
      second.usage.prompt_tokens_details.cached_tokens > long.length * 0.9,
      JSON.stringify(second.usage),
    );
  });

  test("computes several at once as it computes one", async () => {
    const prompts = Array.from({ length: 8 }, (_, index) => [{ role: "user", content: `question ${index}` }]);
    const together = await Promise.all(prompts.map((messages) => chat({ messages, max_tokens: 40 })));
    for (const [index, messages] of prompts.entries()) {
      const alone = await chat({ messages, max_tokens: 40 });
      assert.equal(
        together[index]?.choices[0]?.message.content,
        alone.choices[0]?.message.content,
        `${index}`,
      );
    }
  });

  test("holds answers to a schema", async () => {
    const schema = {
      type: "object",
      properties: {
        city: { enum: ["Bern", "Oslo"] },
        warm: { type: "boolean" },
        tags: { type: "array", items: { $ref: "#/$defs/tag" }, minItems: 1, maxItems: 2 },
        note: { anyOf: [{ type: "null" }, { type: "string", maxLength: 5 }] },
      },
      required: ["city", "warm", "tags", "note"],
      additionalProperties: false,
      $defs: { tag: { type: "string", maxLength: 4 } },
    };
    const format = { type: "json_schema", json_schema: { name: "weather", schema } };
    for (const seed of [1, 2, 3]) {
      const answer = await chat({ response_format: format, max_tokens: 400, temperature: 1, seed });
      const value = JSON.parse(answer.choices[0]?.message.content ?? "") as Record<string, unknown>;
      assert.deepEqual(Object.keys(value), ["city", "warm", "tags", "note"]);
      assert.ok(value["city"] === "Bern" || value["city"] === "Oslo");
      assert.equal(typeof value["warm"], "boolean");
      assert.ok(Array.isArray(value["tags"]) && value["tags"].length >= 1 && value["tags"].length <= 2);
      assert.equal(answer.choices[0]?.finish_reason, "stop");
    }
  });

  test("calls the tool it is told to", async () => {
    const tool = (name: string) => {
      const parameters = { type: "object", properties: { city: { enum: ["Bern", "Oslo"] } } };
      return { type: "function", function: { name, description: "what the weather is like", parameters } };
    };
    const tools = [tool("weather"), tool("forecast")];
    const choice = { type: "function", function: { name: "forecast" } };
    const more = { tools, tool_choice: choice, parallel_tool_calls: false, max_tokens: 200 };
    const [answer] = (await chat(more)).choices;
    const [call] = answer?.message.tool_calls ?? [];
    assert.equal(answer?.finish_reason, "tool_calls");
    assert.equal(call?.function.name, "forecast");
    const { city } = JSON.parse(call?.function.arguments ?? "") as { city: string };
    assert.ok(["Bern", "Oslo"].includes(city));
    const messages = [
      ...hello,
      { role: "assistant", content: null, tool_calls: [call] },
      { role: "tool", tool_call_id: call?.id, content: "sunny" },
    ];
    assert.equal((await chat({ tools, messages })).choices[0]?.finish_reason, "length");
  });
});

describe("the llama engine, badly treated,", { skip }, () => {
  let engine: TestEngine;
  before(async () => {
    engine = await startEngine({ alpha: { seed: 1 }, beta: { seed: 2, width: 64 } });
  });
  after(() => engine.close());

  test("refuses with the field's name what it cannot do", async () => {
    const cases: [body: object, status: number, code: string, param: string][] = [
      [{ model: "nobody" }, 404, "model_not_found", "model"],
      [{ messages: [] }, 400, "invalid_request", "messages"],
      [
        { messages: [{ role: "user", content: "x".repeat(5_000) }] },
        400,
        "context_length_exceeded",
        "messages",
      ],
      [{ n: 2 }, 400, "unsupported", "n"],
      [{ temperature: "hot" }, 400, "invalid_request", "temperature"],
      [
        { messages: [{ role: "user", content: [{ type: "image_url" }] }] },
        400,
        "unsupported",
        "messages[0].content[0].type",
      ],
      [
        { response_format: { type: "json_schema", json_schema: { schema: { allOf: [] } } } },
        400,
        "unsupported",
        "response_format.json_schema.schema",
      ],
    ];
    for (const [body, status, code, param] of cases) {
      const answer = await refusalOf(engine, chatBody(body));
      assert.deepEqual([answer.status, answer.code, answer.param], [status, code, param], answer.message);
    }
    const deep = "[".repeat(100_000) + "]".repeat(100_000);
    const response = await fetch(`${engine.url}/v1/chat/completions`, { method: "POST", body: deep });
    assert.equal(response.status, 400);
  });

  test("says why a broken file is not served, and serves on", async () => {
    const whole = buildGguf({ seed: 9 });
    writeFileSync(path.join(engine.models, "short.gguf"), whole.subarray(0, whole.length / 2));
    writeFileSync(path.join(engine.models, "text.gguf"), "this is no model");
    writeFileSync(path.join(engine.models, "empty.gguf"), "");
    for (const model of ["short", "text", "empty"]) {
      const answer = await refusalOf(engine, chatBody({ model }));
      assert.deepEqual([answer.status, answer.code], [422, "model_broken"]);
      assert.ok(!answer.message.includes(engine.models), answer.message);
    }
    const short = await refusalOf(engine, chatBody({ model: "short" }));
    assert.match(short.message, /corrupted or incomplete/);
    assert.equal((await chatWith(engine, {})).choices[0]?.finish_reason, "length");
  });

  test("stops computing when the client has gone", async () => {
    for (const stream of [true, false]) {
      const left = new AbortController();
      const body = chatBody({
        model: "beta",
        stream,
        max_tokens: 2_000,
        messages: [{ role: "user", content: `${stream}` }],
      });
      const call = engine.post("/v1/chat/completions", body, left.signal);
      if (stream) {
        const reader = (await call).body!.getReader();
        await reader.read();
        left.abort();
        await assert.rejects(async () => {
          for (;;) await reader.read();
        });
      } else {
        setTimeout(() => left.abort(), 60);
        await assert.rejects(call);
      }
      // Its expiry stands still while nobody uses the model, and moves while somebody does.
      await until("the model is idle", async () => {
        const [one, two] = [await expiryOf("beta"), await expiryOf("beta")];
        return one === two;
      });
    }
  });

  /** When the model would go, as `/api/ps` says, after a pause in which the clock moves on. */
  async function expiryOf(name: string): Promise<string> {
    await new Promise((resolve) => setTimeout(resolve, 5));
    const { models } = (await (await fetch(`${engine.url}/api/ps`)).json()) as {
      models: { name: string; expires_at: string }[];
    };
    return models.find((model) => model.name === `${name}:latest`)?.expires_at ?? "";
  }
});

describe("the llama engine's bounds", { skip }, () => {
  test("unload what was used longest ago, and refuse what never fits", async (t) => {
    const models = {
      one: { seed: 1 },
      two: { seed: 2 },
      three: { seed: 3 },
      huge: { seed: 4, width: 256, layers: 2 },
    };
    const engine = await startEngine(models, ["--memory", "4", "--sequences", "1", "--context", "1024"]);
    t.after(() => engine.close());
    const ask = async (model: string) =>
      engine.post("/v1/chat/completions", chatBody({ model, max_tokens: 2 }));
    for (const model of ["one", "two", "one", "three"]) {
      const response = await ask(model);
      assert.equal(response.status, 200, await response.text());
    }
    const loads = engine.events.filter(({ event }) => event === "model_loaded").map(({ model }) => model);
    assert.deepEqual(loads, ["one", "two", "three"]);
    const gone = engine.events.filter(({ event }) => event === "model_unloaded");
    assert.deepEqual(
      gone.map(({ model, reason }) => [model, reason]),
      [["two", "evicted"]],
    );
    const huge = await ask("huge");
    assert.equal(huge.status, 422);
    assert.match(((await huge.json()) as ErrorAnswer).error.message, /does not fit into memory/);
  });

  test("unload what nobody asks for, as the request says", async (t) => {
    const engine = await startEngine({ one: { seed: 1 } }, ["--keep-alive", "1"]);
    t.after(() => engine.close());
    const running = async () =>
      ((await (await fetch(`${engine.url}/api/ps`)).json()) as { models: unknown[] }).models.length;
    await (await engine.post("/v1/chat/completions", chatBody({ model: "one" }))).text();
    assert.equal(await running(), 1);
    await until("the model has gone", async () => (await running()) === 0);
    const load = { model: "one", keep_alive: "1h" };
    const loaded = (await (await engine.post("/api/generate", load)).json()) as { done_reason: string };
    assert.equal(loaded.done_reason, "load");
    assert.equal(await running(), 1);
    await (await engine.post("/api/generate", { model: "one", keep_alive: 0 })).text();
    await until("the model has gone", async () => (await running()) === 0);
  });

  test("refuse with Retry-After when the line is full", async (t) => {
    const engine = await startEngine({ one: { seed: 1 } }, ["--sequences", "1", "--max-queue", "2"]);
    t.after(() => engine.close());
    await (await engine.post("/v1/chat/completions", chatBody({ model: "one" }))).text();
    const body = chatBody({ model: "one", max_tokens: 300 });
    const answers = await Promise.all(
      Array.from({ length: 8 }, async () => engine.post("/v1/chat/completions", body)),
    );
    const full = answers.filter(({ status }) => status === 503);
    assert.ok(full.length >= 4 && full.length <= 6, `${full.length} were refused`);
    assert.equal(full[0]?.headers.get("retry-after"), "1");
    assert.ok(answers.every(({ status }) => status === 200 || status === 503));
    await Promise.all(answers.map((answer) => answer.text()));
  });
});

describe("the llama engine's process", { skip }, () => {
  test("ends with its parent, in the middle of an answer, and takes its socket with it", async (t) => {
    const folder = mkdtempSync(path.join(tmpdir(), "spw-gguf-"));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(path.join(folder, "one.gguf"), buildGguf({ seed: 1, width: 256, layers: 4 }));
    const socket = path.join(folder, "engine.sock");
    const main = path.join(root, "engines/llama/src/main.ts");
    const args = [main, "--models", folder, "--socket", socket, "--supervised"];
    // A parent that is killed cannot say goodbye.
    const script = `
      const child = require("node:child_process").spawn(process.execPath, ${JSON.stringify(args)}, { stdio: ["pipe", "ignore", "inherit"] });
      setInterval(() => {}, 1000);
    `;
    const parent = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "ignore", "pipe"] });
    t.after(() => parent.kill("SIGKILL"));
    const pid = await new Promise<number>((resolve) => {
      createInterface({ input: parent.stderr }).on("line", (line) => {
        if (line.includes('"listening"')) resolve((JSON.parse(line) as { pid: number }).pid);
      });
    });
    process.kill(pid, "SIGINT");
    process.kill(pid, "SIGTERM");
    const client = httpRequest({ socketPath: socket, path: "/v1/chat/completions", method: "POST" });
    client.on("error", () => {});
    client.end(JSON.stringify(chatBody({ model: "one", stream: true, max_tokens: 2_000 })));
    const [response] = (await once(client, "response")) as [NodeJS.ReadableStream];
    response.on("error", () => {});
    await once(response, "data");
    parent.kill("SIGKILL");
    await until("the engine has ended", () => !isRunning(pid));
    assert.equal(existsSync(socket), false);
  });

  test("says what is wrong with its arguments and with a missing library", async () => {
    const ended = async (args: readonly string[]): Promise<string> => {
      const main = path.join(root, "engines/llama/src/main.ts");
      const child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", "ignore", "pipe"] });
      let said = "";
      child.stderr.on("data", (chunk) => (said += String(chunk)));
      const [code] = (await once(child, "close")) as [number];
      assert.equal(code, 1);
      return said;
    };
    assert.match(await ended(["--port", "0"]), /--models is required/);
    assert.match(await ended(["--models", "x", "--port", "no"]), /--port: expected a whole number/);
    assert.match(await ended(["--models", "x", "--port", "0", "--library", "/nowhere"]), /not installed/);
  });
});
