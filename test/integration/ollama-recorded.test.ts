/** What a real Ollama sent (test/fixtures/ollama), through the gateway to callers of every API. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { Ollama } from "ollama";
import OpenAI from "openai";
import type { Exchange } from "../harness/ollama-recording/exchange.ts";
import { gatewayOver } from "../harness/gateway-over.ts";
import { recordedExchanges, startReplayedOllama } from "../harness/replayed-ollama.ts";

const exchanges = recordedExchanges();

function exchange(name: string): Exchange {
  const found = exchanges.get(name);
  assert.ok(found !== undefined, name);
  return found;
}

/** The body that was recorded. */
function textOf(name: string): string {
  return exchange(name).response.pieces.join("");
}

/** The content of a recorded chat, stream or whole. */
function saidIn(name: string): string {
  const lines = textOf(name).trimEnd().split("\n");
  return lines
    .map((line) => (JSON.parse(line) as { message?: { content: string } }).message?.content)
    .join("");
}

/** Makes a recorded call again, through a gateway. */
async function again(
  base: string,
  name: string,
): Promise<{ readonly status: number; readonly text: string }> {
  const { method, path, body = null } = exchange(name).request;
  const headers = { "content-type": "application/json" };
  const response = await fetch(base + path, { method, body, headers });
  return { status: response.status, text: await response.text() };
}

/** Left to the server as they are: what it answers comes back byte by byte. */
const passed = [
  "chat-load",
  "chat-stream",
  "chat-whole",
  "chat-schema",
  "chat-schema-stream",
  "chat-image",
  "chat-tools-refused",
  "chat-thinking-refused",
  "chat-option-wrong",
  "chat-format-wrong",
  "chat-too-long",
  "generate-stream",
  "generate-whole",
  "generate-raw",
  "generate-load",
  "generate-suffix-refused",
  "embed-one",
  "embed-two",
  "embed-wrong",
  "embeddings",
  "show",
  "openai-chat",
  "openai-stream-usage",
  "openai-completion",
  "openai-embeddings",
  "openai-responses",
  "openai-responses-stream",
  "openai-tools-refused",
  "anthropic-message",
  "anthropic-stream",
  "create",
  "create-without-blob",
  "create-whole",
  "copy",
  "copy-missing",
  "push",
  "push-missing",
  "delete",
  "pull-unreachable",
  "pull-no-manifest",
  "blob-there",
  "blob-missing",
] as const;

/** The gateway refuses these itself, as the server would: the same status, in its own words. */
const refused = [
  "show-missing",
  "chat-missing",
  "chat-cut-json",
  "chat-no-model",
  "generate-missing",
  "embed-missing",
  "delete-missing",
  "pull-no-name",
  "blob-no-digest",
  "chat-get",
  "no-such-address",
  "openai-missing",
  "openai-cut-json",
  "openai-model-missing",
  "anthropic-missing",
  "anthropic-no-max-tokens",
] as const;

describe("a recorded Ollama behind the gateway", () => {
  for (const name of passed) {
    it(`answers ${name} byte by byte`, async (t) => {
      const { url } = await gatewayOver(t, { box: [(await startReplayedOllama(t)).url] });
      const { status, text } = await again(url, name);
      assert.equal(status, exchange(name).response.status);
      assert.equal(text, textOf(name));
    });
  }

  it("is asked for usage on behalf of a caller who did not, and who does not see it", async (t) => {
    const { url } = await gatewayOver(t, { box: [(await startReplayedOllama(t)).url] });
    const { text } = await again(url, "openai-stream");
    const frames = textOf("openai-stream-usage").split("\n\n");
    const isUsage = (frame: string): boolean => frame.includes('"choices":[]');
    assert.ok(frames.some(isUsage));
    assert.equal(text, frames.filter((frame) => !isUsage(frame)).join("\n\n"));
  });

  it("is spared what it would refuse", async (t) => {
    const { url } = await gatewayOver(t, { box: [(await startReplayedOllama(t)).url] });
    for (const name of refused) {
      const { status, text } = await again(url, name);
      assert.equal(status, exchange(name).response.status, name);
      if (exchange(name).request.method === "HEAD") continue;
      const { error } = JSON.parse(text) as { error: unknown };
      assert.ok(
        name.startsWith("openai-m") ||
          typeof error === (/^(openai|anthropic)/.test(name) ? "object" : "string"),
      );
    }
  });

  it("is read by Ollama's client", async (t) => {
    const { url: host } = await gatewayOver(t, { box: [(await startReplayedOllama(t)).url] });
    const client = new Ollama({ host });
    const { models } = await client.list();
    assert.deepEqual(models.map(({ name }) => name).toSorted(), ["other:latest", "tiny:latest"]);
    assert.deepEqual(
      (await client.ps()).models.map(({ name }) => name),
      ["tiny:latest"],
    );
    assert.equal((await client.show({ model: "tiny" })).details.family, "llama");
  });

  it("is shown in the older words that its own command uses", async (t) => {
    const { url } = await gatewayOver(t, { box: [(await startReplayedOllama(t, { always: ["show"] })).url] });
    const body = JSON.stringify({ model: "", system: "", verbose: false, options: null, name: "tiny" });
    const response = await fetch(`${url}/api/show`, { method: "POST", body });
    assert.deepEqual([response.status, await response.text()], [200, textOf("show")]);
  });

  it("takes a model's file", async (t) => {
    const server = await startReplayedOllama(t, { always: ["blob-upload"] });
    const { url } = await gatewayOver(t, { box: [server.url] });
    const { path } = exchange("blob-upload").request;
    assert.equal((await fetch(url + path, { method: "POST", body: "bytes" })).status, 201);
  });
});

