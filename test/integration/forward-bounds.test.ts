// What callers and servers can make the gateway hold, pass on and count, and how it stops, through a whole gateway.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { RawHttpClient } from "../../packages/gateway/test/support/raw-http-client.ts";
import type { GatewayConfig } from "../../packages/gateway/src/app/options.ts";
import { callers, serverAt, type CallerName } from "../harness/chat-wire.ts";
import { startCall, type ForwardCall } from "../harness/forward-call.ts";
import { testConfig, type TestGateway } from "../harness/gateway.ts";
import { startPooledGateway } from "../harness/pooled-gateway.ts";
import {
  answerWhole,
  openStream,
  openWithContent,
  pathOf,
  startScriptedModel,
  type ModelCall,
  type ModelScript,
  type ScriptedModel,
} from "../harness/scripted-model.ts";
import { until } from "../harness/until.ts";

/** A gateway over one pool `m` with one server, which has the model `m`. */
interface Bench {
  readonly gateway: TestGateway;
  readonly server: ScriptedModel;
  readonly port: number;
}

interface Setup {
  readonly models?: readonly string[];
  readonly pool?: object;
  readonly config?: Partial<GatewayConfig>;
}

async function startBench(
  t: TestContext,
  script: ModelScript = answerWhole,
  setup: Setup = {},
): Promise<Bench> {
  const { models = ["m"], pool = {}, config = {} } = setup;
  const server = await startScriptedModel(t, models, script);
  const m = {
    dialect: "openai",
    endpoints: [server.url],
    serves: ["chat"],
    credentials: "pool-secret",
    ...pool,
  };
  const gateway = await startPooledGateway(t, { pools: { m }, config });
  return { server, gateway, port: Number(new URL(gateway.url).port) };
}

function ask({ gateway }: Bench, caller: CallerName, stream: boolean): ForwardCall {
  const { path, body } = callers[caller];
  return startCall(gateway.url, { path, body: body("m", stream) });
}

describe("a caller who does not read", () => {
  const frames = 640;
  const text = "x".repeat(65_536);

  /** Sends a long stream as fast as it is taken; tells how much has left the server's process. */
  function flood(call: ModelCall): { sent(): number } {
    const { opening, content, closing } = serverAt(pathOf(call)).frames([text]);
    const response = openStream(call);
    const write = async (): Promise<void> => {
      response.write(opening.join(""));
      for (let turn = 0; turn < frames; turn++) {
        if (!response.write(content.join("")) && !response.destroyed) await once(response, "drain");
      }
      response.end(closing.join(""));
    };
    write().catch(() => undefined);
    return { sent: () => call.socket.bytesWritten };
  }

  for (const caller of ["chat", "messages"] as const) {
    it(`holds up the server instead of filling memory, and gets all of it later: ${caller}`, async (t) => {
      let flooding: { sent(): number } | undefined;
      const bench = await startBench(t, (call) => void (flooding = flood(call)));
      const socket = connect(bench.port, "127.0.0.1");
      t.after(() => socket.destroy());
      const { path, body } = callers[caller];
      const bytes = JSON.stringify(body("m", true));
      socket.pause();
      socket.write(
        `POST ${path} HTTP/1.0\r\nhost: localhost\r\ncontent-length: ${bytes.length}\r\n\r\n${bytes}`,
      );
      const running = await until("the server is asked", () => flooding);
      let before = -1;
      await until("nothing moves any more", async () => {
        const now = running.sent();
        const isStill = now === before && now > 0;
        before = now;
        await pause(100);
        return isStill;
      });
      // What the kernel holds for two connections, and a little in the gateway.
      assert.ok(before < 32_000_000, `${before} bytes were taken`);
      const pieces: Buffer[] = [];
      socket.on("data", (piece: Buffer) => pieces.push(piece)).resume();
      await once(socket, "end");
      const answer = Buffer.concat(pieces);
      const stream = answer.subarray(answer.indexOf("\r\n\r\n") + 4).toString();
      const { textOf, isWhole } = callers[caller];
      assert.ok(isWhole(stream));
      const hash = (all: string): string => createHash("sha256").update(all).digest("hex");
      assert.equal(hash(textOf(stream)), hash(text.repeat(frames)));
    });
  }
});

