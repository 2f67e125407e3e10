/** The door for Envoy, message by message: phases, bounds, subsets, headers, ends. A carrier plays Envoy. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { startSimulator } from "@spillway/simulator";
import type { CarriedCall } from "../harness/extproc-carrier.ts";
import { connectExtProc, headerMap, openProcess, struct, type EnvoyReply } from "../harness/extproc-wire.ts";
import {
  assertAtRest,
  startPicker,
  startScriptedPicker,
  type ScriptedPicker,
  type ScriptedPickerSetup,
} from "../harness/extproc-picker.ts";
import { repositoryRoot } from "../harness/gateway.ts";
import { answerWhole, openStream, type ModelCall } from "../harness/scripted-model.ts";
import { sampleOf } from "../harness/dialect-cells.ts";
import { createRpcClient } from "../harness/rpc-client.ts";
import { until } from "../harness/until.ts";

const bench = (t: TestContext, { pool, ...setup }: ScriptedPickerSetup = {}): Promise<ScriptedPicker> =>
  startScriptedPicker(t, {
    models: ["a", "inner"],
    ...setup,
    pool: { models: ["a"], health: { interval: "1h" }, ...pool },
  });

const chat = (more: object = {}) => ({
  path: "/v1/chat/completions",
  body: { model: "a", messages: [{ role: "user", content: "hello" }], ...more },
});

/** What a watcher of a service's health is told, as it comes. */
function watchHealth(t: TestContext, address: string, service: string): string[] {
  const rpc = createRpcClient(address);
  t.after(() => rpc.close());
  return rpc.watch("grpc.health.v1.Health", "Watch", { service }, ({ status }) => String(status));
}

const ended = ({ gateway }: ScriptedPicker, cause: string): Promise<number> =>
  sampleOf(gateway, `spillway_extproc_streams_total{cause="${cause}"}`);

describe("bodies", () => {
  for (const [size, slices] of [
    [62_000, [62_000]],
    [62_001, [62_000, 1]],
    [124_001, [62_000, 62_000, 1]],
  ] as const) {
    it(`of ${size} bytes come back in slices of at most 62,000`, async (t) => {
      const b = await bench(t);
      const { body } = chat();
      const fill = size - JSON.stringify({ ...body, user: "" }).length;
      const answer = await b.carrier.ask(chat({ user: "x".repeat(fill) }));
      assert.equal(answer.status, 200);
      // A piece of 65,536 bytes cannot be a slice: the body is sliced anew.
      assert.deepEqual(answer.slices, slices);
      assert.equal(b.servers[0]?.calls[0]?.body.length, size);
      await assertAtRest(b);
    });
  }

  it("that are empty are one slice that ends the stream", async (t) => {
    const b = await bench(t, { script: ({ response }) => response.end("{}") });
    const answer = await b.carrier.ask({ path: "/tokenize", method: "POST", body: "" });
    assert.deepEqual(answer.slices, [0]);
    await assertAtRest(b);
  });

  it("may come in pieces of any size, with trailers behind, or buffered", async (t) => {
    const b = await bench(t);
    for (const asked of [
      { pieceBytes: 1 },
      { pieceBytes: 7, trailers: true },
      { requestMode: "BUFFERED", responseMode: "BUFFERED" },
      { responseMode: "STREAMED" },
      { isSilent: true },
    ] as const) {
      for (const stream of [false, true]) {
        const answer = await b.carrier.ask({ ...chat({ stream }), ...asked });
        assert.equal(answer.status, 200, answer.text);
        assert.match(answer.text, stream ? /\[DONE\]/ : /one two/);
        const last = answer.replies.find((reply) => reply.response === "request_trailers");
        assert.equal(last !== undefined, "trailers" in asked);
      }
    }
    await assertAtRest(b);
  });

  it("beyond the bounds are refused", async (t) => {
    const b = await bench(t, { door: { maxBodyBytes: 1_000, maxTotalBodyBytes: 1_500 } });
    const large = await b.carrier.ask(chat({ user: "x".repeat(2_000) }));
    assert.equal(large.status, 413);
    assert.match(large.text, /^inference error: BadRequest - /);
    await assertAtRest(b);
  });
});

