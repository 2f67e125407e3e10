// Connections to servers: what goes up, how they are reached, and what their failures are called.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, test, type TestContext } from "node:test";
import { createAuthority } from "../../../../../test/harness/certificates.ts";
import { until } from "../../../../../test/harness/until.ts";
import { accessTo } from "../../../test/support/forward-fixture.ts";
import { startScriptedServer, type Script } from "../../../test/support/scripted-server.ts";
import type {
  ServerAccess,
  ServerConnection,
  ServerError,
  ServerRequest,
} from "../../contracts/connection.ts";
import type { BodyStream, BodyStreamSink } from "../../contracts/body-stream.ts";
import { systemClock } from "../../core/clock.ts";
import { createManualClock } from "../../testing.ts";
import type { HeaderMap } from "../../core/headers.ts";
import { createConnectionFactory } from "./server-connections.ts";

const connect = createConnectionFactory({ clock: systemClock });

function open(t: TestContext, origin: string, more: Partial<ServerAccess> = {}): ServerConnection {
  const connection = connect(accessTo(origin, more));
  t.after(() => connection.close());
  return connection;
}

const request: ServerRequest = {
  method: "POST",
  path: "/v1/chat/completions",
  headers: [["content-type", "application/json"]],
  body: Buffer.from("{}"),
};

/** Sends a request and keeps what comes of it. */
function send(connection: ServerConnection, what: Partial<ServerRequest> = {}) {
  const seen = {
    status: 0,
    headers: {} as HeaderMap,
    body: "",
    ended: false,
    error: undefined as ServerError | undefined,
  };
  const call = connection.send(
    { ...request, ...what },
    {
      head(status, headers) {
        seen.status = status;
        seen.headers = headers;
      },
      data: (chunk) => void (seen.body += Buffer.from(chunk).toString()),
      end: () => void (seen.ended = true),
      failed: (error) => void (seen.error = error),
    },
  );
  const done = () => until("the call ends", () => seen.ended || seen.error !== undefined);
  return { call, seen, done };
}

const good: Script = ({ response }) => response.end("ok");

async function listen(t: TestContext, server: Server, where: string | number): Promise<number> {
  server.listen(typeof where === "number" ? { port: where, host: "127.0.0.1" } : { path: where });
  await once(server, "listening");
  t.after(() => server.close());
  const address = server.address() as AddressInfo | string;
  return typeof address === "string" ? 0 : address.port;
}

describe("what a server gets", () => {
  test("is the dialect's headers, the pool's and its own framing, and nothing else", async (t) => {
    const server = await startScriptedServer(t, good);
    const connection = open(t, server.origin, {
      basePath: "/base",
      headers: [["authorization", "Bearer of-the-pool"]],
    });
    await send(connection).done();
    const [seen] = server.requests;
    assert.equal(seen?.path, "/base/v1/chat/completions");
    assert.deepEqual(seen?.headers, {
      host: `127.0.0.1:${server.port}`,
      connection: "keep-alive",
      authorization: "Bearer of-the-pool",
      "content-type": "application/json",
      "content-length": "2",
    });
    assert.equal(seen?.body.toString(), "{}");
  });

  test("comes whole, also from a view into a larger buffer", async (t) => {
    const server = await startScriptedServer(t, good);
    const large = new Uint8Array(Buffer.from("before{}after"));
    await send(open(t, server.origin), { body: large.subarray(6, 8) }).done();
    assert.equal(server.requests[0]?.body.toString(), "{}");
  });

  test("without a body has none", async (t) => {
    const server = await startScriptedServer(t, good);
    await send(open(t, server.origin), { method: "GET", body: undefined, headers: [] }).done();
    assert.equal(server.requests[0]?.headers["content-length"], undefined);
  });

  test("a header that would smuggle another is not sent", async (t) => {
    const server = await startScriptedServer(t, good);
    const { seen, done } = send(open(t, server.origin), { headers: [["x", "1\r\nhost: evil"]] });
    await done();
    assert.equal(seen.error?.sent, false);
    assert.equal(server.requests.length, 0);
  });
});

