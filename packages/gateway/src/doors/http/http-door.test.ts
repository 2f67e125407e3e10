import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import { gunzipSync } from "node:zlib";
import { wireAnswer } from "../../contracts/route.ts";
import { failure, GatewayError } from "../../core/errors.ts";
import {
  decisionFor,
  echoRoute,
  pipelineRequest,
  PlayedUpstream,
  route,
  startDoor,
} from "../../../test/support/http-door.ts";

function json(body: Buffer): unknown {
  return JSON.parse(body.toString());
}

function ok(text: string) {
  return wireAnswer(200, "text/plain", [Buffer.from(text)]);
}

describe("an HTTP door", () => {
  it("answers a route with the call as it was sent", async (t) => {
    const calls: unknown[] = [];
    const { connect, heads } = await startDoor(t, {
      routes: [
        route("/v2/models/{model}/infer", (call) => {
          const { method, path, query, params, caller, requestId, body } = call;
          calls.push({ method, path, query, params, caller: caller.id, requestId, body: body.toString() });
          return ok("yes");
        }),
      ],
    });
    const client = await connect();
    client.send("POST", "/v2/models/a%20b/infer?x=1&y=%20", {
      body: "hello",
      headers: { "x-request-id": "mine-1" },
    });
    const answer = await client.answer();
    assert.equal(answer.status, 200);
    assert.equal(answer.body.toString(), "yes");
    assert.equal(answer.headers["content-type"], "text/plain");
    assert.equal(answer.headers["content-length"], "3");
    assert.equal(answer.headers["x-request-id"], "mine-1");
    assert.ok(answer.headers.date !== undefined);
    assert.deepEqual(calls, [
      {
        method: "POST",
        path: "/v2/models/a%20b/infer",
        query: "x=1&y=%20",
        params: { model: "a b" },
        caller: "local",
        requestId: "mine-1",
        body: Buffer.from("hello").toString(),
      },
    ]);
    const [head] = heads;
    assert.equal(head?.door, "http");
    assert.equal(head.scope, "infer");
    assert.equal(head.remoteAddress, "127.0.0.1");
  });

  it("makes an id of its own for a request without a sane one", async (t) => {
    const { connect } = await startDoor(t);
    const client = await connect();
    for (const id of ["", "x".repeat(129), "two words"]) {
      client.send("POST", "/echo", { body: "x", headers: { "x-request-id": id } });
      const { headers } = await client.answer();
      assert.match(headers["x-request-id"] ?? "", /^[0-9a-f]{20}$/);
    }
  });

  it("answers HEAD like GET, without the body", async (t) => {
    const { connect } = await startDoor(t, {
      routes: [route("/page", () => ok("a page"), { method: "GET", body: "none" })],
    });
    const client = await connect();
    client.send("HEAD", "/page");
    const head = await client.answer("head");
    assert.equal(head.status, 200);
    assert.equal(head.headers["content-length"], "6");
    client.send("GET", "/page");
    assert.equal((await client.answer()).body.toString(), "a page");
  });

  it("writes routing failures in the words of the nearest API", async (t) => {
    const { connect } = await startDoor(t, {
      routes: [
        route("/v2/models/{model}/infer", () => ok("")),
        route("/v2/models/{model}", () => ok(""), { method: "GET" }),
      ],
    });
    const client = await connect();
    client.send("POST", "/v2/models/a", { body: "x" });
    const method = await client.answer();
    assert.equal(method.status, 405);
    assert.equal(method.headers.allow, "GET, HEAD");
    assert.equal((json(method.body) as { code: string }).code, "method_not_allowed");
    assert.ok("id" in (json(method.body) as object));
    client.send("GET", "/v2/nothing");
    const path = await client.answer();
    assert.equal(path.status, 404);
    assert.ok("id" in (json(path.body) as object));
    client.send("GET", "/elsewhere");
    const plain = await client.answer();
    assert.equal(plain.status, 404);
    assert.deepEqual(json(plain.body), { error: "Nothing is served at /elsewhere", code: "not_found" });
    client.send("GET", "/v2/models/%zz");
    assert.equal((await client.answer()).status, 400);
  });

  it("hands on failures that handlers give or throw, and says no more than `internal` of others", async (t) => {
    const { connect, logs } = await startDoor(t, {
      routes: [
        route("/given", () => failure("queue_full", "full", 2_400)),
        route("/busy", () => failure("overloaded")),
        route("/thrown", () => {
          throw new GatewayError("invalid_json", "no JSON");
        }),
        route("/broken", () => {
          throw new Error("secret detail");
        }),
        route("/later", () => Promise.reject(new Error("secret later"))),
        route("/headers", () => wireAnswer(200, "text/plain", [], [["x-bad", "a\nb"]])),
        echoRoute,
      ],
    });
    const client = await connect();
    const ask = async (path: string) => {
      client.send("POST", path, { body: "x" });
      return client.answer();
    };
    const given = await ask("/given");
    assert.equal(given.status, 503);
    assert.equal(given.headers["retry-after"], "3");
    assert.equal((await ask("/busy")).headers["retry-after"], "1");
    assert.equal((await ask("/thrown")).status, 400);
    assert.equal(logs.length, 0);
    for (const path of ["/broken", "/later", "/headers"]) {
      const answer = await ask(path);
      assert.equal(answer.status, 500, path);
      assert.ok(!answer.body.toString().includes("secret"));
      assert.equal(logs.length, 1, path);
      const logged = logs.pop();
      assert.equal(logged?.fields.requestId, answer.headers["x-request-id"]);
      assert.match(String(logged?.fields.error), /\n\s+at /);
    }
    assert.equal((await ask("/echo")).status, 200);
  });
});

