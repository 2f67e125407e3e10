// What the caller gets of one server, whole or broken, and what the server sees.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { until } from "../../../../../test/harness/until.ts";
import { atRest, codeOf, startStages } from "../../../test/support/forward-stages.ts";
import type { Script } from "../../../test/support/scripted-server.ts";

const events = { "content-type": "text/event-stream" };

/** Streams the given events, then ends or does what it is told. */
function streaming(pieces: readonly string[], then?: Script): Script {
  return (request) => {
    request.response.writeHead(200, events);
    for (const piece of pieces) request.response.write(piece);
    if (then === undefined) request.response.end();
    else request.response.write("", () => setImmediate(then, request));
  };
}

const reset: Script = ({ socket }) => void socket.resetAndDestroy();
const close: Script = ({ socket }) => void socket.end();
const silence: Script = () => undefined;

describe("a good answer", () => {
  test("that is short goes out in one piece, with who gave it", async (t) => {
    const stages = await startStages(t, [
      ({ response }) => response.writeHead(200, { "content-type": "application/json" }).end('{"ok":true}'),
    ]);
    const { sink, ended, request } = stages.call();
    assert.equal(await ended(), "whole");
    assert.equal(sink.status, 200);
    assert.equal(sink.text, '{"ok":true}');
    assert.equal(sink.header("x-spillway-endpoint"), "chat/0");
    assert.equal(sink.header("x-spillway-attempts"), "1");
    assert.equal(stages.servers[0]?.requests[0]?.path, "/v1/chat/completions");
    assert.deepEqual(
      stages.pool.endpoints[0]?.results.map(({ kind, status, usage }) => [
        kind,
        status,
        usage?.completionTokens,
      ]),
      [["ok", 200, 5]],
    );
    assert.equal(request.usage?.promptTokens, 10);
    assert.equal(stages.metric('spillway_forward_requests_total{pool="chat",model="m",outcome="ok"}'), 1);
    const completion = 'pool="chat",model="m",kind="completion",source="server"';
    assert.equal(stages.metric(`spillway_forward_tokens_total{${completion}}`), 5);
    assert.deepEqual(
      stages.records.map(({ outcome, attempts, endpoint }) => [outcome, attempts, endpoint]),
      [["ok", 1, "chat/0"]],
    );
    await atRest(stages);
  });

  test("that is long is passed on as it comes", async (t) => {
    const stages = await startStages(t, [
      ({ response }) => {
        response.writeHead(200, { "content-type": "application/json" });
        response.write(Buffer.alloc(100_000, "a"));
      },
    ]);
    const { sink, ended } = stages.call();
    await until("the first 100 kB", () => sink.text.length === 100_000);
    stages.servers[0]?.requests[0]?.response.end("b");
    assert.equal(await ended(), "end");
    assert.equal(sink.text.length, 100_001);
    await atRest(stages);
  });

  test("that is streamed is passed on as it comes, held back until its first content", async (t) => {
    const stages = await startStages(t, [streaming([": waiting\n\n"], silence)]);
    const { sink, ended } = stages.call({ stream: true });
    const server = stages.servers[0];
    const response = await until("the request", () => server?.requests[0]?.response);
    response.write(": still waiting\n\n");
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.equal(sink.status, 0);
    response.write("data: one\n\n");
    await until("the first event", () => sink.text.includes("one"));
    assert.equal(stages.metric('spillway_forward_open_streams{pool="chat"}'), 1);
    response.end("data: [DONE]\n\n");
    assert.equal(await ended(), "end");
    assert.equal(sink.text, ": waiting\n\n: still waiting\n\ndata: one\n\ndata: [DONE]\n\n");
    assert.equal(stages.metric('spillway_forward_open_streams{pool="chat"}'), 0);
    assert.equal(stages.metric('spillway_forward_streams_total{pool="chat",outcome="ok"}'), 1);
    await atRest(stages);
  });

  test("whose first content does not come within 64 KB is passed on all the same", async (t) => {
    const comment = `: ${"x".repeat(9_998)}\n\n`;
    const stages = await startStages(t, [
      streaming(
        Array.from({ length: 8 }, () => comment),
        silence,
      ),
    ]);
    const { sink, leave } = stages.call({ stream: true });
    await until("what was held back", () => sink.text.length > 70_000);
    assert.equal(stages.metric('spillway_forward_held_back_overflows_total{pool="chat"}'), 1);
    leave();
    await atRest(stages);
  });

  test("leaves the connection for the next request", async (t) => {
    const stages = await startStages(t, [streaming(["data: one\n\ndata: [DONE]\n\n"])]);
    for (let turn = 0; turn < 5; turn++) await stages.call({ stream: true }).ended();
    assert.equal(stages.servers[0]?.connections, 1);
    await atRest(stages);
  });
});

