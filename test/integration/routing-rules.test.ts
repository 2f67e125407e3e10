// Rules through a whole gateway, over real sockets: at the addresses of every API, with services that answer late, at
// length, in HTML or not at all, and callers who leave meanwhile.
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { startSimulator } from "@spillway/simulator";
import { callers, type CallerName } from "../harness/chat-wire.ts";
import { startPicker } from "../harness/extproc-picker.ts";
import { startCall, type ForwardCall } from "../harness/forward-call.ts";
import type { TestGateway } from "../harness/gateway.ts";
import { inTime } from "../harness/in-time.ts";
import { startPooledGateway } from "../harness/pooled-gateway.ts";
import { startRuleService } from "../harness/rule-service.ts";
import {
  answerWhole,
  startScriptedModel,
  type ModelCall,
  type ScriptedModel,
} from "../harness/scripted-model.ts";
import { until } from "../harness/until.ts";

const apis = ["chat", "ollama chat", "messages"] as const satisfies readonly CallerName[];
const dialects = ["openai", "ollama", "anthropic"] as const;
type Dialect = (typeof dialects)[number];

interface Bench {
  readonly gateway: TestGateway;
  readonly model: ScriptedModel;
}

/** A gateway with rules over one server of the model `m`. */
async function startBench(
  t: TestContext,
  rules: readonly object[],
  { dialect = "openai", pool = {} }: { readonly dialect?: Dialect; readonly pool?: object } = {},
): Promise<Bench> {
  const model = await startScriptedModel(t, ["m"]);
  const own = {
    dialect,
    endpoints: [model.url],
    models: ["m"],
    serves: [],
    health: { interval: "1h" },
    ...pool,
  };
  return { model, gateway: await startPooledGateway(t, { pools: { p: own }, rules }) };
}

function ask(
  { gateway }: Pick<Bench, "gateway">,
  api: CallerName,
  more: object = {},
  headers = {},
): ForwardCall {
  const { path, body } = callers[api];
  // Anthropic's API wants a limit.
  const limit = api === "messages" ? { max_tokens: 50 } : {};
  return startCall(gateway.url, { path, headers, body: { ...body("m", false), ...limit, ...more } });
}

/** What stands in the body that a server got, whatever its API. */
function sent(call: ModelCall | undefined): { readonly system: string; readonly last: string } {
  const { system, messages } = JSON.parse(String(call?.body)) as {
    system?: unknown;
    messages: readonly { role: string; content: unknown }[];
  };
  const [first] = messages;
  const told = system ?? (first?.role === "system" ? first.content : "");
  return { system: textOf(told), last: textOf(messages.findLast(({ role }) => role === "user")?.content) };
}

function textOf(content: unknown): string {
  if (!Array.isArray(content)) return typeof content === "string" ? content : "";
  return (content as { text?: string }[]).map(({ text = "" }) => text).join("|");
}

interface ToldRule {
  readonly rule: string;
  readonly result: string;
  readonly took_ms: number;
  readonly note: string | null;
}

async function decision(
  gateway: TestGateway,
  id: string,
): Promise<{ outcome: string; rules: readonly ToldRule[] }> {
  return until("the decision is told", async () => {
    const response = await fetch(`${gateway.url}/admin/decisions/${id}`);
    return response.status === 200
      ? ((await response.json()) as { outcome: string; rules: readonly ToldRule[] })
      : undefined;
  });
}

describe("prompts are edited in every API, for servers of every API", () => {
  for (const dialect of dialects) {
    for (const api of apis) {
      it(`${api} for a server that speaks ${dialect}`, async (t) => {
        const service = await startRuleService(t, () => ({ chunks: [{ text: "Rain" }, "Wind"] }));
        const rules = [
          { type: "system-prompt", parameters: { text: 'Be kind "é😀"', place: "after" } },
          { type: "retrieval", parameters: { url: service.url, template: "Known: {context}" } },
        ];
        const bench = await startBench(t, rules, { dialect });
        const call = await ask(bench, api, {}, { "x-request-id": "one" }).ended();
        assert.equal(call.status, 200, call.text);
        const { system, last } = sent(bench.model.calls[0]);
        assert.equal(system, 'Be kind "é😀"');
        assert.equal(last, "Known: Rain\n\nWind\n\nTell me of the weather");
        assert.equal(service.questions[0]?.["query"], "Tell me of the weather");
        assert.match(
          String(call.headers["x-spillway-rules"]),
          /^system-prompt=changed;dur=.*, retrieval=changed;dur=/,
        );
        const { rules: told } = await decision(bench.gateway, "one");
        assert.deepEqual(
          told.map(({ rule, result }) => `${rule} ${result}`),
          ["system-prompt changed", "retrieval changed"],
        );
      });
    }
  }

  it("in bodies of megabytes, which a thread translates", async (t) => {
    const rules = [{ type: "system-prompt", parameters: { text: "Be kind" } }];
    for (const dialect of ["openai", "anthropic"] as const) {
      const bench = await startBench(t, rules, { dialect });
      const long = "word ".repeat(400_000);
      const messages = [
        { role: "user", content: long },
        { role: "assistant", content: "Yes?" },
        { role: "user", content: "So?" },
      ];
      const call = await ask(bench, "chat", { messages, max_tokens: 5 }).ended();
      assert.equal(call.status, 200, call.text);
      const { system, last } = sent(bench.model.calls[0]);
      assert.deepEqual([system, last], ["Be kind", "So?"]);
      assert.ok((bench.model.calls[0]?.body.length ?? 0) > long.length);
    }
  });
});

