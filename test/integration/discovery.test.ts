/** A gateway without a configuration finds the model servers of its machine and serves their models. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { checkWords, startSimulator, type FaceName, type Simulator } from "@spillway/simulator";
import { loadConfig } from "../../packages/gateway/src/config/index.ts";
import type { DiscoverySpot } from "../../packages/gateway/src/endpoints/discovery.ts";
import { createModelFolder, startTestGateway, testConfig, type TestGateway } from "../harness/gateway.ts";

/** All defaults but for the ports that are listened on, and an empty model folder. */
async function startUnconfigured(
  t: TestContext,
  discoverySpots: readonly DiscoverySpot[],
): Promise<TestGateway> {
  const folder = createModelFolder(t).path;
  const loaded = await loadConfig({ file: undefined, workingDirectory: folder, environment: {} });
  assert.ok("config" in loaded);
  const { http, grpc, repository } = testConfig(folder);
  return startTestGateway(t, { ...loaded.config, http, grpc, repository }, { discoverySpots });
}

async function simulate(t: TestContext, face: FaceName, model: string): Promise<Simulator> {
  const simulator = await startSimulator({ face, models: [model], alphabet: "unicode" });
  t.after(() => simulator.close());
  return simulator;
}

/** Reads a stream and fails where it comes in one piece or is not of the type. */
async function stream(url: string, body: object, type: string): Promise<string> {
  const response = await fetch(url, { method: "POST", body: JSON.stringify({ ...body, stream: true }) });
  assert.equal(response.status, 200);
  assert.ok(response.headers.get("content-type")?.startsWith(type));
  assert.ok(response.body);
  let text = "";
  let chunks = 0;
  const decoder = new TextDecoder();
  for await (const chunk of response.body) {
    chunks++;
    text += decoder.decode(chunk, { stream: true });
  }
  assert.ok(chunks > 1, "the answer came in one piece");
  return text;
}

interface ChatLine {
  readonly message: { readonly content: string };
  readonly done: boolean;
}

interface ChatChunk {
  readonly choices: readonly { readonly delta: { readonly content?: string } }[];
}

async function streamOllama(gateway: TestGateway, model: string): Promise<string> {
  const messages = [{ role: "user", content: "Hello" }];
  const text = await stream(`${gateway.url}/api/chat`, { model, messages }, "application/x-ndjson");
  const lines = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as ChatLine);
  assert.equal(lines.at(-1)?.done, true);
  return lines.map(({ message }) => message.content).join("");
}

async function streamOpenAi(gateway: TestGateway, model: string): Promise<string> {
  const messages = [{ role: "user", content: "Hello" }];
  const text = await stream(`${gateway.url}/v1/chat/completions`, { model, messages }, "text/event-stream");
  const events = text.trimEnd().split("\n\n");
  assert.equal(events.pop(), "data: [DONE]");
  const chunks = events.map((event) => JSON.parse(event.slice("data: ".length)) as ChatChunk);
  return chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
}

test("an Ollama of this machine streams in both dialects, without a line of configuration", async (t) => {
  const ollama = await simulate(t, "ollama", "llama3.2:latest");
  const gateway = await startUnconfigured(t, [{ make: "ollama", port: ollama.port }]);
  for (const model of ["llama3.2", "llama3.2:latest"]) {
    for (const read of [streamOllama, streamOpenAi]) {
      assert.deepEqual(checkWords(await read(gateway, model)), { words: 24, intact: true });
    }
  }
  assert.deepEqual(
    ollama.requests
      .all()
      .filter(({ method }) => method === "POST")
      .map(({ path }) => path),
    ["/api/chat", "/v1/chat/completions", "/api/chat", "/v1/chat/completions"],
  );
});

test("servers of other makes are found beside it, each with its models", async (t) => {
  const ollama = await simulate(t, "ollama", "llama3.2:latest");
  const vllm = await simulate(t, "vllm", "Qwen/Qwen2.5-7B-Instruct");
  const gateway = await startUnconfigured(t, [
    { make: "ollama", port: ollama.port },
    { make: "vllm", port: vllm.port },
    // Nobody listens there.
    { make: "lm-studio", port: 1 },
  ]);
  for (const model of ["llama3.2", "Qwen/Qwen2.5-7B-Instruct"]) {
    assert.ok(checkWords(await streamOllama(gateway, model)).intact);
    assert.ok(checkWords(await streamOpenAi(gateway, model)).intact);
  }
  const tags = (await (await fetch(`${gateway.url}/api/tags`)).json()) as { models: { name: string }[] };
  assert.deepEqual(tags.models.map(({ name }) => name).sort(), [
    "Qwen/Qwen2.5-7B-Instruct",
    "llama3.2:latest",
  ]);
  const found = gateway.events.filter(({ event }) => event === "server_discovered");
  assert.deepEqual(found.map(({ fields }) => String(fields["make"])).sort(), ["ollama", "vllm"]);
});

test("a gateway does not find itself or another of its kind", async (t) => {
  const ollama = await simulate(t, "ollama", "llama3.2:latest");
  const first = await startUnconfigured(t, [{ make: "ollama", port: ollama.port }]);
  const second = await startUnconfigured(t, [{ make: "ollama", port: Number(new URL(first.url).port) }]);
  const answer = await second.post("/api/chat", { model: "llama3.2", messages: [] });
  assert.equal(answer.status, 404);
});
