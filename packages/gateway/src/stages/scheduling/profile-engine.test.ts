// Producers, profiles, filters, scorers, pickers: in their order, and none of them can break a cycle.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { plainServer, scheduledRequest } from "../../../test/support/scheduling-fixture.ts";
import type { Filter, Picker, ProfileHandler, Scorer } from "../../contracts/plugins/scheduling.ts";
import type { WiredProfile, WiredScheduling } from "../../contracts/plugins/wired-scheduling.ts";
import { isFailure } from "../../core/errors.ts";
import { ProfileEngine } from "./profile-engine.ts";

const servers = Array.from({ length: 40 }, (_, index) => plainServer(index));

const firstBest: Picker = {
  pick({ positions, count }, totals, picked) {
    let best = 0;
    for (let i = 1; i < count; i++) if ((totals[i] ?? 0) > (totals[best] ?? 0)) best = i;
    picked[0] = positions[best] ?? 0;
    return 1;
  },
};

const inTurn: ProfileHandler = {
  next: (_request, profiles, results) => profiles.slice(results.size, results.size + 1),
  primary: (results) => [...results.keys()].at(-1) ?? "",
};

function scoring(score: (position: number) => number): Scorer {
  return {
    score({ positions, count }, _request, scores) {
      for (let i = 0; i < count; i++) scores[i] = score(positions[i] ?? 0);
    },
  };
}

function keeping(keeps: (position: number) => boolean): Filter {
  return {
    filter(candidates) {
      let kept = 0;
      for (let i = 0; i < candidates.count; i++) {
        const position = candidates.positions[i] ?? 0;
        if (keeps(position)) candidates.positions[kept++] = position;
      }
      candidates.keep(kept);
    },
  };
}

interface Setup {
  readonly filters?: readonly Filter[];
  readonly scorers?: readonly (readonly [Scorer, number])[];
  readonly picker?: Picker;
}

function profileOf(name: string, { filters = [], scorers = [], picker = firstBest }: Setup): WiredProfile {
  return {
    name,
    filters: filters.map((plugin, index) => ({ name: `filter-${index}`, plugin })),
    scorers: scorers.map(([plugin, weight], index) => ({ name: `scorer-${index}`, plugin, weight })),
    picker: { name: "picker", plugin: picker },
  };
}

function engineOf(profiles: readonly WiredProfile[], more: Partial<WiredScheduling> = {}) {
  const faults: string[] = [];
  const wired: WiredScheduling = {
    producers: [],
    handler: { name: "handler", plugin: inTurn },
    profiles,
    observers: [],
    dataSize: 0,
    inflightIndex: -1,
    readsPrompt: false,
    needsBody: false,
    signals: new Set(),
    ...more,
  };
  const engine = new ProfileEngine(wired, { onFault: (plugin) => void faults.push(plugin) });
  const run = (count = 10) => {
    const result = engine.run(scheduledRequest(), servers.slice(0, count));
    return isFailure(result) ? result.code : result.endpoints.map(({ slot }) => slot);
  };
  return { engine, faults, run };
}

test("scores are clamped, weighted and added up", () => {
  const { run } = engineOf([
    profileOf("p", {
      scorers: [
        [scoring((position) => [0.5, 7, 0.9][position] ?? 0), 1],
        [scoring((position) => [0.9, -3, Number.NaN][position] ?? 0), 2],
      ],
    }),
  ]);
  // 0.5 + 1.8, 1 + 0, 0.9 + 0
  assert.deepEqual(run(3), [0]);
});

test("filters run in order, on what the ones before have left", () => {
  const seen: number[] = [];
  const second = keeping((position) => {
    seen.push(position);
    return position > 4;
  });
  const { run } = engineOf([
    profileOf("p", { filters: [keeping((position) => position % 2 === 1), second] }),
  ]);
  assert.deepEqual(run(), [5]);
  assert.deepEqual(seen, [1, 3, 5, 7, 9]);
});

test("filters that leave nobody refuse the request", () => {
  const { run } = engineOf([profileOf("p", { filters: [keeping(() => false)] })]);
  assert.equal(run(), "saturated");
});

test("each profile begins with all endpoints; the handler says which result counts", () => {
  const { run, engine } = engineOf([
    profileOf("a", { filters: [keeping((position) => position === 3)] }),
    profileOf("b", { filters: [keeping((position) => position === 4)] }),
  ]);
  assert.deepEqual(run(), [4]);
  assert.deepEqual(
    [...engine.results].map(([name, { endpoints }]) => [name, endpoints[0]?.slot]),
    [
      ["a", 3],
      ["b", 4],
    ],
  );
});

test("a profile that there is not is the caller's mistake", () => {
  const handler: ProfileHandler = { next: () => ["none"], primary: () => "none" };
  const { run } = engineOf([profileOf("p", {})], { handler: { name: "handler", plugin: handler } });
  assert.equal(run(), "bad_request");
});

test("a handler that never ends is ended", () => {
  const handler: ProfileHandler = { next: () => ["p"], primary: () => "p" };
  const { run } = engineOf([profileOf("p", {})], { handler: { name: "handler", plugin: handler } });
  assert.deepEqual(run(), [0]);
});

test("pools grow and shrink from request to request", () => {
  const { run } = engineOf([profileOf("p", { scorers: [[scoring((position) => position), 1]] })]);
  for (const count of [1, 40, 3, 17, 40, 2]) {
    // All but the first have the score 1.
    assert.deepEqual(run(count), [count === 1 ? 0 : 1]);
  }
});

describe("a plugin that throws is left out and told", () => {
  const broken = (): never => {
    throw new Error("broken");
  };

  test("a filter, which leaves everybody, also where it was half done", () => {
    const half: Filter = {
      filter({ positions }) {
        positions.fill(9);
        broken();
      },
    };
    const { run, faults } = engineOf([profileOf("p", { filters: [half] })]);
    assert.deepEqual(run(), [0]);
    assert.deepEqual(faults, ["filter-0"]);
  });

  test("a scorer, which says nothing", () => {
    const { run, faults } = engineOf([
      profileOf("p", {
        scorers: [
          [{ score: broken }, 10],
          [scoring((position) => position / 10), 1],
        ],
      }),
    ]);
    assert.deepEqual(run(), [9]);
    assert.deepEqual(faults, ["scorer-0"]);
  });

  test("a picker and a producer", () => {
    const { run, faults } = engineOf([profileOf("p", { picker: { pick: broken } })], {
      producers: [{ name: "producer", plugin: { produce: broken } }],
    });
    assert.deepEqual(run(), [0]);
    assert.deepEqual(faults, ["producer", "picker"]);
  });

  test("a handler, which refuses the request", () => {
    const handler: ProfileHandler = { next: broken, primary: () => "p" };
    const { run, faults } = engineOf([profileOf("p", {})], { handler: { name: "handler", plugin: handler } });
    assert.equal(run(), "internal");
    assert.deepEqual(faults, ["handler"]);
  });

  test("a picker that names what is not there", () => {
    const wild: Picker = {
      pick(_candidates, _totals, picked) {
        picked[0] = 77;
        return 1;
      },
    };
    assert.equal(engineOf([profileOf("p", { picker: wild })]).run(), "saturated");
  });
});
