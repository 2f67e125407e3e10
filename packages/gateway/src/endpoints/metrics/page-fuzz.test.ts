/** Random pages, read by the quick reader and by a slow one that goes line by line. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { MetricMapping } from "../../contracts/plugins/data.ts";
import { createSignals } from "../../core/server-signals.ts";
import { SignalReader } from "./signal-reader.ts";

type Random = (below: number) => number;

function noise(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (state * 48_271) % 0x7f_ff_ff_ff;
    return state % below;
  };
}

const names = ["own", "own_total", "other", "own:more", "an_own", "filler_bucket"];
const values = ["0", "1", "17", "2.5", "1e3", "NaN", "+Inf", "-3", "0.125", "12345678", "4 1763300000000"];
const texts = ["a", "b", 'x"y', "}", "own 9", "1,2", "back\\slash", "line\nend", "", "ü"];

function pick<T>(random: Random, from: readonly T[]): T {
  return from[random(from.length)] as T;
}

function escape(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

interface Series {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: string;
}

/** A page, and what stands on it. Each family stands once, with its comments, among others. */
function writePage(random: Random): { readonly text: string; readonly series: readonly Series[] } {
  const end = random(3) === 0 ? "\r\n" : "\n";
  const series: Series[] = [];
  let text = "";
  const families = names.toSorted(() => random(3) - 1).slice(0, 1 + random(names.length));
  for (const name of families) {
    text += `# filler ${"x".repeat(random(3_000))}${end}`;
    if (random(2) === 0) text += `# HELP ${name} own 3 ${name}{a="b"} 4${end}# TYPE ${name} gauge${end}`;
    for (let count = random(6); count >= 0; count--) {
      const labels = new Map<string, string>();
      for (const label of ["a", "ab", "rank"]) if (random(2) === 0) labels.set(label, pick(random, texts));
      const value = pick(random, values);
      series.push({ name, labels, value });
      const inner = [...labels]
        .map(([label, of]) => `${label}="${escape(of)}"`)
        .join(pick(random, [",", " , ", ", "]));
      const braces =
        labels.size > 0 || random(2) === 0
          ? `{${inner}${labels.size > 0 && random(4) === 0 ? "," : ""}}`
          : "";
      text += `${name}${braces}${pick(random, [" ", "\t", "  "])}${value}${end}`;
    }
  }
  return { text, series };
}

/** What the mapping comes to, the slow way. */
function expected(series: readonly Series[], { metric, labels }: MetricMapping): number | undefined {
  const found = series
    .filter(
      ({ name, labels: has }) =>
        name === metric && Object.entries(labels).every(([k, v]) => has.get(k) === v),
    )
    .map(({ value }) => Number(value.split(" ")[0]))
    .filter((value) => Number.isFinite(value));
  return found.length === 0 ? undefined : found.reduce((sum, value) => sum + value, 0);
}

test("two thousand random pages are read as a slow reader reads them, and no page of garbage throws", () => {
  const random = noise(4_711);
  const filters = [{}, { a: "b" }, { a: "}" }, { rank: "line\nend" }, { ab: 'x"y', a: "" }];
  const mappings = names.slice(0, 4).flatMap((metric, index) =>
    filters.map((labels, at) => ({
      signal: `custom:${index}-${at}` as const,
      metric,
      labels,
      combine: "sum" as const,
    })),
  );
  for (let server = 0; server < 40; server++) {
    const signals = createSignals();
    const reader = new SignalReader({ engine: "own", metrics: mappings }, ["custom"], signals);
    for (let page = 0; page < 50; page++) {
      const { text, series } = writePage(random);
      const now = page * 1_000;
      const bytes = Buffer.from(`\n${text}`);
      reader.read(bytes, now);
      // What this page does not have is a second old by now, and what rests was not looked for.
      reader.expire(now, 500);
      for (const mapping of mappings) {
        const told = signals.custom.get(mapping.signal.slice("custom:".length));
        const right = expected(series, mapping);
        assert.equal(told, right, `${mapping.metric} ${JSON.stringify(mapping.labels)} on\n${text}`);
      }
      const cut = bytes.subarray(0, random(bytes.length));
      const spoilt = Buffer.from(bytes.map((byte) => (random(50) === 0 ? random(256) : byte)));
      const other = new SignalReader({ engine: "own", metrics: mappings }, ["custom"], createSignals());
      other.read(cut, now);
      other.read(spoilt, now);
    }
  }
});