describe("a rewritten model", () => {
  it("is asked for and counted, while answers have the caller's name", async (t) => {
    const simulator = await startSimulator({ face: "vllm", models: ["small", "large"] });
    t.after(() => simulator.close());
    const ollama = await startSimulator({ face: "ollama", models: ["tiny"] });
    t.after(() => ollama.close());
    const rewrite = (from: string, to: string): object => ({
      matches: [{ model: { type: "Exact", value: from } }],
      targets: [{ modelRewrite: to, weight: 1 }],
    });
    const parameters = { rules: [rewrite("house", "large"), rewrite("home", "tiny")] };
    const gateway = await startPooledGateway(t, {
      pools: {
        p: { dialect: "openai", endpoints: [simulator.url] },
        o: { dialect: "ollama", endpoints: [ollama.url] },
      },
      rules: [{ type: "model-rewrite", name: "canary", parameters }],
    });
    for (const name of ["house", "home"]) {
      for (const api of [...apis, "completions"] as const) {
        for (const stream of [false, true]) {
          const told = `${name} ${api} ${stream ? "streamed" : "whole"}`;
          const body = { model: name, stream };
          const call = await ask({ gateway }, api, body, {
            "x-request-id": told.replaceAll(" ", "-"),
          }).ended();
          assert.equal(call.status, 200, `${told}: ${call.text}`);
          const names = new Set([...call.text.matchAll(/"model": ?"([^"]*)"/g)].map(([, each = ""]) => each));
          assert.deepEqual([...names], [name], told);
          const model = name === "house" ? "large" : "tiny";
          assert.equal(call.headers["x-spillway-model"], model);
          const { usage, model: asked } = (await decision(gateway, told.replaceAll(" ", "-"))) as never as {
            usage: { estimated: boolean; completion_tokens: number };
            model: string;
          };
          assert.equal(asked, name);
          assert.ok(!usage.estimated && usage.completion_tokens > 0, told);
        }
      }
    }
    const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
    const labels = 'model_rewrite_name="canary",model_name="house",target_model="large"';
    assert.match(metrics, new RegExp(`spillway_model_rewrite_decisions_total\\{${labels}\\} 8`));
    assert.match(metrics, new RegExp(`llm_d_epp_model_rewrite_decisions_total\\{${labels}\\} 8`));
    assert.match(metrics, /spillway_rule_results_total\{rule="canary",result="changed"\} 16/);
  });
});

describe("a refusal is told in the words of each API", () => {
  const refusing: readonly (readonly [string, (url: string) => object, number, RegExp])[] = [
    ["validate", () => ({ deny: [{ pattern: "weather", reason: "No weather" }] }), 403, /^No weather$/],
    ["validate", () => ({ maxBytes: 10 }), 413, /bytes; at most 10/],
    ["validate", () => ({ schema: { required: ["user"] } }), 400, /not as this gateway wants it/],
    ["match", () => ({ cases: [{ when: { messagePrefix: "Tell me" }, do: { deny: "Ask" } }] }), 403, /^Ask$/],
    ["http-guard", (url) => ({ url }), 403, /^Rude$/],
  ];
  for (const api of apis) {
    it(`at ${callers[api].path}`, async (t) => {
      const service = await startRuleService(t, () => ({ allow: false, reason: "Rude" }));
      for (const [type, parameters, status, text] of refusing) {
        const bench = await startBench(t, [{ type, name: "the-rule", parameters: parameters(service.url) }]);
        const call = await ask(bench, api, {}, { "x-request-id": "no" }).ended();
        assert.equal(call.status, status, call.text);
        assert.match(callers[api].errorOf(call.text), text);
        assert.equal(call.headers["x-spillway-rule"], "the-rule");
        assert.equal(bench.model.calls.length, 0);
        const { outcome, rules } = await decision(bench.gateway, "no");
        assert.notEqual(outcome, "ok");
        assert.deepEqual(
          rules.map(({ rule, result }) => [rule, result]),
          [["the-rule", "refused"]],
        );
      }
    });
  }
});

describe("a service that does not answer as it should", () => {
  const huge = "x".repeat(300_000);
  const ways: Readonly<Record<string, Parameters<typeof startRuleService>[1]>> = {
    late: () => undefined,
    huge: () => ({ allow: true, text: huge }),
    html: ({ response }) => void response.writeHead(200, { "content-type": "text/html" }).end("<html>"),
    failing: ({ response }) => void response.writeHead(500).end(),
    cutting: ({ socket }) => void socket.destroy(),
    dripping: ({ response }) =>
      void response.writeHead(200, { "content-type": "application/json" }).write("{"),
  };
  for (const [way, answer] of Object.entries(ways)) {
    for (const type of ["retrieval", "http-guard"]) {
      it(`${way}, asked by ${type}: open goes on, closed refuses`, async (t) => {
        const service = await startRuleService(t, answer);
        for (const onFailure of ["open", "closed"]) {
          const parameters = { url: service.url };
          const bench = await startBench(t, [{ type, onFailure, timeout: "150ms", parameters }]);
          const startedAt = performance.now();
          const call = await ask(bench, "chat", {}, { "x-request-id": "x" }).ended();
          assert.ok(performance.now() - startedAt < 2_000);
          const { rules } = await decision(bench.gateway, "x");
          assert.equal(rules[0]?.result, way === "late" || way === "dripping" ? "late" : "failed");
          assert.equal(call.status, onFailure === "open" ? 200 : 503, call.text);
          assert.equal(bench.model.calls.length, onFailure === "open" ? 1 : 0);
          if (onFailure === "open") assert.equal(sent(bench.model.calls[0]).last, "Tell me of the weather");
          else assert.ok(Number(call.headers["retry-after"]) >= 1);
          await until(
            "the call is over",
            () => service.server.sockets.size === 0 || way === "html" || way === "failing",
          );
        }
      });
    }
  }

  it("down: the guard keeps what it guards, and comes back by itself", async (t) => {
    const service = await startRuleService(t, () => ({ allow: true }));
    const bench = await startBench(t, [{ type: "http-guard", parameters: { url: service.url } }]);
    assert.equal((await ask(bench, "chat").ended()).status, 200);
    await service.server.close();
    const refused = await ask(bench, "chat").ended();
    assert.equal(refused.status, 503);
    assert.doesNotMatch(refused.text, new RegExp(String(service.server.port)));
    const { port } = service.server;
    service.server.server.listen(port, "127.0.0.1");
    await until("it listens", () => service.server.server.listening);
    assert.equal((await ask(bench, "chat").ended()).status, 200);
  });

  it("keeps what it found: one question for many requests, and none after its connection was closed", async (t) => {
    const service = await startRuleService(t, () => ({ text: "Rain" }));
    const bench = await startBench(t, [{ type: "retrieval", parameters: { url: service.url } }]);
    for (let i = 0; i < 5; i++) assert.equal((await ask(bench, "chat").ended()).status, 200);
    assert.equal(service.questions.length, 1);
    assert.ok(bench.model.calls.every((call) => sent(call).last.includes("Rain")));
  });
});

describe("a caller who leaves while a service is asked", () => {
  for (const type of ["http-guard", "retrieval"]) {
    it(`ends the call of ${type} within 100 ms, and no server is asked`, async (t) => {
      const service = await startRuleService(t, () => undefined);
      const bench = await startBench(t, [{ type, timeout: "30s", parameters: { url: service.url } }]);
      for (let i = 0; i < 10; i++) {
        const call = ask(bench, "chat", { messages: [{ role: "user", content: `${i}` }] });
        await until("the service is asked", () => service.questions.length === i + 1);
        const before = service.server.closedAt.length;
        await inTime(
          "the service's connection is closed",
          100,
          () => call.leave(),
          () => service.server.closedAt[before],
        );
      }
      assert.equal(bench.model.calls.length, 0);
      const [pool] = bench.gateway.forward.pools();
      assert.ok(pool?.endpoints.every(({ inFlight }) => inFlight === 0));
      service.answer = () => ({ allow: true, text: "Rain" });
      assert.equal((await ask(bench, "chat").ended()).status, 200);
    });
  }

  it("also while many wait: the bound on calls refuses more, and every place comes back", async (t) => {
    const service = await startRuleService(t, () => undefined);
    const parameters = { url: service.url, concurrency: 3 };
    const bench = await startBench(t, [{ type: "http-guard", timeout: "30s", parameters }]);
    const held = Array.from({ length: 3 }, () => ask(bench, "chat"));
    await until("three are asked about", () => service.questions.length === 3);
    assert.equal((await ask(bench, "chat").ended()).status, 503);
    for (const call of held) call.leave();
    await until("the calls are over", () => service.server.sockets.size === 0);
    service.answer = () => ({ allow: true });
    assert.equal((await ask(bench, "chat").ended()).status, 200);
  });
});

describe("what requests say of themselves", () => {
  it("a time to live ends the wait, and an objective goes before others", async (t) => {
    const held: ModelCall[] = [];
    const model = await startScriptedModel(t, ["m"], (call) => void held.push(call));
    const pool = {
      dialect: "openai",
      endpoints: [model.url],
      models: ["m"],
      concurrency: 1,
      health: { interval: "1h" },
    };
    const requests = { objectives: { interactive: 10, batch: -10 } };
    const gateway = await startPooledGateway(t, { pools: { p: pool }, requests });
    const say = (user: string, headers: Readonly<Record<string, string>> = {}): ForwardCall =>
      ask({ gateway }, "chat", { user }, headers);
    const first = say("first");
    await until("the first is at its server", () => held.length === 1);
    const [waiting] = gateway.forward.pools();
    const startedAt = performance.now();
    const impatient = await say("impatient", { "x-llm-d-inference-ttl": "100ms" }).ended();
    assert.ok(impatient.status === 503 || impatient.status === 429, `${impatient.status}`);
    assert.ok(performance.now() - startedAt < 2_000);
    const calls: ForwardCall[] = [];
    for (const [index, [user, objective]] of [
      ["plain", ""],
      ["later", "batch"],
      ["sooner", "interactive"],
    ].entries()) {
      calls.push(say(user ?? "", { "x-gateway-inference-objective": objective ?? "" }));
      await until("it waits", () => waiting?.line.length === index + 1);
    }
    for (const call of [first, ...calls]) {
      answerWhole(await until("one is at its server", () => held.shift()));
      void call;
    }
    for (const call of [first, ...calls]) assert.equal((await call.ended()).status, 200);
    const order = model.calls.map(({ body }) => (JSON.parse(body.toString()) as { user: string }).user);
    assert.deepEqual(order, ["first", "sooner", "plain", "later"]);
  });
});

describe("behind Envoy", () => {
  it("rules ask, change and tell as in the proxy, and a caller who leaves ends their calls", async (t) => {
    const held: { end(text: string): unknown }[] = [];
    const service = await startRuleService(t, ({ response }) => {
      held.push(response.setHeader("content-type", "application/json"));
      return undefined;
    });
    const model = await startScriptedModel(t, ["m"]);
    const pool = { dialect: "openai", endpoints: [model.url], models: ["m"], health: { interval: "1h" } };
    const { gateway, carrier } = await startPicker(t, {
      pools: { p: pool },
      rules: [{ type: "retrieval", timeout: "30s", parameters: { url: service.url } }],
    });
    const start = () => carrier.start({ path: "/v1/chat/completions", body: callers.chat.body("m", false) });
    const leaving = start();
    await until("the service is asked", () => held.length === 1);
    await inTime(
      "the service's connection is closed",
      100,
      () => leaving.leave(),
      () => service.server.closedAt[0],
    );
    const staying = start();
    (await until("the service is asked again", () => held[1])).end('{"text":"Rain"}');
    const answer = await staying.ended();
    assert.equal(answer.status, 200, answer.text);
    assert.match(String(answer.header("x-spillway-rules")), /^retrieval=changed;dur=/);
    assert.match(sent(model.calls[0]).last, /Rain\n\nTell me of the weather$/);
    assert.equal(model.calls.length, 1);
    await until("every place is given back", () =>
      gateway.forward.pools().every(({ endpoints }) => endpoints.every(({ inFlight }) => inFlight === 0)),
    );
  });
});
