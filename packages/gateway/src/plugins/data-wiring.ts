/** Who produces what for whom: places in `ScheduledRequest.data`, missing producers, the order in which they run. */
import type { DataKey, PluginSpec } from "../contracts/plugins/plugin.ts";
import { GatewayError } from "../core/errors.ts";
import type { ResolvedPlugin } from "./resolve-plugins.ts";

/** A value that a producer writes. */
interface Place {
  readonly key: DataKey<unknown>;
  readonly producer: string;
  readonly index: number;
}

/**
 * Adds the default producer of every key that something reads and nothing produces, and of what that producer reads in
 * its turn. Throws a `GatewayError` where there is none of its type.
 */
export function addMissingProducers(
  plugins: readonly ResolvedPlugin[],
  resolve: (spec: PluginSpec) => ResolvedPlugin,
): ResolvedPlugin[] {
  const all = [...plugins];
  const produced = new Set(all.flatMap(({ needs }) => needs.produces ?? []));
  // The list grows while it is gone through: what is added reads keys as well.
  for (const { name, needs } of all) {
    for (const key of needs.reads ?? []) {
      if (produced.has(key)) continue;
      const type = key.defaultProducer;
      const taken = all.find((other) => other.name === type);
      if (taken !== undefined) {
        throw new GatewayError(
          "bad_request",
          `Plugin ${name} reads ${key.name}, which plugin ${type} does not produce`,
        );
      }
      const added = resolve({ name: type, type, parameters: {} });
      if (added.needs.produces?.includes(key) !== true) throw nothingProduces(name, key);
      for (const each of added.needs.produces) produced.add(each);
      all.push(added);
    }
  }
  return all;
}

function nothingProduces(plugin: string, key: DataKey<unknown>): GatewayError {
  return new GatewayError("bad_request", `Plugin ${plugin} reads ${key.name}, and nothing produces it`);
}

/** Where values are. */
export class DataPlaces {
  readonly #places: readonly Place[];

  constructor(plugins: readonly ResolvedPlugin[]) {
    let index = 0;
    this.#places = plugins.flatMap(({ name, needs }) =>
      (needs.produces ?? []).map((key) => ({ key, producer: name, index: index++ })),
    );
  }

  get size(): number {
    return this.#places.length;
  }

  /** The first place of a key; undefined where nothing produces it. */
  find(key: DataKey<unknown>): number | undefined {
    return this.#places.find((place) => place.key === key)?.index;
  }

  /**
   * The value's place for the plugin: its own where it produces the key, that of `producer` where one is named, else that of
   * the default producer, or of the first. Throws a `GatewayError` where there is no such.
   */
  indexFor(plugin: string, key: DataKey<unknown>, producer?: string): number {
    const places = this.#places.filter((place) => place.key === key);
    const wanted = producer ?? key.defaultProducer;
    const found =
      places.find((place) => place.producer === (producer ?? plugin)) ??
      (producer === undefined ? (places.find((place) => place.producer === wanted) ?? places[0]) : undefined);
    if (found !== undefined) return found.index;
    if (producer === undefined) throw nothingProduces(plugin, key);
    const text = `Plugin ${plugin} reads ${key.name} of plugin ${producer}, which does not produce it or is not there`;
    throw new GatewayError("bad_request", text);
  }
}

/** Producers in an order in which what one reads is there when it runs. Throws a `GatewayError` for a circle. */
export function inOrder(producers: readonly ResolvedPlugin[]): ResolvedPlugin[] {
  const sorted: ResolvedPlugin[] = [];
  let left = [...producers];
  while (left.length > 0) {
    const isReady = ({ name, needs }: ResolvedPlugin): boolean =>
      (needs.reads ?? []).every((key) =>
        left.every((other) => other.name === name || other.needs.produces?.includes(key) !== true),
      );
    const ready = left.filter(isReady);
    if (ready.length === 0) {
      const names = left.map(({ name }) => name).join(", ");
      throw new GatewayError("bad_request", `Plugins ${names} read what they produce in a circle`);
    }
    sorted.push(...ready);
    left = left.filter((plugin) => !ready.includes(plugin));
  }
  return sorted;
}
