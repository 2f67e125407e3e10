/** What callers are told when the cloud fails. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { failureOfSilence } from "./cloud/cloud-failure.ts";
import { failureOf } from "./forward.ts";

test("a cloud that cannot be reached is said so once", () => {
  const { code, message } = failureOf(
    failureOfSilence({ kind: "connect", message: "connect ECONNREFUSED", begun: false }),
  );
  assert.deepEqual(
    [code, message],
    ["upstream_unreachable", "The cloud cannot be reached: connect ECONNREFUSED"],
  );
});
