/** Counts requests that this gateway decided on and somebody else carried, as it counts its own. */
import type { ForwardRecord } from "../../contracts/request-record.ts";
import type { ForwardMeters } from "./forward-metrics.ts";

/** What is known of one when it has ended. */
export interface CarriedRequest extends ForwardRecord {
  /** The answer's status was good and some of it came. */
  readonly answered: boolean;
}

/** Counts it and hands its record on. */
export function countCarried(
  meters: ForwardMeters,
  onRecord: ((record: ForwardRecord) => void) | undefined,
): (carried: CarriedRequest) => void {
  return (carried) => {
    const { route, outcome, queueMs, durationMs, firstTokenMs, usage, request } = carried;
    const meter = meters.of(route);
    const model = meter.model(route.model);
    meter.queue.observe(queueMs / 1_000);
    model.ended(outcome);
    model.duration.observe(durationMs / 1_000);
    if (firstTokenMs !== undefined && carried.answered) model.firstToken.observe(firstTokenMs / 1_000);
    if (usage !== undefined) model.used(usage);
    const { stream } = request.payload;
    if (outcome === "ok" && stream) model.streamed({ firstTokenMs, durationMs, usage });
    if (outcome === "client_gone") {
      meter.cancelled(stream ? (carried.answered ? "stream" : "first_token") : "whole");
    }
    onRecord?.(carried);
  };
}
