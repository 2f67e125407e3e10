/** The upstream stage: carries forwarded requests to HTTP servers and their answers back. */
import type { Upstream } from "../../contracts/endpoint.ts";
import type { ForwardDecision } from "../../contracts/http-endpoint.ts";
import type { Scheduling } from "../../contracts/scheduling.ts";
import type { Logger, Metrics } from "../../contracts/telemetry.ts";
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import { countCarried, type CarriedRequest } from "./count-carried.ts";
import { DeadlineWatch } from "./deadline-watch.ts";
import type { ExchangeContext } from "./exchange-context.ts";
import { ForwardExchange } from "./forward-exchange.ts";
import { ForwardMeters } from "./forward-metrics.ts";
import type { ForwardRecord } from "../../contracts/request-record.ts";
import { Hedging } from "./hedging.ts";
import { StartPacer } from "./start-pacer.ts";
import { defaultRetryBudget, RetryBudget, type RetryBudgetOptions } from "./retry-budget.ts";

/** What the stage needs. */
export interface UpstreamOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly scheduling: Scheduling;
  /** Further attempts over all pools; default `defaultRetryBudget`. */
  readonly retryBudget?: RetryBudgetOptions;
  /** Hears of every request that has ended. */
  readonly onRecord?: (record: ForwardRecord) => void;
}

/** The stage, and the account of requests that others carry. */
export interface ForwardUpstream extends Upstream<ForwardDecision> {
  /** A request that was decided on here and carried elsewhere has ended. */
  readonly carried: (request: CarriedRequest) => void;
}

/** One stage for all pools of the process. */
export function createUpstream(options: UpstreamOptions): ForwardUpstream {
  const { clock, random, logger, metrics, scheduling } = options;
  const budget = new RetryBudget(options.retryBudget ?? defaultRetryBudget);
  const pacer = new StartPacer(clock);
  const context: ExchangeContext = {
    clock,
    random,
    scheduling,
    budget,
    watch: new DeadlineWatch(clock),
    hedging: new Hedging(),
    pacer,
    meters: new ForwardMeters(metrics, () => budget.available(clock.now())),
    onRecord: options.onRecord,
    onFault: (error) =>
      logger.error("forward_fault", { error: error instanceof Error ? error.stack : String(error) }),
  };
  return {
    carried: countCarried(context.meters, options.onRecord),
    carry(decision, sink) {
      const exchange = new ForwardExchange(context, decision, sink);
      pacer.begin(exchange);
      return exchange;
    },
  };
}
