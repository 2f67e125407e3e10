/** What became of a request can be asked for by its id. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startSimulator } from "@spillway/simulator";
import { gatewayOver } from "../harness/gateway-over.ts";
import { makeKey } from "../harness/keys.ts";

test("operators are told what became of a request, others are not", async (t) => {
  const simulator = await startSimulator({ face: "vllm", models: ["a"] });
  t.after(() => simulator.close());
  const user = makeKey("user", ["infer", "status"]);
  const operator = makeKey("operator", ["admin"]);
  const auth = `auth: { keys: [${user.yaml}, ${operator.yaml}] }\n`;
  const { url } = await gatewayOver(t, { pool: [simulator.url] }, auth);
  const told = async (
    id: string,
    key: string,
  ): Promise<{ status: number; body: Record<string, unknown> }> => {
    const response = await fetch(`${url}/admin/decisions/${id}`, { headers: { "x-api-key": key } });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "x-api-key": user.key, "x-request-id": "mine-1" },
    body: JSON.stringify({ model: "a", messages: [{ role: "user", content: "hi" }], max_tokens: 5 }),
  });
  const { usage } = (await answer.json()) as { usage: { prompt_tokens: number; completion_tokens: number } };
  const { status, body } = await told("mine-1", operator.key);
  assert.equal(status, 200);
  const { queue_ms: queue, first_token_ms: first, duration_ms: duration, ...rest } = body;
  for (const ms of [queue, duration])
    assert.match(String(ms), /^\d+(\.\d{1,3})?$/, "no digits that mean nothing");
  assert.deepEqual(rest, {
    id: "mine-1",
    caller: "user",
    model: "a",
    pool: "pool",
    endpoint: answer.headers.get("x-spillway-endpoint"),
    outcome: "ok",
    attempts: 1,
    usage: {
      prompt_tokens: usage.prompt_tokens,
      cached_tokens: 0,
      completion_tokens: usage.completion_tokens,
      estimated: false,
    },
  });
  assert.ok(Number(queue) >= 0 && Number(first) > 0 && Number(duration) >= Number(first));
  assert.equal((await told("mine-1", user.key)).status, 403);
  assert.equal((await told("mine-2", operator.key)).status, 404);
});
