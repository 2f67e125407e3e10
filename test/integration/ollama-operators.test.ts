/** Operators' calls of Ollama's API to several servers. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { gatewayOver } from "../harness/gateway-over.ts";
import { until } from "../harness/until.ts";

/** A server that speaks enough of Ollama's API for operators' calls. */
async function operated(
  t: TestContext,
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ readonly url: string; readonly server: Server; readonly id: string }> {
  const server = createServer((request, response) => {
    if (request.url === "/api/version") return void response.end('{"version":"0.17.4"}');
    if (request.url === "/api/ps") return void response.end('{"models":[]}');
    if (request.url === "/api/tags") {
      return void response.end('{"models":[{"name":"a:latest","model":"a:latest","digest":"d","size":1}]}');
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

describe("operators' calls", () => {
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
    for (let round = 0; round < 20; round++) {
      const controller = new AbortController();
      const response = await fetch(`${url}/api/pull`, {
        method: "POST",
        body: '{"model":"b"}',
        signal: controller.signal,
      });
      assert.equal(response.status, 200);
      await until("both servers work", () => open === 2);
      const start = performance.now();
      controller.abort();
      await until("both connections are closed", () => open === 0);
      assert.ok(closedAt - start < 100, `${closedAt - start} ms`);
    }
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

  it("upload a file larger than any bound to the server that is named", async (t) => {
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

  it("close the server's connection within 100 ms when an upload's sender leaves", async (t) => {
    let closedAt: number | undefined;
    let received = 0;
    const server = await operated(t, (request) => {
      request.on("data", (piece: Buffer) => void (received += piece.length));
      request.on("close", () => void (closedAt = performance.now()));
      request.on("error", () => {});
    });
    const { url } = await gatewayOver(t, { pool: [server.url] });
    const path = `/api/blobs/sha256:${"0".repeat(64)}`;
    for (let round = 0; round < 20; round++) {
      closedAt = undefined;
      received = 0;
      const socket = connect(Number(new URL(url).port), "127.0.0.1");
      socket.write(`POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 90000000\r\n\r\n`);
      socket.write(Buffer.alloc(1_000_000));
      await until("a megabyte has come", () => received >= 1_000_000);
      const start = performance.now();
      socket.destroy();
      await until("the upload is closed", () => closedAt !== undefined);
      assert.ok((closedAt ?? Infinity) - start < 100);
    }
  });
});
