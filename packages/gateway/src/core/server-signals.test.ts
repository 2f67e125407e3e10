import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { countPageArrived, countPageAsked, countSent, createLoad, uncountSent } from "./server-signals.ts";

describe("requests that a page of metrics cannot have counted", () => {
  test("those sent before the page was asked for are counted by it, those sent after it are not", () => {
    const load = createLoad();
    countSent(load);
    countSent(load);
    countPageAsked(load);
    countSent(load);
    assert.equal(load.sentSinceScrape, 3);
    countPageArrived(load);
    assert.equal(load.sentSinceScrape, 1);
    countPageAsked(load);
    countPageArrived(load);
    assert.equal(load.sentSinceScrape, 0);
  });

  test("a page that never came has counted nothing", () => {
    const load = createLoad();
    countSent(load);
    countPageAsked(load);
    countSent(load);
    countPageAsked(load);
    countSent(load);
    assert.equal(load.sentSinceScrape, 3);
    countPageArrived(load);
    assert.equal(load.sentSinceScrape, 1);
  });

  test("a request that ends is taken off where no page has counted it, and only there", () => {
    const load = createLoad();
    const counted = countSent(load);
    const before = countSent(load);
    countPageAsked(load);
    const after = countSent(load);
    uncountSent(load, before);
    assert.equal(load.sentSinceScrape, 2);
    countPageArrived(load);
    assert.equal(load.sentSinceScrape, 1);
    uncountSent(load, counted);
    assert.equal(load.sentSinceScrape, 1);
    uncountSent(load, after);
    assert.equal(load.sentSinceScrape, 0);
  });

  test("without pages it is what is under way; any order of events ends at none", () => {
    let seed = 1;
    const random = (below: number): number => {
      seed = (seed * 48_271) % 0x7f_ff_ff_ff;
      return seed % below;
    };
    const load = createLoad();
    const open: number[] = [];
    let isAsked = false;
    for (let step = 0; step < 20_000; step++) {
      const what = random(10);
      if (what < 4) open.push(countSent(load));
      else if (what < 8 && open.length > 0) uncountSent(load, open.splice(random(open.length), 1)[0] ?? 0);
      else if (what === 8) {
        countPageAsked(load);
        isAsked = true;
      } else if (isAsked) {
        countPageArrived(load);
        isAsked = false;
      }
      assert.ok(load.sentSinceScrape >= 0 && load.sentSinceScrape <= open.length);
      assert.ok(load.sentSinceAsked >= 0 && load.sentSinceAsked <= load.sentSinceScrape);
    }
    for (const sentAt of open) uncountSent(load, sentAt);
    assert.equal(load.sentSinceScrape, 0);
  });
});
