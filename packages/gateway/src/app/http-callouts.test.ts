import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { startScriptedServer, type Script } from "../../test/support/scripted-server.ts";
import type { CalloutTarget, HttpCallout } from "../contracts/http-callout.ts";
import { Cancellation } from "../core/cancellation.ts";
import { systemClock } from "../core/clock.ts";
import { isFailure } from "../core/errors.ts";
import { createConnectionFactory } from "../stages/upstream/server-connections.ts";
import { createHttpCallouts } from "./http-callouts.ts";

const target: Omit<CalloutTarget, "url"> = {
  headers: [["x-key", "k"]],
  connectTimeoutMs: 500,
  concurrency: 2,
};

function make(t: TestContext, url: string, more: Partial<CalloutTarget> = {}): HttpCallout {
  const callouts = createHttpCallouts(createConnectionFactory({ clock: systemClock }));
  t.after(() => callouts.close());
  return callouts.create({ url, ...target, ...more });
}

/** `status body`, or the failure's code. */
async function post(callout: HttpCallout, cancellation = new Cancellation()): Promise<string> {
  const answer = await callout.post({ body: Buffer.from("{}"), maxAnswerBytes: 100, cancellation });
  return isFailure(answer) ? answer.code : `${answer.status} ${Buffer.from(answer.body).toString()}`;
}

const echo: Script = ({ method, path, headers, response }) =>
  void response.end(`${method} ${path} ${headers["content-type"]} ${String(headers["x-key"])}`);

test("posts JSON with its headers to path and query, and gives what is answered, over one connection", async (t) => {
  const server = await startScriptedServer(t, echo);
  const callout = make(t, `${server.origin}/a/b?c=d`);
  for (let i = 0; i < 3; i++) assert.equal(await post(callout), "200 POST /a/b?c=d application/json k");
  assert.equal(server.connections, 1);
  server.script = ({ response }) => void response.writeHead(418).end("no");
  assert.equal(await post(callout), "418 no");
});

test("a kept connection that the service closes as it is used is no failure; a second cut is", async (t) => {
  const server = await startScriptedServer(t, echo);
  const callout = make(t, `${server.origin}/`);
  await post(callout);
  server.script = (request) => (request.index === 1 ? void request.socket.destroy() : echo(request));
  assert.match(await post(callout), /^200 POST/);
  server.script = ({ socket }) => void socket.destroy();
  assert.equal(await post(callout), "upstream_unreachable");
});

test("an answer beyond its bound, one that is no HTTP, and nobody there are failures", async (t) => {
  const server = await startScriptedServer(t, ({ response }) => void response.end("x".repeat(101)));
  const callout = make(t, `${server.origin}/`);
  assert.equal(await post(callout), "bad_upstream_answer");
  server.script = ({ socket }) => void socket.end("SSH-2.0-server\r\n");
  assert.equal(await post(callout), "bad_upstream_answer");
  await server.close();
  assert.equal(await post(callout), "upstream_unreachable");
});

test("one that is called off ends at once, and no more than the bound run", async (t) => {
  const server = await startScriptedServer(t, () => {});
  const callout = make(t, `${server.origin}/`);
  const cancellations = [new Cancellation(), new Cancellation()];
  const running = cancellations.map((each) => post(callout, each));
  assert.equal(await post(callout), "overloaded");
  for (const each of cancellations) each.cancel("client_gone");
  assert.deepEqual(await Promise.all(running), ["client_gone", "client_gone"]);
  const gone = new Cancellation();
  gone.cancel("client_gone");
  assert.equal(await post(callout, gone), "client_gone");
  server.script = echo;
  assert.match(await post(callout), /^200/);
});

test("an address that is none is told", (t) => {
  for (const url of ["nowhere", "ftp://a", "http://user@a/", "http://a/#b"]) {
    assert.throws(() => make(t, url), /expected an address/);
  }
});
