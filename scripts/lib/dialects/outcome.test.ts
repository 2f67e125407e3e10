// Every field of every API: what becomes of it is one of the three, and a refusal names it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isFailure } from "../../../packages/gateway/src/core/errors.ts";
import { callerApis, fieldRows } from "./outcome.ts";

/** Fields whose refusal names another: the one that asks for the same with more words. */
const namedElsewhere: Readonly<Record<string, string>> = {
  include: "top_logprobs",
  top_logprobs: "logprobs",
};

for (const api of callerApis) {
  describe(api.title, () => {
    test("takes the base", () => {
      for (const dialect of api.servers) assert.ok(!isFailure(api.write(api.base, dialect)), dialect);
    });

    for (const { field, example, outcomes } of fieldRows(api)) {
      test(`${field} ${example.label ?? ""}`, () => {
        for (const outcome of outcomes) {
          if (typeof outcome === "string") continue;
          assert.equal(outcome.code, "bad_request");
          const named = outcome.field ?? "";
          assert.ok(named.startsWith(field) || named === namedElsewhere[field], `${named} for ${field}`);
          assert.ok(outcome.message.includes(named), outcome.message);
          assert.ok(outcome.message.length < 300, outcome.message);
        }
      });
    }

    test("refuses what it does not know", () => {
      if (api.title.startsWith("Ollama")) return;
      for (const dialect of api.servers) {
        const made = api.write({ ...api.base, something_new: { a: 1 } }, dialect);
        assert.ok(isFailure(made) && made.field === "something_new");
      }
    });
  });
}