describe("a recorded Ollama whose runner dies in the midst of an answer", () => {
  const request = { model: "tiny", messages: [{ role: "user" as const, content: "Say ä word" }] };

  it("ends with its own error for callers of Ollama's API", async (t) => {
    const { url } = await gatewayOver(t, { box: [(await startReplayedOllama(t)).url] });
    const { status, text } = await again(url, "chat-runner-killed");
    assert.deepEqual([status, text], [200, textOf("chat-runner-killed")]);
    assert.match(text, /\{"error":"[^"]+"\}\n$/);
  });

  it("ends with an error for callers of others", async (t) => {
    const server = await startReplayedOllama(t, { version: "0.12.6", always: ["chat-runner-killed"] });
    const { url } = await gatewayOver(t, { box: [server.url] });
    const client = new Anthropic({ baseURL: url, apiKey: "any", maxRetries: 0 });
    const stream = client.messages.stream({ ...request, max_tokens: 100 });
    let said = "";
    stream.on("text", (text) => void (said += text));
    await assert.rejects(stream.done(), Anthropic.APIError);
    assert.equal(said, saidIn("chat-runner-killed"));
    const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: "any", maxRetries: 0 });
    const response = await openai.responses.create({ model: "tiny", input: "a", stream: true });
    await assert.rejects(async () => {
      for await (const event of response) {
        if (event.type === "error" || event.type === "response.failed") throw new Error("told of");
        assert.notEqual(event.type, "response.completed");
      }
    });
  });
});

describe("a recorded Ollama of a version without other APIs", () => {
  it("is translated for Anthropic's callers and for responses", async (t) => {
    const messages = [{ role: "user" as const, content: "Say ä word" }];
    for (const [name, stream] of [
      ["chat-stream", true],
      ["chat-whole", false],
    ] as const) {
      const server = await startReplayedOllama(t, { version: "0.12.6", always: [name] });
      const { url } = await gatewayOver(t, { box: [server.url] });
      const anthropic = new Anthropic({ baseURL: url, apiKey: "any", maxRetries: 0 });
      const asked = { model: "tiny", max_tokens: 6, messages };
      const message = stream
        ? await anthropic.messages.stream(asked).finalMessage()
        : await anthropic.messages.create(asked);
      assert.deepEqual(
        message.content,
        [{ type: "text", text: saidIn(name) }].map((part) => ({ ...message.content[0], ...part })),
      );
      assert.deepEqual(
        [message.stop_reason, message.usage.input_tokens, message.usage.output_tokens],
        ["max_tokens", 34, 6],
      );
      const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: "any", maxRetries: 0 });
      if (stream) {
        let said = "";
        for await (const event of await openai.responses.create({ model: "tiny", input: "a", stream })) {
          if (event.type === "response.output_text.delta") said += event.delta;
        }
        assert.equal(said, saidIn(name));
      } else {
        const response = await openai.responses.create({ model: "tiny", input: "a" });
        assert.deepEqual([response.output_text, response.usage?.output_tokens], [saidIn(name), 6]);
      }
    }
  });
});

describe("a pull by recorded Ollamas", () => {
  const body = exchange("pull-new").request.body ?? "";
  const linesOf = (text: string): Record<string, unknown>[] =>
    text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  it("is one, with every layer counted for each", async (t) => {
    const servers = [await startReplayedOllama(t), await startReplayedOllama(t)];
    const { url } = await gatewayOver(t, { box: servers.map((server) => server.url) });
    const lines = linesOf(await (await fetch(`${url}/api/pull`, { method: "POST", body })).text());
    const alone = linesOf(textOf("pull-new"));
    assert.deepEqual(
      lines.filter(({ digest }) => digest === undefined),
      alone.filter(({ digest }) => digest === undefined),
    );
    const lastOf = (digest: unknown) => lines.findLast((line) => line["digest"] === digest);
    for (const { digest, total } of alone.filter((line) => line["digest"] !== undefined)) {
      const last = lastOf(digest);
      assert.deepEqual([last?.["total"], last?.["completed"]], [2 * Number(total), 2 * Number(total)]);
    }
    for (const [index, { digest, completed = 0 }] of lines.entries()) {
      const before = lines
        .slice(0, index)
        .findLast((line) => line["digest"] === digest && digest !== undefined);
      assert.ok(Number(completed) >= Number(before?.["completed"] ?? 0), "it never goes back");
    }
  });

  it("names the one that failed", async (t) => {
    const [good, bad] = [
      await startReplayedOllama(t),
      await startReplayedOllama(t, { always: ["pull-unreachable"] }),
    ];
    const { url } = await gatewayOver(t, { box: [good.url, bad.url] });
    const lines = linesOf(await (await fetch(`${url}/api/pull`, { method: "POST", body })).text());
    const error = String(lines.at(-1)?.["error"]);
    assert.match(
      error,
      /^pull failed on 1 of 2 servers: box\/127\.0\.0\.1:\d+: pull model manifest: .*refused$/,
    );
    assert.ok(error.includes(new URL(bad.url).host));
    assert.ok(lines.every(({ status }) => status !== "success"));
  });
});
