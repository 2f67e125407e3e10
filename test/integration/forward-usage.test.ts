// What requests used, through a whole gateway, in every cell of the table of dialects: charged to their key
// in the place of what was reserved, counted in the metrics, and written in the log, whichever way they end.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { callers, serverAt, toldUsage } from "../harness/chat-wire.ts";
import { cellModels, cellPools, cells, nameOf, type Cell } from "../harness/dialect-cells.ts";
import { startCall, type ForwardCall } from "../harness/forward-call.ts";
import { createModelFolder, testConfig, type LoggedEvent, type TestGateway } from "../harness/gateway.ts";
import { makeKey, type TestKey } from "../harness/key-options.ts";
import { Cleanup, startPooledGateway } from "../harness/pooled-gateway.ts";
import {
  answerWhole,
  framesAt,
  openStream,
  openWithContent,
  pathOf,
  startScriptedModel,
  type ModelScript,
  type ScriptedModel,
} from "../harness/scripted-model.ts";
import { until } from "../harness/until.ts";

/** Far more than the tests use, so that what comes back with time is never seen: the bucket is full again. */
const limit = 1_000_000_000;
const operator = makeKey("operator", { scopes: ["status"] });
const caller = makeKey("caller", {}, { tokensPerMinute: limit });

let server: ScriptedModel;
let gateway: TestGateway;
const cleanup = new Cleanup();

function accessWith(keys: readonly TestKey[], keysFile?: string) {
  const { access } = testConfig("");
  const options = [operator, ...keys].map((each) => each.options);
  return { access: { ...access, mode: "keys" as const, keys: options, keysFile } };
}

before(async () => {
  server = await startScriptedModel(cleanup, cellModels);
  const pools = cellPools([server.url], { retries: { max: 0 }, health: { failures: 100 } });
  gateway = await startPooledGateway(cleanup, { pools, config: accessWith([caller]) });
});
after(() => cleanup.closeAll());

function ask(cell: Cell, stream: boolean, key = caller, at = gateway): ForwardCall {
  const { path: address, body } = callers[cell.caller];
  return startCall(at.url, { path: address, body: body(cell.pool, stream), headers: key.headers });
}

async function sample(name: string, at = gateway): Promise<number> {
  const answer = await fetch(`${at.url}/metrics`, { headers: operator.headers });
  const line = (await answer.text()).split("\n").find((each) => each.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
}

const charged = async (): Promise<readonly number[]> =>
  Promise.all(
    ["prompt", "completion"].map((kind) => sample(`spillway_key_tokens_total{key="caller",kind="${kind}"}`)),
  );

/** What was charged to the key, and what the log says, of one request that has ended by its time. */
async function usedBy(
  run: () => Promise<unknown>,
): Promise<{ tokens: number[]; record: LoggedEvent["fields"] }> {
  const before = await charged();
  const records = (): LoggedEvent[] => gateway.events.filter(({ event }) => event === "request_forwarded");
  const made = records().length;
  await run();
  const record = await until("it is in the log", () => records()[made]?.fields);
  // The door settles in the turn in which the request ends.
  const now = await charged();
  assert.equal(await sample('spillway_key_requests_in_flight{key="caller"}'), 0);
  return { tokens: now.map((count, index) => count - (before[index] ?? 0)), record };
}

/** Prompt and completion tokens that the metrics of the pool show. */
async function counted({ pool }: Cell, source: "server" | "estimated"): Promise<readonly [number, number]> {
  const of = (kind: string): Promise<number> =>
    sample(`spillway_forward_tokens_total{pool="${pool}",model="${pool}",kind="${kind}",source="${source}"}`);
  return [await of("prompt"), await of("completion")];
}

function recordOf(record: LoggedEvent["fields"]): unknown[] {
  return [record["promptTokens"], record["completionTokens"], record["estimated"], record["outcome"]];
}

const { prompt, completion } = toldUsage;
const said = "four words and more ".repeat(20);

/** The same without what tells of usage. */
const silentOf: ModelScript = (call) => {
  const frames = framesAt(pathOf(call), [said]).map((frame) =>
    frame.replaceAll(/"usage":\{[^}]*\}/g, '"usage":null').replaceAll(/,"(prompt_)?eval_count":\d+/g, ""),
  );
  openStream(call).end(frames.join(""));
};

