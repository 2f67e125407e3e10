/** What Envoy's metadata says about endpoints (Endpoint Picker Protocol, proposal 004). */
import type { WireCursor } from "./wire-cursor.ts";

/** Key of the list of endpoints that may be chosen, in the namespace `envoy.lb.subset_hint`. */
const subsetKey = "x-gateway-destination-endpoint-subset";
/** Key of the endpoint that really answered, in the namespace `envoy.lb`. */
const servedKey = "x-gateway-destination-endpoint-served";

/** What was found. */
export interface EndpointMetadata {
  /** Addresses that may be chosen; undefined where nothing limits them. An empty list allows none. */
  readonly subset: readonly string[] | undefined;
  readonly served: string | undefined;
}

/** Addresses read at most. */
const maxAddresses = 4_096;

/** Reads a `Metadata`. Throws a `WireError`. */
export function readMetadata(metadata: WireCursor): EndpointMetadata {
  let subset: readonly string[] | undefined;
  let served: string | undefined;
  eachEntry(metadata, (namespace, fields) => {
    if (namespace !== "envoy.lb.subset_hint" && namespace !== "envoy.lb") return;
    eachEntry(fields, (key, value) => {
      if (key === subsetKey && namespace === "envoy.lb.subset_hint") subset = readAddresses(value);
      if (key === servedKey && namespace === "envoy.lb") served = readAddresses(value)[0];
    });
  });
  return { subset, served };
}

/** Entries of the map that is field 1: `Metadata.filter_metadata`, `Struct.fields`. */
function eachEntry(cursor: WireCursor, found: (key: string, value: WireCursor) => void): void {
  while (cursor.more) {
    const tag = cursor.varint();
    if (tag === 0x0a) readEntry(cursor.message(), found);
    else cursor.skip(tag);
  }
}

function readEntry(entry: WireCursor, found: (key: string, value: WireCursor) => void): void {
  let key = "";
  let value: WireCursor | undefined;
  while (entry.more) {
    const tag = entry.varint();
    if (tag === 0x0a) key = entry.text();
    else if (tag === 0x12) value = entry.message();
    else entry.skip(tag);
  }
  if (value !== undefined) found(key, value);
}

/** A `Value` that is a list of texts, or one text with commas. */
function readAddresses(value: WireCursor): string[] {
  const addresses: string[] = [];
  collect(value, addresses, 0);
  return addresses;
}

function collect(value: WireCursor, addresses: string[], depth: number): void {
  while (value.more) {
    const tag = value.varint();
    if (tag === 0x1a) add(value.text(), addresses);
    else if (tag === 0x32 && depth === 0) collectList(value.message(), addresses);
    else value.skip(tag);
  }
}

function collectList(list: WireCursor, addresses: string[]): void {
  while (list.more) {
    const tag = list.varint();
    if (tag === 0x0a) collect(list.message(), addresses, 1);
    else list.skip(tag);
  }
}

function add(text: string, addresses: string[]): void {
  for (const part of text.split(",")) {
    const address = part.trim();
    if (address !== "" && addresses.length < maxAddresses) addresses.push(address);
  }
}