describe("a server is reached", () => {
  test("by an address of its name", async (t) => {
    const server = await startScriptedServer(t, good);
    const connection = open(t, `http://model.invalid:${server.port}`, { address: "127.0.0.1" });
    const { seen, done } = send(connection);
    await done();
    assert.equal(seen.body, "ok");
    assert.equal(server.requests[0]?.headers.host, `model.invalid:${server.port}`);
  });

  test("by a Unix socket", async (t) => {
    const folder = await mkdtemp(path.join(tmpdir(), "upstream-"));
    t.after(() => rm(folder, { recursive: true }));
    const socketPath = path.join(folder, "s");
    await listen(
      t,
      createHttpServer((_request, response) => response.end("unix")),
      socketPath,
    );
    const { seen, done } = send(open(t, "http://engine", { socketPath }));
    await done();
    assert.equal(seen.body, "unix");
  });

  test("by TLS with the pool's authority and name", async (t) => {
    const authority = createAuthority(t);
    if (authority === undefined) return;
    const ca = readFileSync(authority.file, "utf8");
    const { cert, key } = authority.issue("localhost");
    const server = createTlsServer({ cert, key }, (_request, response) => response.end("tls"));
    const port = await listen(t, server, 0);
    const right = send(open(t, `https://127.0.0.1:${port}`, { ca, serverName: "localhost" }));
    await right.done();
    assert.equal(right.seen.error, undefined);
    assert.equal(right.seen.body, "tls");
    const unknown = send(open(t, `https://127.0.0.1:${port}`, { serverName: "localhost" }));
    await unknown.done();
    assert.equal(unknown.seen.error?.kind, "connect");
    const misnamed = send(open(t, `https://127.0.0.1:${port}`, { ca, serverName: "other.example" }));
    await misnamed.done();
    assert.equal(misnamed.seen.error?.kind, "connect");
    assert.equal(misnamed.seen.error?.sent, false);
    server.closeAllConnections();
  });
});

describe("a failure", () => {
  test("to connect is one of which nothing was sent", async (t) => {
    const server = await startScriptedServer(t, good);
    await server.close();
    const { seen, done, call } = send(open(t, server.origin));
    await done();
    assert.deepEqual([seen.error?.kind, seen.error?.sent, call.sent], ["connect", false, false]);
  });

  test("of a name that nobody has is one to connect", async (t) => {
    const { seen, done } = send(open(t, "http://nobody.invalid:1"));
    await done();
    assert.equal(seen.error?.kind, "connect");
  });

  test("to connect in time closes the socket", async (t) => {
    let closed = 0;
    const silent = createServer((socket) => void socket.resume().on("close", () => closed++));
    const port = await listen(t, silent, 0);
    const { seen, done } = send(open(t, `https://127.0.0.1:${port}`, { connectTimeoutMs: 50 }));
    await done();
    assert.deepEqual([seen.error?.kind, seen.error?.sent], ["connect", false]);
    assert.match(seen.error?.message ?? "", /50 ms/);
    await until("the socket is closed", () => closed === 1);
  });

  test("of an answer that is cut short by its announced length", async (t) => {
    const server = await startScriptedServer(t, ({ response, socket }) => {
      response.writeHead(200, { "content-length": "10" });
      response.write("123", () => socket.end());
    });
    const { seen, done } = send(open(t, server.origin));
    await done();
    assert.deepEqual([seen.status, seen.body, seen.error?.kind], [200, "123", "closed"]);
  });

  test("of an answer in chunks that ends without its last", async (t) => {
    const server = await startScriptedServer(t, ({ response, socket }) => {
      response.writeHead(200, { connection: "close" });
      response.write("123", () => socket.end());
    });
    const { seen, done } = send(open(t, server.origin));
    await done();
    assert.deepEqual([seen.status, seen.error?.kind], [200, "closed"]);
  });

  test("of an answer whose headers are too long", async (t) => {
    const server = await startScriptedServer(t, ({ response }) =>
      response.writeHead(200, { "x-long": "x".repeat(100_000) }).end(),
    );
    const { seen, done } = send(open(t, server.origin));
    await done();
    assert.equal(seen.error?.kind, "malformed");
  });
});

/** A body that comes when it is asked for, in pieces. */
function upload(pieces: readonly Uint8Array[], length: number | undefined): BodyStream & { pauses: number } {
  const waiting = [...pieces];
  let sink: BodyStreamSink | undefined;
  let isPaused = false;
  let isOver = false;
  const pump = (): void => {
    while (!isPaused && waiting.length > 0) sink?.data(waiting.shift() ?? new Uint8Array(0));
    if (waiting.length > 0 || isPaused || isOver) return;
    isOver = true;
    sink?.end();
  };
  return {
    length,
    pauses: 0,
    read(given) {
      sink = given;
      setImmediate(pump);
    },
    pause() {
      isPaused = true;
      this.pauses++;
    },
    resume() {
      isPaused = false;
      pump();
    },
  };
}

