// The simulated fleet orders ways to route as a real one did: two stages of the published comparison, of sixteen.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  comparedRouters,
  fewStages,
  outOfOrder,
  publishedOf,
  readPublished,
  runPublished,
  worstRatio,
} from "./published.ts";

test("random, load only, approximate and precise prefix come in the published order", async () => {
  const { published } = await readPublished();
  const output = new Map<string, number>();
  const told = new Map<string, number>();
  const ttft = new Map<string, number>();
  for (const router of comparedRouters) {
    const numbers = published[router.name];
    assert.ok(numbers);
    const result = await runPublished(router, 41, fewStages);
    output.set(router.name, result.outputPerSecond);
    told.set(router.name, publishedOf(numbers, fewStages).outputPerSecond);
    ttft.set(router.name, result.ttftMean);
  }
  assert.deepEqual(outOfOrder(output, told), []);
  assert.ok(worstRatio(output, told) < 1.25, JSON.stringify([...output]));
  // Without reuse a request waits for seconds where with it there is nothing to wait for.
  const of = (name: string): number => ttft.get(name) ?? Number.NaN;
  assert.ok(of("random") > 20 && of("load only") > 20, JSON.stringify([...ttft]));
  assert.ok(of("approximate prefix") < 8 && of("precise prefix") < 1, JSON.stringify([...ttft]));
});

test("the same seed gives the same run", async () => {
  const [router] = comparedRouters;
  assert.ok(router);
  assert.deepEqual(await runPublished(router, 7, [0]), await runPublished(router, 7, [0]));
});

test("an order that differs is told", () => {
  const published = new Map([
    ["a", 100],
    ["b", 50],
    ["c", 52],
  ]);
  const orderOf = (a: number, b: number, c: number): string[] =>
    outOfOrder(
      new Map([
        ["a", a],
        ["b", b],
        ["c", c],
      ]),
      published,
    );
  assert.deepEqual(orderOf(90, 60, 58), []);
  assert.deepEqual(orderOf(50, 60, 58), ["a and b", "a and c"]);
  assert.deepEqual(orderOf(90, 30, 58), ["b and c"]);
});
