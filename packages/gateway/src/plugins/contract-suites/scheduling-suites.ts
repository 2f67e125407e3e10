/** Suites for filters, scorers, pickers, profile handlers and producers. */
import type { PluginDefinition, PluginKind } from "../../contracts/plugins/plugin.ts";
import type {
  Producer,
  ProfileResult,
  SchedulableEndpoint,
  ScheduledRequest,
} from "../../contracts/plugins/scheduling.ts";
import { systemClock } from "../../core/clock.ts";
import { expect, expectQuick, type ContractCheck, type ContractOptions } from "./contract-check.ts";
import { flavours } from "./sample-endpoints.ts";
import { SchedulingTry } from "./scheduling-try.ts";

/** None, one, a few, and as many as there may be. */
const sizes = [0, 1, 7, 1_000] as const;

const usualMicros = 5;

interface Subject {
  readonly definition: PluginDefinition;
  readonly options: ContractOptions;
  readonly kind: PluginKind;
}

/** One run of the plugin: `every` leaves out candidates that others have filtered. */
type RunCase = (
  tried: SchedulingTry,
  request: ScheduledRequest,
  endpoints: readonly SchedulableEndpoint[],
  every: number,
) => readonly number[];

/** The checks that filters, scorers and pickers have in common. */
function cycleChecks(subject: Subject, runCase: RunCase): ContractCheck[] {
  const { definition, options, kind } = subject;
  const name = `${definition.type} as a ${kind}`;
  const make = (seed = 1): SchedulingTry => new SchedulingTry(definition, options, { kind, seed });
  const runAll = async (tried: SchedulingTry, counts: readonly number[]): Promise<string> => {
    const seen: (readonly number[])[] = [];
    for (const flavour of flavours) {
      for (const count of counts) {
        const endpoints = tried.endpoints(count, flavour);
        for (const request of tried.requests()) {
          await tried.produce(request, endpoints);
          const data = [...request.data];
          for (const every of [1, 3]) seen.push(runCase(tried, request, endpoints, every));
          expect(
            data.every((value, index) => value === request.data[index]),
            "it wrote to the request's data",
          );
        }
      }
    }
    return JSON.stringify(seen);
  };
  return [
    {
      name: `${name}: no endpoint, one, few, 1,000; with metrics, without, all alike`,
      run: async () => void (await runAll(make(), sizes)),
    },
    {
      name: `${name}: the same seed gives the same`,
      run: async () => {
        const [one, two] = [await runAll(make(7), [1, 7, 40]), await runAll(make(7), [1, 7, 40])];
        expect(
          one === two,
          "two runs with the same seed differ: chance has to come from host.random, time from host.clock",
        );
      },
    },
    {
      name: `${name}: goes on within its bounds while requests come and go`,
      run: async () => {
        const tried = make();
        const endpoints = tried.endpoints(9, "busy");
        for (const request of tried.requests()) {
          await tried.produce(request, endpoints);
          tried.live(request, endpoints);
          runCase(tried, request, endpoints, 1);
        }
      },
    },
    {
      name: `${name}: 1,000 endpoints within ${options.maxMicrosPerEndpoint ?? usualMicros} ms`,
      run: async () => {
        const tried = make();
        const endpoints = tried.endpoints(1_000, "busy");
        const [, request] = tried.requests();
        if (request === undefined) return;
        await tried.produce(request, endpoints);
        const maxMs = options.maxMicrosPerEndpoint ?? usualMicros;
        expectQuick("a run over 1,000 endpoints", {
          now: () => systemClock.now(),
          maxMs,
          run: () => runCase(tried, request, endpoints, 1),
        });
      },
    },
  ];
}

