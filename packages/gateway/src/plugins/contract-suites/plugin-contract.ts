/** The contract of a plugin: the checks of every kind that it is. */
import { pluginKinds, type PluginDefinition, type PluginKind } from "../../contracts/plugins/plugin.ts";
import type { RoutingRule } from "../../contracts/plugins/rule.ts";
import { expect, type ContractCheck, type ContractOptions } from "./contract-check.ts";
import {
  evictionSuite,
  fairnessSuite,
  orderingSuite,
  saturationSuite,
  usageLimitSuite,
} from "./flow-suites.ts";
import { createAlone } from "./sample-host.ts";
import { filterSuite, handlerSuite, pickerSuite, producerSuite, scorerSuite } from "./scheduling-suites.ts";

type Suite = (definition: PluginDefinition, options: ContractOptions) => readonly ContractCheck[];

/** Kinds whose plugins are tried; of the others the definition is looked at. */
const suites: Readonly<Partial<Record<PluginKind, Suite>>> = {
  filter: filterSuite,
  scorer: scorerSuite,
  picker: pickerSuite,
  "profile-handler": handlerSuite,
  producer: producerSuite,
  fairness: fairnessSuite,
  ordering: orderingSuite,
  saturation: saturationSuite,
  "usage-limit": usageLimitSuite,
  eviction: evictionSuite,
  rule: ruleSuite,
};

/**
 * Every check that a plugin has to pass, of its definition and of each kind that it is. For any test runner:
 *
 *     for (const check of pluginContract(definition)) test(check.name, () => check.run());
 */
export function pluginContract(
  definition: PluginDefinition,
  options: ContractOptions = {},
): readonly ContractCheck[] {
  return [
    ...definitionSuite(definition, options),
    ...definition.kinds.flatMap((kind) => suites[kind]?.(definition, options) ?? []),
  ];
}

function definitionSuite(
  definition: PluginDefinition,
  { parameters = {} }: ContractOptions,
): ContractCheck[] {
  const { type, kinds, summary, aliases = [] } = definition;
  return [
    {
      name: `${type}: its definition says what it is`,
      run: () => {
        expect(
          /^[a-z0-9][a-z0-9-]{0,63}$/.test(type),
          `type: "${type}" is no name of lower-case letters, digits and dashes`,
        );
        expect(
          kinds.length > 0 && kinds.every((kind) => pluginKinds.includes(kind)),
          "kinds: one is not known",
        );
        expect(new Set(kinds).size === kinds.length, "kinds: one is there twice");
        expect(summary.trim().length > 5 && !summary.includes("\n"), "summary: expected one sentence");
        expect(!aliases.includes(type), "aliases: its own type is among them");
      },
    },
    {
      name: `${type}: takes its parameters, and no others`,
      run: () => {
        const given = definition.parameters.safeParse(parameters);
        expect(given.success, `it refuses ${JSON.stringify(parameters)}: ${given.error?.message ?? ""}`);
        const more = definition.parameters.safeParse({ ...parameters, "no-such-parameter": 1 });
        expect(!more.success, "it takes a parameter that it does not know: use z.strictObject");
      },
    },
  ];
}

/** What can be said of a rule without a request: its bounds. */
function ruleSuite(definition: PluginDefinition, options: ContractOptions): readonly ContractCheck[] {
  return [
    {
      name: `${definition.type} as a routing rule: says how long it takes and what its failure means`,
      run: () => {
        const rule = createAlone(definition, options, 1) as RoutingRule;
        expect(
          typeof rule.applies === "function" && typeof rule.apply === "function",
          "expected applies and apply",
        );
        expect(
          rule.onFailure === "open" || rule.onFailure === "closed",
          `onFailure: ${String(rule.onFailure)}`,
        );
        expect(
          rule.timeoutMs > 0 && rule.timeoutMs <= 300_000,
          `timeoutMs: ${rule.timeoutMs}; expected 1 to 300,000`,
        );
      },
    },
  ];
}
