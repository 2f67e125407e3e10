/** Requests that are called off to make room, and servers that cannot be written to: the door alone, over a pipeline that a test makes. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { ForwardDecision, HttpEndpoint } from "../../packages/gateway/src/contracts/http-endpoint.ts";
import { noExplanations } from "../../packages/gateway/src/contracts/explanation.ts";
import { systemClock } from "../../packages/gateway/src/core/clock.ts";
import type { AttemptTarget, ForwardPayload } from "../../packages/gateway/src/core/forward.ts";
import { createSystemRandom } from "../../packages/gateway/src/core/random.ts";
import { carriesTensors, type RequestWith } from "../../packages/gateway/src/core/request.ts";
import { JsonThreads } from "../../packages/gateway/src/dialects/json/json-threads.ts";
import { createOpenAiRoutes } from "../../packages/gateway/src/dialects/openai/create-openai-routes.ts";
import { serverCodecs } from "../../packages/gateway/src/dialects/translation-tasks.ts";
import { createExtProcDoor } from "../../packages/gateway/src/doors/extproc/extproc-door.ts";
import type { CarriedEnd } from "../../packages/gateway/src/doors/extproc/picked-request.ts";
import { createMetrics } from "../../packages/gateway/src/telemetry/index.ts";
import { testExtProc } from "../harness/extproc-picker.ts";
import { connectExtProc, headerMap, openProcess, type EnvoyReply } from "../harness/extproc-wire.ts";
import { until } from "../harness/until.ts";

/** A door whose requests all go to one server. */
async function openDoor(t: TestContext, target: AttemptTarget | undefined) {
  const requests: RequestWith<ForwardPayload>[] = [];
  const lease: string[] = [];
  const carried: CarriedEnd[] = [];
  const endpoint = {
    id: "p/10.0.0.1:80",
    address: "10.0.0.1:80",
    targetFor: () => target,
  } as unknown as HttpEndpoint;
  const clock = systemClock;
  const jsonThreads = new JsonThreads({ clock });
  t.after(() => jsonThreads.close());
  const log = (): void => {};
  const door = createExtProcDoor({
    options: testExtProc,
    routes: createOpenAiRoutes({
      clock,
      defaults: { requestTimeoutMs: 10_000 },
      servers: serverCodecs,
      jsonThreads,
    }),
    pipeline: {
      admit: () => ({ id: "test", scopes: ["infer"] }),
      decide(request) {
        if (carriesTensors(request)) return assert.fail("a chat");
        requests.push(request);
        const decision = {
          kind: "forward",
          request,
          route: { pool: { endpoints: [endpoint] }, model: "a" },
          endpoints: [endpoint],
          lease: {
            enqueuedAt: 0,
            grantedAt: 0,
            acquire: () => void lease.push("acquire"),
            release: (_: HttpEndpoint, { kind }: { kind: string }) => void lease.push(`release ${kind}`),
            settle: (outcome: string) => void lease.push(`settle ${outcome}`),
          },
        };
        return decision as unknown as ForwardDecision;
      },
      carry: () => assert.fail("Envoy carries"),
    },
    pools: { pools: () => [] },
    onDrained: () => {},
    services: new Map(),
    certificate: undefined,
    onCarried: (end) => void carried.push(end),
    explanations: noExplanations,
    clock,
    random: createSystemRandom(),
    logger: { error: log, warn: log, info: log, debug: log },
    metrics: createMetrics(),
  });
  const { port } = await door.listen();
  t.after(() => door.close({ graceMs: 0 }));
  const client = connectExtProc(`127.0.0.1:${port}`);
  t.after(() => client.close());
  const stream = openProcess(client);
  const replies: EnvoyReply[] = [];
  const state = { code: undefined as number | undefined };
  stream.on("data", (reply: EnvoyReply) => replies.push(reply));
  stream.on("error", () => {});
  stream.on("status", ({ code }: { code: number }) => (state.code = code));
  const head = headerMap([
    [":path", "/v1/chat/completions"],
    [":method", "POST"],
  ]);
  const body = Buffer.from(JSON.stringify({ model: "a", messages: [], stream: true }));
  stream.write({ request_headers: { headers: head } });
  stream.write({ request_body: { body, end_of_stream: true } });
  const answerHead = (): void =>
    void stream.write({
      response_headers: {
        headers: headerMap([
          [":status", "200"],
          ["content-type", "text/event-stream"],
        ]),
      },
    });
  return { stream, replies, requests, lease, carried, state, answerHead };
}

const target: AttemptTarget = { dialect: "openai", model: "a", serves: ["chat"] };

test("a request that is called off while its answer streams is answered 429, once, and given back once", async (t) => {
  const { stream, replies, requests, lease, carried, state, answerHead } = await openDoor(t, target);
  await until("it is told where to go", () => replies.length === 2);
  answerHead();
  stream.write({ response_body: { body: Buffer.from('data: {"choices":[{"delta":{"content":"x"}}]}\n\n') } });
  await until("the answer passes", () => replies.length === 4);
  requests[0]?.cancellation.cancel("evicted");
  await until("the stream ends", () => state.code !== undefined);
  const told = replies.at(-1)?.immediate_response;
  assert.equal(told?.status?.code, 429);
  assert.equal(told?.body?.toString(), "request evicted by flow control");
  const reason = told?.headers?.set_headers?.find(
    ({ header }) => header.key === "x-llm-d-request-dropped-reason",
  );
  assert.equal(reason?.header.raw_value?.toString(), "evicted");
  assert.deepEqual(lease, ["release cancelled", "settle evicted"]);
  assert.deepEqual(
    carried.map(({ outcome }) => outcome),
    ["evicted"],
  );
});

test("a request whose answer is complete is not answered again", async (t) => {
  const { stream, replies, requests, lease, state, answerHead } = await openDoor(t, target);
  await until("it is told where to go", () => replies.length === 2);
  answerHead();
  const events = 'data: {"choices":[{"delta":{"content":"x"}}]}\n\ndata: [DONE]\n\n';
  stream.write({ response_body: { body: Buffer.from(events), end_of_stream: true } });
  await until("the answer is whole", () => lease.length === 2);
  requests[0]?.cancellation.cancel("evicted");
  stream.end();
  await until("the stream ends", () => state.code !== undefined);
  assert.equal(state.code, 0);
  assert.deepEqual(lease, ["release ok", "settle ok"]);
  assert.ok(replies.every(({ response }) => response !== "immediate_response"));
});

test("a request for a server that has lost its model is refused, and gives its place back", async (t) => {
  const { replies, lease, state } = await openDoor(t, undefined);
  await until("the stream ends", () => state.code !== undefined);
  assert.equal(replies[0]?.immediate_response?.status?.code, 503);
  assert.deepEqual(lease, ["release cancelled", "settle model_unavailable"]);
});