/** A filter leaves some of the candidates, in their order. */
export function filterSuite(definition: PluginDefinition, options: ContractOptions): ContractCheck[] {
  return cycleChecks({ definition, options, kind: "filter" }, (tried, request, endpoints, every) => {
    const candidates = tried.candidates(endpoints, every);
    const before = [...candidates.positions.subarray(0, candidates.count)];
    tried.filter.filter(candidates, request);
    const left = [...candidates.positions.subarray(0, candidates.count)];
    for (const [index, position] of left.entries()) {
      expect(before.includes(position), `it let position ${position} in, which was no candidate`);
      expect(index === 0 || position > (left[index - 1] ?? 0), "positions are no longer in ascending order");
    }
    return left;
  });
}

/** A scorer says a number from 0 to 1 for each candidate, and changes nothing. */
export function scorerSuite(definition: PluginDefinition, options: ContractOptions): ContractCheck[] {
  return cycleChecks({ definition, options, kind: "scorer" }, (tried, request, endpoints, every) => {
    const candidates = tried.candidates(endpoints, every);
    const { count } = candidates;
    const before = [...candidates.positions];
    const scores = new Float64Array(count + 4).fill(Number.NaN);
    tried.scorer.score(candidates, request, scores);
    expect(
      candidates.count === count && before.every((each, index) => each === candidates.positions[index]),
      "it changed the candidates",
    );
    for (let index = 0; index < count; index++) {
      const score = scores[index] ?? Number.NaN;
      expect(
        score >= 0 && score <= 1,
        `the score of candidate ${index} of ${count} is ${score}; expected 0 to 1`,
      );
    }
    for (let index = count; index < scores.length; index++) {
      expect(
        Number.isNaN(scores[index] ?? 0),
        `it wrote a score at ${index}, and there are ${count} candidates`,
      );
    }
    return [...scores.subarray(0, count)];
  });
}

/** A picker names one candidate or several, each once. */
export function pickerSuite(definition: PluginDefinition, options: ContractOptions): ContractCheck[] {
  return cycleChecks({ definition, options, kind: "picker" }, (tried, request, endpoints, every) => {
    const candidates = tried.candidates(endpoints, every);
    const { count } = candidates;
    const positions = [...candidates.positions.subarray(0, count)];
    // All equal, as with no scorer; nothing but zeros; and sums of scores.
    const sums: readonly ((index: number) => number)[] = [
      () => 1,
      () => 0,
      (index) => ((index * 37 + request.id.length) % 11) / 4,
    ];
    return sums.flatMap((sum) => {
      const totals = Float64Array.from({ length: count }, (_, index) => sum(index));
      const before = [...totals];
      const picked = new Int32Array(Math.max(1, count)).fill(-1);
      const chosen = tried.picker.pick(candidates, totals, picked);
      expect(
        Number.isInteger(chosen) && chosen >= Math.min(1, count) && chosen <= count,
        `it chose ${chosen} of ${count}`,
      );
      const named = [...picked.subarray(0, chosen)];
      expect(new Set(named).size === chosen, `it chose one twice: ${named.join(", ")}`);
      for (const each of named)
        expect(positions.includes(each), `it chose position ${each}, which is no candidate`);
      expect(
        before.every((each, index) => each === totals[index]),
        "it changed the totals",
      );
      return named;
    });
  });
}

