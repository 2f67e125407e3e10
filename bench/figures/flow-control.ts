/** What a pool's line and gate can do with very many requests of very many flows. */
import { plainServer } from "../../packages/gateway/test/support/scheduling-fixture.ts";
import {
  flowRequest,
  flowSpec,
  openBand,
  wireFlow,
} from "../../packages/gateway/test/support/flow-fixture.ts";
import type { FlowHold } from "../../packages/gateway/src/contracts/flow-gate.ts";
import { systemClock } from "../../packages/gateway/src/core/clock.ts";
import type { InferenceRequest } from "../../packages/gateway/src/core/request.ts";
import type { ForwardPayload } from "../../packages/gateway/src/core/forward.ts";
import { createFlowControl } from "../../packages/gateway/src/stages/flowcontrol/create-flow-control.ts";
import type { FlowControl } from "../../packages/gateway/src/stages/flowcontrol/create-flow-control.ts";
import { createMetrics } from "../../packages/gateway/src/telemetry/index.ts";
import { digits, runsRow, scaledCount, spreadText } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { spreadOf } from "../harness/spread.ts";
import { parameterOf, readWorkload } from "../harness/workload.ts";
import type { Workload } from "../harness/workload.ts";
import { seededRandom } from "../load/random.ts";

const MIN_RATE = 50_000;
const MAX_CANCEL_MS = 100;

const POLICIES = [
  "deficit-round-robin-fairness-policy",
  "round-robin-fairness-policy",
  "global-strict-fairness-policy",
  "program-aware-fairness",
] as const;

/** The policy of the two rows that have targets. */
const JUDGED = POLICIES[0];

export const figure: Figure = {
  id: "flow-control",
  title: "flow control, 10,000 requests of 1,000 flows waiting",
  target: "50,000 joins and dispatches/s; all called off in under 100 ms",
  run,
};

/** One line from empty to empty. */
interface Run {
  /** Requests a second that join and get their place. */
  readonly rate: number;
  readonly cancelMs: number;
  /** What was left in line and under way when all was over. */
  readonly left: number;
}

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("flow-control");
  const runs = new Map<string, Run[]>();
  for (const policy of POLICIES) {
    const own: Run[] = [];
    for (let round = 0; round < scaledCount(parameterOf(workload, "runs"), context.scale); round += 1) {
      own.push(measure(policy, workload, context));
    }
    context.log(`${policy}: ${describe(own)}`);
    runs.set(policy, own);
  }
  return judge(runs);
}

function measure(fairness: string, workload: Workload, { scale }: FigureContext): Run {
  const endpoints = Array.from({ length: parameterOf(workload, "endpoints") }, (_, index) =>
    plainServer(index, { capacity: 100_000 }),
  );
  const metrics = createMetrics();
  const spec = flowSpec({ defaultBand: { ...openBand, fairness } });
  const control = createFlowControl({
    pool: "fleet",
    flow: wireFlow(spec, systemClock, metrics),
    clock: systemClock,
    metrics,
    onFault: (plugin, error) => {
      throw new Error(`${plugin} failed`, { cause: error });
    },
  });
  control.attach({ endpoints, candidatesFor: () => endpoints });
  const rig = new Rig(control, workload);
  const waiting = scale === "smoke" ? 200 : parameterOf(workload, "waiting");
  const dispatches = scale === "full" ? parameterOf(workload, "dispatches") : waiting;
  for (let n = 0; n < waiting; n += 1) rig.join(rig.request());
  const coming = Array.from({ length: dispatches }, () => rig.request());
  const start = performance.now();
  for (const request of coming) {
    rig.join(request);
    rig.dispatch();
  }
  const tookMs = performance.now() - start;
  const cancelMs = rig.cancelAll();
  rig.endAll();
  control.close();
  return {
    rate: (dispatches / tookMs) * 1_000,
    cancelMs,
    left: control.line.length + control.line.tokens + control.gate.underWay,
  };
}

/** Requests as they come and go. */
class Rig {
  readonly #control: FlowControl;
  readonly #random: () => number;
  readonly #flows: number;
  readonly #underWay: number;
  readonly #holds: FlowHold[] = [];
  readonly #joined: InferenceRequest<ForwardPayload>[] = [];
  readonly #fits: (model: string, priority: number) => boolean;

  constructor(control: FlowControl, workload: Workload) {
    this.#control = control;
    this.#random = seededRandom(parameterOf(workload, "seed"));
    this.#flows = parameterOf(workload, "flows");
    this.#underWay = parameterOf(workload, "underWay");
    const fits = (model: string, priority: number): boolean => control.gate.mayDispatch(model, priority);
    this.#fits = fits;
  }

  /** One of a tenant drawn at random. */
  request(): InferenceRequest<ForwardPayload> {
    return flowRequest({
      tenant: `tenant-${Math.floor(this.#random() * this.#flows)}`,
      promptTokens: 50 + Math.floor(this.#random() * 4_000),
      maxTokens: 256,
      deadline: performance.now() + 60_000,
    });
  }

  join(request: InferenceRequest<ForwardPayload>): void {
    this.#joined.push(request);
    const bound = { rows: 1, shapeKey: "m", bytes: 1_000 };
    this.#control.line.join({ request, bound, done: () => {} });
  }

  /** The next gets its place, and once so many are under way the oldest of them ends. */
  dispatch(): void {
    const { line, gate } = this.#control;
    const [waiter] = line.take({ maxRows: 1, fits: this.#fits });
    if (waiter === undefined) throw new Error("expected a request that may go");
    const { request, predictedTokens: charged } = waiter;
    this.#holds.push(gate.granted({ model: "m", request, endpoint: plain, charged }));
    waiter.grant({ enqueuedAt: 0, grantedAt: 0, settle: () => {} });
    if (this.#holds.length > this.#underWay) this.#end(this.#holds.shift());
  }

  /** Every caller leaves. How long that took, ms. */
  cancelAll(): number {
    const start = performance.now();
    for (const { cancellation } of this.#joined) cancellation.cancel("client_gone");
    return performance.now() - start;
  }

  endAll(): void {
    for (const hold of this.#holds.splice(0)) this.#end(hold);
  }

  #end(hold: FlowHold | undefined): void {
    hold?.ended({ promptTokens: 1_000, cachedTokens: 0, completionTokens: 100, estimated: false });
  }
}

const plain = plainServer(0);

function judge(runs: ReadonlyMap<string, readonly Run[]>): FigureResult {
  const judged = runs.get(JUDGED) ?? [];
  const all = [...runs.values()].flat();
  return {
    rows: [
      runsRow(spreadOf(judged.map(({ rate }) => rate)), {
        what: "joins and dispatches a second, deficit round robin",
        goal: { atLeast: MIN_RATE },
      }),
      runsRow(spreadOf(all.map(({ cancelMs }) => cancelMs)), {
        what: "all that wait called off, ms, any policy",
        goal: { atMost: MAX_CANCEL_MS },
      }),
      runsRow(spreadOf([all.reduce((total, { left }) => total + left, 0)]), {
        what: "requests and tokens left in the counts after it",
        goal: { atMost: 0 },
      }),
    ],
    details: [...runs].map(([policy, own]) => `${policy}: ${describe(own)}`),
    data: { runs: Object.fromEntries(runs) },
  };
}

function describe(runs: readonly Run[]): string {
  const rates = spreadText(spreadOf(runs.map(({ rate }) => rate)));
  const cancels = spreadText(spreadOf(runs.map(({ cancelMs }) => cancelMs)), digits);
  return `${rates} joins and dispatches/s; all called off in ${cancels} ms`;
}
