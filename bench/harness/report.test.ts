import assert from "node:assert/strict";
import { test } from "node:test";
import { digits, pairedRow, runsRow, scaledPlan, spreadText } from "./figure.ts";
import { describeMachine, describeRevision, machineLine } from "./machine.ts";
import { compactJson, figuresTable, markdownTable, rowCells } from "./report.ts";
import { spreadOf } from "./spread.ts";
import { loadOf, readWorkload } from "./workload.ts";

const paired = {
  ours: spreadOf([7]),
  reference: spreadOf([10]),
  compared: spreadOf([0.68, 0.7, 0.75]),
  noise: spreadOf([0.97, 1, 1.02]),
};

test("a paired row shows median, quartiles, extremes and the A/A pairs", () => {
  const row = pairedRow("ratio", paired, { what: "rate | ratio", goal: { atLeast: 0.6 } });
  assert.deepEqual(rowCells("mlp64", row), [
    "mlp64",
    "rate | ratio",
    "≥ 0.6",
    "0.7 [0.69–0.725] (0.68–0.75); A/A 1 [0.985–1.01] (0.97–1.02)",
    "met",
  ]);
  assert.equal(row.median, "0.7");
});

test("a row of single runs, and the table of several figures", () => {
  const row = runsRow(spreadOf([0]), { what: "failed requests", goal: { atMost: 0 } });
  assert.deepEqual([row.target, row.measured, row.verdict], ["≤ 0", "0", "met"]);
  const figure = { id: "kill", title: "t", target: "t", run: () => Promise.reject(new Error("unused")) };
  const table = figuresTable([{ figure, result: { rows: [row, row], data: null } }]);
  assert.equal(table.split("\n").length, 4);
});

test("a Markdown table is aligned and its cells are kept whole", () => {
  assert.equal(
    markdownTable(["a", "long"], [["x|y", "µ"]]),
    ["| a    | long |", "| ---- | ---- |", "| x\\|y | µ    |"].join("\n"),
  );
});

test("result files have a line for each innermost object and six digits", () => {
  const text = compactJson({ runs: [{ n: [1.23456789, 2] }, { n: 3 }], text: "[a]\n{" });
  const runs = ['  "runs": [', "    {", '      "n": [ 1.23457, 2 ]', "    },", '    { "n": 3 }', "  ],"];
  assert.equal(text, ["{", ...runs, '  "text": "[a]\\n{"', "}"].join("\n"));
  const brackets = { brackets: ["] }", "[", "{ x"] };
  assert.deepEqual(JSON.parse(compactJson(brackets)), brackets);
});

test("numbers keep three digits", () => {
  assert.deepEqual([1234.6, 99.96, 0.123456, -250.4, 0].map(digits), ["1235", "100", "0.123", "-250", "0"]);
  assert.equal(
    spreadText(spreadOf([1, 2]), (value) => `${value} ms`),
    "1.5 ms [1.25 ms–1.75 ms] (1 ms–2 ms)",
  );
});

test("a quick run shortens phases and leaves the rest of a plan", async () => {
  const plan = loadOf(await readWorkload("mlp64-json"));
  assert.equal(scaledPlan(plan, "full"), plan);
  assert.deepEqual(scaledPlan(plan, "quick"), { ...plan, warmUpMs: 300, bound: { durationMs: 1000 } });
});

test("the machine is described in one line and the commit is known", () => {
  assert.match(machineLine(describeMachine()), /\d+ cores, \d+ GB, Node v\d+/);
  assert.match(describeRevision().commit, /^([0-9a-f]{40}|unknown)$/);
});