/** A profile handler names profiles until it has what it needs, and then one whose endpoints count. */
export function handlerSuite(definition: PluginDefinition, options: ContractOptions): ContractCheck[] {
  const { profiles = ["default"] } = options;
  const name = `${definition.type} as a profile handler`;
  const make = (): SchedulingTry => new SchedulingTry(definition, options, { kind: "profile-handler" });
  const settle = (tried: SchedulingTry, request: ScheduledRequest): readonly string[] => {
    const endpoints = tried.endpoints(3, "busy");
    const results = new Map<string, ProfileResult>();
    const named: string[] = [];
    for (let round = 0; round < 20; round++) {
      const next = tried.handler.next(request, profiles, results);
      if (next.length === 0) {
        const primary = tried.handler.primary(results);
        expect(results.has(primary), `the profile that counts is "${primary}", which did not run`);
        return [...named, primary];
      }
      for (const profile of next) {
        named.push(profile);
        // What no profile is called refuses the request: that is an end as well.
        if (!profiles.includes(profile)) return named;
        results.set(profile, { profile, endpoints: endpoints.slice(0, 1) });
      }
    }
    expect(false, "after 20 rounds it still names profiles to run");
  };
  return [
    {
      name: `${name}: comes to an end, with a profile that ran`,
      run: () => {
        const tried = make();
        for (const request of tried.requests()) settle(tried, request);
      },
    },
    {
      name: `${name}: the same request runs the same profiles`,
      run: () => {
        const told = (): string => {
          const tried = make();
          return JSON.stringify(tried.requests().map((request) => settle(tried, request)));
        };
        expect(told() === told(), "two runs with the same seed differ");
      },
    },
  ];
}

/** A producer writes what it declares, for any request and any number of endpoints. */
export function producerSuite(definition: PluginDefinition, options: ContractOptions): ContractCheck[] {
  const name = `${definition.type} as a producer`;
  const declared =
    definition.needsOf?.(definition.parameters.parse(options.parameters ?? {})) ?? definition.needs ?? {};
  const keys = declared.produces ?? [];
  const make = (): SchedulingTry => new SchedulingTry(definition, options, { kind: "producer" });
  const own = (tried: SchedulingTry): Producer => {
    const found = tried.wired.producers.find((each) => each.name === definition.type)?.plugin;
    expect(found !== undefined, "it is no producer");
    return found;
  };
  const runAll = async (tried: SchedulingTry, counts: readonly number[]): Promise<void> => {
    let most = 0;
    for (const flavour of flavours) {
      for (const count of counts) {
        const endpoints = tried.endpoints(count, flavour);
        for (const request of tried.requests()) {
          const written = await countWritten(tried, own(tried), request, endpoints);
          expect(written <= keys.length, `it declares ${keys.length} keys and writes ${written} values`);
          most = Math.max(most, written);
        }
      }
    }
    expect(
      most === keys.length,
      `it declares ${keys.length} keys and writes ${most} values for no request more`,
    );
  };
  return [
    {
      name: `${name}: says which keys it produces`,
      run: () => expect(keys.length > 0, "needs.produces is empty"),
    },
    { name: `${name}: writes them, and nothing else`, run: async () => runAll(make(), sizes) },
    {
      name: `${name}: goes on while requests come and go`,
      run: async () => {
        const tried = make();
        const endpoints = tried.endpoints(9, "busy");
        for (const request of tried.requests()) {
          await tried.produce(request, endpoints);
          tried.live(request, endpoints);
        }
        await runAll(tried, [7]);
      },
    },
    {
      name: `${name}: a prompt of 6,500 words and 1,000 endpoints within ${options.maxMicrosPerEndpoint ?? usualMicros} ms`,
      run: async () => {
        const tried = make();
        const endpoints = tried.endpoints(1_000, "busy");
        const [, request] = tried.requests();
        if (request === undefined) return;
        await tried.produce(request, endpoints);
        const producer = own(tried);
        const maxMs = options.maxMicrosPerEndpoint ?? usualMicros;
        expectQuick("a request", {
          now: () => systemClock.now(),
          maxMs,
          run: () => producer.produce(request, endpoints),
        });
      },
    },
  ];
}

/** What the producer alone adds to what the others have said; returns how many values that are. */
async function countWritten(
  tried: SchedulingTry,
  producer: Producer,
  request: ScheduledRequest,
  endpoints: readonly SchedulableEndpoint[],
): Promise<number> {
  request.data.fill(undefined);
  for (const { plugin } of tried.wired.producers) {
    const before = [...request.data];
    await plugin.prepare?.(request);
    plugin.produce(request, endpoints);
    if (plugin === producer) return request.data.filter((value, index) => value !== before[index]).length;
  }
  return 0;
}
