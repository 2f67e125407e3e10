/** The upstream stage: carries forwarded requests to HTTP servers and their answers back. */
import type { Upstream } from "../../contracts/endpoint.ts";
import type { ForwardDecision } from "../../contracts/http-endpoint.ts";
import type { Scheduling } from "../../contracts/scheduling.ts";
import type { Logger } from "../../contracts/telemetry.ts";
import type { Clock } from "../../core/clock.ts";
import { DeadlineWatch } from "./deadline-watch.ts";
import { ForwardExchange, type ExchangeContext } from "./forward-exchange.ts";

/** What the stage needs. */
export interface UpstreamOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly scheduling: Scheduling;
}

/** One stage for all pools of the process. */
export function createUpstream(options: UpstreamOptions): Upstream<ForwardDecision> {
  const { clock, logger, scheduling } = options;
  const context: ExchangeContext = {
    clock,
    scheduling,
    watch: new DeadlineWatch(clock),
    onFault: (error) =>
      logger.error("forward_fault", { error: error instanceof Error ? error.stack : String(error) }),
  };
  return {
    carry(decision, sink) {
      const exchange = new ForwardExchange(context, decision, sink);
      exchange.start();
      return exchange;
    },
  };
}