describe("an upload", () => {
  const pieces = Array.from({ length: 200 }, (_, index) => Buffer.alloc(50_000, index));
  const whole = Buffer.concat(pieces);
  for (const length of [whole.length, undefined]) {
    test(`of ${length ?? "unsaid"} bytes arrives as it was, and waits for the server`, async (t) => {
      const server = await startScriptedServer(t, good);
      const connection = open(t, server.origin);
      const body = upload(pieces, length);
      const { seen, done } = send(connection, { body: undefined, upload: body });
      await done();
      assert.equal(seen.body, "ok");
      assert.ok(server.requests[0]?.body.equals(whole));
      assert.ok(body.pauses > 0);
      await send(connection).done();
      assert.equal(server.connections, 1);
    });
  }

  test("of a body that is there and large arrives as it was, a part a turn, with what follows it", async (t) => {
    const server = await startScriptedServer(t, good);
    const connection = open(t, server.origin);
    for (const rest of [undefined, [Buffer.from("x"), whole.subarray(0, 3_000_000)], []]) {
      let turns = 0;
      const count = setInterval(() => turns++, 0);
      const { seen, done } = send(connection, { body: whole, ...(rest === undefined ? {} : { rest }) });
      await done();
      clearInterval(count);
      assert.equal(seen.body, "ok");
      assert.ok(turns > 1);
      assert.ok(server.requests.at(-1)?.body.equals(Buffer.concat([whole, ...(rest ?? [])])));
    }
    const small = send(connection, { body: Buffer.from("a"), rest: [Buffer.from("b")] });
    await small.done();
    assert.equal(server.requests.at(-1)?.body.toString(), "ab");
    assert.equal(server.connections, 1);
  });

  test("that is shorter than it said is no request", async (t) => {
    const server = await startScriptedServer(t, good);
    const body = upload([Buffer.alloc(10)], 20);
    const { seen, done } = send(open(t, server.origin), { body: undefined, upload: body });
    await done();
    assert.equal(seen.error?.kind, "closed");
    assert.equal(server.requests.length, 0);
  });

  test("that is answered before its end ends its connection", async (t) => {
    const answer = "HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno";
    const server = createServer(
      (socket) => void socket.on("error", () => undefined).once("data", () => socket.write(answer)),
    );
    let openNow = 0;
    server.on("connection", (socket) => {
      openNow++;
      socket.on("close", () => openNow--);
    });
    const port = await listen(t, server, 0);
    const never: BodyStream = {
      length: 1_000,
      read: (sink) => sink.data(Buffer.alloc(1)),
      pause() {},
      resume() {},
    };
    const { seen, done } = send(open(t, `http://127.0.0.1:${port}`), { body: undefined, upload: never });
    await done();
    assert.deepEqual([seen.status, seen.body, seen.error], [413, "no", undefined]);
    await until("it is closed", () => openNow === 0);
  });
});

