/** What the exchanges of one upstream stage work with. */
import type { ForwardRecord } from "../../contracts/request-record.ts";
import type { Scheduling } from "../../contracts/scheduling.ts";
import type { Random } from "../../core/random.ts";
import type { AttemptContext } from "./forward-attempt.ts";
import type { ForwardMeters } from "./forward-metrics.ts";
import type { Hedging } from "./hedging.ts";
import type { RetryBudget } from "./retry-budget.ts";
import type { StartPacer } from "./start-pacer.ts";

/** Shared by all exchanges. */
export interface ExchangeContext extends AttemptContext {
  readonly scheduling: Scheduling;
  readonly random: Random;
  readonly budget: RetryBudget;
  readonly hedging: Hedging;
  readonly meters: ForwardMeters;
  readonly pacer: StartPacer;
  /** Hears of every request that has ended. */
  readonly onRecord: ((record: ForwardRecord) => void) | undefined;
}
