/** A file of endpoints in the form of the inference extension's endpoint picker. */
import { isMap, isNode, LineCounter, parseDocument, type Document } from "yaml";
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
  const lines = new LineCounter();
  const document = parseDocument(text, { prettyErrors: false, lineCounter: lines });
  const [wrong] = document.errors;
  if (wrong !== undefined)
    return `line ${lines.linePos(wrong.pos[0]).line}: not valid YAML: ${wrong.message.split("\n")[0] ?? ""}`;
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 0 });
  } catch (error) {
    return `not valid YAML: ${error instanceof Error ? error.message : String(error)}`;
  }
  const result = list.safeParse(value);
  if (!result.success) return describe(result.error, { value, document, lines });
  const endpoints = (result.data.endpoints ?? []).map((each) => ({ ...each, labels: each.labels ?? {} }));
  return repeated(endpoints) ?? endpoints;
}

/** A file that was read, and where its things stand. */
interface Read {
  readonly value: unknown;
  readonly document: Document;
  readonly lines: LineCounter;
}

/** The first thing that is wrong, with its place. */
function describe({ issues }: z.ZodError, read: Read): string {
  const { value } = read;
  if (typeof value !== "object" || value === null || !("endpoints" in value))
    return 'expected a mapping with a list under "endpoints"';
  const [issue] = issues;
  const path = issue?.path ?? [];
  const place = path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
  const message = `${place.replace(/^\./, "")}: ${issue?.message ?? "not what was expected"}`;
  return `${lineOf(path, read)}${message}${perhapsMeant(path, read.document)}`;
}

/** The line of what a path leads to, or of what should hold it. */
function lineOf(path: readonly PropertyKey[], { document, lines }: Read): string {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return `line ${lines.linePos(node.range[0]).line}: `;
  }
  return "";
}

/** A key that is missing may be there with a slip of the pen: unknown ones are passed over otherwise. */
function perhapsMeant(path: readonly PropertyKey[], document: Document): string {
  const key = path.at(-1);
  const holder = document.getIn(path.slice(0, -1));
  if (typeof key !== "string" || !isMap(holder) || holder.has(key)) return "";
  const others = holder.items.map((item) => String(item.key)).filter((name) => !(name in endpoint.shape));
  return others.length === 0 ? "" : `; no endpoint has the key ${others.slice(0, 3).join(", ")}`;
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
