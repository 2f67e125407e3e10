import assert from "node:assert/strict";
import { test } from "node:test";
import { toGrammarSchema } from "./grammar-schema.ts";
import type { Json } from "./port.ts";
import { Refusal } from "./refusal.ts";

const refuses = (schema: Json, message: RegExp): void =>
  assert.throws(
    () => toGrammarSchema(schema, "format"),
    (error) => error instanceof Refusal && error.field === "format" && message.test(error.message),
  );

test("what grammars know stays, other names for it are translated", () => {
  const schema = {
    type: "object",
    title: "left out",
    properties: {
      kind: { anyOf: [{ const: "a" }, { type: "null" }] },
      list: { type: ["array", "null"], items: { $ref: "#/definitions/item" } },
      day: { type: "string", format: "date" },
      mail: { type: "string", format: "email", pattern: "@", minLength: 3 },
      age: { type: "integer", minimum: 0 },
    },
    definitions: { item: { enum: [1, 2] } },
  };
  assert.deepEqual(toGrammarSchema(schema, "format"), {
    type: "object",
    properties: {
      kind: { oneOf: [{ const: "a" }, { type: ["null"] }] },
      list: { oneOf: [{ type: ["null"] }, { type: "array", items: { $ref: "#/$defs/item" } }] },
      day: { type: "string", format: "date" },
      mail: { type: "string", minLength: 3 },
      age: { type: ["integer"] },
    },
    additionalProperties: false,
    $defs: { item: { enum: [1, 2] } },
  });
});

test("an object without named properties is open", () => {
  assert.deepEqual(toGrammarSchema({ type: "object" }, "format"), {
    type: "object",
    properties: {},
    additionalProperties: true,
  });
});

test("what would be lost or cost too much is refused", () => {
  refuses({ allOf: [] }, /allOf is not supported/);
  refuses({ type: "text" }, /unknown type "text"/);
  refuses({ $ref: "#" }, /\$ref/);
  refuses({ enum: [] }, /something in it/);
  refuses({ enum: [{}] }, /plain values/);
  refuses({ type: "array", minItems: 1e9 }, /minItems/);
  refuses(false, /expected an object/);
  let deep: Json = { type: "string" };
  for (let level = 0; level < 100; level++) deep = { type: "array", items: deep };
  refuses(deep, /too deep/);
});
