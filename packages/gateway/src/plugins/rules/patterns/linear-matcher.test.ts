import assert from "node:assert/strict";
import { test } from "node:test";
import { LinearMatcher } from "./linear-matcher.ts";
import { PatternError } from "./parse-pattern.ts";

const one = (source: string, ignoreCase = false): LinearMatcher =>
  new LinearMatcher([{ source, ignoreCase }]);

const patterns = [
  "abc",
  "a|bc|",
  "^abc$",
  "^$",
  "a*b+c?",
  "(ab|cd)+e",
  "(?:a|b){2,3}c",
  "a{2}",
  "a{1,}b",
  "x{0,2}y$",
  "[a-c]x",
  "[^a-c]x",
  "[]",
  "[^]",
  "[-a]",
  "[a-]",
  "[\\d_]+z",
  "\\bcat\\b",
  "\\Bcat",
  "cat\\B",
  "\\w+\\s\\d",
  "\\W\\S\\D",
  "a.c",
  "\\.\\*\\/",
  "\\u00e9|\\x41",
  "(a+)+$",
  "a*?b",
  "((a)|b)*c",
  "\\b",
  "^\\B",
  "é+",
  "😀b",
  "a{,2}",
];

const texts = [
  "",
  "abc",
  "xabcx",
  "aab",
  "ababe",
  "cdabe",
  "bbc",
  "aa",
  "xxy",
  "yx",
  "bx",
  "dx",
  "-",
  "1_2z",
  "a cat.",
  "concat",
  "cats",
  "word 5",
  " a b",
  "a\nc",
  ".*/",
  "éA",
  "aaaaaaaaab!",
  "ABC",
  "😀b",
  "a{,2}",
  "\u2028",
];

test("finds what JavaScript finds", () => {
  for (const pattern of patterns) {
    for (const ignoreCase of [false, true]) {
      const theirs = new RegExp(pattern, ignoreCase ? "i" : "");
      const ours = one(pattern, ignoreCase);
      for (const text of texts) {
        const told = `${pattern} ${ignoreCase ? "i " : ""}in ${JSON.stringify(text)}`;
        assert.equal(ours.find(text) === 0, theirs.test(text), told);
      }
    }
  }
});

test("agrees with JavaScript on random patterns and texts", () => {
  let seed = 7;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((seed / 2_147_483_648) * below);
  };
  const atoms = ["a", "b", "[ab]", "[^a]", ".", "\\b", "\\w", "^", "$", "c"];
  const counts = ["", "", "", "*", "+", "?", "{2}", "{1,2}"];
  const make = (depth: number): string => {
    const parts = Array.from({ length: 1 + random(3) }, () => {
      if (depth > 0 && random(3) === 0) return `(${make(depth - 1)}|${make(depth - 1)})${counts[random(8)]}`;
      const atom = atoms[random(atoms.length)] ?? "a";
      return /^(\\b|\^|\$)$/.test(atom) ? atom : atom + (counts[random(8)] ?? "");
    });
    return parts.join("");
  };
  for (let i = 0; i < 500; i++) {
    const source = make(2);
    const ours = one(source);
    const theirs = new RegExp(source);
    for (let n = 0; n < 10; n++) {
      const text = Array.from({ length: random(8) }, () => "abc -"[random(5)]).join("");
      assert.equal(ours.find(text) === 0, theirs.test(text), `${source} in ${JSON.stringify(text)}`);
    }
  }
});

test("says which pattern it was", () => {
  const matcher = new LinearMatcher([
    { source: "\\b\\d{4}-\\d{4}\\b", ignoreCase: false },
    { source: "password", ignoreCase: true },
  ]);
  assert.equal(matcher.find("my PassWord"), 1);
  assert.equal(matcher.find("it is 1234-5678."), 0);
  assert.equal(matcher.find("it is 12345678"), undefined);
});

test("patterns that hang other machines take as long as the text is, or give up within a bound", () => {
  const long = "a".repeat(200_000);
  for (const pattern of ["(a+)+$", "(a|a)*b", "(a*)*c", "(.*)(.*)(.*)(.*)x"]) {
    const startedAt = performance.now();
    const found = one(pattern).find(`${long}!`);
    assert.equal(found, undefined, pattern);
    assert.ok(performance.now() - startedAt < 1_000, `${pattern}: ${performance.now() - startedAt} ms`);
  }
  // More sets of ways than can be kept: each half-remembers the last twenty characters.
  const text = Array.from({ length: 200_000 }, (_, i) => (((i * 7919) >> 3) % 2 === 0 ? "a" : "b")).join("");
  const startedAt = performance.now();
  const found = one("a.{300}c.{300}d").find(text.replaceAll("b", "c"));
  assert.ok(found === "spent" || found === undefined);
  assert.ok(performance.now() - startedAt < 2_000);
});

test("what cannot be matched in linear time, or is no pattern, is refused with why", () => {
  const refused: readonly (readonly [string, RegExp])[] = [
    ["(a)\\1", /refers back/],
    ["(?=a)", /looks around/],
    ["(?<!a)b", /looks around/],
    ["a{3,1}", /out of order/],
    ["a{2000}", /more than 1000/],
    ["(a", /does not end/],
    ["a)", /without a/],
    ["[a", /does not end/],
    ["*a", /nothing to repeat/],
    ["a**", /nothing to repeat/],
    ["\\p{L}", /not offered/],
    ["\\u12", /not whole/],
    ["[z-a]", /out of order/],
    ["[😀]", /two code units/],
    ["((a{100}){100}){100}", /too long/],
    ["(".repeat(200), /too deep/],
  ];
  for (const [source, why] of refused) {
    assert.throws(
      () => one(source),
      (error) => error instanceof PatternError && why.test(error.message),
      source,
    );
  }
});