describe("connections", () => {
  test("are used again, one request at a time", async (t) => {
    const server = await startScriptedServer(t, good);
    const connection = open(t, server.origin);
    for (let turn = 0; turn < 10; turn++) await send(connection).done();
    assert.equal(server.connections, 1);
    const both = [send(connection), send(connection)];
    await Promise.all(both.map(({ done }) => done()));
    assert.equal(server.connections, 2);
  });

  test("that the server has closed are made anew before anything is sent", async (t) => {
    const server = await startScriptedServer(t, good);
    const connection = open(t, server.origin);
    await send(connection).done();
    for (const socket of server.sockets) socket.destroy();
    await until("the server has closed", () => server.sockets.size === 0);
    const { seen, done } = send(connection);
    await done();
    assert.equal(seen.error, undefined);
    assert.equal(server.connections, 2);
  });

  test("whose call is called off are closed, and the next call is not its business", async (t) => {
    const server = await startScriptedServer(t, ({ index, response }) => {
      if (index > 0) response.end("ok");
    });
    const connection = open(t, server.origin);
    const first = send(connection);
    await until("it arrives", () => server.requests.length === 1);
    first.call.cancel();
    first.call.cancel();
    const second = send(connection);
    await second.done();
    assert.equal(second.seen.body, "ok");
    assert.equal(first.seen.ended, false);
    assert.equal(first.seen.error, undefined);
    assert.equal(server.closedAt.length, 1);
  });

  test("that idle for as long as they may are closed", async (t) => {
    const server = await startScriptedServer(t, good);
    const clock = createManualClock();
    const connection = createConnectionFactory({ clock })(accessTo(server.origin));
    await send(connection).done();
    // The server says that it keeps them for a minute.
    clock.advance(58_000);
    assert.equal(server.sockets.size, 1);
    clock.advance(3_000);
    await until("it is closed", () => server.sockets.size === 0);
    connection.close();
  });

  test("take turns where few are enough for a while, so that all are there for the next rush", async (t) => {
    const held: (() => void)[] = [];
    const server = await startScriptedServer(t, ({ response }) => void held.push(() => response.end("ok")));
    const clock = createManualClock();
    const connection = createConnectionFactory({ clock })(accessTo(server.origin));
    t.after(() => connection.close());
    const rush = async (size: number): Promise<void> => {
      const sent = Array.from({ length: size }, () => send(connection));
      await until("all are there", () => held.length === size);
      for (const answer of held.splice(0)) answer();
      for (const { done } of sent) await done();
    };
    await rush(4);
    // The server says that it keeps them for a minute.
    for (let second = 0; second < 300; second += 5) {
      clock.advance(5_000);
      await rush(1);
    }
    await rush(4);
    assert.equal(server.connections, 4);
    // One that is not needed for so long ends.
    clock.advance(61_000);
    await until("they are closed", () => server.sockets.size === 0);
  });

  test("that the server keeps for a second are not used again", async (t) => {
    const server = await startScriptedServer(t, ({ response }) =>
      response.writeHead(200, { connection: "keep-alive", "keep-alive": "timeout=1" }).end("ok"),
    );
    const connection = open(t, server.origin);
    for (let turn = 0; turn < 3; turn++) await send(connection).done();
    assert.equal(server.connections, 3);
  });

  test("on which more came than the answer are not used again", async (t) => {
    const answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    const server = createServer(
      (socket) => void socket.on("data", () => socket.write(`${answer}HTTP/1.1 200`)),
    );
    let connections = 0;
    server.on("connection", () => connections++);
    const port = await listen(t, server, 0);
    const connection = open(t, `http://127.0.0.1:${port}`);
    for (let turn = 0; turn < 3; turn++) {
      const { seen, done } = send(connection);
      await done();
      assert.equal(seen.body, "ok");
    }
    assert.equal(connections, 3);
  });

  test("that say something while they are idle are closed", async (t) => {
    const server = await startScriptedServer(t, good);
    const connection = open(t, server.origin);
    await send(connection).done();
    for (const socket of server.sockets) socket.write("HTTP/1.1 408 Request Timeout\r\n\r\n");
    await until("it is closed", () => server.sockets.size === 0);
    const { seen, done } = send(connection);
    await done();
    assert.equal(seen.body, "ok");
  });

  test("outlive a thrown error of whom they serve", async (t) => {
    const server = await startScriptedServer(t, good);
    const connection = open(t, server.origin);
    let told: ServerError | undefined;
    connection.send(request, {
      head: () => {
        throw new Error("a fault of ours");
      },
      data: () => assert.fail("nothing more"),
      end: () => assert.fail("nothing more"),
      failed: (error) => void (told = error),
    });
    await until("it is told", () => told !== undefined);
    assert.match(told?.message ?? "", /a fault of ours/);
    const { seen, done } = send(connection);
    await done();
    assert.equal(seen.body, "ok");
  });

  test("stop reading while paused, and lose nothing", async (t) => {
    const total = 20_000_000;
    let taken = 0;
    const server = await startScriptedServer(t, ({ response }) => {
      const more = (): void => {
        while (taken < total) {
          taken += 100_000;
          if (!response.write(Buffer.alloc(100_000, "x"))) return void response.once("drain", more);
        }
        response.end();
      };
      more();
    });
    const connection = open(t, server.origin);
    let got = 0;
    let ended = false;
    const call = connection.send(request, {
      head: () => undefined,
      data(chunk) {
        got += chunk.length;
        call.pause();
      },
      end: () => void (ended = true),
      failed: (error) => assert.fail(error.message),
    });
    await until("the first piece", () => got > 0);
    await until("the server is held up", async () => {
      const before = taken;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return taken === before;
    });
    assert.ok(got < 200_000, `${got} bytes came through`);
    const timer = setInterval(() => call.resume(), 0);
    await until("all has come", () => ended);
    clearInterval(timer);
    assert.equal(got, total);
  });

  test("close when idle at once, and when busy at the end of their answer", async (t) => {
    const server = await startScriptedServer(t, ({ index, response }) => {
      if (index === 0) response.end("ok");
    });
    const connection = connect(accessTo(server.origin));
    const idle = send(connection);
    await idle.done();
    const busy = send(connection);
    await until("both are there", () => server.requests.length === 2);
    connection.close();
    connection.close();
    server.requests[1]?.response.end("late");
    await busy.done();
    assert.equal(busy.seen.body, "late");
    await until("all are closed", () => server.sockets.size === 0);
  });
});
