/** Operators' calls of Ollama's API to several servers. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { startSimulator } from "@spillway/simulator";
import { gatewayOver } from "../harness/gateway-over.ts";
import { makeKey } from "../harness/keys.ts";
import { until } from "../harness/until.ts";

/** A server that speaks enough of Ollama's API for operators' calls. */
async function operated(
  t: TestContext,
  handle: (request: IncomingMessage, response: ServerResponse) => void,
  name = "a:latest",
): Promise<{ readonly url: string; readonly server: Server; readonly id: string }> {
  const server = createServer((request, response) => {
    if (request.url === "/api/version") return void response.end('{"version":"0.17.4"}');
    if (request.url === "/api/ps") return void response.end('{"models":[]}');
    if (request.url === "/api/tags") {
      return void response.end(JSON.stringify({ models: [{ name, model: name, digest: "d", size: 1 }] }));
    }
    handle(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, server, id: `pool/127.0.0.1:${port}` };
}

function pulling(...lines: readonly object[]) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    assert.equal(request.url, "/api/pull");
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    for (const line of lines) response.write(`${JSON.stringify(line)}\n`);
    response.end();
  };
}

const layer = { status: "pulling abc", digest: "sha256:abc", total: 100 };

async function linesOf(response: Response): Promise<Record<string, unknown>[]> {
  const text = await response.text();
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

function pull(url: string, more: object = {}): Promise<Response> {
  return fetch(`${url}/api/pull`, { method: "POST", body: JSON.stringify({ model: "b", ...more }) });
}

/** Every operators' call, with a body that it takes. */
const operations: readonly (readonly [string, string, string | undefined])[] = [
  ["POST", "/api/pull", '{"model":"b"}'],
  ["DELETE", "/api/delete", '{"model":"a"}'],
  ["POST", "/api/create", '{"model":"b","from":"a"}'],
  ["POST", "/api/copy", '{"source":"a","destination":"b"}'],
  ["POST", "/api/push", '{"model":"a"}'],
  ["HEAD", `/api/blobs/sha256:${"0".repeat(64)}`, undefined],
  ["POST", `/api/blobs/sha256:${"0".repeat(64)}`, "bytes"],
];

/**
 * Twenty times: `leave` makes the client go and gives the moment, `closed` resolves with the moment at which all the
 * servers' connections are closed. A try that is late is made again, at most twice: this process may have been held up.
 */
async function leaveQuickly(
  prepare: () => Promise<{ leave(): void; closed(): Promise<number> }>,
): Promise<void> {
  for (let round = 0; round < 20; round++) {
    const delays: number[] = [];
    do {
      const client = await prepare();
      const start = performance.now();
      client.leave();
      delays.push((await client.closed()) - start);
    } while ((delays.at(-1) ?? 0) >= 100 && delays.length < 3);
    assert.ok((delays.at(-1) ?? Infinity) < 100, `${delays.join(", ")} ms`);
  }
}

describe("who may make operators' calls", () => {
  it("is who has the scope admin, and nobody else has a byte sent to a server", async (t) => {
    const asked: string[] = [];
    const server = await operated(t, ({ method, url: path }, response) => {
      asked.push(`${method} ${path}`);
      response.end('{"status":"success"}\n');
    });
    const [user, operator] = [makeKey("user", ["infer", "status"]), makeKey("operator", ["admin"])];
    const auth = `auth: { keys: [${user.yaml}, ${operator.yaml}] }\n`;
    const { url } = await gatewayOver(t, { pool: [server.url] }, auth);
    const call = async (key: string | undefined, index: number): Promise<number> => {
      const [method = "", path = "", body = null] = operations[index] ?? [];
      const headers: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` };
      const response = await fetch(url + path, { method, body, headers });
      const text = await response.text();
      if (response.status >= 400 && method !== "HEAD") {
        assert.equal(typeof (JSON.parse(text) as { error: unknown }).error, "string");
      }
      return response.status;
    };
    for (const index of operations.keys()) {
      assert.equal(await call(undefined, index), 401);
      assert.equal(await call(user.key, index), 403);
    }
    assert.deepEqual(asked, []);
    for (const index of operations.keys()) assert.equal(await call(operator.key, index), 200);
    assert.deepEqual(
      asked,
      operations.map(([method, path]) => `${method} ${path}`),
    );
  });
});

describe("an operator whose key is bound to models", () => {
  it("changes no others", async (t) => {
    const server = await operated(t, (_request, response) => void response.end('{"status":"success"}\n'));
    const { key, yaml } = makeKey("bound", ["admin"], ["a"]);
    const { url } = await gatewayOver(t, { pool: [server.url] }, `auth: { keys: [${yaml}] }\n`);
    const ask = async (method: string, path: string, body: object): Promise<number> => {
      const headers = { authorization: `Bearer ${key}` };
      const response = await fetch(url + path, { method, headers, body: JSON.stringify(body) });
      await response.text();
      return response.status;
    };
    assert.equal(await ask("POST", "/api/pull", { model: "a:latest" }), 200);
    assert.equal(await ask("POST", "/api/pull", { model: "b" }), 403);
    assert.equal(await ask("DELETE", "/api/delete", { name: "b" }), 403);
    assert.equal(await ask("POST", "/api/copy", { source: "a", destination: "b" }), 403);
    assert.equal(await ask("POST", "/api/create", { model: "b", from: "a" }), 403);
    assert.equal(await ask("POST", "/api/push", { model: "a" }), 200);
  });
});

describe("operators' calls", () => {
  it("end once their model can be used, or is gone", async (t) => {
    const simulator = await startSimulator({ face: "ollama", models: ["a:latest"] });
    t.after(() => simulator.close());
    const { url } = await gatewayOver(t, { pool: [simulator.url] });
    const ask = async (method: string, path: string, body: object): Promise<number> => {
      const response = await fetch(url + path, { method, body: JSON.stringify(body) });
      await response.text();
      return response.status;
    };
    const chat = (model: string): Promise<number> =>
      ask("POST", "/api/chat", { model, messages: [{ role: "user", content: "hi" }], stream: false });
    const makings = [
      ["pulled", "/api/pull", { model: "pulled" }],
      ["copied", "/api/copy", { source: "a", destination: "copied" }],
      ["made", "/api/create", { model: "made", from: "a" }],
    ] as const;
    for (const [name, path, body] of makings) {
      assert.equal(await chat(name), 404);
      assert.equal(await ask("POST", path, body), 200, path);
      assert.equal(await chat(name), 200, path);
      assert.equal(await ask("DELETE", "/api/delete", { model: name }), 200);
      assert.equal(await chat(name), 404);
    }
  });

  it("say which servers there are where none, or one that is not there, is named", async (t) => {
    const answering = (_request: IncomingMessage, response: ServerResponse): void => void response.end("{}");
    const servers = await Promise.all([operated(t, answering), operated(t, answering)]);
    const { url } = await gatewayOver(t, { pool: servers.map((server) => server.url) });
    const onOne = operations.filter(([method, path]) => method === "POST" && path !== "/api/pull");
    for (const [method, path, body = null] of onOne) {
      for (const named of [undefined, "pool/10.0.0.9:11434"]) {
        const headers: Record<string, string> = named === undefined ? {} : { "x-spillway-endpoint": named };
        const response = await fetch(url + path, { method, body, headers });
        assert.equal(response.status, 400, path);
        const { error } = (await response.json()) as { error: string };
        assert.ok(
          error.includes("x-spillway-endpoint") && servers.every(({ id }) => error.includes(id)),
          error,
        );
      }
      for (const { id } of servers) {
        for (const named of [id, id.replace("pool/", "")]) {
          const response = await fetch(url + path, {
            method,
            body,
            headers: { "x-spillway-endpoint": named },
          });
          assert.deepEqual([response.status, response.headers.get("x-spillway-endpoint")], [200, id]);
        }
      }
    }
  });

  it("ask for a pool where several have Ollama servers; a delete finds the one that has the model", async (t) => {
    const success = pulling({ status: "success" });
    const [one, two] = await Promise.all([
      operated(t, success),
      operated(
        t,
        (request, response) => {
          if (request.method === "DELETE") return void response.end();
          success(request, response);
        },
        "b:latest",
      ),
    ]);
    const { url } = await gatewayOver(t, { one: [one.url], two: [two.url] });
    const unnamed = await pull(url);
    assert.equal(unnamed.status, 400);
    assert.match(((await unnamed.json()) as { error: string }).error, /x-spillway-pool: one, two/);
    const headers = { "x-spillway-pool": "two" };
    const named = await fetch(`${url}/api/pull`, { method: "POST", body: '{"model":"c"}', headers });
    assert.equal(named.status, 200);
    const removed = await fetch(`${url}/api/delete`, { method: "DELETE", body: '{"model":"b"}' });
    assert.equal(removed.status, 200);
  });

  it("pull on every server and tell one progress", async (t) => {
    const steps = [
      { status: "pulling manifest" },
      { ...layer, completed: 40 },
      { ...layer, completed: 100 },
      { status: "success" },
    ];
    const servers = await Promise.all([operated(t, pulling(...steps)), operated(t, pulling(...steps))]);
    const { url } = await gatewayOver(t, { pool: servers.map((server) => server.url) });
    const lines = await linesOf(await pull(url));
    assert.equal(lines.filter(({ status }) => status === "pulling manifest").length, 1);
    assert.equal(lines.filter(({ status }) => status === "success").length, 1);
    assert.deepEqual(lines.at(-1), { status: "success" });
    assert.deepEqual(lines.at(-2), { ...layer, total: 200, completed: 200 });
    const quiet = await pull(url, { stream: false });
    assert.deepEqual(await quiet.json(), { status: "success" });
  });

  it("name the servers on which a pull failed", async (t) => {
    const good = await operated(t, pulling({ ...layer, completed: 100 }, { status: "success" }));
    const bad = await operated(t, pulling({ status: "pulling manifest" }, { error: "no space" }));
    const torn = await operated(t, pulling({ ...layer, completed: 1 }));
    const { url } = await gatewayOver(t, { pool: [good.url, bad.url, torn.url] });
    const last = (await linesOf(await pull(url))).at(-1);
    assert.match(String(last?.["error"]), /pull failed on 2 of 3 servers/);
    assert.ok(String(last?.["error"]).includes(`${bad.id}: no space`));
    assert.ok(String(last?.["error"]).includes(torn.id));
    assert.ok(!String(last?.["error"]).includes(good.id));
  });

  it("name a server that is not there, too", async (t) => {
    const good = await operated(t, pulling({ status: "success" }));
    const gone = await operated(t, pulling({ status: "success" }));
    gone.server.closeAllConnections();
    await new Promise((resolve) => gone.server.close(resolve));
    const { url } = await gatewayOver(t, { pool: [good.url, gone.url] });
    const last = (await linesOf(await pull(url))).at(-1);
    assert.match(String(last?.["error"]), /pull failed on 1 of 2 servers/);
    assert.ok(String(last?.["error"]).includes(gone.id));
  });

  it("close the servers' connections within 100 ms when the operator leaves", async (t) => {
    let open = 0;
    let closedAt = 0;
    const endless = (_request: IncomingMessage, response: ServerResponse): void => {
      open++;
      response.on("close", () => {
        open--;
        closedAt = performance.now();
      });
      response.writeHead(200, { "content-type": "application/x-ndjson" });
      response.write(`${JSON.stringify({ ...layer, completed: 1 })}\n`);
    };
    const servers = await Promise.all([operated(t, endless), operated(t, endless)]);
    const { url } = await gatewayOver(t, { pool: servers.map((server) => server.url) });
    await leaveQuickly(async () => {
      const controller = new AbortController();
      const response = await fetch(`${url}/api/pull`, {
        method: "POST",
        body: '{"model":"b"}',
        signal: controller.signal,
      });
      assert.equal(response.status, 200);
      await until("both servers work", () => open === 2);
      return {
        leave: () => controller.abort(),
        closed: () => until("both connections are closed", () => (open === 0 ? closedAt : undefined)),
      };
    });
  });

  it("delete everywhere, and say where it failed", async (t) => {
    const answering =
      (status: number, text: string) =>
      (_request: IncomingMessage, response: ServerResponse): void =>
        void response.writeHead(status, { "content-type": "application/json" }).end(text);
    const had = await operated(t, answering(200, ""));
    const hadNot = await operated(t, answering(404, '{"error":"model \'a\' not found"}'));
    const broken = await operated(t, answering(500, '{"error":"disk"}'));
    const remove = (url: string): Promise<Response> =>
      fetch(`${url}/api/delete`, { method: "DELETE", body: '{"model":"a"}' });
    const some = await gatewayOver(t, { pool: [had.url, hadNot.url] });
    assert.equal((await remove(some.url)).status, 200);
    const none = await gatewayOver(t, { pool: [hadNot.url] });
    assert.equal((await remove(none.url)).status, 404);
    const all = await gatewayOver(t, { pool: [had.url, broken.url] });
    const answer = await remove(all.url);
    assert.equal(answer.status, 502);
    assert.ok((await answer.text()).includes(`${broken.id}: disk`));
  });
});

describe("an operator's upload", () => {
  it("goes to the server that is named, larger than any bound", async (t) => {
    const taking = (request: IncomingMessage, response: ServerResponse): void => {
      if (request.method === "HEAD") return void response.writeHead(404).end();
      const hash = createHash("sha256");
      request.on("data", (piece: Buffer) => hash.update(piece));
      request.on("end", () => {
        const isRight = request.url?.endsWith(hash.digest("hex")) === true;
        response.writeHead(isRight ? 201 : 400).end();
      });
    };
    const servers = await Promise.all([operated(t, taking), operated(t, taking)]);
    const { url } = await gatewayOver(t, { pool: servers.map((server) => server.url) });
    const file = Buffer.alloc(80 * 2 ** 20, "spillway");
    const address = `${url}/api/blobs/sha256:${createHash("sha256").update(file).digest("hex")}`;
    const unnamed = await fetch(address, { method: "HEAD" });
    assert.equal(unnamed.status, 400);
    const headers = { "x-spillway-endpoint": servers[1].id };
    assert.equal((await fetch(address, { method: "HEAD", headers })).status, 404);
    const refused = await fetch(`${url}/api/copy`, { method: "POST", body: "{}" });
    const { error } = (await refused.json()) as { error: string };
    assert.ok(refused.status === 400 && servers.every(({ id }) => error.includes(id)));
    const uploaded = await fetch(address, { method: "POST", headers, body: file });
    assert.equal(uploaded.status, 201);
    const wrong = address.slice(0, -4) + (address.endsWith("0000") ? "1111" : "0000");
    assert.equal((await fetch(wrong, { method: "POST", headers, body: file.subarray(0, 9) })).status, 400);
    assert.equal(
      (await fetch(`${url}/api/blobs/..%2fdelete`, { method: "POST", headers, body: "x" })).status,
      400,
    );
  });

  it("is slowed to what its server takes", async (t) => {
    let arriving: IncomingMessage | undefined;
    let received = 0;
    const server = await operated(t, (request, response) => {
      request.on("data", (piece: Buffer) => void (received += piece.length));
      request.on("end", () => response.writeHead(201).end());
      arriving = request.pause();
    });
    const { url } = await gatewayOver(t, { pool: [server.url] });
    const size = 160 * 2 ** 20;
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    t.after(() => socket.destroy());
    let answer = "";
    socket.on("data", (piece) => void (answer += piece.toString("latin1")));
    const path = `/api/blobs/sha256:${"0".repeat(64)}`;
    socket.write(`POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${size}\r\n\r\n`);
    // Pieces of 64 KiB, one after the other, so that it is known how many have left this process.
    const piece = Buffer.alloc(65_536);
    let sent = 0;
    const send = (): void => {
      if (sent === size) return;
      socket.write(piece, () => {
        sent += 65_536;
        send();
      });
    };
    send();
    let before = -1;
    await until("the upload stands", async () => {
      const stands = arriving !== undefined && sent > 0 && sent === before;
      before = sent;
      await pause(500);
      return stands && sent === before;
    });
    // Two pairs of the system's socket buffers, and the gateway's 8 MiB.
    assert.ok(before < 128 * 2 ** 20, `${before} bytes were taken of ${size}`);
    arriving?.resume();
    await until("the server has answered", () => answer.startsWith("HTTP/1.1 201 "));
    assert.equal(received, size);
  });

  it("is closed at the server within 100 ms when its sender leaves", async (t) => {
    let closedAt: number | undefined;
    let received = 0;
    const server = await operated(t, (request) => {
      request.on("data", (piece: Buffer) => void (received += piece.length));
      request.on("close", () => void (closedAt = performance.now()));
      request.on("error", () => {});
    });
    const { url } = await gatewayOver(t, { pool: [server.url] });
    const path = `/api/blobs/sha256:${"0".repeat(64)}`;
    await leaveQuickly(async () => {
      closedAt = undefined;
      received = 0;
      const socket = connect(Number(new URL(url).port), "127.0.0.1");
      socket.write(`POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 90000000\r\n\r\n`);
      socket.write(Buffer.alloc(1_000_000));
      await until("a megabyte has come", () => received >= 1_000_000);
      return {
        leave: () => socket.destroy(),
        closed: () => until("the upload is closed", () => closedAt),
      };
    });
  });
});
