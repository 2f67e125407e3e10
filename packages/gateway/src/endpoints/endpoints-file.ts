/** A file that lists a pool's servers, written by whatever knows them. */
import { open } from "node:fs/promises";
import { parse } from "yaml";
import { readHttpAddress, type HttpAddress } from "../core/http-address.ts";

/** What was read. */
export interface EndpointsFile {
  readonly addresses: readonly HttpAddress[];
  /** Its text; undefined before it was read. */
  readonly text: string | undefined;
}

/** Largest file that is read, bytes. */
const maxBytes = 1_048_576;
const maxAddresses = 1_024;

/**
 * Reads a YAML or JSON list of addresses, each a text or a mapping with `url`. Undefined where the file
 * says what it said before (`known`); a sentence where it cannot be used.
 */
export async function readEndpointsFile(
  path: string,
  known: string | undefined,
): Promise<EndpointsFile | string | undefined> {
  let text: string;
  try {
    await using handle = await open(path);
    const { size } = await handle.stat();
    if (size > maxBytes) return `expected at most ${maxBytes} bytes, got ${size}`;
    text = await handle.readFile("utf8");
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return text === known ? undefined : parseEndpoints(text);
}

/** An empty file is taken for one that is just being written. */
function parseEndpoints(text: string): EndpointsFile | string {
  let value: unknown;
  try {
    value = parse(text, { maxAliasCount: 0, prettyErrors: false });
  } catch (error) {
    return `not valid YAML: ${error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error)}`;
  }
  if (!Array.isArray(value)) return "expected a list of addresses";
  if (value.length > maxAddresses) return `expected at most ${maxAddresses} addresses, got ${value.length}`;
  const addresses: HttpAddress[] = [];
  for (const [index, item] of (value as unknown[]).entries()) {
    const url = typeof item === "object" && item !== null && "url" in item ? item.url : item;
    const address = typeof url === "string" ? readHttpAddress(url) : undefined;
    if (address === undefined) {
      return `item ${index + 1}: expected an address such as http://host:8000, got ${JSON.stringify(url)}`;
    }
    addresses.push(address);
  }
  return { addresses, text };
}
