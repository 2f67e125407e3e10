/** Several tracers as one. */
import type {
  Candidates,
  CycleTracer,
  SchedulableEndpoint,
  ScheduledRequest,
} from "../contracts/plugins/scheduling.ts";

/** All hear of every step, in their order. The first should be what takes the time. */
export function joinTracers(tracers: readonly CycleTracer[]): CycleTracer | undefined {
  const [only, ...others] = tracers;
  return others.length === 0 ? only : new JoinedTracers(tracers);
}

class JoinedTracers implements CycleTracer {
  readonly #tracers: readonly CycleTracer[];

  constructor(tracers: readonly CycleTracer[]) {
    this.#tracers = tracers;
  }

  begin(request: ScheduledRequest, candidates: Candidates): void {
    for (const tracer of this.#tracers) tracer.begin(request, candidates);
  }

  profile(name: string): void {
    for (const tracer of this.#tracers) tracer.profile(name);
  }

  filtered(plugin: string, candidates: Candidates): void {
    for (const tracer of this.#tracers) tracer.filtered(plugin, candidates);
  }

  scored(plugin: string, weight: number, candidates: Candidates, scores: Float64Array): void {
    for (const tracer of this.#tracers) tracer.scored(plugin, weight, candidates, scores);
  }

  picked(candidates: Candidates, totals: Float64Array, picked: Int32Array, count: number): void {
    for (const tracer of this.#tracers) tracer.picked(candidates, totals, picked, count);
  }

  end(request: ScheduledRequest, endpoints: readonly SchedulableEndpoint[]): void {
    for (const tracer of this.#tracers) tracer.end(request, endpoints);
  }
}
