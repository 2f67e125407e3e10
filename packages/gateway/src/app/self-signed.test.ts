/** The certificate of a door that has none of its own: that others can read it, and speak TLS over it. */
import assert from "node:assert/strict";
import { X509Certificate, createPrivateKey } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { connect, createServer } from "node:tls";
import { createSelfSigned } from "./self-signed.ts";

test("a certificate signs itself, names its server and fits its key", () => {
  const { cert, key } = createSelfSigned("spillway", Date.UTC(2026, 0, 15));
  const read = new X509Certificate(cert);
  assert.ok(read.verify(read.publicKey));
  assert.ok(read.checkPrivateKey(createPrivateKey(key)));
  assert.equal(read.checkHost("spillway"), "spillway");
  assert.equal(read.ca, false);
  assert.equal(new Date(read.validFrom).toISOString(), "2026-01-14T00:00:00.000Z");
  assert.equal(new Date(read.validTo).toISOString().slice(0, 10), "2036-01-13");
});

test("a client that trusts it speaks TLS with its server", async (t) => {
  const { cert, key } = createSelfSigned("localhost", Date.now());
  const server = createServer({ cert, key }, (socket) => socket.end("hello")).listen(0);
  t.after(() => server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = connect({ port, host: "localhost", ca: cert, servername: "localhost" });
  const [data] = (await once(client, "data")) as [Buffer];
  assert.equal(data.toString(), "hello");
});
