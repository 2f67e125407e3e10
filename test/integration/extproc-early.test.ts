/** Requests that are decided on by their head: the pick is out before the body's first byte, which passes by unread. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { startSimulator } from "@spillway/simulator";
import { sampleOf } from "../harness/dialect-cells.ts";
import type { CarriedCall, CarriedRequest } from "../harness/extproc-carrier.ts";
import {
  assertAtRest,
  startPicker,
  startScriptedPicker,
  type ScriptedPicker,
  type ScriptedPickerSetup,
} from "../harness/extproc-picker.ts";
import { answerWhole, type ModelCall } from "../harness/scripted-model.ts";
import { until } from "../harness/until.ts";

/** Servers that are not asked what they have, and a pool whose profile looks at nothing but what is under way. */
const bench = (t: TestContext, { pool, ...setup }: ScriptedPickerSetup = {}): Promise<ScriptedPicker> =>
  startScriptedPicker(t, { ...setup, pool: { passthrough: true, ...pool } });

interface ChatAsked extends Partial<CarriedRequest> {
  readonly headers?: Readonly<Record<string, string>>;
}

/** A chat whose head names its model, and whose body waits. */
function chat(more: object = {}, asked: ChatAsked = {}): CarriedRequest {
  const body = JSON.stringify({ model: "a", messages: [{ role: "user", content: "hello" }], ...more });
  const headers = { "x-gateway-model-name": "a", "content-length": String(body.length) };
  return {
    path: "/v1/chat/completions",
    body,
    isSlow: true,
    ...asked,
    headers: { ...headers, ...asked.headers },
  };
}

/** Kinds of the replies that have come. */
const kindsOf = ({ replies }: CarriedCall): string[] => replies.map(({ response }) => response);

const pickedOf = (call: CarriedCall): Promise<unknown> =>
  until("it is told where to go", () => kindsOf(call)[0] === "request_headers");

const early = ({ gateway }: ScriptedPicker): Promise<number> =>
  sampleOf(gateway, "spillway_extproc_early_picks_total");

/** It is not told anything before its body is here, and is answered then. */
async function comesWhole(b: ScriptedPicker, asked: CarriedRequest, status = 200): Promise<CarriedCall> {
  const call = b.carrier.start(asked);
  // The head has been looked at: what would be told by it is on its way.
  await until("its head is here", async () => (await streamsOf(b)) > 0);
  await sampleOf(b.gateway, "spillway_extproc_streams_in_flight");
  assert.deepEqual(
    kindsOf(call).filter((kind) => kind !== "request_headers" || call.replies[0]?.dynamic_metadata),
    [],
  );
  call.pass();
  await call.ended();
  assert.equal(call.status, status, call.text);
  return call;
}

const streamsOf = ({ gateway }: ScriptedPicker): Promise<number> =>
  sampleOf(gateway, "spillway_extproc_streams_in_flight");