describe("a body that is too large", () => {
  const maxBodyBytes = 100_000;
  const [door] = testConfig("").http;
  const content = "x".repeat(maxBodyBytes);

  for (const caller of ["chat", "responses", "ollama chat", "generate", "messages"] as const) {
    it(`is refused in the words of the API, and no server hears of it: ${caller}`, async (t) => {
      assert.ok(door !== undefined);
      const bench = await startBench(t, answerWhole, { config: { http: [{ ...door, maxBodyBytes }] } });
      const { path, body, errorOf } = callers[caller];
      const large = JSON.stringify({ ...body("m", true), padding: content });
      const announced = await startCall(bench.gateway.url, { path, body: large }).ended();
      assert.equal(announced.status, 413);
      assert.ok(errorOf(announced.text).length > 0);
      const chunked = startCall(bench.gateway.url, { path, headers: { "transfer-encoding": "chunked" } });
      chunked.request.end(large);
      assert.equal((await chunked.ended()).status, 413);
      assert.equal(bench.server.calls.length, 0);
      const fitting = JSON.stringify({ ...body("m", false), padding: content.slice(1_000) });
      assert.notEqual((await startCall(bench.gateway.url, { path, body: fitting }).ended()).status, 413);
    });
  }
});

describe("headers", () => {
  const body = JSON.stringify(callers.chat.body("m", false));

  it("of callers stay behind: credentials, cookies, hop-by-hop and those that Connection names", async (t) => {
    const bench = await startBench(t);
    const client = await RawHttpClient.open(bench.port);
    client.send("POST", "/v1/chat/completions?key=secret", {
      headers: {
        "content-type": "application/json",
        connection: "keep-alive, x-named",
        "keep-alive": "timeout=5",
        te: "trailers",
        "proxy-authorization": "Basic c2VjcmV0",
        "proxy-connection": "keep-alive",
        "x-named": "secret",
        authorization: "Bearer caller-secret",
        "x-api-key": "caller-secret",
        "api-key": "caller-secret",
        cookie: "session=secret",
        forwarded: "for=secret",
        "x-forwarded-for": "10.0.0.1",
        "x-real-ip": "10.0.0.1",
        "openai-organization": "secret",
        "x-spillway-endpoint": "other",
      },
      body,
    });
    assert.equal((await client.answer()).status, 200);
    client.leave();
    const [call] = bench.server.calls;
    assert.equal(call?.path, "/v1/chat/completions");
    const { host, "content-length": length, authorization, ...others } = call?.headers ?? {};
    assert.equal(host, new URL(bench.server.url).host);
    assert.equal(Number(length), call?.body.length);
    assert.equal(authorization, "Bearer pool-secret");
    assert.deepEqual(
      Object.keys(others).filter(
        (name) => !["accept", "content-type", "connection", "user-agent"].includes(name),
      ),
      [],
    );
    assert.doesNotMatch(JSON.stringify(others), /secret|10\.0/);
  });

  it("of servers stay behind: cookies, hop-by-hop and what is about the gateway's own account", async (t) => {
    const bench = await startBench(t, ({ response }) => {
      response.writeHead(200, {
        "content-type": "application/json",
        connection: "close, x-named",
        "x-named": "secret",
        "keep-alive": "timeout=5",
        "proxy-authenticate": "Basic",
        "set-cookie": "session=secret",
        "x-ratelimit-remaining-requests": "1",
        "access-control-allow-origin": "*",
        "x-spillway-endpoint": "other",
      });
      response.end(serverAt("/v1/chat/completions").whole("hi"));
    });
    const { status, headers } = await ask(bench, "chat", false).ended();
    assert.equal(status, 200);
    for (const name of [
      "x-named",
      "proxy-authenticate",
      "set-cookie",
      "x-ratelimit-remaining-requests",
      "access-control-allow-origin",
    ]) {
      assert.equal(headers[name], undefined, name);
    }
    assert.equal(headers["x-spillway-endpoint"], `m/${new URL(bench.server.url).host}`);
  });

  const smuggled = `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const frames: Readonly<Record<string, string>> = {
    "two lengths": `content-length: ${body.length}\r\ncontent-length: ${body.length + smuggled.length}\r\n\r\n${body}${smuggled}`,
    "a length and chunks": `content-length: ${body.length}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    "a coding after chunks": `transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n${smuggled}`,
    "a name with a blank": `transfer-encoding : chunked\r\ncontent-length: ${body.length}\r\n\r\n${body}${smuggled}`,
    "a length with a sign": `content-length: +${body.length}\r\n\r\n${body}${smuggled}`,
    "a folded line": `x-a: b\r\n transfer-encoding: chunked\r\ncontent-length: ${body.length}\r\n\r\n${body}${smuggled}`,
    "a bare line feed": `x-a: b\ntransfer-encoding: chunked\r\ncontent-length: ${body.length}\r\n\r\n${body}${smuggled}`,
  };
  for (const [what, rest] of Object.entries(frames)) {
    it(`with ${what} never let a request in behind another`, async (t) => {
      const bench = await startBench(t);
      const client = await RawHttpClient.open(bench.port);
      client.write(
        `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n${rest}`,
      );
      assert.equal((await client.answer()).status, 400);
      await client.ended;
      assert.equal(bench.server.calls.length, 0);
      // The gateway and its connections are as before.
      assert.equal((await ask(bench, "chat", false).ended()).status, 200);
    });
  }
});

