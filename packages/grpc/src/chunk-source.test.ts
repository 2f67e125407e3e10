/** Accepted sockets read into the shared buffer; a Node that does not allow it any more shows here. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { Socket } from "node:net";
import { test } from "node:test";
import { socketPath } from "../test/harness.ts";
import { readAccepted } from "./chunk-source.ts";

test("an accepted socket is read into the one shared buffer and ends like any other", async (t) => {
  const path = socketPath(t);
  const server = createServer().listen(path);
  await once(server, "listening");
  const seen = new Set<ArrayBufferLike>();
  const clients: Socket[] = [];
  for (let index = 0; index < 2; index++) {
    clients.push(connect(path));
    const [accepted] = (await once(server, "connection")) as [Socket];
    const { socket, chunks } = readAccepted(accepted);
    assert.notEqual(socket, accepted);
    const text = new Promise<string>((resolve) => {
      chunks((chunk) => {
        seen.add(chunk.buffer);
        resolve(chunk.toString());
      });
    });
    clients[index]?.write(`hello ${index}`);
    assert.equal(await text, `hello ${index}`);
    socket.write("answer");
    const [answer] = (await once(clients[index] ?? socket, "data")) as [Buffer];
    assert.equal(answer.toString(), "answer");
    const ended = once(socket, "end");
    clients[index]?.end();
    await ended;
    socket.destroy();
  }
  assert.equal(seen.size, 1);
  // The server must not wait for the sockets that were let go.
  await new Promise((resolve) => server.close(resolve));
});
