/** The routing stage of requests that HTTP servers answer: headers, rules, and where the model is. */
import type { ForwardRoute } from "../../contracts/http-endpoint.ts";
import type { ConfiguredRule } from "../../contracts/plugins/rule.ts";
import type { Logger, Metrics } from "../../contracts/telemetry.ts";
import type { Clock } from "../../core/clock.ts";
import type { Failure } from "../../core/errors.ts";
import type { ForwardPayload } from "../../core/forward.ts";
import { refuseForeign } from "../../core/may-use.ts";
import type { InferenceRequest } from "../../core/request.ts";
import { controlHeaders, controlName } from "./control-headers.ts";
import type { ForwardRouter } from "./forward-router.ts";
import { createRuleMeters } from "./rule-metrics.ts";
import { RulePass, type PassContext } from "./rule-pass.ts";

type Request = InferenceRequest<ForwardPayload>;

/** Finds where a request is to go. A promise only where a rule asks elsewhere. */
export type Routing = (request: Request) => ForwardRoute | Failure | Promise<ForwardRoute | Failure>;

/** What the stage needs. */
export interface RoutingOptions {
  readonly router: ForwardRouter;
  /** In their order. */
  readonly rules: readonly ConfiguredRule[];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Hears of every request that a rule has refused, or that was called off meanwhile. */
  readonly onRefused: (request: Request, reason: Failure) => void;
}

/** Makes the stage. Without rules it is the router and the header for another model. */
export function createRouting({ router, rules, clock, logger, metrics, onRefused }: RoutingOptions): Routing {
  if (rules.length === 0) return (request) => place(router, request, undefined);
  const context: PassContext = {
    rules,
    clock,
    meters: createRuleMeters(metrics),
    onFault: (rule, error) =>
      logger.error("rule_failed", { rule, error: error instanceof Error ? error.stack : String(error) }),
  };
  return (request) => {
    const pass = new RulePass(context, request);
    const finish = (refusal: Failure | undefined): ForwardRoute | Failure => {
      if (refusal === undefined) return place(router, request, pass);
      onRefused(request, refusal);
      return refusal;
    };
    const refusal = pass.run();
    return refusal instanceof Promise ? refusal.then(finish) : finish(refusal);
  };
}

/**
 * A rule's model goes before that of the caller's header, as in the endpoint picker it comes from, and a caller gets by
 * its header only what it might have named.
 */
function place(router: ForwardRouter, request: Request, pass: RulePass | undefined): ForwardRoute | Failure {
  const { headers, caller } = request;
  const isRewritten = pass?.isRewritten === true;
  const asked = headers === undefined || isRewritten ? undefined : controlName(headers, controlHeaders.model);
  const refusal = asked === undefined ? undefined : refuseForeign(caller, asked);
  if (refusal !== undefined) return refusal;
  return router(caller, asked ?? pass?.model ?? request.model, pass?.pool);
}
