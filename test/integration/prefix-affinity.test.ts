/** Conversations stay at the servers that have their prompts, whatever API their callers speak; a token binds a session. */
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { presets, startSimulator } from "@spillway/simulator";
import { defaultHttpPool } from "../../packages/gateway/src/config/index.ts";
import type { SchedulingSpec } from "../../packages/gateway/src/contracts/plugins/scheduling.ts";
import { startTestGateway, testConfig, type TestGateway } from "../harness/gateway.ts";
import { until } from "../harness/until.ts";

function specOf(...scorers: [plugin: string, weight: number][]): SchedulingSpec {
  const types = [...scorers.map(([plugin]) => plugin), "max-score-picker", "single-profile-handler"];
  return {
    plugins: types.map((type) => ({ name: type, type, parameters: {} })),
    profiles: [
      {
        name: "default",
        filters: [],
        scorers: scorers.map(([plugin, weight]) => ({ plugin, weight })),
        picker: "max-score-picker",
      },
    ],
    handler: "single-profile-handler",
    shadows: [],
  };
}

/** Three simulated servers in a pool with this layer. */
async function setUp(t: TestContext, scheduling: SchedulingSpec) {
  const engine = { ...presets.vllmQwen7b.engine, stepMs: 2 };
  const simulators = await Promise.all(
    Array.from({ length: 3 }, () =>
      startSimulator({ face: "vllm", models: ["m"], engine, answer: () => ({ outputTokens: 80 }) }),
    ),
  );
  t.after(() => Promise.all(simulators.map((each) => each.close())));
  const pool = defaultHttpPool(
    "chat",
    "openai",
    simulators.map(({ url }) => url),
  );
  const gateway = await startTestGateway(t, {
    ...testConfig(""),
    repository: undefined,
    pools: [{ ...pool, scheduling }],
  });
  return { gateway, simulators };
}

interface Message {
  readonly role: string;
  readonly content: string;
}

/** An API: its address, what it is asked, and the text of its answer. */
interface Api {
  readonly path: string;
  readonly more: Record<string, unknown>;
  readonly textOf: (answer: Record<string, unknown>) => unknown;
}

const apis: Readonly<Record<string, Api>> = {
  "OpenAI's": {
    path: "/v1/chat/completions",
    more: {},
    textOf: ({ choices }) => (choices as { message: Message }[])[0]?.message.content,
  },
  "Ollama's": {
    path: "/api/chat",
    more: { stream: false },
    textOf: ({ message }) => (message as Message).content,
  },
  "Anthropic's": {
    path: "/v1/messages",
    more: { max_tokens: 80 },
    textOf: ({ content }) => (content as { text: string }[])[0]?.text,
  },
};

/** A conversation of one caller. */
class Conversation {
  readonly #gateway: TestGateway;
  readonly #api: Api;
  readonly #messages: Message[] = [];
  readonly #topic: string;
  readonly headers: Record<string, string> = { "content-type": "application/json" };
  answerHeaders = new Headers();

  constructor(gateway: TestGateway, api: Api, topic: string) {
    this.#gateway = gateway;
    this.#api = api;
    this.#topic = topic;
  }

  /** Says something, keeps what is answered, and tells which endpoint that was. */
  async say(): Promise<string> {
    const { path, more, textOf } = this.#api;
    const messages = this.#messages;
    messages.push({
      role: "user",
      content: `${this.#topic} ${messages.length}: ${"tell me more. ".repeat(40)}`,
    });
    const answer = await fetch(`${this.#gateway.url}${path}`, {
      method: "POST",
      headers: this.headers,
      body: JSON.stringify({ model: "m", messages, ...more }),
    });
    const text = await answer.text();
    assert.equal(answer.status, 200, text);
    this.answerHeaders = answer.headers;
    const content = textOf(JSON.parse(text) as Record<string, unknown>);
    assert.ok(typeof content === "string" && content !== "", text);
    messages.push({ role: "assistant", content });
    return answer.headers.get("x-spillway-endpoint") ?? assert.fail("no endpoint is named");
  }
}

for (const [whose, api] of Object.entries(apis)) {
  test(`conversations in ${whose} API go where their prompts are, new ones where none were sent`, async (t) => {
    const { gateway } = await setUp(t, specOf(["prefix-cache-scorer", 3], ["no-hit-lru-scorer", 2]));
    const topics = ["rivers", "mountains", "deserts"];
    const conversations = topics.map((topic) => new Conversation(gateway, api, topic));
    const homes: string[] = [];
    for (const each of conversations) homes.push(await each.say());
    assert.equal(new Set(homes).size, 3, homes.join());
    for (let turn = 0; turn < 3; turn++) {
      for (const [index, each] of conversations.entries()) assert.equal(await each.say(), homes[index]);
    }
  });
}

test("a conversation whose server is gone goes on at another, and stays there", async (t) => {
  const { gateway, simulators } = await setUp(
    t,
    specOf(["prefix-cache-scorer", 3], ["no-hit-lru-scorer", 2]),
  );
  const conversation = new Conversation(gateway, apis["OpenAI's"] ?? assert.fail(), "seas");
  const home = await conversation.say();
  assert.equal(await conversation.say(), home);
  const server = simulators.find(({ url }) => home.endsWith(new URL(url).host)) ?? assert.fail();
  await server.close();
  const next = await conversation.say();
  assert.notEqual(next, home);
  await until("the server is known to be gone", async () => (await conversation.say()) === next);
  for (let turn = 0; turn < 3; turn++) assert.equal(await conversation.say(), next);
});

describe("a session's token", () => {
  test("comes with the answer, and brings the next request to the same server", async (t) => {
    const { gateway } = await setUp(t, specOf(["session-affinity-scorer", 1]));
    const conversation = new Conversation(gateway, apis["OpenAI's"] ?? assert.fail(), "lakes");
    const home = await conversation.say();
    const token = conversation.answerHeaders.get("x-session-token");
    assert.equal(Buffer.from(token ?? "", "base64").toString(), home);
    conversation.headers["x-session-token"] = token ?? "";
    for (let turn = 0; turn < 6; turn++) assert.equal(await conversation.say(), home);
  });
});
