import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { RpcCall } from "../../contracts/route.ts";
import type { CancelReason } from "../../core/cancellation.ts";
import { failure, GatewayError } from "../../core/errors.ts";
import { decisionFor, PlayedUpstream } from "../../../test/support/http-door.ts";
import {
  echoMethod,
  rpcMethod,
  rpcPipelineRequest,
  rpcText,
  startGrpcDoor,
} from "../../../test/support/grpc-door.ts";

const echo = "/test.Service/Echo";

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(1);
}

describe("a gRPC door", () => {
  it("answers a unary call", async (t) => {
    const calls: RpcCall[] = [];
    const { client, heads, metric } = await startGrpcDoor(t, {
      methods: [
        rpcMethod("Echo", (call) => {
          calls.push(call);
          return rpcText("yes");
        }),
      ],
    });
    const end = await client.call(echo, "hello", {
      metadata: { "x-request-id": "mine-1", more: "a" },
      timeoutMs: 5_000,
    });
    assert.equal(end.code, 0);
    assert.equal(end.message, "yes");
    assert.equal(end.metadata["x-request-id"], "mine-1");
    const [call] = calls;
    assert.equal(call?.path, echo);
    assert.equal(Buffer.from(call.message).toString(), "hello");
    assert.equal(call.requestId, "mine-1");
    assert.equal(call.metadata.more, "a");
    assert.ok(call.timeoutMs !== undefined && call.timeoutMs <= 5_000 && call.timeoutMs > 1_000);
    assert.equal(heads[0]?.door, "grpc");
    assert.equal(heads[0].remoteAddress, "127.0.0.1");
    assert.equal(heads[0].scope, "infer");
    const again = await client.call(echo, "");
    assert.match(String(again.metadata["x-request-id"]), /^[0-9a-f]{20}$/);
    assert.equal(metric(`spillway_grpc_requests_total{method="${echo}",status="0"}`), 2);
    assert.equal(metric(`spillway_grpc_request_duration_seconds_count{method="${echo}"}`), 2);
    assert.equal(metric("spillway_grpc_requests_in_flight"), 0);
  });

  it("maps failures to status codes, with a time to stay away where they may pass", async (t) => {
    const { client, logs, metric } = await startGrpcDoor(t, {
      methods: [
        rpcMethod("Full", () => failure("queue_full", "full", 2_400)),
        rpcMethod("Busy", () => failure("model_unavailable")),
        rpcMethod("Thrown", () => {
          throw new GatewayError("invalid_tensor", "no tensor");
        }),
        rpcMethod("Broken", () => Promise.reject(new Error("secret"))),
        rpcMethod("Said", () => failure("invalid_tensor", "inside"), {
          writeFailure: (reason) => [Buffer.from(`said ${reason.message}`)],
        }),
        echoMethod,
      ],
    });
    const full = await client.call("/test.Service/Full", "x", { metadata: { "x-request-id": "full-1" } });
    assert.equal(full.code, 14);
    assert.equal(full.message, "full");
    assert.equal(full.metadata["grpc-retry-pushback-ms"], "2400");
    assert.equal(full.metadata["x-request-id"], "full-1");
    const busy = await client.call("/test.Service/Busy", "x");
    assert.equal(busy.metadata["grpc-retry-pushback-ms"], "1000");
    const thrown = await client.call("/test.Service/Thrown", "x");
    assert.equal(thrown.code, 3);
    assert.equal(thrown.metadata["grpc-retry-pushback-ms"], undefined);
    assert.equal(logs.length, 0);
    const broken = await client.call("/test.Service/Broken", "x");
    assert.equal(broken.code, 13);
    assert.ok(!broken.message.includes("secret"));
    assert.equal(logs.length, 1);
    assert.match(String(logs[0]?.fields.error), /secret/);
    assert.equal((await client.call("/test.Service/Said", "x")).message, "said inside");
    assert.equal(metric('spillway_grpc_requests_total{method="/test.Service/Said",status="3"}'), 1);
    assert.equal((await client.call("/test.Service/Other", "x")).code, 12);
    assert.equal((await client.call(echo, "still")).message, "still");
  });

  it("refuses by the head, or once a caller is known", async (t) => {
    const { client, metric } = await startGrpcDoor(t, {
      methods: [rpcMethod("Echo", () => assert.fail("not admitted"))],
      admit: (head) => {
        const refused = failure("forbidden", "not you");
        return head.headers.later === "yes" ? Promise.resolve(refused) : refused;
      },
    });
    for (const later of ["no", "yes"]) {
      const end = await client.call(echo, "x", { metadata: { later } });
      assert.equal(end.code, 7);
      assert.equal(end.message, "not you");
    }
    assert.equal(metric(`spillway_grpc_requests_total{method="${echo}",status="7"}`), 2);
  });

  it("admits before services of their own too", async (t) => {
    const { client, heads } = await startGrpcDoor(t, {
      services: new Map([
        [
          "/own.Service/Ask",
          { kind: "unary", handle: (call) => call.respond([Buffer.from("own")]) },
        ] as const,
      ]),
      admit: (head) => {
        if (head.headers.forbid === "yes") return failure("unauthorized", "no");
        return Promise.resolve({ id: "a", scopes: ["status"] });
      },
    });
    assert.equal((await client.call("/own.Service/Ask", "x")).message, "own");
    assert.equal(heads[0]?.scope, "status");
    assert.equal((await client.call("/own.Service/Ask", "x", { metadata: { forbid: "yes" } })).code, 16);
  });

  it("carries a request through the pipeline, in whatever form its answer comes", async (t) => {
    const upstream = new PlayedUpstream();
    const { client } = await startGrpcDoor(t, {
      methods: [rpcMethod("Infer", rpcPipelineRequest)],
      decide: (request) => Promise.resolve(decisionFor(request)),
      carry: upstream.carry,
    });
    const whole = client.call("/test.Service/Infer", "x");
    (await upstream.sink()).whole(rpcText("whole"));
    assert.equal((await whole).message, "whole");
    upstream.sinks.length = 0;
    const pieces = client.call("/test.Service/Infer", "x");
    const sink = await upstream.sink();
    sink.head(200, []);
    assert.equal(sink.data(Buffer.from("in ")), true);
    sink.data(Buffer.from("pieces"));
    sink.end();
    sink.fail(failure("internal"));
    sink.whole(rpcText("late"));
    assert.equal((await pieces).message, "in pieces");
  });

  it("notices at once that a client has left, or that its time is up", async (t) => {
    const upstream = new PlayedUpstream();
    const waiting: RpcCall[] = [];
    const { client, metric } = await startGrpcDoor(t, {
      methods: [
        rpcMethod("Wait", (call) => {
          waiting.push(call);
          return new Promise(() => {});
        }),
        rpcMethod("Infer", rpcPipelineRequest),
      ],
      decide: decisionFor,
      carry: upstream.carry,
    });
    let cancel = (): void => {};
    const times: number[] = [];
    for (let round = 0; round < 5; round++) {
      const end = client.call("/test.Service/Wait", "x", { started: (how) => (cancel = how) });
      await until(() => waiting.length > round);
      const noticed = new Promise<CancelReason>((resolve) => waiting[round]?.cancellation.listen(resolve));
      const start = performance.now();
      cancel();
      assert.equal(await noticed, "client_gone");
      times.push(performance.now() - start);
      assert.equal((await end).code, 1);
    }
    assert.ok((times.toSorted((a, b) => a - b)[2] ?? Infinity) < 50, times.join(", "));
    const carried = client.call("/test.Service/Infer", "x", { started: (how) => (cancel = how) });
    await upstream.sink();
    cancel();
    await until(() => upstream.cancelled.length > 0);
    assert.deepEqual(upstream.cancelled, ["client_gone"]);
    await carried;
    const late = client.call("/test.Service/Infer", "x", { timeoutMs: 500 });
    assert.equal((await late).code, 4);
    await until(() => upstream.cancelled.length > 1);
    assert.deepEqual(upstream.cancelled, ["client_gone", "deadline"]);
    assert.equal(metric('spillway_grpc_requests_total{method="/test.Service/Wait",status="1"}'), 5);
    assert.equal(metric("spillway_grpc_requests_in_flight"), 0);
  });

  it("refuses messages above its bound", async (t) => {
    const { client } = await startGrpcDoor(t);
    assert.equal((await client.call(echo, Buffer.alloc(1_100_000))).code, 8);
    assert.equal((await client.call(echo, "x")).code, 0);
  });

  it("says which port is taken and what to do", async (t) => {
    const { port } = await startGrpcDoor(t);
    await assert.rejects(startGrpcDoor(t, { options: { port } }), (error) => {
      assert.ok(error instanceof GatewayError);
      assert.match(error.message, new RegExp(`gRPC port ${port} on 127\\.0\\.0\\.1 is taken`));
      return true;
    });
  });

  it("does not take two methods for one path", async (t) => {
    await assert.rejects(startGrpcDoor(t, { methods: [echoMethod, echoMethod] }), /two methods answer/);
  });

  it("lets calls finish when it closes, and takes no new ones", async (t) => {
    const upstream = new PlayedUpstream();
    const { client, door, port } = await startGrpcDoor(t, {
      methods: [rpcMethod("Infer", rpcPipelineRequest)],
      decide: decisionFor,
      carry: upstream.carry,
    });
    const running = client.call("/test.Service/Infer", "x");
    const sink = await upstream.sink();
    const closed = door.close({ graceMs: 20_000 });
    assert.deepEqual(door.inspect(), { host: "127.0.0.1", port, state: "draining" });
    sink.whole(rpcText("finished"));
    assert.equal((await running).message, "finished");
    await closed;
    assert.equal((await client.call("/test.Service/Infer", "x")).code, 14);
  });

  it("ends the streams of its services when it closes, and tells them of it", async (t) => {
    const told: string[] = [];
    const { client, door } = await startGrpcDoor(t, {
      services: new Map([
        [
          "/own.Service/Watch",
          {
            kind: "stream",
            handle(call) {
              call.onMessage(() => void call.send([Buffer.from("serving")]));
              call.onCancel(() => told.push("over"));
            },
          },
        ] as const,
      ]),
    });
    const watch = client.stream("/own.Service/Watch");
    watch.on("error", () => {});
    const status = new Promise<number>((resolve) => watch.on("status", ({ code }) => resolve(code)));
    watch.write(Buffer.from("x"));
    await new Promise((resolve) => watch.once("data", resolve));
    const start = performance.now();
    await door.close({ graceMs: 30_000 });
    assert.ok(performance.now() - start < 10_000);
    assert.equal(await status, 14);
    assert.deepEqual(told, ["over"]);
  });
});