for (const cell of cells) {
  describe(nameOf(cell), () => {
    it("is what the server tells, streamed or not", async () => {
      server.script = answerWhole;
      for (const stream of [true, false]) {
        const before = await counted(cell, "server");
        const { tokens, record } = await usedBy(() => ask(cell, stream).ended());
        assert.deepEqual(tokens, [prompt, completion]);
        assert.deepEqual(await counted(cell, "server"), [before[0] + prompt, before[1] + completion]);
        assert.deepEqual(recordOf(record), [prompt, completion, false, "ok"]);
      }
    });

    it("is estimated where the server tells nothing, and said to be", async () => {
      server.script = silentOf;
      const before = await counted(cell, "estimated");
      const { tokens, record } = await usedBy(() => ask(cell, true).ended());
      assert.deepEqual(await counted(cell, "estimated"), [
        before[0] + (tokens[0] ?? 0),
        before[1] + said.length / 4,
      ]);
      assert.equal(tokens[1], said.length / 4);
      assert.deepEqual(recordOf(record), [tokens[0], said.length / 4, true, "ok"]);
    });

    it("is what was passed on when the caller leaves in the middle, and when the server breaks off", async () => {
      for (const ending of ["client_gone", "bad_upstream_answer"]) {
        const { tokens, record } = await usedBy(async () => {
          let response: ReturnType<typeof openStream> | undefined;
          server.script = (call) => void (response = openWithContent(call, said));
          const call = ask(cell, true);
          await until("it has content", () => callers[cell.caller].textOf(call.text) === said);
          if (ending === "client_gone") call.leave();
          else response?.socket?.destroySoon();
          await until("it has ended", () => call.hasEnded);
        });
        assert.ok(Number(tokens[0]) > 0);
        assert.equal(tokens[1], said.length / 4);
        assert.deepEqual(recordOf(record), [tokens[0], tokens[1], true, ending]);
      }
    });

    it("is nothing when it is called off before the first content, or fails", async () => {
      const nothing = [undefined, undefined, undefined];
      server.script = (call) => void openStream(call);
      const gone = await usedBy(async () => {
        const asked = server.calls.length;
        const call = ask(cell, true);
        await until("the server is asked", () => server.calls.length > asked);
        call.leave();
      });
      assert.deepEqual(
        [gone.tokens, recordOf(gone.record)],
        [
          [0, 0],
          [...nothing, "client_gone"],
        ],
      );
      server.script = ({ socket }) => void socket.destroy();
      const failed = await usedBy(() => ask(cell, true).ended());
      assert.deepEqual(
        [failed.tokens, recordOf(failed.record)],
        [
          [0, 0],
          [...nothing, "bad_upstream_answer"],
        ],
      );
    });
  });
}

describe("embeddings", () => {
  const answers: Readonly<Record<string, object>> = {
    "/v1/embeddings": {
      object: "list",
      model: "m",
      data: [{ object: "embedding", index: 0, embedding: [0.6, 0.8] }],
      usage: { prompt_tokens: prompt, total_tokens: prompt },
    },
    "/api/embed": { model: "m", embeddings: [[0.6, 0.8]], total_duration: 5, prompt_eval_count: prompt },
  };
  for (const [address, pool, asked] of [
    ["/v1/embeddings", "openai", "/v1/embeddings"],
    ["/v1/embeddings", "ollama", "/v1/embeddings"],
    ["/api/embed", "ollama", "/api/embed"],
    ["/api/embed", "openai", "/v1/embeddings"],
  ] as const) {
    it(`are charged their prompt alone: ${address} → ${pool}`, async () => {
      server.script = (call) => {
        assert.equal(pathOf(call), asked);
        call.response.writeHead(200, { "content-type": "application/json" });
        call.response.end(JSON.stringify(answers[asked]));
      };
      const body = { model: pool, input: "some words" };
      const { tokens, record } = await usedBy(async () => {
        const call = await startCall(gateway.url, { path: address, body, headers: caller.headers }).ended();
        assert.equal(call.status, 200, call.text);
      });
      assert.deepEqual(tokens, [prompt, 0]);
      assert.deepEqual(recordOf(record), [prompt, 0, false, "ok"]);
    });
  }
});