describe("a head that suffices", () => {
  for (const requestMode of ["FULL_DUPLEX_STREAMED", "BUFFERED", "STREAMED"] as const) {
    it(`is answered before a body's first byte, which passes as it is: ${requestMode}`, async (t) => {
      const b = await bench(t, { count: 2 });
      for (const stream of [false, true]) {
        const asked = chat({ stream, user: "x".repeat(150_000) }, { requestMode, pieceBytes: 65_536 });
        const call = b.carrier.start(asked);
        await pickedOf(call);
        assert.equal(await sampleOf(b.gateway, "spillway_extproc_held_bytes"), 0);
        assert.deepEqual(kindsOf(call), ["request_headers"]);
        assert.ok(call.replies[0]?.dynamic_metadata !== undefined);
        assert.equal(call.replies[0].request_headers?.response?.clear_route_cache, true);
        if (requestMode === "FULL_DUPLEX_STREAMED") {
          call.pass(1);
          await until("the first piece is back", () => call.sentBody.length === 65_536);
          assert.deepEqual(call.slices, [62_000, 3_536]);
        }
        call.pass();
        await call.ended();
        assert.equal(call.status, 200, call.text);
        assert.ok(b.addresses.includes(call.destinations[0] ?? ""));
        assert.equal(call.sentBody.toString(), asked.body);
        assert.equal(call.sentHeader("content-length"), String(call.sentBody.length));
        assert.match(call.text, stream ? /\[DONE\]/ : /one two/);
        assert.equal(await sampleOf(b.gateway, "spillway_extproc_held_bytes"), 0);
      }
      assert.equal(await early(b), 2);
      await assertAtRest(b);
    });
  }

  it("needs no body at all where Envoy sends none", async (t) => {
    const b = await bench(t);
    const call = await b.carrier.ask(chat({}, { requestMode: "NONE" }));
    assert.deepEqual([call.status, kindsOf(call)[0]], [200, "request_headers"]);
    assert.equal(await early(b), 1);
    await assertAtRest(b);
  });

  it("may have trailers behind its body, before the pick and after it", async (t) => {
    const held: ModelCall[] = [];
    const b = await bench(t, { pool: { concurrency: 1 }, script: (call) => void held.push(call) });
    const first = b.carrier.start(chat({}, { trailers: true, isSlow: false }));
    const at = await until("the first is at its server", () => held.shift());
    const second = b.carrier.start(chat({}, { trailers: true, isSlow: false }));
    const [pool] = b.gateway.forward.pools();
    await until("the second waits", () => pool?.line.length === 1);
    await until("its body is held", async () => (await heldBytes(b)) > 0);
    answerWhole(at);
    answerWhole(await until("the second is at its server", () => held.shift()));
    for (const call of [first, second]) {
      await call.ended();
      assert.equal(call.status, 200);
      const kinds = kindsOf(call);
      assert.equal(kinds.indexOf("request_trailers"), kinds.lastIndexOf("request_body") + 1);
      assert.equal(call.sentBody.toString(), chat().body);
    }
    await assertAtRest(b);
  });

  it("waits in line like any other, and its body is held within bounds until it is its turn", async (t) => {
    const held: ModelCall[] = [];
    const door = { maxBodyBytes: 1_000 };
    const b = await bench(t, { door, pool: { concurrency: 1 }, script: (call) => void held.push(call) });
    const first = b.carrier.start(chat({ user: "x".repeat(5_000) }, { isSlow: false }));
    const at = await until("the first is at its server, longer than what may be held", () => held.shift());
    const [pool] = b.gateway.forward.pools();
    const small = b.carrier.start(chat({}, { isSlow: false }));
    await until("the second waits", () => pool?.line.length === 1);
    const large = await b.carrier.ask(chat({ user: "x".repeat(2_000) }, { isSlow: false }));
    assert.equal(large.status, 413);
    await until("the refused one has left the line", () => pool?.line.length === 1);
    answerWhole(at);
    answerWhole(await until("the second is at its server", () => held.shift()));
    assert.equal((await first.ended()).status, 200);
    assert.equal((await small.ended()).status, 200);
    await assertAtRest(b);
  });

  it("is told of refusals before its body too", async (t) => {
    const b = await bench(t);
    const call = b.carrier.start(chat({}, { subset: ["10.0.0.9:80"] }));
    await call.ended();
    assert.deepEqual([call.status, call.isImmediate], [503, true]);
    await assertAtRest(b);
  });

  it("may leave in every phase, and gives everything back", async (t) => {
    const held: ModelCall[] = [];
    const b = await bench(t, { pool: { concurrency: 1 }, script: (call) => void held.push(call) });
    const [pool] = b.gateway.forward.pools();
    const uploading = b.carrier.start(chat({ user: "x".repeat(200_000) }));
    await pickedOf(uploading);
    uploading.pass(1);
    await until("a piece has passed", () => uploading.sentBody.length > 0);
    const waiting = b.carrier.start(chat());
    await until("one waits", () => pool?.line.length === 1);
    waiting.leave();
    uploading.leave();
    await assertAtRest(b);
    assert.equal(held.length, 0);
  });

  it("is known afterwards as if it had been read: usage, sizes, its server", async (t) => {
    const simulator = await startSimulator({ face: "vllm", models: ["a"] });
    t.after(() => simulator.close());
    const scheduling = { profiles: { default: { scorers: ["active-request-scorer"] } } };
    const pools = { p: { dialect: "auto", endpoints: [simulator.url], scheduling } };
    const { gateway, carrier } = await startPicker(t, { pools });
    for (const stream of [false, true]) {
      const id = `told-${stream}`;
      const options = stream ? { stream_options: { include_usage: true } } : {};
      const asked = chat({ stream, max_tokens: 3, ...options }, { headers: { "x-request-id": id } });
      const call = carrier.start(asked);
      await pickedOf(call);
      call.pass();
      await call.ended();
      const told = await fetch(`${gateway.url}/admin/decisions/${id}`);
      const record = (await told.json()) as Record<string, unknown>;
      assert.deepEqual([record["outcome"], record["endpoint"]], ["ok", `p/127.0.0.1:${simulator.port}`]);
      const usage = record["usage"] as Record<string, unknown>;
      assert.deepEqual([usage["completion_tokens"], usage["estimated"]], [3, false]);
    }
    assert.equal(await sampleOf(gateway, "spillway_extproc_early_picks_total"), 2);
    // A stream that nobody asked to tell what was used is guessed by its text, and has no event more or less.
    const silent = carrier.start(chat({ stream: true, max_tokens: 3 }, { headers: { "x-request-id": "s" } }));
    await pickedOf(silent);
    silent.pass();
    await silent.ended();
    assert.doesNotMatch(silent.text, /"usage":\{/);
    assert.doesNotMatch(simulator.requests.last("/v1/chat")?.body ?? "", /include_usage/);
    const told = (await (await fetch(`${gateway.url}/admin/decisions/s`)).json()) as {
      readonly usage: Record<string, unknown>;
    };
    assert.equal(told.usage["estimated"], true);
  });

  it("is believed about the model: the server answers for what the body names", async (t) => {
    const b = await bench(t, {
      script: ({ response }) =>
        response.writeHead(404, { "content-type": "application/json" }).end('{"error":"no b"}'),
    });
    const call = await b.carrier.ask(chat({ model: "b" }, { isSlow: false }));
    assert.deepEqual([call.status, call.text], [404, '{"error":"no b"}']);
    assert.equal((JSON.parse(b.servers[0]?.calls[0]?.body.toString() ?? "") as { model: string }).model, "b");
    await assertAtRest(b);
  });

  it("needs no length: what others had is taken", async (t) => {
    const b = await bench(t);
    const { headers: _headers, ...asked } = chat();
    for (const headers of [{}, { "x-gateway-model-name": "a" }]) {
      const call = b.carrier.start({ ...asked, headers });
      call.pass();
      await call.ended();
      assert.equal(call.status, 200);
    }
    assert.equal(await early(b), 1);
    await assertAtRest(b);
  });

  it("is any that names no call of a model: such goes to any server, whatever its body has", async (t) => {
    const b = await bench(t, { script: ({ response }) => response.end("{}") });
    const call = b.carrier.start({
      path: "/v1/audio/transcriptions",
      body: "x".repeat(100_000),
      isSlow: true,
    });
    await pickedOf(call);
    call.pass();
    assert.equal((await call.ended()).status, 200);
    assert.equal(call.sentBody.length, 100_000);
    await assertAtRest(b);
  });
});

const heldBytes = ({ gateway }: ScriptedPicker): Promise<number> =>
  sampleOf(gateway, "spillway_extproc_held_bytes");

describe("the body is waited for where", () => {
  const cases: Readonly<Record<string, ScriptedPickerSetup & { readonly asked?: ChatAsked }>> = {
    "the head names no model": { asked: { headers: { "x-gateway-model-name": "" } } },
    "a scorer reads the prompt": {
      pool: { scheduling: { profiles: { default: { scorers: ["prefix-cache-scorer"] } } } },
    },
    "the pool has a list of models": { pool: { models: ["a"] } },
    "turns are told by tokens": {
      pool: { flow: { fairness: "deficit-round-robin" } },
    },
    "waiting tokens are bounded": { pool: { flow: { maxTokens: 1_000_000 } } },
    "a rule looks at it": { rules: [{ type: "validate", parameters: { maxMessages: 10 } }] },
    "a rule changes it": { rules: [{ type: "system-prompt", parameters: { text: "Be brief." } }] },
    "a rule depends on the model": {
      rules: [{ type: "match", parameters: { cases: [{ when: { model: "b*" }, do: { deny: "no" } }] } }],
    },
    "a header asks for another model": {
      asked: { headers: { "x-gateway-model-name-rewrite": "c" } },
    },
    "the model has another name at its servers": {
      routes: [{ model: "a", targets: [{ pool: "p", model: "inner" }] }],
    },
    "the server speaks another dialect": { asked: { path: "/v1/messages" } },
  };
  for (const [name, { asked = {}, ...setup }] of Object.entries(cases)) {
    it(name, async (t) => {
      const b = await bench(t, { script: answerWhole, ...setup });
      for (const requestMode of ["FULL_DUPLEX_STREAMED", "BUFFERED"] as const) {
        const isMessages = asked.path === "/v1/messages";
        await comesWhole(b, chat(isMessages ? { max_tokens: 5 } : {}, { requestMode, ...asked }));
      }
      assert.equal(await early(b), 0);
      await assertAtRest(b);
    });
  }

  it("rules look at headers only, it is not", async (t) => {
    const cases = [{ when: { headers: { "x-tier": "gold" } }, do: { priority: 5 } }];
    const b = await bench(t, { rules: [{ type: "match", parameters: { cases } }] });
    const call = b.carrier.start(chat({}, { headers: { "x-tier": "gold" } }));
    await pickedOf(call);
    call.pass();
    assert.equal((await call.ended()).status, 200);
    assert.equal(await early(b), 1);
    await assertAtRest(b);
  });
});
