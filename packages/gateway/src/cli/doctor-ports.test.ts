import assert from "node:assert/strict";
import { createServer as createHttp } from "node:http";
import { createServer, type AddressInfo, type Server } from "node:net";
import { test, type TestContext } from "node:test";
import { checkPorts, type Port } from "./doctor-ports.ts";

async function listening(t: TestContext, server: Server): Promise<Port> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return { host: "127.0.0.1", port: (server.address() as AddressInfo).port, tls: undefined };
}

/** Answers `/health` so. */
function healthy(body: string): Server {
  return createHttp((request, response) =>
    response.writeHead(request.url === "/health" ? 200 : 404).end(body),
  );
}

test("a port that another program has", async (t) => {
  for (const server of [
    createServer((socket) => socket.resume().end("SSH-2.0\r\n")),
    healthy('{"version":"1"}'),
  ]) {
    const port = await listening(t, server);
    const [taken, grpc] = await checkPorts([port], [port]);
    assert.equal(taken?.status, "fail");
    assert.match(taken.message, new RegExp(`127\\.0\\.0\\.1 port ${port.port}: the port is taken$`));
    assert.equal(grpc?.status, "fail");
    const [camera] = await checkPorts([{ ...port, optional: true }], []);
    assert.equal(camera?.status, "warn");
    await new Promise((resolve) => server.close(resolve));
    assert.equal((await checkPorts([port], []))[0]?.status, "ok");
  }
});

test("a port that a running Spillway has is in order, and so are the others of its configuration", async (t) => {
  const gateway = await listening(t, healthy('{"name":"spillway","status":"ready","version":"1.2.3"}'));
  const grpc = await listening(t, createServer());
  const found = await checkPorts([gateway], [grpc]);
  assert.deepEqual(
    found.map(({ status, message }) => [status, message]),
    [
      ["ok", "taken by Spillway 1.2.3, which runs"],
      ["ok", `taken, as it seems by the Spillway that has port ${gateway.port}`],
    ],
  );
  assert.ok(found.every(({ advice }) => advice === undefined));
});
