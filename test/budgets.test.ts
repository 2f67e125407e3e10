// The size, type, cycle and documentation budgets over the sources of all packages. Tests and generated code aside.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  anyLines,
  exportedSymbols,
  fileSize,
  functionSizes,
  suppressionsOf,
} from "../scripts/lib/budgets.ts";
import type { Size } from "../scripts/lib/budgets.ts";
import { cyclesOf, moduleGraph } from "../scripts/lib/module-graph.ts";
import { listFiles } from "../scripts/lib/paths.ts";
import { isGenerated, isTest, parseSource, readSource } from "../scripts/lib/source.ts";
import type { Source } from "../scripts/lib/source.ts";

/** Lines of code; blank lines and comments are not counted. */
const MAX_FUNCTION = { median: 12, p95: 45, longest: 70 };
const MAX_FILE = { p95: 320, longest: 400 };
const MAX_SUPPRESSIONS_PER_1000_LINES = 0.5;
const MIN_DOCUMENTED = 0.85;

/** The value below or at which the fraction of the sizes lies (nearest rank). */
function percentile(sizes: readonly Size[], fraction: number): number {
  const lines = sizes.map((size) => size.lines).sort((a, b) => a - b);
  return lines[Math.max(0, Math.ceil(fraction * lines.length) - 1)] ?? 0;
}

/** What breaks a budget of sizes, naming the offenders; empty within the budget. */
function overBudget(
  sizes: readonly Size[],
  max: { median?: number; p95: number; longest: number },
): string[] {
  const largest = sizes.toSorted((a, b) => b.lines - a.lines);
  const list = (found: readonly Size[]): string =>
    found.map(({ name, file, line, lines }) => `\n  ${lines} lines: ${name} ${file}:${line}`).join("");
  const problems: string[] = [];
  const tooLong = largest.filter(({ lines }) => lines > max.longest);
  if (tooLong.length > 0) problems.push(`more than ${max.longest} lines:${list(tooLong)}`);
  const p95 = percentile(sizes, 0.95);
  const above = largest.filter(({ lines }) => lines > max.p95);
  if (p95 > max.p95) problems.push(`p95 is ${p95}, not <= ${max.p95}; shorten some of:${list(above)}`);
  const median = percentile(sizes, 0.5);
  if (max.median !== undefined && median > max.median)
    problems.push(`median is ${median}, not <= ${max.median}`);
  return problems;
}

/** What is wrong with the suppressions: too many for the lines of code, or without a reason. */
function suppressionProblems(sources: readonly Source[]): string[] {
  const found = sources.flatMap(suppressionsOf);
  const lines = sources.reduce((sum, source) => sum + source.codeLines(), 0);
  const list = (some: typeof found): string =>
    some.map(({ file, line, text }) => `\n  ${file}:${line} ${text}`).join("");
  const bare = found.filter(({ hasReason }) => !hasReason);
  const problems = bare.length > 0 ? [`suppressions without a reason:${list(bare)}`] : [];
  const perThousand = (found.length / lines) * 1000;
  if (perThousand <= MAX_SUPPRESSIONS_PER_1000_LINES) return problems;
  return [...problems, `${found.length} suppressions on ${lines} lines are too many:${list(found)}`];
}

/** Exported symbols without a doc comment, if those are too many. */
function undocumented(sources: readonly Source[]): string[] {
  const symbols = sources.flatMap(exportedSymbols);
  const bare = symbols.filter(({ documented }) => !documented);
  if (symbols.length - bare.length >= MIN_DOCUMENTED * symbols.length) return [];
  const share = ((1 - bare.length / symbols.length) * 100).toFixed(1);
  return [
    `${share} % of ${symbols.length} are documented`,
    ...bare.map(({ name, file, line }) => `  ${name} ${file}:${line}`),
  ];
}

const sources = listFiles(["packages/*/src/**/*.ts", "engines/*/src/**/*.ts"])
  .filter((file) => !isTest(file) && !isGenerated(file))
  .map(readSource);

