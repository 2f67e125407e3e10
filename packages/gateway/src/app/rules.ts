/** Rules of the configuration, ready to run. */
import { createConnectionFactory } from "../stages/upstream/server-connections.ts";
import type { PluginHost } from "../contracts/plugins/plugin.ts";
import type { ConfiguredRule, RoutingRule, RuleSpec } from "../contracts/plugins/rule.ts";
import { GatewayError, toFailure } from "../core/errors.ts";
import type { PluginRegistry } from "../plugins/plugin-registry.ts";
import { createHttpCallouts } from "./http-callouts.ts";
import type { GatewayContext } from "./options.ts";

/** Rules, and what they keep open. */
export interface Rules {
  readonly rules: readonly ConfiguredRule[];
  readonly close: () => void;
}

/** Throws a `GatewayError` that names the rule at fault. */
export function createRules(
  specs: readonly RuleSpec[],
  context: GatewayContext & { readonly plugins: PluginRegistry },
): Rules {
  const { clock, random, logger, metrics, plugins } = context;
  const callouts = createHttpCallouts(createConnectionFactory({ clock }));
  const shared = { clock, random, logger, metrics, callout: callouts.create };
  return {
    rules: specs.map((spec) => configure(spec, plugins, shared)),
    close: () => callouts.close(),
  };
}

function configure(
  spec: RuleSpec,
  plugins: PluginRegistry,
  shared: Omit<PluginHost, "name" | "dataIndex">,
): ConfiguredRule {
  const { name, type, parameters } = spec.plugin;
  const definition = plugins.find(type);
  if (definition?.kinds.includes("rule") !== true)
    throw new GatewayError("bad_request", `rule ${name}: no such type: ${type}`);
  const dataIndex = (): number => {
    throw new GatewayError("bad_request", "rules have no data of the scheduling cycle");
  };
  try {
    const read = definition.parameters.parse(parameters);
    const { prompt = false, body = true } = definition.needsOf?.(read) ?? definition.needs ?? {};
    const rule = definition.create(read, { ...shared, name, dataIndex }) as RoutingRule;
    // Which model a body really names is not known before it is here.
    const needsBody = prompt || body || spec.models !== undefined;
    return { spec, rule, readsPrompt: prompt, needsBody };
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    throw new GatewayError(error.code, `rule ${name}: ${toFailure(error).message}`);
  }
}
