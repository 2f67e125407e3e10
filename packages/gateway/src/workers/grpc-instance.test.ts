import assert from "node:assert/strict";
import { test } from "node:test";
import { grpcStatus, type ChannelState, type GrpcChannel, type GrpcFailure } from "@spillway/grpc";
import { classifyFailure } from "./grpc-instance.ts";

function classify(fields: Partial<GrpcFailure>, state: ChannelState): readonly string[] {
  const reason = { code: grpcStatus.unavailable, message: "words", metadata: [], unsent: false, ...fields };
  const { kind, failure } = classifyFailure(reason, { state } as GrpcChannel);
  return [kind, failure.code, failure.message];
}

const away = ["model_unavailable", "The model's process went away"];

test("a lost connection may be the call's doing, unless the server did not look at it", () => {
  assert.deepEqual(classify({}, "failed"), ["died", ...away]);
  assert.deepEqual(classify({}, "closed"), ["died", ...away]);
  assert.deepEqual(classify({ unsent: true }, "failed"), ["unsent", ...away]);
  assert.deepEqual(classify({ unsent: true }, "ready"), ["unsent", ...away], "refused by a departing server");
});

test("what a living server says is its answer, in its words", () => {
  for (const [code, expected] of [
    [grpcStatus.unavailable, "model_unavailable"],
    [grpcStatus.resourceExhausted, "model_unavailable"],
    [grpcStatus.invalidArgument, "bad_request"],
    [grpcStatus.notFound, "model_not_found"],
    [grpcStatus.unimplemented, "unimplemented"],
    [grpcStatus.internal, "model_failed"],
    [grpcStatus.unknown, "model_failed"],
  ] as const)
    assert.deepEqual(classify({ code }, "ready"), ["refused", expected, "words"]);
  assert.deepEqual(classify({ code: grpcStatus.internal }, "failed"), ["refused", "model_failed", "words"]);
});
