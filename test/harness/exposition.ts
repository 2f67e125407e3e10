// A strict reader of the Prometheus text format 0.0.4: what it does not refuse, a Prometheus server takes.
import assert from "node:assert/strict";

/** One family as it was written. */
export interface ParsedFamily {
  readonly type: string;
  readonly help: string;
  /** Values by series, such as `name_bucket{model="iris",le="1"}`, in the order written. */
  readonly samples: Map<string, number>;
}

const helpLine = /^# HELP ([a-zA-Z_][a-zA-Z0-9_]*) ((?:[^\\\n]|\\\\|\\n)+)$/;
const typeLine = /^# TYPE ([a-zA-Z_][a-zA-Z0-9_]*) (counter|gauge|histogram|summary)$/;
const label = String.raw`[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"`;
const sampleLine = new RegExp(String.raw`^([a-zA-Z_][a-zA-Z0-9_]*)(\{(?:${label})(?:,${label})*\})? (\S+)$`);
const number = /^(?:[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?)|NaN|[+-]Inf)$/;
const suffixes: Readonly<Record<string, readonly string[]>> = {
  counter: [""],
  gauge: [""],
  histogram: ["_bucket", "_sum", "_count"],
  summary: ["", "_sum", "_count"],
};

/** Reads an exposition. Throws an AssertionError for anything that is out of form, out of order or contradicts itself. */
export function parseExposition(text: string): Map<string, ParsedFamily> {
  assert.ok(text === "" || text.endsWith("\n"), "the last line has no newline");
  const lines = text.split("\n").slice(0, -1);
  const families = new Map<string, ParsedFamily>();
  for (let at = 0; at < lines.length;) at = readFamily(lines, at, families);
  for (const [name, family] of families) if (family.type === "histogram") checkHistogram(name, family);
  return families;
}

/** Reads HELP, TYPE and at least one sample; returns where the next family starts. */
function readFamily(lines: readonly string[], start: number, families: Map<string, ParsedFamily>): number {
  const help = helpLine.exec(lines[start] ?? "");
  assert.ok(help, `expected HELP, got ${lines[start]}`);
  const type = typeLine.exec(lines[start + 1] ?? "");
  assert.ok(type, `expected TYPE, got ${lines[start + 1]}`);
  const [, name = ""] = help;
  assert.equal(type[1], name);
  assert.ok(!families.has(name), `${name} comes twice`);
  const family: ParsedFamily = { type: type[2] ?? "", help: help[2] ?? "", samples: new Map() };
  families.set(name, family);
  let at = start + 2;
  for (; at < lines.length && !lines[at]?.startsWith("#"); at++) readSample(lines[at] ?? "", name, family);
  assert.ok(family.samples.size > 0, `${name} has no samples`);
  return at;
}

function readSample(line: string, family: string, { type, samples }: ParsedFamily): void {
  const found = sampleLine.exec(line);
  assert.ok(found, `not a sample: ${line}`);
  const [, name = "", labels = "", value = ""] = found;
  assert.ok(
    suffixes[type]?.some((suffix) => name === family + suffix),
    `${name} does not belong to ${type} ${family}`,
  );
  assert.match(value, number, line);
  const names = [...labels.matchAll(/([a-zA-Z_]\w*)="(?:[^"\\]|\\.)*"/g)].map(([, each]) => each);
  assert.equal(new Set(names).size, names.length, `a label comes twice: ${line}`);
  assert.ok(!samples.has(name + labels), `comes twice: ${line}`);
  samples.set(name + labels, Number(value.replace("Inf", "Infinity")));
}

/** Buckets ascend, end at +Inf, and +Inf is the count. */
function checkHistogram(name: string, { samples }: ParsedFamily): void {
  const last = new Map<string, { le: number; count: number }>();
  for (const [series, count] of samples) {
    const found = /^(.*)_bucket\{(.*?),?le="([^"]*)"\}$/.exec(series);
    if (found === null) continue;
    const [, , labels = "", bound = ""] = found;
    const le = Number(bound.replace("Inf", "Infinity"));
    const before = last.get(labels);
    assert.ok(before === undefined || (le > before.le && count >= before.count), `out of order: ${series}`);
    last.set(labels, { le, count });
  }
  for (const [labels, { le, count }] of last) {
    const braces = labels === "" ? "" : `{${labels}}`;
    assert.equal(le, Infinity, `${name}${braces} has no +Inf bucket`);
    assert.equal(samples.get(`${name}_count${braces}`), count, `${name}_count${braces}`);
    assert.ok(samples.has(`${name}_sum${braces}`), `${name}_sum${braces} is missing`);
  }
}
