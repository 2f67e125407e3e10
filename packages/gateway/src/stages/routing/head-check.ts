/** Whether a request can be decided on by its head: nothing on its way may need the body, which then passes by unread. */
import type { ForwardCatalog, ForwardRoute, HttpEndpoint } from "../../contracts/http-endpoint.ts";
import type { RouteOptions } from "../../contracts/options.ts";
import type { ConfiguredRule } from "../../contracts/plugins/rule.ts";
import type { ForwardPayload, Operation } from "../../core/forward.ts";
import type { InferenceRequest } from "../../core/request.ts";
import { controlHeaders, controlName } from "./control-headers.ts";
import { createPlaces } from "./forward-router.ts";

/** What the check depends on. */
export interface HeadCheckOptions {
  readonly catalog: ForwardCatalog;
  readonly routes: readonly RouteOptions[];
  readonly rules: readonly ConfiguredRule[];
}

/** Asked for a request whose payload is that of a head. */
export type HeadCheck = (request: InferenceRequest<ForwardPayload>) => boolean;

const never: HeadCheck = () => false;

/**
 * Makes the check. True where every place that the request may be sent to chooses without its body, knows the model by the
 * name that the request has, and has servers that take the body as it is. The headers that name the model are believed, so
 * a rule that looks at models counts as one that needs the body (`ConfiguredRule.needsBody`).
 */
export function createHeadCheck({ catalog, routes, rules }: HeadCheckOptions): HeadCheck {
  if (rules.some(({ needsBody }) => needsBody)) return never;
  const placesOf = createPlaces({ catalog, routes });
  const passing = new PassingServers();
  // A rule may choose the pool.
  const anywhere = (model: string): readonly ForwardRoute[] =>
    catalog.pools().flatMap((pool) => (pool.endpointsFor(model).length > 0 ? [{ pool, model }] : []));
  return ({ model, headers = {}, payload }) => {
    const asked = controlName(headers, controlHeaders.model);
    if (asked !== undefined && asked !== model) return false;
    const places = rules.length === 0 ? placesOf(model) : [...placesOf(model), ...anywhere(model)];
    if (places.length === 0) return false;
    for (const { pool, model: name, escalate } of places) {
      if (escalate !== undefined || name !== model || pool.needsBody !== false) return false;
      if (!passing.all(pool.endpointsFor(model), model, payload)) return false;
    }
    return true;
  };
}

/** What was found of the servers of a pool, kept as long as its list of them is the same. */
class PassingServers {
  readonly #known = new WeakMap<readonly HttpEndpoint[], Partial<Record<Operation, boolean>>>();

  /** True where all of them, and there are some, take the body as it is. */
  all(endpoints: readonly HttpEndpoint[], model: string, payload: ForwardPayload): boolean {
    const { operation } = payload;
    let known = this.#known.get(endpoints);
    if (known === undefined) this.#known.set(endpoints, (known = {}));
    return (known[operation] ??=
      endpoints.length > 0 && endpoints.every((each) => passes(each, model, payload)));
  }
}

function passes(endpoint: HttpEndpoint, model: string, payload: ForwardPayload): boolean {
  const target = endpoint.targetFor(model);
  return target !== undefined && payload.passesTo?.(target) === true;
}
