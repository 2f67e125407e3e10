/** Three times what the simulated fleet can do, for callers of two priorities and four tenants: the gateway's flow control. */
import { capacityTokens, readOverload, runOverload, runUnloaded } from "../fleet/overload.ts";
import type { OverloadResult } from "../fleet/overload.ts";
import { readServerSettings } from "../fleet/settings.ts";
import { digits, runsRow } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { spreadOf } from "../harness/spread.ts";
import { parameterOf } from "../harness/workload.ts";

/** Overload. */
export const figure: Figure = {
  id: "fleet-overload",
  title: "flow control on a simulated fleet of 8, three times overloaded",
  target:
    "urgent requests' TTFT p99 1.5 × unloaded; goodput 95 % of capacity; Jain's index over tenants' tokens 0.98 in windows of 10 s",
  run,
};

/** One seed. */
interface Round {
  readonly seed: number;
  readonly unloaded: OverloadResult;
  readonly overload: OverloadResult;
}

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readOverload();
  const settings = await readServerSettings();
  const scale = { full: 1, quick: 0.5, smoke: 0.25 }[context.scale];
  const seeds = context.scale === "full" ? workload.seeds : workload.seeds.slice(0, 1);
  const rounds = seeds.map((seed): Round => {
    const bench = { workload, settings, seed, scale };
    return { seed, unloaded: runUnloaded(bench), overload: runOverload(bench) };
  });
  const capacity = capacityTokens(workload);
  return {
    rows: [
      runsRow(
        spreadOf(rounds.map(({ unloaded, overload }) => overload.urgentTtftP99 / unloaded.urgentTtftP99)),
        {
          what: "urgent requests' TTFT p99 over unloaded",
          goal: { atMost: 1.5 },
        },
      ),
      runsRow(spreadOf(rounds.map(({ overload }) => overload.urgentRefused)), {
        what: "urgent requests refused",
        goal: { atMost: 0 },
      }),
      runsRow(spreadOf(rounds.map(({ overload }) => overload.goodTokens / capacity)), {
        what: "tokens/s of good answers over capacity",
        goal: { atLeast: 0.95 },
      }),
      runsRow(spreadOf(rounds.flatMap(({ overload }) => overload.fairness)), {
        what: `Jain's index over four tenants' tokens, windows of ${parameterOf(workload, "windowSeconds")} s`,
        goal: { atLeast: 0.98 },
        format: (value) => value.toFixed(4),
      }),
    ],
    details: rounds.map((round) => lineOf(round, parameterOf(workload, "capacity"))),
    data: rounds,
  };
}

function lineOf({ seed, unloaded, overload }: Round, capacity: number): string {
  return (
    `seed ${seed}: urgent TTFT p99 ${digits(unloaded.urgentTtftP99)} ms unloaded, ${digits(overload.urgentTtftP99)} ms of ${overload.urgentRequests} in overload; ` +
    `${digits(overload.goodput)} good answers/s, capacity ${digits(capacity)}; ` +
    `${digits(100 * overload.refusedShare)} % of all requests refused after their time in line`
  );
}