describe("a stream that breaks after its first content ends with the dialect's error", () => {
  const cases: readonly (readonly [string, Script, string])[] = [
    ["reset", streaming(["data: one\n\n"], reset), "closed"],
    ["closed in the middle", streaming(["data: one\n\n"], close), "closed"],
    ["ended before its last word", streaming(["data: one\n\n", "data: two\n\n"]), "malformed"],
    ["silent for too long", streaming(["data: one\n\n"], silence), "timeout"],
    ["not its dialect", streaming(["data: one\n\n", "data: <html>\n\n"], silence), "malformed"],
    [
      "with the server's own error",
      streaming(["data: one\n\n", 'data: {"error":"x"}\n\n'], silence),
      "malformed",
    ],
    [
      "not HTTP",
      streaming(["data: one\n\n"], ({ socket }) => void socket.write("\r\nzz this is no chunk\r\n")),
      "malformed",
    ],
  ];
  for (const [name, script, kind] of cases) {
    test(name, async (t) => {
      const stages = await startStages(t, [script, script], { timeouts: { idleMs: 100 } });
      const { sink, ended } = stages.call({ stream: true });
      const ending = await ended();
      assert.equal(sink.status, 200);
      if (name === "not its dialect") assert.equal(codeOf(ending), "bad_upstream_answer");
      else {
        assert.equal(ending, "end");
        assert.match(sink.text, /event: error|data: \{"error"/);
      }
      const results = stages.pool.endpoints.flatMap((endpoint) => endpoint.results);
      assert.deepEqual(
        results.map((result) => result.kind),
        [kind],
      );
      assert.notEqual(stages.records[0]?.outcome, "ok");
      await atRest(stages);
    });
  }

  test("total time is bounded though events keep coming", async (t) => {
    const stages = await startStages(
      t,
      [
        ({ response }) => {
          response.writeHead(200, events);
          const timer = setInterval(() => response.write("data: x\n\n"), 10);
          response.on("close", () => clearInterval(timer));
        },
      ],
      { timeouts: { totalMs: 200, idleMs: 100 } },
    );
    const { sink, ended } = stages.call({ stream: true });
    assert.equal(await ended(), "end");
    assert.match(sink.text, /data: upstream_timeout/);
    await atRest(stages);
  });
});

describe("an answer that breaks before its first content is an error with a status", () => {
  const cases: readonly (readonly [string, Script, string])[] = [
    ["closed before its head", close, "bad_upstream_answer"],
    ["reset before its head", reset, "bad_upstream_answer"],
    ["silent", silence, "upstream_timeout"],
    ["closed after its head", streaming([": hello\n\n"], close), "bad_upstream_answer"],
    ["silent after its head", streaming([": hello\n\n"], silence), "upstream_timeout"],
    ["ended after its head", streaming([]), "bad_upstream_answer"],
    ["200 with an error in the stream", streaming(['data: {"error":"x"}\n\n'], silence), "model_failed"],
    ["not HTTP", ({ socket }) => void socket.write("SSH-2.0-OpenSSH\r\n\r\n"), "bad_upstream_answer"],
  ];
  for (const [name, script, code] of cases) {
    test(name, async (t) => {
      const retry = { maxRetries: 0 };
      const timeouts = { firstTokenMs: 100, idleMs: 50 };
      const stages = await startStages(t, [script], { timeouts, retry });
      const { sink, ended } = stages.call({ stream: true });
      assert.equal(codeOf(await ended()), code);
      assert.equal(sink.status, 0);
      assert.equal(stages.records[0]?.outcome, code);
      await atRest(stages);
    });
  }

  test("a short answer that is not streamed and breaks off is no 200 either", async (t) => {
    const script: Script = ({ response, socket }) => {
      response.writeHead(200, { "content-length": "100" });
      response.write('{"half":', () => setImmediate(() => socket.destroy()));
    };
    const stages = await startStages(t, [script], { retry: { maxRetries: 0 } });
    const { sink, ended } = stages.call();
    assert.equal(codeOf(await ended()), "bad_upstream_answer");
    assert.equal(sink.status, 0);
    await atRest(stages);
  });

  test("a slow first token is no idle stream", async (t) => {
    const stages = await startStages(
      t,
      [
        ({ response }) => {
          response.writeHead(200, events);
          response.flushHeaders();
          setTimeout(() => response.end("data: one\n\ndata: [DONE]\n\n"), 200);
        },
      ],
      { timeouts: { idleMs: 50, firstTokenMs: 5_000 } },
    );
    assert.equal(await stages.call({ stream: true }).ended(), "end");
    await atRest(stages);
  });
});

describe("a server's refusal", () => {
  test("is the caller's answer, in one piece", async (t) => {
    const stages = await startStages(t, [({ response }) => response.writeHead(422).end('{"error":"no"}')]);
    const { sink, ended } = stages.call({ stream: true });
    assert.equal(await ended(), "whole");
    assert.equal(sink.status, 422);
    assert.equal(sink.text, '{"error":"no"}');
    assert.equal(stages.records[0]?.outcome, "bad_request");
    await atRest(stages);
  });

  test("is kept to 64 KB", async (t) => {
    const stages = await startStages(t, [
      ({ response }) => response.writeHead(400).end(Buffer.alloc(1_000_000, "x")),
    ]);
    const { sink, ended } = stages.call();
    assert.equal(await ended(), "whole");
    assert.equal(sink.text.length, 65_536);
    await atRest(stages);
  });

  test("with 503 says when to come back", async (t) => {
    const refuse: Script = ({ response }) => response.writeHead(503).end("busy");
    const stages = await startStages(t, [refuse], { retry: { maxRetries: 0 } });
    const { sink, ended } = stages.call();
    assert.equal(await ended(), "whole");
    assert.equal(sink.header("retry-after"), "1");
    await atRest(stages);
  });

  test("of the pool's credentials is not shown", async (t) => {
    const stages = await startStages(t, [({ response }) => response.writeHead(401).end("bad key sk-123")]);
    const { ended } = stages.call();
    const ending = await ended();
    assert.equal(codeOf(ending), "bad_upstream_answer");
    assert.doesNotMatch(JSON.stringify(ending), /sk-123/);
    await atRest(stages);
  });

  test("that never ends is given up", async (t) => {
    const stages = await startStages(t, [({ response }) => void response.writeHead(500).write("x")], {
      timeouts: { totalMs: 100, firstTokenMs: 100 },
      retry: { maxRetries: 0 },
    });
    assert.equal(codeOf(await stages.call({ stream: true }).ended()), "upstream_timeout");
    await atRest(stages);
  });
});

test("a reader that throws costs its own request only", async (t) => {
  const stages = await startStages(t, [({ response }) => response.end("{}")]);
  const { payload } = stages.call().request;
  const faulty = {
    ...payload,
    attempt: (...[target, sink]: Parameters<typeof payload.attempt>) => {
      const attempt = payload.attempt(target, sink);
      if ("code" in attempt) return attempt;
      const reader = Object.create(attempt.reader) as typeof attempt.reader;
      reader.data = () => {
        throw new Error("a fault");
      };
      return { ...attempt, reader };
    },
  };
  const { ended } = stages.call({ payload: { ...faulty, repeatable: false } });
  assert.equal(codeOf(await ended()), "internal");
  assert.equal(stages.faults.length, 1);
  assert.equal(await stages.call().ended(), "whole");
});

test("a request that cannot be written costs itself only", async (t) => {
  const stages = await startStages(t, [({ response }) => response.end("{}")]);
  const { payload } = stages.call().request;
  const faulty = {
    ...payload,
    attempt: () => {
      throw new RangeError("a fault");
    },
  };
  assert.equal(codeOf(await stages.call({ payload: faulty }).ended()), "internal");
  assert.equal(stages.faults.splice(0).length, 1);
  assert.equal(await stages.call().ended(), "whole");
  await atRest(stages);
});
