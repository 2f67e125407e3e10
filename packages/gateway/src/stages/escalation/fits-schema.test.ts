// Which values fit a schema, and that no schema takes long.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fitsSchema } from "./fits-schema.ts";

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
