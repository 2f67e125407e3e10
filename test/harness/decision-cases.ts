/**
 * Where requests go, case by case, asked through any door: the proxy, ext_proc with a carrier that plays Envoy, and a
 * real Envoy. What carrying adds (retries, hedges, cuts) is not among them.
 */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { TestGateway } from "./gateway.ts";
import type { PooledSetup } from "./pooled-gateway.ts";
import {
  answerWhole,
  openStream,
  pathOf,
  startScriptedModel,
  type ModelCall,
  type ScriptedModel,
} from "./scripted-model.ts";
import { until } from "./until.ts";

/** What is asked. */
export interface CaseAsk {
  readonly path?: string;
  /** Objects are sent as JSON. */
  readonly body: object | string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What came back. */
export interface CaseAnswer {
  readonly status: number;
  readonly text: string;
}

/** A request under way. */
export interface CaseCall {
  /** Resolves once it has ended; also after `leave`. */
  readonly answer: Promise<CaseAnswer>;
  /** The caller goes away. */
  leave(): void;
}

/** A gateway and a way to ask it. */
export interface CaseDoor {
  readonly gateway: TestGateway;
  ask(ask: CaseAsk): CaseCall;
}

/** Opens a door over pools, in the words of `spillway.yaml`; undefined where the test is skipped. */
export type OpenDoor = (
  t: TestContext,
  setup: Pick<PooledSetup, "pools" | "routes" | "rules" | "requests">,
) => Promise<CaseDoor | undefined>;

/** One case. */
export interface DecisionCase {
  readonly name: string;
  run(t: TestContext, open: OpenDoor): Promise<void>;
}

const chat = (model: string, more: object = {}): CaseAsk => ({
  body: { model, messages: [{ role: "user", content: "hello" }], ...more },
});

/** A pool of scripted servers that speak OpenAI's API. */
const poolOf = (servers: readonly ScriptedModel[], models: readonly string[], more: object = {}) => ({
  dialect: "openai",
  endpoints: servers.map(({ url }) => url),
  models,
  health: { interval: "1h" },
  ...more,
});

async function startServers(
  t: TestContext,
  models: readonly string[],
  count: number,
  script: (call: ModelCall) => void = answerWhole,
): Promise<ScriptedModel[]> {
  return Promise.all(Array.from({ length: count }, () => startScriptedModel(t, models, script)));
}

function inFlight({ gateway }: CaseDoor): number {
  return gateway.forward
    .pools()
    .flatMap(({ endpoints }) => endpoints)
    .reduce((sum, endpoint) => sum + endpoint.inFlight, 0);
}

/** Nothing is held by anybody, at the latest soon. */
async function atRest(door: CaseDoor): Promise<void> {
  await until("every place is given back", () => inFlight(door) === 0);
  for (const { line, endpoints } of door.gateway.forward.pools()) {
    assert.equal(line.length, 0);
    for (const { load } of endpoints) {
      assert.deepEqual([load.requests, load.promptTokens, load.outputTokens], [0, 0, 0]);
    }
  }
}

/** All cases. */
export const decisionCases: readonly DecisionCase[] = [
  {
    name: "a model's requests go to the pool that has it",
    async run(t, open) {
      const [one, two] = await Promise.all([startServers(t, ["a"], 1), startServers(t, ["b"], 1)]);
      const door = await open(t, { pools: { one: poolOf(one, ["a"]), two: poolOf(two, ["b"]) } });
      if (door === undefined) return;
      for (const model of ["a", "b", "a"]) assert.equal((await door.ask(chat(model)).answer).status, 200);
      assert.deepEqual([one[0]?.calls.length, two[0]?.calls.length], [2, 1]);
      await atRest(door);
    },
  },
  {
    name: "work is spread over servers with as much to do",
    async run(t, open) {
      const held: ModelCall[] = [];
      const servers = await startServers(t, ["a"], 3, (call) => void held.push(call));
      const door = await open(t, { pools: { p: poolOf(servers, ["a"]) } });
      if (door === undefined) return;
      const calls = Array.from({ length: 6 }, () => door.ask(chat("a")));
      await until("all are at servers", () => held.length === 6);
      assert.deepEqual(
        servers.map((server) => server.calls.length),
        [2, 2, 2],
      );
      for (const call of held) answerWhole(call);
      for (const { answer } of calls) assert.equal((await answer).status, 200);
      await atRest(door);
    },
  },
  {
    name: "a request without a place waits for one, first come first served",
    async run(t, open) {
      const held: ModelCall[] = [];
      const servers = await startServers(t, ["a"], 1, (call) => void held.push(call));
      const door = await open(t, { pools: { p: poolOf(servers, ["a"], { concurrency: 1 }) } });
      if (door === undefined) return;
      const first = door.ask(chat("a", { user: "first" }));
      await until("the first is at its server", () => held.length === 1);
      const [pool] = door.gateway.forward.pools();
      const second = door.ask(chat("a", { user: "second" }));
      await until("the second waits", () => pool?.line.length === 1);
      const third = door.ask(chat("a", { user: "third" }));
      await until("the third waits", () => pool?.line.length === 2);
      for (const call of [first, second, third]) {
        const at = await until("it is at its server", () => held.shift());
        answerWhole(at);
        assert.equal((await call.answer).status, 200);
      }
      const order = servers[0]?.calls.map(
        ({ body }) => (JSON.parse(body.toString()) as { user: string }).user,
      );
      assert.deepEqual(order, ["first", "second", "third"]);
      await atRest(door);
    },
  },
  {
    name: "a caller who leaves while it waits leaves the line",
    async run(t, open) {
      const held: ModelCall[] = [];
      const servers = await startServers(t, ["a"], 1, (call) => void held.push(call));
      const door = await open(t, { pools: { p: poolOf(servers, ["a"], { concurrency: 1 }) } });
      if (door === undefined) return;
      const first = door.ask(chat("a"));
      await until("the first is at its server", () => held.length === 1);
      const [pool] = door.gateway.forward.pools();
      const second = door.ask(chat("a"));
      await until("the second waits", () => pool?.line.length === 1);
      second.leave();
      await until("the second has left", () => pool?.line.length === 0);
      for (const call of held) answerWhole(call);
      assert.equal((await first.answer).status, 200);
      assert.equal(servers[0]?.calls.length, 1);
      await atRest(door);
    },
  },
  {
    name: "a caller who leaves while its server works gives the place back",
    async run(t, open) {
      const held: ModelCall[] = [];
      const servers = await startServers(t, ["a"], 1, (call) => void held.push(call));
      const door = await open(t, { pools: { p: poolOf(servers, ["a"]) } });
      if (door === undefined) return;
      for (const stream of [false, true]) {
        const call = door.ask(chat("a", { stream }));
        const at = await until("it is at its server", () => held.shift());
        if (stream) openStream(at);
        assert.equal(inFlight(door), 1);
        call.leave();
        await until("its server's connection is closed", () => at.closedAt !== undefined);
        await atRest(door);
      }
    },
  },
  {
    name: "a route gives a model another name at its pool",
    async run(t, open) {
      const servers = await startServers(t, ["inner"], 1);
      const targets = [{ pool: "p", model: "inner" }];
      const routes = [{ model: "outer", targets }];
      const door = await open(t, { pools: { p: poolOf(servers, ["inner"]) }, routes });
      if (door === undefined) return;
      for (const stream of [false, true]) {
        assert.equal((await door.ask(chat("outer", { stream })).answer).status, 200);
      }
      for (const { body } of servers[0]?.calls ?? []) {
        assert.equal((JSON.parse(body.toString()) as { model: string }).model, "inner");
      }
      await atRest(door);
    },
  },
  {
    name: "a server's own refusal reaches the caller",
    async run(t, open) {
      const refuse = ({ response }: ModelCall): void => {
        response
          .writeHead(400, { "content-type": "application/json" })
          .end('{"error":{"message":"too long"}}');
      };
      const servers = await startServers(t, ["a"], 1, refuse);
      const door = await open(t, { pools: { p: poolOf(servers, ["a"]) } });
      if (door === undefined) return;
      const { status, text } = await door.ask(chat("a")).answer;
      assert.deepEqual([status, text], [400, '{"error":{"message":"too long"}}']);
      await atRest(door);
    },
  },
  {
    name: "what cannot be read, or names no model, or an unknown one, goes nowhere",
    async run(t, open) {
      const servers = await startServers(t, ["a"], 1);
      const door = await open(t, { pools: { p: poolOf(servers, ["a"]) } });
      if (door === undefined) return;
      assert.equal((await door.ask({ body: "{not json" }).answer).status, 400);
      assert.equal((await door.ask({ body: { messages: [] } }).answer).status, 400);
      const unknown = await door.ask(chat("nobody")).answer;
      assert.equal(unknown.status, 404);
      assert.match(unknown.text, /nobody/);
      assert.equal(servers[0]?.calls.length, 0);
      await atRest(door);
    },
  },
  {
    name: "bodies of any size arrive as they were sent",
    async run(t, open) {
      const servers = await startServers(t, ["模型-ü"], 1);
      const door = await open(t, { pools: { p: poolOf(servers, ["模型-ü"]) } });
      if (door === undefined) return;
      for (const size of [0, 62_001, 124_001, 1_000_000]) {
        const body = JSON.stringify(chat("模型-ü", { user: "x".repeat(size) }).body);
        assert.equal((await door.ask({ body }).answer).status, 200);
        assert.equal(servers[0]?.calls.at(-1)?.body.toString(), body);
      }
      await atRest(door);
    },
  },
  {
    name: "callers of other APIs are led to servers of theirs",
    async run(t, open) {
      const servers = await startServers(t, ["a"], 1);
      const serves = ["chat", "completions", "embeddings", "messages"];
      const door = await open(t, { pools: { p: poolOf(servers, ["a"], { serves }) } });
      if (door === undefined) return;
      const messages = [{ role: "user", content: "hello" }];
      const asks: [string, object][] = [
        ["/v1/completions", { model: "a", prompt: "hello" }],
        ["/v1/messages", { model: "a", max_tokens: 5, messages }],
        ["/api/chat", { model: "a", stream: false, messages }],
        ["/api/chat", { model: "a", messages }],
      ];
      for (const [path, body] of asks) {
        const answer: CaseAnswer = await door.ask({ path, body }).answer;
        const { status, text } = answer;
        assert.equal(status, 200, `${path}: ${text}`);
        if (path === "/api/chat") assert.match(text, /"message":\{"role":"assistant"/);
      }
      assert.deepEqual(servers[0]?.calls.map(pathOf), [
        "/v1/completions",
        "/v1/messages",
        "/v1/chat/completions",
        "/v1/chat/completions",
      ]);
      await atRest(door);
    },
  },
  {
    name: "rules rewrite the model, give instructions and refuse, before a server is chosen",
    async run(t, open) {
      const servers = await startServers(t, ["inner"], 1);
      const rules = [
        { type: "validate", parameters: { deny: ["forbidden"] } },
        {
          type: "model-rewrite",
          parameters: {
            rules: [{ matches: [{ model: { value: "outer" } }], targets: [{ modelRewrite: "inner" }] }],
          },
        },
        { type: "system-prompt", parameters: { text: "Be kind" } },
      ];
      const door = await open(t, { pools: { p: poolOf(servers, ["inner"]) }, rules });
      if (door === undefined) return;
      for (const stream of [false, true]) {
        assert.equal((await door.ask(chat("outer", { stream })).answer).status, 200);
      }
      for (const { body } of servers[0]?.calls ?? []) {
        const { model, messages } = JSON.parse(body.toString()) as { model: string; messages: object[] };
        assert.equal(model, "inner");
        assert.deepEqual(messages, [
          { role: "system", content: "Be kind" },
          { role: "user", content: "hello" },
        ]);
      }
      const refused = await door.ask({
        body: { model: "outer", messages: [{ role: "user", content: "what is forbidden" }] },
      }).answer;
      assert.equal(refused.status, 403);
      assert.match(refused.text, /A rule of this gateway denies/);
      assert.equal(servers[0]?.calls.length, 2);
      await atRest(door);
    },
  },
  {
    name: "a request's own headers name another model, and none of them goes to a server",
    async run(t, open) {
      const servers = await startServers(t, ["a", "b"], 1);
      const requests = { objectives: { interactive: 10 } };
      const door = await open(t, { pools: { p: poolOf(servers, ["a", "b"]) }, requests });
      if (door === undefined) return;
      const headers = {
        "x-llm-d-model-name-rewrite": "b",
        "x-llm-d-inference-objective": "interactive",
        "x-gateway-inference-fairness-id": "team",
        "x-slo-ttft-ms": "100",
        "x-llm-d-inference-ttl": "5s",
      };
      assert.equal((await door.ask({ ...chat("a"), headers }).answer).status, 200);
      const [call] = servers[0]?.calls ?? [];
      assert.equal((JSON.parse(String(call?.body)) as { model: string }).model, "b");
      for (const name of Object.keys(headers)) assert.equal(call?.headers[name], undefined, name);
      await atRest(door);
    },
  },
];
