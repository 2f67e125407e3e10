/** Text forms of status and timeout. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeGrpcTimeout, encodeGrpcTimeout } from "./grpc-timeout.ts";
import { decodeGrpcMessage, encodeGrpcMessage, toGrpcStatus } from "./status-text.ts";

test("any text survives grpc-message; long text is cut", () => {
  for (const text of ["", "plain ~!", "100 %", "ü\n\t\0€🙂", "%41"]) {
    const encoded = encodeGrpcMessage(text);
    assert.match(encoded, /^[\x20-\x7e]*$/);
    assert.equal(decodeGrpcMessage(encoded), text);
  }
  assert.ok(encodeGrpcMessage("x".repeat(100_000)).length < 2_100);
});

test("malformed percent-encoding is kept", () => {
  assert.equal(decodeGrpcMessage("50 % of %zz %4"), "50 % of %zz %4");
});

test("statuses are read strictly", () => {
  assert.deepEqual(["0", "16", "17", "x", "05", ""].map(toGrpcStatus), [0, 16, 2, 2, 2, 2]);
});

test("timeouts", () => {
  assert.deepEqual([0, 0.2, 1500, 99_999_999, 1e11].map(encodeGrpcTimeout), [
    "1m",
    "1m",
    "1500m",
    "99999999m",
    "99999999S",
  ]);
  assert.deepEqual(
    ["5S", "2M", "1H", "7m", "3000u", "1000000n"].map(decodeGrpcTimeout),
    [5_000, 120_000, 3_600_000, 7, 3, 1],
  );
  for (const bad of ["", "5", "m", "-1m", "123456789m", "5s", "1.5S"])
    assert.equal(decodeGrpcTimeout(bad), undefined);
});
