import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTcpServer, type AddressInfo, type Socket } from "node:net";
import { describe, test, type TestContext } from "node:test";
import { until } from "../../../../test/harness/until.ts";
import { httpCall } from "../../test/support/dialect-calls.ts";
import { CollectingSink } from "../../test/support/forward-fixture.ts";
import { startDoor, type DoorFixture } from "../../test/support/http-door.ts";
import type { MonitoringOptions } from "../contracts/options.ts";
import { systemClock } from "../core/clock.ts";
import { failure } from "../core/errors.ts";
import type { RouteScope } from "../core/request.ts";
import { createManualClock, type ManualClock } from "../testing.ts";
import { createMonitoringRoutes } from "./monitoring-routes.ts";
import { ServerProxy } from "./server-proxy.ts";

const limit = { timeout: 20_000 };

/** A server behind the gateway, and what it was asked. */
interface Behind {
  readonly origin: string;
  readonly asked: { readonly request: IncomingMessage; readonly response: ServerResponse; body: string }[];
}

/** Answers by hand where `answer` does not. */
async function startBehind(
  t: TestContext,
  answer: (request: IncomingMessage, response: ServerResponse) => void = (_, response) => response.end("ok"),
): Promise<Behind> {
  const asked: Behind["asked"] = [];
  const server = createServer((request, response) => {
    const entry = { request, response, body: "" };
    request.on("data", (piece) => (entry.body += piece));
    asked.push(entry);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

/** A door with the routes, whose callers have these scopes. */
function startProxy(
  t: TestContext,
  monitoring: Partial<MonitoringOptions>,
  scopes: readonly RouteScope[] = ["infer", "status", "admin"],
  clock: ManualClock | typeof systemClock = systemClock,
): Promise<DoorFixture> {
  return startDoor(t, {
    routes: createMonitoringRoutes({ grafana: undefined, prometheus: undefined, ...monitoring }, { clock }),
    admit: ({ scope }) =>
      scopes.includes(scope)
        ? { id: "caller", scopes: scopes.filter((each) => each !== "open" && each !== "any") }
        : failure("forbidden"),
  });
}

/** A server of bytes. */
async function startRaw(t: TestContext, connected: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    connected(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("what is proxied", limit, () => {
  test("path and query as they are, status, headers and body of the answer", async (t) => {
    const behind = await startBehind(t, (_, response) => {
      response.writeHead(
        302,
        [
          ["location", "/grafana/login"],
          ["set-cookie", "a=1"],
          ["set-cookie", "b=2"],
          ["access-control-allow-origin", "*"],
          ["x-internal", "1"],
          ["connection", "x-internal"],
        ].flat(),
      );
      response.end("elsewhere");
    });
    const { port } = await startProxy(t, { grafana: behind.origin });
    const answer = await fetch(`http://127.0.0.1:${port}/grafana/d/a%20b//c?x=%2F&y`, { redirect: "manual" });
    assert.equal(behind.asked[0]?.request.url, "/grafana/d/a%20b//c?x=%2F&y");
    assert.equal(answer.status, 302);
    assert.equal(answer.headers.get("location"), "/grafana/login");
    assert.deepEqual(answer.headers.getSetCookie(), ["a=1", "b=2"]);
    assert.equal(answer.headers.get("access-control-allow-origin"), null);
    assert.equal(answer.headers.get("x-internal"), null);
    assert.equal(await answer.text(), "elsewhere");
  });

  test("no credential of the gateway's, nothing of one connection, nobody's word for who is calling", async (t) => {
    const behind = await startBehind(t);
    const { connect, port } = await startProxy(t, { grafana: behind.origin, prometheus: behind.origin });
    const client = await connect();
    const headers = {
      authorization: "Bearer spw_a",
      "x-api-key": "spw_a",
      "api-key": "spw_a",
      "x-api-token": "spw_a",
      "x-webauth-user": "admin",
      "x-forwarded-for": "10.0.0.1",
      "x-spillway-endpoint": "chat/a",
      connection: "keep-alive, x-mine, host, upgrade",
      "x-mine": "1",
      te: "trailers",
      upgrade: "websocket",
      cookie: "grafana_session=1",
      "x-request-id": "the-id",
      "accept-language": "de",
    };
    client.send("GET", "/grafana/a", { headers, host: `127.0.0.1:${port}` });
    assert.equal((await client.answer()).status, 200);
    client.send("GET", "/prometheus/a", { headers });
    await client.answer();
    const [grafana, prometheus] = behind.asked.map(({ request }) => request.headers);
    assert.deepEqual(
      { ...grafana },
      {
        host: `127.0.0.1:${port}`,
        "x-request-id": "the-id",
        "accept-language": "de",
        cookie: "grafana_session=1",
        connection: "close",
      },
    );
    assert.equal(prometheus?.cookie, undefined);
  });

  test("bodies of any framing, and never as a further request", async (t) => {
    const behind = await startBehind(t, (request, response) => {
      request.on("end", () => response.end("taken"));
    });
    const { connect } = await startProxy(t, { grafana: behind.origin });
    const client = await connect();
    const smuggled = "DELETE /grafana/api/all HTTP/1.1\r\nhost: x\r\n\r\n";
    const chunked = `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`;
    for (const [method, ...more] of [
      ["GET", "transfer-encoding: chunked"],
      ["DELETE", "transfer-encoding: chunked"],
      ["POST", "transfer-encoding: chunked"],
      ["GET", `content-length: ${smuggled.length}`],
      ["GET", `content-length: ${smuggled.length}`, "connection: content-length"],
    ] as const) {
      client.write([`${method} /grafana/a HTTP/1.1`, "host: localhost", ...more, "", ""].join("\r\n"));
      client.write(more[0].startsWith("content-length") ? smuggled : chunked);
      assert.equal(String((await client.answer()).body), "taken");
      const last = behind.asked.at(-1);
      assert.deepEqual(
        [last?.request.method, last?.request.url, last?.body],
        [method, "/grafana/a", smuggled],
      );
    }
    assert.equal(behind.asked.length, 5);
  });

  test("as it comes, in both directions", async (t) => {
    const behind = await startBehind(t, (_, response) => response.flushHeaders());
    const { connect } = await startProxy(t, { grafana: behind.origin });
    const client = await connect();
    client.write(
      "POST /grafana/a HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n",
    );
    const entry = await until("the first piece", () => behind.asked[0]?.body === "a" && behind.asked[0]);
    assert.equal((await client.head()).status, 200);
    entry.response.write("one");
    assert.equal(String(await client.chunk()), "one");
    client.write("1\r\nb\r\n0\r\n\r\n");
    await until("the second piece", () => entry.body === "ab");
    entry.response.end("two");
    assert.equal(String(await client.chunk()), "two");
    assert.equal((await client.chunk()).length, 0);
  });

  test("a long answer to a caller who reads slowly, whole and in bounded memory", async (t) => {
    const size = 32 * 2 ** 20;
    let sent = 0;
    const piece = Buffer.alloc(65_536, "x");
    const behind = await startBehind(t, (_, response) => {
      const more = (): void => {
        while (sent < size) {
          sent += piece.length;
          if (!response.write(piece)) return void response.once("drain", more);
        }
        response.end();
      };
      more();
    });
    const { connect } = await startProxy(t, { grafana: behind.origin });
    const client = await connect();
    client.socket.pause();
    client.send("GET", "/grafana/a");
    let before = -1;
    await until("the server has to wait", async () => {
      const stands = sent > 0 && sent === before;
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return stands;
    });
    assert.ok(sent < size / 2, `${sent} bytes were taken from the server`);
    client.socket.resume();
    assert.equal((await client.answer()).body.length, size);
  });

  test("the end of an answer too, when its connection is closed before it is taken", async (t) => {
    const size = 100_000;
    const behind = await startBehind(t, (_, response) => response.end(Buffer.alloc(size)));
    const proxy = new ServerProxy({ name: "A", origin: behind.origin, cookies: false, clock: systemClock });
    const streamed = proxy.carry({ ...httpCall(""), method: "GET", path: "/a" });
    assert.ok("carry" in streamed);
    const sink = new CollectingSink();
    sink.takesMore = false;
    const exchange = streamed.carry(sink);
    const [first] = await until("the question", () => behind.asked.length > 0 && behind.asked);
    await until("its connection is closed", () => first?.request.socket.destroyed);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.ok(sink.text.length < size);
    sink.takesMore = true;
    exchange.resume();
    await until("the end", () => sink.ending);
    assert.deepEqual([sink.ending, sink.text.length], ["end", size]);
  });

  test("HEAD, and answers without a body", async (t) => {
    const behind = await startBehind(t, (request, response) => {
      response.writeHead(request.method === "HEAD" ? 200 : 304, { "content-length": "5", etag: '"1"' });
      response.end();
    });
    const { connect } = await startProxy(t, { grafana: behind.origin });
    const client = await connect();
    client.send("HEAD", "/grafana/a");
    const head = await client.answer("head");
    assert.deepEqual([head.status, head.headers["content-length"]], [200, "5"]);
    client.send("GET", "/grafana/a");
    assert.equal((await client.answer()).status, 304);
  });
});

describe("who may ask for what", limit, () => {
  const read: readonly RouteScope[] = ["infer", "status"];
  for (const [what, method, path, status] of [
    ["a page", "GET", "/grafana/d/1", 200],
    ["a panel's query", "POST", "/grafana/api/ds/query", 200],
    ["a query", "POST", "/prometheus/api/v1/query_range", 200],
    ["a query by GET", "GET", "/prometheus/api/v1/query?query=up", 200],
    ["a login", "POST", "/grafana/login", 403],
    ["a changed dashboard", "POST", "/grafana/api/dashboards/db", 403],
    ["a deletion", "DELETE", "/grafana/api/dashboards/uid/1", 403],
    ["a reload", "POST", "/prometheus/-/reload", 403],
    ["deleted series", "POST", "/prometheus/api/v1/admin/tsdb/delete_series", 403],
    ["Prometheus's admin API by GET", "GET", "/prometheus/api/v1/admin/tsdb/snapshot", 403],
    ["the same in disguise", "GET", "/prometheus//api/./v1/%61dmin/tsdb/snapshot", 403],
    ["profiles", "GET", "/prometheus/debug/pprof/heap", 403],
    ["a way out", "GET", "/prometheus/graph/../api/v1/admin/tsdb/snapshot", 400],
    ["a way out in disguise", "GET", "/prometheus/graph/%2e%2e%2fapi/v1/admin", 400],
  ] as const) {
    test(`${what}: ${status} for who may only look`, async (t) => {
      const behind = await startBehind(t);
      const { connect } = await startProxy(t, { grafana: behind.origin, prometheus: behind.origin }, read);
      const client = await connect();
      client.send(method, path, method === "POST" ? { body: "{}" } : {});
      assert.equal((await client.answer()).status, status);
      assert.equal(behind.asked.length, status === 200 ? 1 : 0);
    });
  }

  test("an administrator may do all of it, a caller who may only infer none", async (t) => {
    const behind = await startBehind(t);
    const servers = { grafana: behind.origin, prometheus: behind.origin };
    const [admin, other] = [await startProxy(t, servers), await startProxy(t, servers, ["infer"])];
    const ask = async (door: DoorFixture, method: string, path: string): Promise<number> =>
      (await fetch(`http://127.0.0.1:${door.port}${path}`, { method })).status;
    for (const [method, path] of [
      ["POST", "/grafana/login"],
      ["PATCH", "/grafana/api/org"],
      ["GET", "/prometheus/debug/pprof/heap"],
      ["GET", "/grafana"],
    ] as const) {
      assert.equal(await ask(admin, method, path), 200, path);
      assert.equal(await ask(other, method, path), 403, path);
    }
  });
});

describe("a server that is", limit, () => {
  test("not configured: said so, with how it would be", async (t) => {
    const { port } = await startProxy(t, {});
    const answer = await fetch(`http://127.0.0.1:${port}/grafana/`);
    assert.equal(answer.status, 404);
    assert.match(await answer.text(), /monitoring: \{ grafana: http/);
  });

  test("away: 503 with its name and address", async (t) => {
    const { port } = await startProxy(t, { prometheus: "http://127.0.0.1:1" });
    const answer = await fetch(`http://127.0.0.1:${port}/prometheus/graph`);
    assert.equal(answer.status, 503);
    assert.ok(answer.headers.get("retry-after"));
    assert.match(await answer.text(), /Prometheus at http:\/\/127\.0\.0\.1:1 cannot be reached/);
  });

  test("no HTTP server, or gone before its answer: 502", async (t) => {
    for (const said of ["nonsense\r\n\r\n", ""]) {
      const origin = await startRaw(t, (socket) => void socket.once("data", () => socket.end(said)));
      const { port } = await startProxy(t, { grafana: origin });
      const answer = await fetch(`http://127.0.0.1:${port}/grafana/`);
      assert.ok([502, 503].includes(answer.status), `${answer.status}`);
      assert.match(await answer.text(), /Grafana at /);
    }
  });

  test("gone within its answer: never a whole answer", async (t) => {
    const behind = await startBehind(t, (_, response) => {
      response.write("half");
      setTimeout(() => response.destroy(), 20);
    });
    const { port } = await startProxy(t, { grafana: behind.origin });
    const answer = await fetch(`http://127.0.0.1:${port}/grafana/`);
    await assert.rejects(answer.text());
  });

  test("silent: 504 after the time that Prometheus gives a query", async (t) => {
    const clock = createManualClock();
    const behind = await startBehind(t, () => {});
    const { connect } = await startProxy(t, { prometheus: behind.origin }, undefined, clock);
    const client = await connect();
    client.send("GET", "/prometheus/graph");
    await until("the question", () => behind.asked.length === 1);
    clock.advance(149_000);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(client.rest.length, 0);
    clock.advance(2_000);
    const answer = await client.answer();
    assert.equal(answer.status, 504);
    assert.match(String(answer.body), /Prometheus at .* took too long/);
  });
});

test("a caller who leaves takes the call along; at most 256 run at once", limit, async (t) => {
  const behind = await startBehind(t, () => {});
  const { connect, port } = await startProxy(t, { grafana: behind.origin });
  const clients = await Promise.all(Array.from({ length: 90 }, connect));
  for (const client of clients) for (let i = 0; i < 3; i++) client.send("GET", "/grafana/a");
  const refused = await fetch(`http://127.0.0.1:${port}/grafana/a`).catch(() => undefined);
  assert.equal(refused?.status, 503);
  await until("256 have arrived", () => behind.asked.length === 256);
  const closed = behind.asked.map(({ response }) => new Promise((resolve) => response.on("close", resolve)));
  const start = performance.now();
  for (const client of clients) client.reset();
  await Promise.all(closed);
  assert.ok(performance.now() - start < 1_000, `${performance.now() - start} ms`);
  const again = fetch(`http://127.0.0.1:${port}/grafana/a`);
  const entry = await until("room again", () => behind.asked[256]);
  entry.response.end("ok");
  assert.equal(await (await again).text(), "ok");
});