describe("where a request may go", () => {
  it("is limited by the metadata: a list, a text with commas, with ports or without", async (t) => {
    const b = await bench(t, { count: 3 });
    const [one = "", two = "", three = ""] = b.addresses;
    for (const [subset, allowed] of [
      [[two], [two]],
      [two, [two]],
      [`${one}, ${three}`, [one, three]],
      [[one, "10.0.0.9:80"], [one]],
      ["127.0.0.1", [one, two, three]],
    ] as const) {
      for (let i = 0; i < 4; i++) {
        const answer = await b.carrier.ask({ ...chat(), subset });
        assert.ok((allowed as readonly string[]).includes(answer.destinations[0] ?? ""), String(subset));
      }
    }
    const passed = await b.carrier.ask({ path: "/v1/models", subset: [two] });
    assert.equal(passed.destinations[0], two);
    await assertAtRest(b);
  });

  it("is nowhere for an empty list, or one without servers of the pool", async (t) => {
    const b = await bench(t);
    for (const subset of [[], "", ["10.0.0.9:80"]]) {
      for (const asked of [chat(), { path: "/v1/models" }]) {
        const answer = await b.carrier.ask({ ...asked, subset });
        assert.equal(answer.status, 503);
        assert.equal(answer.header("x-llm-d-request-dropped-reason"), "rejected-no-endpoints");
        assert.match(
          answer.text,
          /^inference error: ServiceUnavailable - failed to find endpoint candidates/,
        );
      }
    }
    await assertAtRest(b);
  });

  it("is anywhere where subsets are turned off", async (t) => {
    const b = await bench(t, { door: { subsets: false } });
    assert.equal((await b.carrier.ask({ ...chat(), subset: [] })).status, 200);
  });

  it("is waited for among the servers of the subset only", async (t) => {
    const held: ModelCall[] = [];
    const b = await bench(t, { count: 2, pool: { concurrency: 1 }, script: (call) => void held.push(call) });
    const [one = ""] = b.addresses;
    const first = b.carrier.start({ ...chat(), subset: [one] });
    await until("the first is at its server", () => held.length === 1);
    const second = b.carrier.start({ ...chat(), subset: [one] });
    const [pool] = b.gateway.forward.pools();
    await until("the second waits", () => pool?.line.length === 1);
    for (const call of [first, second]) {
      answerWhole(await until("it is at its server", () => held.shift()));
      assert.equal((await call.ended()).served, one);
    }
    await assertAtRest(b);
  });

  it("is any server for what names no model, and nowhere where there are several pools", async (t) => {
    const b = await bench(t, { count: 2, script: ({ response }) => response.end("{}") });
    const list = await b.carrier.ask({ path: "/v1/models" });
    assert.equal(list.status, 200);
    assert.equal((await b.carrier.ask({ path: "/anything", body: "{}" })).destinations.length, 1);
    const several = await startPicker(t, {
      pools: {
        p: { dialect: "openai", endpoints: ["http://127.0.0.1:1"], models: ["a"] },
        q: { dialect: "openai", endpoints: ["http://127.0.0.1:1"], models: ["b"] },
      },
    });
    assert.equal((await several.carrier.ask({ path: "/v1/models" })).status, 404);
    await assertAtRest(b);
  });

  it("moves with what Envoy says of who served", async (t) => {
    const held: ModelCall[] = [];
    const b = await bench(t, { count: 2, script: (call) => void held.push(call) });
    const client = connectExtProc(b.address);
    t.after(() => client.close());
    const stream = openProcess(client);
    const replies: EnvoyReply[] = [];
    stream.on("data", (reply: EnvoyReply) => replies.push(reply));
    stream.on("error", () => {});
    stream.write({
      request_headers: {
        headers: headerMap([
          [":path", "/v1/chat/completions"],
          [":method", "POST"],
        ]),
      },
    });
    stream.write({ request_body: { body: Buffer.from(JSON.stringify(chat().body)), end_of_stream: true } });
    await until("it is told where to go", () => replies.length === 2);
    const [pool] = b.gateway.forward.pools();
    const chosen = pool?.endpoints.find(({ inFlight }) => inFlight === 1);
    const other = pool?.endpoints.find(({ inFlight }) => inFlight === 0);
    assert.ok(chosen !== undefined && other !== undefined);
    stream.write({
      response_headers: { headers: headerMap([[":status", "200"]]) },
      metadata_context: {
        filter_metadata: { "envoy.lb": struct({ "x-gateway-destination-endpoint-served": other.address }) },
      },
    });
    await until("the load has moved", () => other.inFlight === 1 && chosen.inFlight === 0);
    stream.cancel();
    await assertAtRest(b);
    assert.equal(await ended(b, "client-disconnect"), 1);
  });
});

