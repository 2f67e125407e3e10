// Which values fit a schema, and that no schema takes long.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { findMisfit, fitsSchema, uncheckedWord } from "./fits-schema.ts";

const person = {
  type: "object",
  properties: {
    name: { type: "string", minLength: 1 },
    age: { type: "integer", minimum: 0 },
    tags: { items: { enum: ["a", "b"] } },
  },
  required: ["name", "age"],
  additionalProperties: false,
};

const cases: readonly (readonly [
  what: string,
  schema: unknown,
  good: readonly unknown[],
  bad: readonly unknown[],
])[] = [
  [
    "an object",
    person,
    [
      { name: "x", age: 3 },
      { name: "x", age: 0, tags: ["a"] },
    ],
    [
      { name: "x" },
      { name: "", age: 1 },
      { name: "x", age: 1.5 },
      { name: "x", age: 1, more: 1 },
      { name: "x", age: 1, tags: ["c"] },
      [],
      null,
      "x",
    ],
  ],
  ["types", { type: ["string", "null"] }, ["a", null], [1, [], {}]],
  ["any and no value", true, [1], []],
  ["nothing", false, [], [1]],
  [
    "const and enum",
    { anyOf: [{ const: { a: [1] } }, { enum: ["x", 2] }] },
    [{ a: [1] }, "x", 2],
    [{ a: [2] }, { a: [1], b: 1 }, "y"],
  ],
  ["one of", { oneOf: [{ type: "number" }, { minimum: 5 }] }, [1], [7]],
  ["all of and not", { allOf: [{ type: "string" }, { not: { const: "no" } }] }, ["yes"], ["no", 1]],
  [
    "references",
    {
      $defs: { n: { type: "object", properties: { next: { $ref: "#/$defs/n" } }, required: ["v"] } },
      $ref: "#/$defs/n",
    },
    [{ v: 1, next: { v: 2 } }],
    [{ v: 1, next: {} }],
  ],
  [
    "tuples",
    { prefixItems: [{ type: "string" }, { type: "number" }], items: false, minItems: 1 },
    [["a"], ["a", 1]],
    [[], ["a", 1, 2], [1]],
  ],
  ["numbers", { exclusiveMinimum: 0, exclusiveMaximum: 10, multipleOf: 0.1 }, [0.3, 9.9], [0, 10, 0.25]],
  ["what is not known", { pattern: "^(a+)+$", format: "date", unheard: 1 }, ["b"], []],
];

for (const [what, schema, good, bad] of cases) {
  test(what, () => {
    for (const value of good) assert.equal(fitsSchema(value, schema), true, JSON.stringify(value));
    for (const value of bad) assert.equal(fitsSchema(value, schema), false, JSON.stringify(value));
  });
}

describe("the bounds are kept", () => {
  const $defs: Record<string, unknown> = { d0: { type: "string" } };
  for (let level = 1; level < 40; level++) {
    const below = { $ref: `#/$defs/d${level - 1}` };
    $defs[`d${level}`] = { allOf: [below, below] };
  }
  for (const [what, schema] of [
    ["by a schema that doubles its work at each level", { $defs, $ref: "#/$defs/d39" }],
    ["by one that refers to itself", { anyOf: [{ $ref: "#" }, { $ref: "#" }] }],
  ] as const) {
    test(what, () => {
      const start = performance.now();
      assert.equal(fitsSchema("x", schema), undefined);
      assert.ok(performance.now() - start < 500);
    });
  }
});

test("says where a value does not fit: within choices, where the choice is", () => {
  const schema = {
    type: "object",
    required: ["a"],
    properties: {
      a: { type: "array", items: { type: "object", properties: { n: { maximum: 5 } } } },
      b: { anyOf: [{ properties: { x: { const: 1 } } }, { type: "string" }] },
    },
    additionalProperties: false,
  };
  assert.equal(findMisfit({ a: [{ n: 5 }], b: "x" }, schema), undefined);
  assert.deepEqual(findMisfit({ a: [{ n: 1 }, { n: 6 }] }, schema), ["a", "1", "n"]);
  assert.deepEqual(findMisfit({ a: [], b: { x: 2 } }, schema), ["b"]);
  assert.deepEqual(findMisfit({}, schema), []);
  assert.deepEqual(findMisfit({ a: [], c: 1 }, schema), ["c"]);
});

test("finds words that are not checked, wherever they stand", () => {
  assert.equal(
    uncheckedWord({ type: "object", title: "T", properties: { a: { $ref: "#/$defs/b" } } }),
    undefined,
  );
  assert.equal(uncheckedWord({ items: { anyOf: [{ pattern: "a" }] } }), "pattern");
  assert.equal(uncheckedWord({ $defs: { a: { format: "date" } } }), "format");
  assert.equal(uncheckedWord({ properties: { pattern: { type: "string" } } }), undefined);
  assert.equal(uncheckedWord({ $ref: "https://elsewhere" }), "$ref");
});
