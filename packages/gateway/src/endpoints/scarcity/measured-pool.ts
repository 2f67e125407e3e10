/** A pool as its scarcity looks at it. */
import type { FlowGate } from "../../contracts/flow-gate.ts";
import type { PooledModel } from "../../contracts/http-endpoint.ts";
import type { Line, LineCost } from "../../contracts/line.ts";
import type { Clock } from "../../core/clock.ts";
import type { ForwardPayload } from "../../core/forward.ts";
import { anyModel, type MeasuredPool, type MeasuredServer } from "./pool-scarcity.ts";

/** What is read of a pool. */
export interface ScarcitySource {
  readonly name: string;
  /** Its servers take whatever model. */
  readonly takesAny: boolean;
  readonly gate?: Pick<FlowGate, "fullnessOf"> | undefined;
  readonly line: Pick<Line<ForwardPayload, LineCost>, "length" | "oldestAt" | "eachShape">;
  models(): readonly PooledModel[];
  endpointsFor(model: string): readonly MeasuredServer[];
}

/** Reads the pool where it stands. */
export function measuredPool(pool: ScarcitySource, clock: Clock): MeasuredPool {
  const { name, line, takesAny } = pool;
  return {
    name,
    modelNames: () => (takesAny ? [anyModel] : pool.models().map((model) => model.name)),
    serversFor: (model) => pool.endpointsFor(model),
    fullnessOf: (server) => pool.gate?.fullnessOf?.(server),
    lineFor(model) {
      const waiting = takesAny ? line.length : waitingFor(line, model);
      const { oldestAt } = line;
      return { waiting, oldestMs: waiting === 0 || oldestAt === undefined ? 0 : clock.now() - oldestAt };
    },
  };
}

/** Of a line that does not tell its models apart, all. */
function waitingFor(line: ScarcitySource["line"], model: string): number {
  if (line.length === 0) return 0;
  if (line.eachShape === undefined) return line.length;
  let count = 0;
  line.eachShape((key, waiting) => {
    if (key === model || key.startsWith(`${model}\0`)) count += waiting;
  });
  return count;
}
