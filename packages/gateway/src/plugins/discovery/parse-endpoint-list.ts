/** A file of endpoints in the form of the inference extension's endpoint picker. */
import { parse } from "yaml";
import { z } from "zod";
import type { DiscoveredEndpoint } from "../../contracts/plugins/data.ts";

/** Endpoints of one file. */
const maxEndpoints = 1_024;

const endpoint = z.object({
  name: z.string().min(1).max(253),
  namespace: z.string().max(253).default("default"),
  address: z.union([z.ipv4(), z.ipv6()], "expected an IP address: names are not resolved"),
  port: z.union([z.int(), z.string().regex(/^\d+$/).transform(Number)]).pipe(z.int().min(1).max(65_535)),
  labels: z.record(z.string(), z.string()).nullish(),
});

const list = z.object({ endpoints: z.array(endpoint).max(maxEndpoints).nullable() });

/** Reads YAML or JSON; a sentence for people where it cannot be used. */
export function parseEndpointList(text: string): readonly DiscoveredEndpoint[] | string {
  let value: unknown;
  try {
    value = parse(text, { maxAliasCount: 0, prettyErrors: false });
  } catch (error) {
    return `not valid YAML: ${error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error)}`;
  }
  const result = list.safeParse(value);
  if (!result.success) return describe(result.error, value);
  const endpoints = (result.data.endpoints ?? []).map((each) => ({ ...each, labels: each.labels ?? {} }));
  return repeated(endpoints) ?? endpoints;
}

/** The first thing that is wrong, with its place. */
function describe({ issues }: z.ZodError, value: unknown): string {
  if (typeof value !== "object" || value === null || !("endpoints" in value))
    return 'expected a mapping with a list under "endpoints"';
  const [issue] = issues;
  const path = issue?.path ?? [];
  const place = path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
  return `${place.replace(/^\./, "")}: ${issue?.message ?? "not what was expected"}`;
}

/** Endpoints that are told apart by nothing. */
function repeated(endpoints: readonly DiscoveredEndpoint[]): string | undefined {
  const names = new Map<string, number>();
  const addresses = new Map<string, number>();
  for (const [index, { name, namespace, address, port }] of endpoints.entries()) {
    const sameName = names.get(`${namespace}/${name}:${port}`);
    if (sameName !== undefined)
      return `endpoints[${index}]: ${namespace}/${name} with port ${port} is there already, as endpoints[${sameName}]`;
    const sameAddress = addresses.get(`${address} ${port}`);
    if (sameAddress !== undefined)
      return `endpoints[${index}]: ${address} port ${port} is there already, as endpoints[${sameAddress}]`;
    names.set(`${namespace}/${name}:${port}`, index);
    addresses.set(`${address} ${port}`, index);
  }
  return undefined;
}
