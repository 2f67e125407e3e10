/** From the plugins that a configuration names to definitions with checked parameters. */
import type { z } from "zod";
import type { PluginDefinition, PluginKind, PluginNeeds, PluginSpec } from "../contracts/plugins/plugin.ts";
import type { Logger } from "../contracts/telemetry.ts";
import { GatewayError } from "../core/errors.ts";
import type { PluginRegistry } from "./plugin-registry.ts";

/** A plugin of the configuration, ready to be made. */
export interface ResolvedPlugin {
  readonly name: string;
  readonly definition: PluginDefinition;
  readonly parameters: unknown;
  readonly needs: PluginNeeds;
}

/**
 * The definition of a plugin, and its parameters checked. Throws a `GatewayError` (`bad_request`) that names the plugin, and
 * the parameter where one is at fault.
 */
export function resolvePlugin(spec: PluginSpec, registry: PluginRegistry, logger: Logger): ResolvedPlugin {
  const { name, type } = spec;
  const definition = registry.find(type);
  if (definition === undefined) {
    throw new GatewayError("bad_request", `Plugin ${name}: there is no plugin of the type ${type}`);
  }
  if (registry.isAlias(type)) {
    logger.warn("plugin_type_deprecated", { plugin: name, type, replacement: definition.type });
  }
  const parsed = definition.parameters.safeParse(spec.parameters);
  if (!parsed.success) throw wrongParameters(spec, parsed.error);
  const parameters: unknown = parsed.data;
  return { name, definition, parameters, needs: needsOf(definition, parameters) };
}

/** What a plugin needs and gives with these parameters. */
function needsOf(definition: PluginDefinition, parameters: unknown): PluginNeeds {
  const { needs = {} } = definition;
  const more = definition.needsOf?.(parameters);
  if (more === undefined) return needs;
  return {
    reads: [...(needs.reads ?? []), ...(more.reads ?? [])],
    produces: [...(needs.produces ?? []), ...(more.produces ?? [])],
    signals: [...(needs.signals ?? []), ...(more.signals ?? [])],
    prompt: needs.prompt === true || more.prompt === true,
    body: needs.body === true || more.body === true,
  };
}

function wrongParameters({ name, type }: PluginSpec, error: z.ZodError): GatewayError {
  const about = name === type ? name : `${name} (${type})`;
  const problems = error.issues.map(describeIssue);
  return new GatewayError("bad_request", `Plugin ${about}: ${problems.join("; ")}`);
}

function describeIssue(issue: z.core.$ZodIssue): string {
  if (issue.code === "unrecognized_keys") {
    const path = [...issue.path, issue.keys[0] ?? ""].join(".");
    return `there is no parameter ${path}`;
  }
  return issue.path.length === 0 ? issue.message : `parameter ${issue.path.join(".")}: ${issue.message}`;
}

/** Throws a `GatewayError` where the plugin cannot fill the slot. */
export function requireKind({ name, definition }: ResolvedPlugin, kind: PluginKind): void {
  if (definition.kinds.includes(kind)) return;
  const text = `Plugin ${name} (${definition.type}) is no ${kind}: it is ${definition.kinds.join(" and ")}`;
  throw new GatewayError("bad_request", text);
}
