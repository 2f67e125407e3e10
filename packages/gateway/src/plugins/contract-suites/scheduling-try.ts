/** A plugin of the scheduling layer, made and joined as a configuration would have it, to be tried. */
import type { PluginDefinition, PluginKind, PluginSpec } from "../../contracts/plugins/plugin.ts";
import type {
  Candidates,
  Filter,
  Picker,
  ProfileHandler,
  SchedulableEndpoint,
  ScheduledRequest,
  Scorer,
  SchedulingSpec,
} from "../../contracts/plugins/scheduling.ts";
import type { WiredScheduling } from "../../contracts/plugins/wired-scheduling.ts";
import { createSeededRandom, type Random } from "../../core/random.ts";
import { createProfiles } from "../create-profiles.ts";
import { builtInPlugins } from "../index.ts";
import { PluginRegistry } from "../plugin-registry.ts";
import { expect, type ContractOptions } from "./contract-check.ts";
import { sampleEndpoints, sampleRequests, type Flavour } from "./sample-endpoints.ts";
import { sampleHost, sampleNow } from "./sample-host.ts";

const usualPicker = "max-score-picker";
const usualHandler = "single-profile-handler";

/** Candidates as the engine has them. */
class SampleCandidates implements Candidates {
  readonly endpoints: readonly SchedulableEndpoint[];
  readonly positions: Int32Array;
  count: number;

  constructor(endpoints: readonly SchedulableEndpoint[], positions: readonly number[]) {
    this.endpoints = endpoints;
    this.positions = Int32Array.from(positions);
    this.count = positions.length;
  }

  keep(count: number): void {
    expect(Number.isInteger(count) && count >= 0, `keep(${count}): expected a whole number`);
    expect(count <= this.count, `keep(${count}): there were only ${this.count} candidates`);
    this.count = count;
  }
}

/** One plugin, with whatever it reads from. */
export class SchedulingTry {
  readonly wired: WiredScheduling;
  readonly random: Random;
  readonly #options: ContractOptions;

  /** Two with the same seed are alike. */
  constructor(
    definition: PluginDefinition,
    options: ContractOptions,
    { kind, seed = 1 }: { readonly kind: PluginKind; readonly seed?: number },
  ) {
    this.#options = options;
    this.random = createSeededRandom(seed);
    const registry = new PluginRegistry([
      ...builtInPlugins.filter(({ type }) => type !== definition.type),
      ...(options.others ?? []),
      definition,
    ]);
    this.wired = createProfiles(describe(definition, options, kind), registry, sampleHost(seed));
  }

  get filter(): Filter {
    return found(this.wired.profiles[0]?.filters[0]?.plugin);
  }

  get scorer(): Scorer {
    return found(this.wired.profiles[0]?.scorers[0]?.plugin);
  }

  get picker(): Picker {
    return found(this.wired.profiles[0]?.picker.plugin);
  }

  get handler(): ProfileHandler {
    return this.wired.handler.plugin;
  }

  /** Requests, each with room for what producers say. */
  requests(): readonly ScheduledRequest[] {
    const { dataSize } = this.wired;
    return sampleRequests(this.#options.requests).map((request) =>
      Object.freeze({ ...request, data: Array.from<unknown>({ length: dataSize }) }),
    );
  }

  endpoints(count: number, flavour: Flavour): readonly SchedulableEndpoint[] {
    return sampleEndpoints(count, { flavour, random: this.random, now: sampleNow });
  }

  /** Runs the producers that the plugin reads from. */
  async produce(request: ScheduledRequest, endpoints: readonly SchedulableEndpoint[]): Promise<void> {
    for (const { plugin } of this.wired.producers) {
      await plugin.prepare?.(request);
      plugin.produce(request, endpoints);
    }
  }

  /** All endpoints, or one in `every`. */
  candidates(endpoints: readonly SchedulableEndpoint[], every = 1): SampleCandidates {
    const positions = endpoints.map((_, position) => position).filter((position) => position % every === 0);
    return new SampleCandidates(endpoints, positions);
  }

  /** Requests go to endpoints and end there, in any order, each exactly once; then the endpoints are gone. */
  live(request: ScheduledRequest, endpoints: readonly SchedulableEndpoint[]): void {
    const under: SchedulableEndpoint[] = [];
    const end = (): void => {
      const [endpoint] = under.splice(Math.floor(this.random.unit() * under.length), 1);
      if (endpoint === undefined) return;
      const ok = this.random.unit() < 0.8;
      for (const { plugin } of this.wired.observers) {
        if (ok) plugin.firstToken?.(request, endpoint);
        plugin.ended?.(request, endpoint, { ...ended, ok, prefilled: ok });
      }
    };
    for (let step = 0; step < 200; step++) {
      const endpoint = endpoints[Math.floor(this.random.unit() * endpoints.length)];
      if (endpoint === undefined || this.random.unit() < 0.45) {
        end();
        continue;
      }
      under.push(endpoint);
      for (const { plugin } of this.wired.observers) plugin.dispatched?.(request, endpoint);
    }
    while (under.length > 0) end();
    for (const endpoint of endpoints.slice(0, 2)) {
      for (const { plugin } of this.wired.observers) plugin.forgotten?.(endpoint);
    }
  }
}

const ended = { usage: undefined, replyText: "an answer", firstTokenMs: 40, durationMs: 400 };

function found<T>(plugin: T | undefined): T {
  expect(plugin !== undefined, "the plugin does not fill the slot that its kinds name");
  return plugin;
}

/** A configuration with the plugin in its slot, and what else there has to be. */
function describe(definition: PluginDefinition, options: ContractOptions, kind: PluginKind): SchedulingSpec {
  const name = definition.type;
  const { parameters = {}, others = [], profiles: names = ["default"] } = options;
  const types = new Set([usualPicker, usualHandler, ...others.map(({ type }) => type)]);
  types.delete(name);
  const plugins: PluginSpec[] = [
    { name, type: name, parameters },
    ...[...types].map((type) => ({ name: type, type, parameters: {} })),
  ];
  const profile = {
    filters: kind === "filter" ? [name] : [],
    scorers: kind === "scorer" ? [{ plugin: name, weight: 1 }] : [],
    picker: kind === "picker" ? name : usualPicker,
  };
  const [first = "default", ...more] = kind === "profile-handler" ? names : ["default"];
  return {
    plugins,
    profiles: [{ name: first, ...profile }, ...more.map((each) => ({ name: each, ...profile }))],
    handler: kind === "profile-handler" ? name : usualHandler,
    shadows: [],
  };
}