describe("headers", () => {
  it("that control pickers or name other servers do not pass from clients", async (t) => {
    const b = await bench(t);
    const sent = {
      "x-gateway-destination-endpoint": "10.0.0.9:80",
      "x-gateway-destination-endpoint-subset": "10.0.0.9:80",
      "x-prefiller-host-port": "10.0.0.9:80",
      "x-encoder-hosts-ports": "10.0.0.9:80",
      "x-data-parallel-host-port": "10.0.0.9:80",
      "x-llm-d-inference-objective": "gold",
      "accept-encoding": "gzip",
      "x-mine": "kept",
    };
    const answer = await b.carrier.ask({ ...chat(), headers: sent });
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.destinations, b.addresses);
    const headers = b.servers[0]?.calls[0]?.headers ?? {};
    for (const name of Object.keys(sent)) {
      if (name === "x-mine") assert.equal(headers[name], "kept");
      else if (name !== "x-gateway-destination-endpoint") assert.equal(headers[name], undefined, name);
    }
    await assertAtRest(b);
  });

  it("of one connection are never set, and answers are marked as seen", async (t) => {
    const b = await bench(t);
    const answer = await b.carrier.ask(chat({ stream: true }));
    assert.equal(answer.header("x-went-into-resp-headers"), "true");
    for (const { request_headers: one, response_headers: two } of answer.replies) {
      for (const { header } of (one ?? two)?.response?.header_mutation?.set_headers ?? []) {
        assert.doesNotMatch(header.key, /^(transfer-encoding|connection|keep-alive|te|upgrade)$/);
      }
    }
  });

  it("have a request id, the caller's or a new one", async (t) => {
    const b = await bench(t);
    const own = await b.carrier.ask({ ...chat(), headers: { "x-request-id": "mine-1" } });
    assert.equal(own.sentHeader("x-request-id"), "mine-1");
    const made = await b.carrier.ask(chat());
    assert.match(made.sentHeader("x-request-id") ?? "", /^[0-9a-f]{20}$/);
    const refused = await b.carrier.ask({
      path: "/v1/chat/completions",
      body: "{",
      headers: { "x-request-id": "m" },
    });
    assert.equal(refused.header("x-request-id"), "m");
  });

  it("may be repeated, and too many end the stream", async (t) => {
    const b = await bench(t, { door: { maxHeaders: 20 } });
    const twice = await b.carrier.ask({
      ...chat(),
      headers: [
        ["cookie", "a=1"],
        ["cookie", "b=2"],
      ],
    });
    assert.equal(twice.status, 200);
    const many = Array.from({ length: 30 }, (_, i) => [`x-${i}`, "1"] as const);
    const refused = await b.carrier.ask({ ...chat(), headers: many });
    assert.equal(refused.streamCode, 3);
    assert.equal(await ended(b, "error"), 1);
    await assertAtRest(b);
  });
});