describe("an answer", () => {
  it("of the pipeline arrives whole or in pieces", async (t) => {
    const upstream = new PlayedUpstream();
    const { connect, metric } = await startDoor(t, {
      routes: [route("/infer", pipelineRequest)],
      decide: (request) => Promise.resolve(decisionFor(request)),
      carry: upstream.carry,
    });
    const client = await connect();
    client.send("POST", "/infer", { body: "x" });
    (await upstream.sink()).whole(wireAnswer(200, "text/plain", [Buffer.from("ab"), Buffer.from("cd")]));
    assert.equal((await client.answer()).body.toString(), "abcd");
    upstream.sinks.length = 0;
    client.send("POST", "/infer", { body: "x" });
    const sink = await upstream.sink();
    sink.head(200, [["content-type", "text/event-stream"]]);
    assert.equal((await client.head()).headers["transfer-encoding"], "chunked");
    assert.equal(sink.data(Buffer.from("one")), true);
    assert.equal((await client.chunk()).toString(), "one");
    sink.data(Buffer.from("two"));
    assert.equal((await client.chunk()).toString(), "two");
    sink.end();
    assert.equal((await client.chunk()).length, 0);
    // What comes after the end is ignored.
    sink.whole(ok("late"));
    sink.fail(failure("internal"));
    assert.equal(sink.data(Buffer.from("late")), true);
    client.send("POST", "/echo");
    assert.equal((await client.answer()).status, 404);
    assert.equal(metric('spillway_http_requests_total{route="/infer",method="POST",status="200"}'), 2);
    assert.equal(metric('spillway_http_request_duration_seconds_count{route="/infer"}'), 2);
    assert.equal(metric("spillway_http_requests_in_flight"), 0);
  });

  it("cuts the connection when a running answer fails, for HTTP/1.0 by a reset", async (t) => {
    const upstream = new PlayedUpstream();
    const { connect } = await startDoor(t, {
      routes: [route("/infer", pipelineRequest)],
      decide: decisionFor,
      carry: upstream.carry,
    });
    const client = await connect();
    client.send("POST", "/infer", { body: "x" });
    const sink = await upstream.sink();
    sink.head(200, []);
    sink.data(Buffer.from("part"));
    await client.head();
    assert.equal((await client.chunk()).toString(), "part");
    sink.fail(failure("model_failed"));
    await client.ended;
    assert.equal(client.rest.length, 0);
    upstream.sinks.length = 0;
    const old = await connect();
    const reset = once(old.socket, "error");
    old.write("POST /infer HTTP/1.0\r\nhost: localhost\r\ncontent-length: 1\r\n\r\nx");
    const oldSink = await upstream.sink();
    oldSink.head(200, []);
    await old.head();
    oldSink.fail(failure("model_failed"));
    const [error] = (await reset) as [NodeJS.ErrnoException];
    assert.equal(error.code, "ECONNRESET");
  });

  it("answers pipelined requests in their order", async (t) => {
    const later = Promise.withResolvers<void>();
    const { connect } = await startDoor(t, {
      routes: [
        route("/slow", async (call) => {
          await later.promise;
          return ok(`slow ${call.body.toString()}`);
        }),
        echoRoute,
      ],
    });
    const client = await connect();
    client.write(
      "POST /slow HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\n1" +
        "POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\n2" +
        "GET /none HTTP/1.1\r\nhost: localhost\r\n\r\n",
    );
    setImmediate(() => later.resolve());
    assert.match((await client.answer()).body.toString(), /^slow/);
    assert.equal((await client.answer()).body.toString(), "2");
    assert.equal((await client.answer()).status, 404);
  });

  it("refuses more than 64 pipelined requests at once", async (t) => {
    const later = Promise.withResolvers<void>();
    const { connect } = await startDoor(t, {
      routes: [
        route("/slow", async () => {
          await later.promise;
          return ok("done");
        }),
      ],
    });
    const client = await connect();
    client.write("POST /slow HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(70));
    client.write("POST /slow HTTP/1.1\r\nhost: localhost\r\n\r\n");
    setImmediate(() => later.resolve());
    const statuses: number[] = [];
    for (let i = 0; i < 70; i++) statuses.push((await client.answer()).status);
    assert.deepEqual(statuses, [...Array<number>(64).fill(200), ...Array<number>(6).fill(503)]);
  });

  it("keeps the connection after refusals with a small body", async (t) => {
    const { connect } = await startDoor(t, {
      admit: (head) => (head.headers.forbid === "yes" ? failure("forbidden", "no") : caller),
    });
    const client = await connect();
    for (let round = 0; round < 3; round++) {
      client.send("POST", "/echo", { body: "x".repeat(100_000), headers: { forbid: "yes" } });
      const refused = await client.answer();
      assert.equal(refused.status, 403);
      assert.equal(refused.headers.connection, "keep-alive");
      client.send("POST", "/nowhere", { body: "y".repeat(50_000) });
      assert.equal((await client.answer()).status, 404);
      client.send("POST", "/echo", { body: "z" });
      assert.equal((await client.answer()).body.toString(), "z");
    }
  });

  it("waits for an admission that needs time", async (t) => {
    const { connect } = await startDoor(t, {
      admit: async (head) => {
        await new Promise((resolve) => setImmediate(resolve));
        if (head.headers.broken === "yes") throw new Error("store is gone");
        return head.headers.forbid === "yes" ? failure("unauthorized", "no") : caller;
      },
    });
    const client = await connect();
    client.send("POST", "/echo", { body: "x".repeat(300_000) });
    assert.equal((await client.answer()).body.length, 300_000);
    client.send("POST", "/echo", { body: "x", headers: { forbid: "yes" } });
    assert.equal((await client.answer()).status, 401);
    client.send("POST", "/echo", { body: "x", headers: { broken: "yes" } });
    assert.equal((await client.answer()).status, 500);
  });
});

describe("a connection", () => {
  it("that speaks no HTTP is answered once, plainly, and ended", async (t) => {
    const { connect, metric } = await startDoor(t);
    const cases: [string, number, RegExp][] = [
      ["hello there\r\n\r\n", 400, /not HTTP/],
      ["GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400, /HTTP/],
      ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, /gRPC/],
      [`GET / HTTP/1.1\r\nhost: a\r\nx: ${"y".repeat(40_000)}\r\n\r\n`, 431, /larger/],
    ];
    for (const [bytes, status, text] of cases) {
      const client = await connect();
      client.write(bytes);
      const answer = await client.answer();
      assert.equal(answer.status, status);
      assert.match(answer.body.toString(), text);
      assert.equal(answer.headers.connection, "close");
      await client.ended;
    }
    const missing = await connect();
    missing.write("GET / HTTP/1.1\r\n\r\n");
    assert.match((await missing.answer()).body.toString(), /Host/);
    assert.equal(metric('spillway_http_requests_total{route="none",method="any",status="431"}'), 1);
  });

  it("lets the request before garbage finish, and ends the connection then", async (t) => {
    const later = Promise.withResolvers<void>();
    const { connect } = await startDoor(t, {
      routes: [
        route("/slow", async () => {
          await later.promise;
          return ok("done");
        }),
      ],
    });
    const client = await connect();
    client.send("POST", "/slow", { body: "x" });
    client.write("garbage\r\n\r\n");
    setImmediate(() => later.resolve());
    const answer = await client.answer();
    assert.equal(answer.body.toString(), "done");
    assert.equal(answer.headers.connection, "close");
    await client.ended;
    assert.equal(client.rest.length, 0);
  });

  it("compresses large answers for those who ask", async (t) => {
    const { connect } = await startDoor(t, {
      routes: [
        route("/text", (call) =>
          wireAnswer(200, "application/json", [Buffer.alloc(Number(call.query), "1")]),
        ),
        route("/binary", () => wireAnswer(200, "application/octet-stream", [Buffer.alloc(100_000, "1")])),
      ],
    });
    const client = await connect();
    const ask = async (path: string, accept: string) => {
      client.send("POST", path, { headers: { "accept-encoding": accept } });
      const { headers, body } = await client.answer();
      return { encoding: headers["content-encoding"], vary: headers.vary, length: body.length, body };
    };
    const packed = await ask("/text?20000", "gzip, deflate, br");
    assert.equal(packed.encoding, "gzip");
    assert.equal(packed.vary, "accept-encoding");
    assert.ok(packed.length < 1_000);
    assert.equal((await ask("/text?20000", "deflate")).encoding, "deflate");
    assert.equal((await ask("/text?20000", "gzip;q=0, br")).encoding, undefined);
    assert.equal((await ask("/text?8000", "gzip")).encoding, undefined);
    assert.equal((await ask("/binary", "gzip, deflate")).encoding, undefined);
    const binary = await ask("/binary", "gzip");
    assert.equal(binary.encoding, "gzip");
    assert.ok(gunzipSync(binary.body).equals(Buffer.alloc(100_000, "1")));
  });

  it("sends a large answer in pieces without changing it", async (t) => {
    const pieces = [Buffer.alloc(100_000, 1), Buffer.alloc(3, 2), Buffer.alloc(500_000, 3), Buffer.alloc(0)];
    const { connect } = await startDoor(t, {
      routes: [route("/large", () => wireAnswer(200, "application/octet-stream", pieces))],
    });
    const client = await connect();
    for (let round = 0; round < 3; round++) {
      client.send("POST", "/large");
      const { body } = await client.answer();
      assert.ok(body.equals(Buffer.concat(pieces)));
    }
  });

  it("says which port is taken and what to do", async (t) => {
    const { port } = await startDoor(t);
    await assert.rejects(startDoor(t, { options: { port } }), (error) => {
      assert.ok(error instanceof GatewayError);
      assert.match(error.message, new RegExp(`HTTP port ${port} on 127\\.0\\.0\\.1 is taken`));
      assert.match(error.message, /choose another port/);
      return true;
    });
    await assert.rejects(startDoor(t, { options: { host: "192.0.2.1" } }), /no such address/);
  });

  it("refuses connections above its bound and counts them", async (t) => {
    const fixture = await startDoor(t, { options: { maxConnections: 2 } });
    const [first] = [await fixture.connect(), await fixture.connect()];
    const third = await fixture.connect();
    await third.ended;
    assert.equal(fixture.metric("spillway_http_connections_refused_total"), 1);
    first.send("POST", "/echo", { body: "x" });
    assert.equal((await first.answer()).status, 200);
  });

  it("shows its state", async (t) => {
    const { door, connect, port } = await startDoor(t);
    await connect();
    const client = await connect();
    client.send("POST", "/echo", { body: "x" });
    await client.answer();
    assert.deepEqual(door.inspect(), {
      host: "127.0.0.1",
      port,
      connections: 2,
      requestsInFlight: 0,
      bodyBytesHeld: 0,
      draining: false,
    });
  });
});

const caller = { id: "local", scopes: ["infer"] } as const;
