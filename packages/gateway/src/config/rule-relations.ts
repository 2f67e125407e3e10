/** Rules of `spillway.yaml` against the types that there are. */
import { nearestWord } from "@spillway/worker/repository";
import type { z } from "zod";
import type { PluginDefinition } from "../contracts/plugins/plugin.ts";
import type { PluginRegistry } from "../plugins/plugin-registry.ts";
import type { DefaultedConfig } from "./schema.ts";
import type { Problem } from "./source.ts";

/** Types that are not there, names that stand twice, parameters that a type does not take. */
export function findRuleProblems(
  { rules }: Pick<DefaultedConfig, "rules">,
  registry: PluginRegistry,
): Problem[] {
  const seen = new Set<string>();
  const problems: Problem[] = [];
  for (const [index, { type, name = type, parameters }] of rules.entries()) {
    const path = ["rules", index];
    if (seen.has(name)) {
      problems.push({ path, message: `there is a rule ${name} already; give this one a name of its own` });
    }
    seen.add(name);
    const definition = registry.find(type);
    if (definition?.kinds.includes("rule") !== true)
      problems.push({ path: [...path, "type"], message: unknownType(type, registry) });
    else problems.push(...findParameterProblems(definition, parameters, [...path, "parameters"]));
  }
  return problems;
}

function unknownType(type: string, registry: PluginRegistry): string {
  const known = registry.list("rule").map((each) => each.type);
  const nearest = nearestWord(type, known);
  const hint = nearest === undefined ? `known are ${known.join(", ")}` : `did you mean "${nearest}"?`;
  return `there is no rule of type ${type}; ${hint}`;
}

/** What a plugin does not take of its parameters. */
function findParameterProblems(
  { type, parameters: schema }: Pick<PluginDefinition, "type" | "parameters">,
  parameters: unknown,
  path: readonly PropertyKey[],
): Problem[] {
  const result = schema.safeParse(parameters);
  if (result.success) return [];
  return flat(result.error.issues).map((issue) => ({
    path: [...path, ...issue.path],
    message: `${type}: ${issue.message.charAt(0).toLowerCase()}${issue.message.slice(1)}`,
  }));
}

/** Of a choice, what is wrong with that which was meant: one that takes such a value, with the mistakes that lie deepest. */
function flat(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue[] {
  return issues.flatMap((issue) => {
    if (issue.code !== "invalid_union") return [issue];
    const meant = issue.errors
      .map((errors) => flat(errors))
      .filter((errors) => !errors.some(({ code, path }) => code === "invalid_type" && path.length === 0))
      .toSorted((a, b) => depthOf(b) - depthOf(a))
      .at(0);
    if (meant === undefined) return [issue];
    return meant.map((each) => ({ ...each, path: [...issue.path, ...each.path] }));
  });
}

function depthOf(issues: readonly z.core.$ZodIssue[]): number {
  return Math.max(0, ...issues.map(({ path }) => path.length));
}