describe("the sources", () => {
  const none = (problems: readonly string[]): void =>
    assert.equal(problems.length, 0, `\n${problems.join("\n")}`);

  test("are found", () => assert.ok(sources.length > 0));
  test("have short functions", () => none(overBudget(sources.flatMap(functionSizes), MAX_FUNCTION)));
  test("have short files", () => none(overBudget(sources.map(fileSize), MAX_FILE)));
  test("have no any", () =>
    none(sources.flatMap((source) => anyLines(source).map((line) => `${source.file}:${line}`))));
  test("have few suppressions, each with a reason", () => none(suppressionProblems(sources)));
  test("have no import cycle, of values or types", () =>
    none(cyclesOf(moduleGraph(sources)).map((knot) => knot.join(" ↔ "))));
  test("document what they export", () => none(undocumented(sources)));
});

/** A function of so many lines of code, with blank lines and comments that do not count. */
function functionOf(lines: number, name = "f"): string {
  const body = Array.from({ length: lines - 2 }, (_, index) => `  use(${index});\n\n  // nothing`);
  return `function ${name}() {\n${body.join("\n")}\n}\n`;
}

describe("function sizes", () => {
  const sizesOf = (text: string): [string, number][] =>
    functionSizes(parseSource("a.ts", text)).map(({ name, lines }) => [name, lines]);

  test("count lines of code only", () => assert.deepEqual(sizesOf(functionOf(7)), [["f", 7]]));

  test("are taken of every function in braces, under its name", () => {
    const text = `
      export default function () {}
      const arrow = () => {
      };
      const object = { method() {}, value: function () {}, "quoted": () => {}, get got() { return 1; } };
      class A { #secret() {} constructor() {} field = () => {}; abstract(): void; }
      list.map((x) => x); list.map((x) => { return x; });
      declare function typed(): void;
    `;
    const expected = [
      "(anonymous)",
      "arrow",
      "method",
      "value",
      "quoted",
      "got",
      "#secret",
      "constructor",
      "field",
      "(anonymous)",
    ];
    assert.deepEqual(
      sizesOf(text),
      expected.map((name) => [name, name === "arrow" ? 2 : 1]),
    );
  });

  test("over the longest, the p95 and the median are told with their names", () => {
    const judge = (...lengths: number[]): string =>
      overBudget(
        functionSizes(parseSource("a.ts", lengths.map((n, i) => functionOf(n, `f${i}`)).join(""))),
        MAX_FUNCTION,
      ).join();
    assert.equal(judge(70, ...Array<number>(30).fill(12)), "");
    assert.match(judge(71, ...Array<number>(30).fill(12)), /more than 70 lines:\n  71 lines: f0 a\.ts:1/);
    assert.match(
      judge(46, 46, ...Array<number>(30).fill(12)),
      /p95 is 46, not <= 45; shorten some of:\n  46 lines: f0/,
    );
    assert.match(judge(13, 13, 3), /median is 13/);
  });
});

test("file sizes over the longest and the p95 are told", () => {
  const file = (lines: number, name: string): Size =>
    fileSize(parseSource(name, "use();\n// c\n\n".repeat(lines)));
  assert.deepEqual(overBudget([file(320, "a.ts"), file(320, "b.ts")], MAX_FILE), []);
  assert.match(overBudget([file(321, "a.ts")], MAX_FILE).join(), /p95 is 321/);
  assert.match(overBudget([file(401, "a.ts")], MAX_FILE).join(), /more than 400 lines:\n  401 lines: a\.ts/);
});

test("any is found as a type, not as a word", () => {
  const text = `const any = 1; // any\ntype A = any;\nfunction f(x: Array<any>): unknown { return x as any; }`;
  assert.deepEqual(anyLines(parseSource("a.ts", text)), [2, 3, 3]);
});

