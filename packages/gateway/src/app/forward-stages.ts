/** The stages of requests for HTTP servers: those that live as long as the gateway, and those that a configuration makes anew. */
import type { HttpPool } from "../contracts/http-endpoint.ts";
import type { RouteOptions } from "../contracts/options.ts";
import type { ForwardRecord, RequestRecords } from "../contracts/request-record.ts";
import type { Logger } from "../contracts/telemetry.ts";
import type { PoolSet } from "../endpoints/pool-set.ts";
import type { PluginRegistry } from "../plugins/plugin-registry.ts";
import { createProfiles } from "../plugins/create-profiles.ts";
import { leastWorkScheduling } from "../plugins/default-scheduling.ts";
import type { ForwardStages } from "../pipeline/pipeline.ts";
import { createEscalation, noteLeg, type Escalation } from "../stages/escalation/create-escalation.ts";
import { createRouting, type Routing } from "../stages/routing/create-routing.ts";
import { createForwardRouter } from "../stages/routing/forward-router.ts";
import { createHeadCheck } from "../stages/routing/head-check.ts";
import { createScheduling } from "../stages/scheduling/create-scheduling.ts";
import { createFaultLog } from "../stages/scheduling/fault-log.ts";
import { createUpstream, type ForwardUpstream } from "../stages/upstream/create-upstream.ts";
import { createRefusalCounter } from "../stages/upstream/forward-metrics.ts";
import { recordFields } from "../stages/upstream/record-fields.ts";
import type { GatewayContext } from "./options.ts";
import type { PickerWatch } from "./picker-watch.ts";
import type { Rules } from "./rules.ts";

/** What the stages need. */
export interface ForwardStageParts {
  readonly context: GatewayContext;
  /** True for a model of the model workers. */
  readonly isPredictive: (model: string) => boolean;
  /** Keeps what became of requests. */
  readonly records: RequestRecords;
  readonly catalog: PoolSet;
  readonly plugins: PluginRegistry;
  readonly watch: PickerWatch | undefined;
}

/** What a configuration says of where requests go. */
export interface Directions {
  readonly routes: readonly RouteOptions[];
  /** Undefined: there are none. */
  readonly rules: Rules | undefined;
}

/** Makes stages for one configuration after the other. */
export interface ForwardStaging {
  /** Counts requests that were decided on here and carried by others. */
  readonly carried: ForwardUpstream["carried"];
  /** The stages for requests from now on. The rules of the stages before are closed when their last request has passed them. */
  direct(directions: Directions): ForwardStages;
  /** True while no request has anything to do with the pool. */
  isIdle(pool: HttpPool): boolean;
  /** Ends the rules. Idempotent. */
  close(): void;
}

/**
 * Scheduling and upstream are one for all configurations: they hold the lines of pools, the budget of retries and what is
 * under way. Where no route has ever escalated, nothing stands between the pipeline and the stages.
 */
export function createForwardStaging(parts: ForwardStageParts): ForwardStaging {
  const { context, catalog, plugins, watch, records } = parts;
  const { clock, random, logger, metrics } = context;
  const plain = createScheduling({
    clock,
    defaultProfiles: () => createProfiles(leastWorkScheduling, plugins, context),
    onRefused: createRefusalCounter(metrics),
    onFault: createFaultLog(logger, clock),
    ...(watch === undefined ? {} : { tracerOf: (pool: HttpPool) => watch.tracerOf(pool) }),
  });
  const scheduling = watch?.counting(plain) ?? plain;
  const onRecord = recorder({ records, logger, watch });
  const upstream = createUpstream({ clock, random, logger, metrics, scheduling, onRecord });
  // A request under way may still go to a pool that was taken out.
  const places = { pools: () => catalog.all() };
  // Stays once it is made: requests that may escalate are under way, and budgets have counted.
  let escalation: Escalation | undefined;
  let ruled: RuledRouting | undefined;
  return {
    carried: upstream.carried,
    direct({ routes, rules }) {
      if (routes.some(({ escalate }) => escalate !== undefined))
        escalation ??= createEscalation({ clock, metrics, catalog: places, scheduling, upstream });
      if (ruled?.rules !== rules) {
        ruled?.retire();
        ruled = rules && new RuledRouting(rules);
      }
      const configured = rules?.rules ?? [];
      const routing = createRouting({
        router: createForwardRouter({ ...parts, ...context, routes }),
        rules: configured,
        clock,
        logger,
        metrics,
        onRefused: (request, reason) => records.addRefused(request, reason.code),
      });
      const decidesByHead = createHeadCheck({ catalog, routes, rules: configured });
      const stages = escalation ?? { scheduling, upstream };
      return { routing: ruled?.counting(routing) ?? routing, decidesByHead, ...stages };
    },
    isIdle: (pool) => plain.isIdle(pool),
    close: () => ruled?.rules.close(),
  };
}

/** Rules, and how many requests are asking elsewhere for them. */
class RuledRouting {
  readonly rules: Rules;
  #open = 0;
  #isRetired = false;
  readonly #ended = (): void => {
    this.#open--;
    this.#close();
  };

  constructor(rules: Rules) {
    this.rules = rules;
  }

  /** The same stage, whose requests are waited for. */
  counting(routing: Routing): Routing {
    return (request) => {
      const found = routing(request);
      if (!(found instanceof Promise)) return found;
      this.#open++;
      return found.finally(this.#ended);
    };
  }

  /** Closes the rules once no request is on its way through them. */
  retire(): void {
    this.#isRetired = true;
    this.#close();
  }

  #close(): void {
    if (this.#isRetired && this.#open === 0) this.rules.close();
  }
}

/** Keeps each record, counts it, adds it to the story of its request, and writes it to a log that is read so closely. */
function recorder({
  records,
  logger,
  watch,
}: Pick<ForwardStageParts, "records" | "watch"> & { readonly logger: Logger }): (
  record: ForwardRecord,
) => void {
  return (record) => {
    noteLeg(record);
    records.add(record);
    watch?.ended(record);
    if (logger.level === undefined || logger.level === "debug")
      logger.debug("request_forwarded", recordFields(record));
  };
}