describe("answers", () => {
  it("have the model's name that their caller gave, also where it is cut by chunks", async (t) => {
    const whole =
      '{"id":"1","object":"chat.completion","model":"inner","choices":[],"x":"\\"model\\":\\"inner\\""}';
    const cut = (call: ModelCall): void => {
      call.response.writeHead(200, { "content-type": "application/json" });
      const at = whole.indexOf("inner") + 2;
      call.response.write(whole.slice(0, at));
      setTimeout(() => call.response.end(whole.slice(at)), 20);
    };
    const b = await bench(t, {
      script: cut,
      pool: { models: ["inner"] },
      routes: [{ model: "outer-ü", targets: [{ pool: "p", model: "inner" }] }],
    });
    for (const responseMode of ["FULL_DUPLEX_STREAMED", "BUFFERED"] as const) {
      const answer = await b.carrier.ask({ ...chat({ model: "outer-ü" }), responseMode });
      assert.equal(answer.text, whole.replace('"model":"inner"', '"model":"outer-ü"'));
    }
    await assertAtRest(b);
  });

  it("hide the usage that nobody asked for, and tell it the gateway", async (t) => {
    const simulator = await startSimulator({ face: "vllm", models: ["a"] });
    t.after(() => simulator.close());
    const { carrier } = await startPicker(t, {
      pools: { p: { dialect: "auto", endpoints: [simulator.url] } },
    });
    const hidden = await carrier.ask(chat({ stream: true, max_tokens: 3 }));
    assert.doesNotMatch(hidden.text, /"usage":\{/);
    assert.match(simulator.requests.last("/v1/chat")?.body ?? "", /"include_usage":true/);
    const asked = await carrier.ask(
      chat({ stream: true, max_tokens: 3, stream_options: { include_usage: true } }),
    );
    assert.match(asked.text, /"usage":\{"prompt_tokens"/);
  });

  it("may have trailers, without a body or with one", async (t) => {
    const b = await bench(t);
    for (const stream of [false, true]) {
      const answer = await b.carrier.ask({ ...chat({ stream }), answerTrailers: true });
      assert.ok(answer.isComplete);
      const kinds = answer.replies.map(({ response }) => response);
      assert.equal(kinds.at(-1), "response_trailers");
      for (const { response_body: body } of answer.replies) {
        assert.notEqual(body?.response?.body_mutation?.streamed_response?.end_of_stream, true);
      }
    }
    await assertAtRest(b);
  });

  it("that are refusals pass as they are, and say so of their server", async (t) => {
    const b = await bench(t, {
      script: ({ response }) => response.writeHead(429, { "retry-after": "1" }).end("slow down"),
    });
    const answer = await b.carrier.ask(chat());
    assert.deepEqual([answer.status, answer.text], [429, "slow down"]);
    const [pool] = b.gateway.forward.pools();
    assert.equal(pool?.endpoints[0]?.state, "rate-limited");
  });

  it("that refuse a translated request are told in its caller's words, where they can be changed", async (t) => {
    const told = { type: "error", error: { type: "rate_limit_error", message: "slow down" } };
    const text = JSON.stringify(told);
    const refuse = async (status: number, said: string, more: object = {}): Promise<CarriedCall> => {
      const script = ({ response }: ModelCall): void => {
        response.writeHead(status, { "content-type": "application/json", "retry-after": "3" });
        response.write(said.slice(0, 9));
        setTimeout(() => response.end(said.slice(9)), 10);
      };
      // Each has a server of its own: after a 429 it would be left alone for three seconds.
      const b = await bench(t, { script, pool: { dialect: "anthropic" } });
      const answer = await b.carrier.ask({ ...chat({ max_tokens: 5 }), ...more });
      assert.deepEqual([answer.streamCode, answer.status], [0, status]);
      const kinds = answer.replies.map(({ response }) => response);
      assert.equal(kinds.filter((kind) => kind === "response_headers").length, 1);
      assert.equal(answer.header("x-went-into-resp-headers"), "true");
      await assertAtRest(b);
      return answer;
    };
    for (const stream of [false, true]) {
      for (const more of [
        {},
        { answerTrailers: true },
        { responseMode: "BUFFERED" },
        { responseMode: "BUFFERED", answerTrailers: true },
      ]) {
        const answer = await refuse(429, text, { ...chat({ stream, max_tokens: 5 }), ...more });
        assert.equal(answer.header("retry-after"), "3");
        assert.match(answer.text, /^\{"error":\{"message":"slow down"/);
      }
    }
    // Its head is out already.
    assert.equal((await refuse(429, text, { responseMode: "STREAMED" })).text, text);
    const long = JSON.stringify({ ...told, more: "x".repeat(200_000) });
    assert.equal((await refuse(400, long)).text, long);
    // The credentials are the caller's own.
    assert.equal((await refuse(401, text)).text, text);
  });

  it("that no dialect can read pass as they are", async (t) => {
    const b = await bench(t, {
      script: ({ response }) => response.writeHead(200, { "content-type": "text/plain" }).end("hello"),
    });
    for (const stream of [false, true]) {
      const answer = await b.carrier.ask(chat({ stream }));
      assert.deepEqual([answer.status, answer.text], [200, "hello"]);
    }
    await assertAtRest(b);
  });

  it("that end too soon are no good ends", async (t) => {
    const b = await bench(t, {
      script: (call) => void openStream(call).end('data: {"choices":[{"delta":{"content":"x"}}]}\n\n'),
    });
    const answer = await b.carrier.ask(chat({ stream: true }));
    assert.match(answer.text, /"error"/);
    await assertAtRest(b);
  });
});

describe("a stream", () => {
  it("ends with its caller, in every phase, and gives everything back", async (t) => {
    const held: ModelCall[] = [];
    const b = await bench(t, { script: (call) => void held.push(call), pool: { concurrency: 1 } });
    const first = b.carrier.start(chat({ stream: true }));
    const at = await until("it is at its server", () => held.shift());
    const waiting = b.carrier.start(chat());
    const [pool] = b.gateway.forward.pools();
    await until("one waits", () => pool?.line.length === 1);
    const client = connectExtProc(b.address);
    t.after(() => client.close());
    const half = openProcess(client);
    half.on("error", () => {});
    half.write({
      request_headers: {
        headers: headerMap([
          [":path", "/v1/chat/completions"],
          [":method", "POST"],
        ]),
      },
    });
    half.write({ request_body: { body: Buffer.from("{") } });
    await until(
      "half a body is here",
      async () => (await sampleOf(b.gateway, "spillway_extproc_streams_in_flight")) === 3,
    );
    half.cancel();
    waiting.leave();
    openStream(at).write('data: {"choices":[{"delta":{"content":"x"}}]}\n\n');
    await until("something has come", () => first.chunks.length > 0);
    first.leave();
    await assertAtRest(b);
    assert.equal(pool?.line.length, 0);
    assert.equal(await ended(b, "client-disconnect"), 3);
    assert.equal(await ended(b, "natural"), 0);
  });

  it("that cannot be read, or is out of order, ends with an error of its own", async (t) => {
    const b = await bench(t);
    const client = connectExtProc(b.address);
    t.after(() => client.close());
    for (const messages of [
      [{ request_headers: {} }, { request_headers: {} }],
      [{ response_headers: { headers: headerMap([[":status", "200"]]) } }],
      [{ response_body: {} }, { request_trailers: {} }],
    ]) {
      const stream = openProcess(client);
      const over = new Promise((resolve) => stream.on("status", resolve));
      stream.on("error", () => {});
      stream.on("data", () => {});
      for (const message of messages) stream.write(message);
      stream.end();
      await over;
    }
    await assertAtRest(b);
  });

  it("may be one of many on a connection, no more than the bound", async (t) => {
    const held: ModelCall[] = [];
    const b = await bench(t, { script: (call) => void held.push(call), door: { maxStreams: 3 } });
    const calls = Array.from({ length: 3 }, () => b.carrier.start(chat()));
    await until("all are at their server", () => held.length === 3);
    const fourth = b.carrier.start(chat());
    answerWhole(await until("one is at its server", () => held.shift()));
    await until("the fourth follows", () => held.length === 3);
    for (const call of held) answerWhole(call);
    for (const call of [...calls, fourth]) assert.equal((await call.ended()).status, 200);
    await assertAtRest(b);
  });
});

describe("what the gateway knows afterwards", () => {
  it("are requests, tokens and departures as if it had carried them itself", async (t) => {
    const simulator = await startSimulator({ face: "vllm", models: ["a"] });
    t.after(() => simulator.close());
    const scheduling = {
      profiles: { default: { scorers: ["queue-scorer", "running-requests-size-scorer"] } },
    };
    const pools = { p: { dialect: "openai", endpoints: [simulator.url], models: ["a"], scheduling } };
    const { gateway, carrier } = await startPicker(t, { pools });
    for (const stream of [false, true]) {
      const asked = { ...chat({ stream, max_tokens: 3 }), headers: { "x-request-id": `told-${stream}` } };
      assert.equal((await carrier.ask(asked)).status, 200);
      const told = await fetch(`${gateway.url}/admin/decisions/told-${stream}`);
      assert.equal(told.status, 200);
      const record = (await told.json()) as Record<string, unknown>;
      assert.equal(record["outcome"], "ok");
      assert.equal(record["endpoint"], `p/127.0.0.1:${simulator.port}`);
      const usage = record["usage"] as Record<string, unknown>;
      assert.deepEqual([usage["completion_tokens"], usage["estimated"]], [3, false]);
    }
    const sum = 'pool="p",model="a",kind="completion",source="server"';
    assert.equal(await sampleOf(gateway, `spillway_forward_tokens_total{${sum}}`), 6);
    assert.equal(
      await sampleOf(gateway, 'spillway_forward_requests_total{pool="p",model="a",outcome="ok"}'),
      2,
    );
    const upstream = 'model_name="a",target_model_name="a",fairness_id="default-flow",priority="0"';
    assert.equal(await sampleOf(gateway, `llm_d_epp_request_total{${upstream}}`), 2);
    assert.equal(await sampleOf(gateway, `llm_d_epp_request_running{${upstream}}`), 0);
  });

  it("is told Envoy, where scores are wanted", async (t) => {
    const scheduling = { profiles: { default: { scorers: [{ type: "queue-scorer", weight: 2 }] } } };
    const b = await bench(t, { count: 2, pool: { scheduling }, door: { scores: true } });
    const answer = await b.carrier.ask(chat());
    const told = answer.metadata?.fields?.["envoy.lb"]?.structValue?.fields;
    const scores = told?.["x-gateway-destination-endpoint-scores"]?.structValue?.fields ?? {};
    assert.deepEqual(Object.keys(scores).toSorted(), b.addresses.toSorted());
    for (const { numberValue } of Object.values(scores)) assert.equal(numberValue, 2);
    const quiet = await bench(t, { pool: { scheduling } });
    const silent = (await quiet.carrier.ask(chat())).metadata?.fields?.["envoy.lb"]?.structValue?.fields;
    assert.deepEqual(Object.keys(silent ?? {}), ["x-gateway-destination-endpoint"]);
  });
});

describe("a closing door", () => {
  it("lets answers end, and takes no new streams", async (t) => {
    const held: ModelCall[] = [];
    const b = await bench(t, { script: (call) => void held.push(call) });
    const call = b.carrier.start(chat({ stream: true }));
    const at = await until("it is at its server", () => held.shift());
    const closed = b.gateway.close({ graceMs: 10_000 });
    answerWhole(at);
    assert.match((await call.ended()).text, /\[DONE\]/);
    await closed;
  });

  it("tells what still waits when its time is up", async (t) => {
    const held: ModelCall[] = [];
    const b = await bench(t, {
      script: (call) => void held.push(call),
      pool: { concurrency: 1 },
      door: { drainMs: 200 },
    });
    const first = b.carrier.start(chat({ stream: true }));
    await until("it is at its server", () => held.length === 1);
    const second = b.carrier.start(chat());
    const [pool] = b.gateway.forward.pools();
    await until("one waits", () => pool?.line.length === 1);
    await b.gateway.close({ graceMs: 10_000 });
    const told = await second.ended();
    assert.equal(told.status, 503);
    assert.equal(told.header("x-llm-d-request-dropped-reason"), "rejected-shutting-down");
    assert.equal((await first.ended()).isComplete, false);
  });
});

describe("what a real Envoy sent", () => {
  const folder = path.join(repositoryRoot, "test/fixtures/extproc");
  for (const file of readdirSync(folder)) {
    it(`is answered: ${file}`, async (t) => {
      const b = await bench(t);
      const client = connectExtProc(b.address);
      t.after(() => client.close());
      const messages = (JSON.parse(readFileSync(path.join(folder, file), "utf8")) as string[]).map((text) =>
        Buffer.from(text, "base64"),
      );
      const replies: EnvoyReply[] = [];
      const stream = openProcess(client, "bytes");
      const over = new Promise<{ code: number }>((resolve) => stream.on("status", resolve));
      stream.on("error", () => {});
      stream.on("data", (reply: EnvoyReply) => replies.push(reply));
      for (const message of messages) stream.write(message);
      stream.end();
      assert.equal((await over).code, 0);
      const kinds = replies.map(({ response }) => response);
      const isRefused = file === "chat-refused.json";
      assert.equal(kinds.includes("immediate_response"), isRefused);
      if (!isRefused) assert.equal(kinds.at(-1), "response_body");
      await assertAtRest(b);
      assert.equal(await ended(b, "natural"), 1);
    });
  }
});

describe("health", () => {
  const named = ["", "liveness", "readiness", "envoy.service.ext_proc.v3.ExternalProcessor"];

  it("is told on both ports by the services that pickers have", async (t) => {
    const b = await bench(t, { door: { healthPort: 0 } });
    const { extProc } = b.gateway.listening;
    for (const port of [extProc?.port, extProc?.healthPort]) {
      const rpc = createRpcClient(`127.0.0.1:${port}`);
      t.after(() => rpc.close());
      for (const service of named) {
        const answer = await rpc.call("grpc.health.v1.Health", "Check", { service });
        assert.deepEqual(
          answer.code === 0 && "message" in answer && answer.message["status"],
          "SERVING",
          service,
        );
      }
      assert.equal((await rpc.call("grpc.health.v1.Health", "Check", { service: "other" })).code, 5);
    }
  });

  it("can be watched: whoever ends is alive, and not ready", async (t) => {
    const held: ModelCall[] = [];
    const b = await bench(t, { script: (call) => void held.push(call) });
    const call = b.carrier.start(chat({ stream: true }));
    const at = await until("it is at its server", () => held.shift());
    const told = new Map(named.map((service) => [service, watchHealth(t, b.address, service)]));
    const other = watchHealth(t, b.address, "other");
    for (const [service, states] of told) await until(`${service} is told`, () => states.includes("SERVING"));
    await until("the unknown is told", () => other.includes("SERVICE_UNKNOWN"));
    const closed = b.gateway.close({ graceMs: 10_000 });
    for (const [service, states] of told) {
      if (service !== "liveness") await until(`${service} changes`, () => states.includes("NOT_SERVING"));
    }
    assert.deepEqual(told.get("liveness"), ["SERVING"]);
    answerWhole(at);
    await call.ended();
    await closed;
  });
});
