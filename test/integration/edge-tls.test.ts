// Cameras over HTTPS, as on Groundlight's port 30143.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { createAuthority } from "../harness/certificates.ts";
import { createDataFolder, digit, startEdgeGateway, whichDigit } from "../harness/edge-gateway.ts";
import { testConfig } from "../harness/gateway.ts";

interface Told {
  readonly status: number | undefined;
  readonly text: string;
}

test("cameras are answered on a listener with a certificate, and nothing there in plain text", async (t) => {
  const authority = createAuthority(t);
  if (authority === undefined) return;
  const folder = createDataFolder(t);
  const tls = { cert: join(folder, "server.pem"), key: join(folder, "server.key") };
  const pair = authority.issue("edge.local");
  writeFileSync(tls.cert, pair.cert);
  writeFileSync(tls.key, pair.key);
  const [door] = testConfig(folder).http;
  assert.ok(door !== undefined);
  const gateway = await startEdgeGateway(t, { config: { http: [door, { ...door, edge: true, tls }] } });
  const port = gateway.listening.http[1]?.port ?? 0;
  const ca = readFileSync(authority.file, "utf8");
  const post = (path: string, body: Buffer): Promise<Told> =>
    new Promise((resolve, reject) => {
      const headers = { "content-type": "image/png", "x-api-token": "api_any_token_0000001" };
      const where = { host: "127.0.0.1", servername: "edge.local", port, ca, path, method: "POST", headers };
      const call = request({ ...where, agent: false }, (answer) => {
        let text = "";
        answer
          .setEncoding("utf8")
          .on("data", (part: string) => (text += part))
          .on("end", () => resolve({ status: answer.statusCode, text }))
          .on("error", reject);
      });
      call.on("error", reject).end(body);
    });
  for (const prefix of ["/device-api/v1", "/device-api", ""]) {
    const { status, text } = await post(`${prefix}/image-queries?detector_id=${whichDigit}`, digit(7));
    assert.equal(status, 200, text);
    assert.equal((JSON.parse(text) as { result: { label: string } }).result.label, "7");
  }
  // Without a cloud an unknown path is nobody's, here as on a plain listener.
  const unknown = await post("/nothing/of/the/cloud", Buffer.alloc(0));
  assert.notEqual(unknown.status, 200);
  const plain = await new Promise<string>((resolve, reject) => {
    let text = "";
    const socket = connect(port, "127.0.0.1", () =>
      socket.write("GET /edge-info HTTP/1.1\r\nhost: a\r\n\r\n"),
    );
    socket
      .setEncoding("latin1")
      .on("data", (part) => (text += String(part)))
      .on("close", () => resolve(text))
      .on("error", reject);
  });
  assert.doesNotMatch(plain, /^HTTP\/1\.1 200/);
});