describe("the limits of a key", () => {
  const chat = cells[0];

  /** A gateway with one pool, and a key with limits. */
  async function limited(t: TestContext, key: TestKey, pool: object = {}, keysFile?: string) {
    const model = await startScriptedModel(t, cellModels);
    const pools = { openai: { ...(cellPools([model.url])["openai"] as object), ...pool } };
    const keys = keysFile === undefined ? [key] : [];
    return { model, gateway: await startPooledGateway(t, { pools, config: accessWith(keys, keysFile) }) };
  }

  it("hold what a request may use while it runs, and what it used afterwards", async (t) => {
    assert.ok(chat !== undefined);
    // 600 a minute are 10 a second: what comes back while the test runs is little beside 1,024.
    const key = makeKey("caller", {}, { tokensPerMinute: 1_500 });
    const { model, gateway: at } = await limited(t, key);
    model.script = (call) => void openWithContent(call);
    const first = ask(chat, true, key, at);
    await until("it has content", () => first.text.includes("one"));
    const refused = await ask(chat, true, key, at).ended();
    assert.equal(refused.status, 429);
    assert.ok(Number(refused.headers["retry-after"]) >= 1);
    assert.ok(Number(refused.headers["x-ratelimit-remaining-tokens"]) < 1_000);
    assert.equal(model.calls.length, 1);
    first.leave();
    model.script = answerWhole;
    const second = await until("its reservation is given back", async () => {
      const call = await ask(chat, true, key, at).ended();
      return call.status === 200 && call;
    });
    assert.ok(callers.chat.isWhole(second.text));
  });

  it("give back the place and the tokens of a caller who leaves in line, or before an answer", async (t) => {
    assert.ok(chat !== undefined);
    const key = makeKey("caller", {}, { tokensPerMinute: 3_000, concurrency: 2 });
    const { model, gateway: at } = await limited(t, key, { concurrency: 1 });
    model.script = () => undefined;
    const calls = [ask(chat, true, key, at), ask(chat, true, key, at)];
    const running = (): Promise<number> => sample('spillway_key_requests_in_flight{key="caller"}', at);
    await until(
      "one is asked and one waits",
      async () => model.calls.length === 1 && (await running()) === 2,
    );
    assert.equal((await ask(chat, true, key, at).ended()).status, 429);
    for (const call of calls.reverse()) call.leave();
    await until("both are gone", async () => (await running()) === 0);
    model.script = answerWhole;
    const answer = await ask(chat, false, key, at).ended();
    assert.equal(answer.status, 200);
    assert.ok(Number(answer.headers["x-ratelimit-remaining-tokens"]) >= 1_900);
    assert.deepEqual(
      await Promise.all(
        ["prompt", "completion"].map((kind) =>
          sample(`spillway_key_tokens_total{key="caller",kind="${kind}"}`, at),
        ),
      ),
      [prompt, completion],
    );
  });

  it("end with the key: what it began is finished, what it asks then is refused", async (t) => {
    assert.ok(chat !== undefined);
    const key = makeKey("caller");
    const folder = createModelFolder(t);
    const file = path.join(folder.path, "keys.yaml");
    const { id, secretSha256 } = key.options;
    writeFileSync(file, `keys:\n  - { id: ${id}, secret: "sha256:${secretSha256}" }\n`);
    const { model, gateway: at } = await limited(t, key, {}, file);
    let response: ReturnType<typeof openStream> | undefined;
    model.script = (call) => void (response = openWithContent(call));
    const running = ask(chat, true, key, at);
    await until("it has content", () => running.text.includes("one"));
    const elsewhere = {
      path: callers.chat.path,
      body: callers.chat.body("none", false),
      headers: key.headers,
    };
    const status = async (): Promise<number> => (await startCall(at.url, elsewhere).ended()).status;
    assert.equal(await status(), 404);
    writeFileSync(file, "keys: []\n");
    await until("the key is refused", async () => (await status()) === 401);
    assert.equal(running.hasEnded, false);
    const { content, closing } = serverAt(callers.chat.path).frames(["two"]);
    response?.end([...content, ...closing].join(""));
    await running.ended();
    assert.ok(callers.chat.isWhole(running.text) && running.isComplete);
    assert.equal(callers.chat.textOf(running.text), "one two");
  });
});
