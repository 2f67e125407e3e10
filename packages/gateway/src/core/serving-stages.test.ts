import assert from "node:assert/strict";
import { test } from "node:test";
import { roleLabel, servingStages } from "./serving-stages.ts";

const stagesOf = (...roles: string[]): string[][] =>
  servingStages(roles.map((role) => ({ role, labels: role === "" ? {} : { [roleLabel]: role } }))).map(
    (stage) => stage.map(({ role }) => role),
  );

test("servers that do everything are one stage", () => {
  assert.deepEqual(stagesOf("", "", ""), [["", "", ""]]);
  assert.deepEqual(stagesOf("both", "", "prefill-decode"), [["both", "", "prefill-decode"]]);
  assert.deepEqual(stagesOf(), [[]]);
});

test("those that compute prompts are one, those that compute answers another, who does both is of both", () => {
  assert.deepEqual(stagesOf("prefill", "decode", "both", "encode", "unheard-of", ""), [
    ["prefill", "both"],
    ["decode", "both", ""],
  ]);
});

test("a stage without servers is none; where neither has any, all are one", () => {
  assert.deepEqual(stagesOf("decode", "encode"), [["decode"]]);
  assert.deepEqual(stagesOf("prefill", "prefill"), [["prefill", "prefill"]]);
  assert.deepEqual(stagesOf("encode", "encode"), [["encode", "encode"]]);
});