describe("hostile names of models", () => {
  const hostile = (index: number): string => `m${index}"\\{},=🙂'<script>`;

  it("that a server lists make a bounded number of series, which can be read", async (t) => {
    const models = Array.from({ length: 400 }, (_, index) => hostile(index));
    const bench = await startBench(t, answerWhole, { models });
    const one = async (from: number): Promise<void> => {
      for (let index = from; index < models.length; index += 8) {
        const body = callers.chat.body(hostile(index), false);
        const call = await startCall(bench.gateway.url, { path: callers.chat.path, body }).ended();
        assert.equal(call.status, 200, call.text);
      }
    };
    await Promise.all(Array.from({ length: 8 }, (_, from) => one(from)));
    const family = (await bench.gateway.metrics()).get("spillway_forward_requests_total");
    const samples = [...(family?.samples ?? [])].filter(([name]) => name.includes('outcome="ok"'));
    assert.ok(samples.length > 100 && samples.length <= 257, `${samples.length} models`);
    assert.equal(
      samples.reduce((sum, [, value]) => sum + value, 0),
      models.length,
    );
    assert.ok(samples.some(([name]) => name.includes('model="other"')));
  });

  it("that callers make up make none", async (t) => {
    const bench = await startBench(t);
    const series = async (): Promise<number> => {
      let count = 0;
      for (const { samples } of (await bench.gateway.metrics()).values()) count += samples.size;
      return count;
    };
    const names = ["", "\u0000\r\nx: y", "../../etc", "🙂".repeat(5_000), "__proto__", "constructor", "m\n"];
    const round = async (turn: number): Promise<void> => {
      for (const caller of ["chat", "ollama chat", "messages"] as const) {
        for (const name of [...names, hostile(turn)]) {
          const { path, body, errorOf } = callers[caller];
          const call = await startCall(bench.gateway.url, { path, body: body(name, true) }).ended();
          assert.ok(call.status === 404 || call.status === 400, `${call.status} ${call.text}`);
          assert.ok(errorOf(call.text).length < 1_000);
        }
      }
    };
    await round(0);
    await series();
    const before = await series();
    await round(1);
    assert.equal(await series(), before);
    assert.equal(bench.server.calls.length, 0);
  });
});

describe("a gateway that is told to stop", () => {
  it("finishes streams of every API and what is in line, takes nothing new, and then ends", async (t) => {
    const open = new Map<string, ModelCall["response"]>();
    const script: ModelScript = (call) => void open.set(`${open.size}`, openWithContent(call));
    const bench = await startBench(t, script, { pool: { concurrency: 3 } });
    const names = ["chat", "ollama chat", "messages"] as const;
    const calls = names.map((caller) => ask(bench, caller, true));
    await until("all have content", () =>
      calls.every(({ text }, index) => callers[names[index] ?? "chat"].textOf(text) === "one "),
    );
    const waiting = ask(bench, "chat", true);
    const [pool] = bench.gateway.forward.pools();
    await until("one waits in line", () => pool?.line.length === 1);
    const closing = bench.gateway.close({ graceMs: 15_000 });
    let hasClosed = false;
    void closing.then(() => (hasClosed = true));
    await until("nobody gets in", async () => {
      const late = await ask(bench, "chat", true).ended();
      return late.status === 0;
    });
    bench.server.script = answerWhole;
    assert.equal(hasClosed, false);
    const { content, closing: last } = serverAt("/v1/chat/completions").frames(["two"]);
    for (const response of open.values()) {
      response.write(content.join(""));
      await pause(20);
      response.end(last.join(""));
    }
    for (const [index, call] of [...calls, waiting].entries()) {
      const wire = callers[names[index] ?? "chat"];
      await call.ended();
      assert.equal(wire.textOf(call.text), "one two");
      assert.ok(wire.isWhole(call.text) && call.isComplete, call.text);
    }
    await closing;
  });

  it("cuts what does not end in time, and no cut stream looks whole", async (t) => {
    const bench = await startBench(t, (call) => void openWithContent(call));
    const names = ["chat", "ollama chat", "messages"] as const;
    const calls = names.map((caller) => ask(bench, caller, true));
    await until("all have content", () => calls.every(({ chunks }) => chunks.length > 0));
    await bench.gateway.close({ graceMs: 100 });
    for (const [index, call] of calls.entries()) {
      await call.ended();
      const { isWhole, textOf } = callers[names[index] ?? "chat"];
      assert.equal(textOf(call.text), "one ");
      assert.ok(!isWhole(call.text) && !call.isComplete, call.text);
    }
    await until("the server is left", () =>
      bench.server.calls.every(({ closedAt }) => closedAt !== undefined),
    );
  });
});
