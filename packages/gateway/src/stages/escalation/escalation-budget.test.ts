// A budget of escalations opens again with the next minute, and with the next month.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../testing.ts";
import { EscalationBudget } from "./escalation-budget.ts";

const minuteMs = 60_000;

test("a minute's budget is whole again in the next", () => {
  const clock = createManualClock();
  const budget = new EscalationBudget({ perMinute: 2, perMonth: undefined }, clock);
  assert.deepEqual([budget.take(), budget.take(), budget.take()], [true, true, false]);
  budget.giveBack();
  assert.deepEqual([budget.isOpen, budget.take(), budget.isOpen], [true, true, false]);
  clock.advance(minuteMs);
  assert.equal(budget.take(), true);
});

test("a month's budget lasts until the month is over", () => {
  const clock = createManualClock();
  const budget = new EscalationBudget({ perMinute: undefined, perMonth: 1 }, clock);
  assert.deepEqual([budget.take(), budget.take()], [true, false]);
  clock.advance(minuteMs);
  assert.equal(budget.take(), false);
  clock.advance(32 * 24 * 60 * minuteMs);
  assert.equal(budget.take(), true);
});

test("a budget of none is never open, one without limits always", () => {
  const clock = createManualClock();
  assert.equal(new EscalationBudget({ perMinute: 0, perMonth: undefined }, clock).take(), false);
  const unlimited = new EscalationBudget({ perMinute: undefined, perMonth: undefined }, clock);
  assert.ok(Array.from({ length: 1_000 }, () => unlimited.take()).every(Boolean));
});