describe("suppressions", () => {
  const code = "use();\n".repeat(4000);
  const judge = (...comments: string[]): string =>
    suppressionProblems([parseSource("a.ts", `${code}${comments.join("\n")}\n`)]).join();

  test("with a reason are allowed, two on 4,000 lines", () => {
    const reasons = [
      "// @ts-expect-error the types of the package lack it",
      "/* oxlint-disable no-console -- a command line */",
    ];
    assert.equal(judge(...reasons), "");
    assert.match(judge(...reasons, reasons[0]!), /3 suppressions on 4000 lines are too many/);
  });

  const bare = [
    "// @ts-expect-error",
    "// @ts-ignore",
    "/* @ts-nocheck */",
    "// oxlint-disable-next-line no-console",
    "use(); // eslint-disable-line no-console --",
    "/** eslint-disable */",
  ];
  for (const comment of bare) {
    test(`without a reason are not: ${comment}`, () =>
      assert.match(judge(comment), /without a reason:\n  a\.ts:4001 /));
  }

  test("are only comments that begin as one", () => {
    assert.deepEqual(
      suppressionsOf(parseSource("a.ts", `const s = "// @ts-ignore"; // says @ts-ignore\n// oxfmt-ignore`)),
      [],
    );
  });
});

describe("import cycles", () => {
  const judge = (files: Record<string, string>): string[][] =>
    cyclesOf(moduleGraph(Object.entries(files).map(([file, text]) => parseSource(file, text)))).map(
      (knot) => [...knot],
    );

  test("of types and values are found through folders", () => {
    const files = {
      "p/a.ts": `import type { B } from "./deep/b.ts";`,
      "p/deep/b.ts": `export { c } from "../c.ts";`,
      "p/c.ts": `export const c = () => import("./a.ts");`,
      "p/d.ts": `import "./a.ts"; import "./missing.ts"; import "zod";`,
      "p/e.ts": `import "./e.ts";`,
    };
    assert.deepEqual(judge(files), [["p/a.ts", "p/c.ts", "p/deep/b.ts"], ["p/e.ts"]]);
  });

  test("are not diamonds", () => {
    const files = {
      "a.ts": `import "./b.ts"; import "./c.ts";`,
      "b.ts": `import "./d.ts";`,
      "c.ts": `import "./b.ts"; import "./d.ts";`,
      "d.ts": ``,
    };
    assert.deepEqual(judge(files), []);
  });
});

describe("documentation", () => {
  const names = (text: string, documented: boolean): string[] =>
    exportedSymbols(parseSource("a.ts", text))
      .filter((symbol) => symbol.documented === documented)
      .map(({ name }) => name);

  test("is a doc comment with words before the declaration", () => {
    const text = `
      /** The header of the file. */
      import "./x.ts";
      /** Says what. */ export function a() {}
      /** Says what. */
      // a note between
      export const b = 1;
      /** Says what. */ interface C {} export type { C };
      /** Says what. */ export default class D {}
      /** The first. */ export function e(x: string): void; export function e(x: number): void; export function e() {}
      export const /** Of one. */ f = 1, g = 2;
    `;
    assert.deepEqual(names(text, true), ["a", "b", "C", "D", "e", "f"]);
    assert.deepEqual(names(text, false), ["g"]);
  });

  test("is no plain comment, no empty one and none that belongs to something else", () => {
    const text = `
      // Says what.
      export const a = 1;
      /* Says what. */ export type B = string;
      /** */ export interface C {}
      /** Of d. */ const d = 1; export function e() {}
      export { d as renamed };
      export default {};
      export { z } from "./z.ts"; export * from "./y.ts";
    `;
    assert.deepEqual(names(text, true), ["d"]);
    assert.deepEqual(names(text, false), ["a", "B", "C", "e", "default"]);
  });

  test("below the least share is told with the names", () => {
    const many = (documented: number, bare: number): Source =>
      parseSource(
        "a.ts",
        [...Array<string>(documented).fill("/** Word. */"), ...Array<string>(bare).fill("")]
          .map((doc, index) => `${doc} export const x${index} = 1;`)
          .join("\n"),
      );
    assert.deepEqual(undocumented([many(17, 3)]), []);
    assert.match(undocumented([many(16, 4)]).join(), /80\.0 % of 20 are documented,  x16 a\.ts:17/);
  });
});
