/** A picker behind a proxy that speaks ext_proc as Envoy does: where requests go, and how answers pass. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { startSimulator, type Simulator } from "@spillway/simulator";

import { startPicker } from "../harness/extproc-picker.ts";

async function servers(t: TestContext, count: number, models = ["a"]): Promise<Simulator[]> {
  const started = await Promise.all(
    Array.from({ length: count }, () => startSimulator({ face: "vllm", models })),
  );
  t.after(() => Promise.all(started.map((each) => each.close())));
  return started;
}

const chat = (more: object = {}) => ({
  path: "/v1/chat/completions",
  body: { model: "a", messages: [{ role: "user", content: "hello" }], max_tokens: 5, ...more },
});

test("a chat goes to a server of the pool, with the address in header and metadata", async (t) => {
  const [one, two] = await servers(t, 2);
  assert.ok(one !== undefined && two !== undefined);
  const { carrier } = await startPicker(t, {
    pools: { pool: { dialect: "auto", endpoints: [one.url, two.url] } },
  });
  const answer = await carrier.ask(chat());
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.destinations.length, 1);
  assert.ok([one.url, two.url].includes(`http://${answer.destinations[0]}`));
  assert.equal((answer.json["choices"] as unknown[]).length, 1);
  assert.equal(answer.sentHeader("content-length"), String(answer.sentBody.length));
  assert.equal(answer.streamCode, 0);
});

test("a streamed chat passes event by event", async (t) => {
  const [one] = await servers(t, 1);
  const { carrier } = await startPicker(t, {
    pools: { pool: { dialect: "auto", endpoints: [one?.url ?? ""] } },
  });
  const answer = await carrier.ask(chat({ stream: true }));
  assert.equal(answer.status, 200);
  assert.match(answer.text, /data: \[DONE\]\n\n$/);
  assert.doesNotMatch(answer.text, /"usage":\{/);
});
