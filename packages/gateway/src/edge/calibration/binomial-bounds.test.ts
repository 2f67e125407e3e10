import assert from "node:assert/strict";
import { test } from "node:test";
import {
  binomialUpperTail,
  incompleteBeta,
  lnGamma,
  lowerBound,
  upperBound,
  wilsonLowerBound,
} from "./binomial-bounds.ts";

function near(value: number, expected: number, tolerance = 1e-10): void {
  assert.ok(
    Math.abs(value - expected) <= tolerance * Math.max(1, Math.abs(expected)),
    `${value}, not ${expected}`,
  );
}

/** The tail summed term by term. */
function summed(successes: number, trials: number, share: number): number {
  let tail = 0;
  for (let k = successes; k <= trials; k += 1) {
    let term = 1;
    for (let i = 0; i < k; i += 1) term *= ((trials - i) / (k - i)) * share;
    tail += term * (1 - share) ** (trials - k);
  }
  return tail;
}

test("the gamma function at whole numbers and a half", () => {
  near(lnGamma(1), 0);
  near(lnGamma(11), Math.log(3_628_800));
  near(lnGamma(0.5), Math.log(Math.PI) / 2);
  near(lnGamma(1e6), 12_815_504.569147611, 1e-12);
});

test("the incomplete beta function where it is a polynomial", () => {
  near(incompleteBeta(0.3, 1, 1), 0.3);
  near(incompleteBeta(0.3, 2, 1), 0.09);
  near(incompleteBeta(0.3, 1, 3), 1 - 0.7 ** 3);
  near(incompleteBeta(0.9, 5, 5) + incompleteBeta(0.1, 5, 5), 1);
  assert.equal(incompleteBeta(0, 2, 3), 0);
  assert.equal(incompleteBeta(1, 2, 3), 1);
});

test("the binomial tail is the sum of its terms", () => {
  for (const [successes, trials, share] of [
    [3, 10, 0.4],
    [49, 50, 0.98],
    [50, 50, 0.98],
    [1, 30, 0.001],
    [95, 100, 0.9],
  ] as const)
    near(binomialUpperTail(successes, trials, share), summed(successes, trials, share));
  assert.equal(binomialUpperTail(0, 10, 0.5), 1);
});

test("bounds as tables of Clopper and Pearson have them", () => {
  // All of n: level of a one-sided bound is 1 − share^n.
  near(lowerBound(149, 149, 0.95), 0.05 ** (1 / 149));
  near(upperBound(0, 20, 0.95), 1 - 0.05 ** (1 / 20));
  // 8 of 10 at two-sided 95 %: 0.4439 to 0.9748.
  near(lowerBound(8, 10, 0.975), 0.4439, 1e-4);
  near(upperBound(8, 10, 0.975), 0.9748, 1e-4);
  assert.equal(lowerBound(0, 10, 0.95), 0);
  assert.equal(upperBound(10, 10, 0.95), 1);
  assert.equal(lowerBound(0, 0, 0.95), 0);
  assert.equal(upperBound(0, 0, 0.95), 1);
});

test("Wilson's bound is near the exact one and never outside of 0 to 1", () => {
  near(wilsonLowerBound(980, 1000), lowerBound(980, 1000, 0.95), 2e-3);
  assert.ok(wilsonLowerBound(0, 5) >= 0 && wilsonLowerBound(5, 5) < 1);
});
