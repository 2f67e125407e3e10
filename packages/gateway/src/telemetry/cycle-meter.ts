/** Times scheduling cycles and counts the endpoints that they choose. */
import type {
  CycleTracer,
  SchedulableEndpoint,
  ScheduledRequest,
  SchedulingSpec,
} from "../contracts/plugins/scheduling.ts";
import type { MetricFamily, MetricHistogram, Metrics, MetricValue } from "../contracts/telemetry.ts";
import type { Clock } from "../core/clock.ts";
import { pickerMetrics } from "./picker-metrics.ts";

/** One cycle of so many is timed plugin by plugin: a look at the clock for each costs as much as the plugin itself. */
const timedCycles = 64;

/** Target models whose choices are kept by endpoint without a look-up; the others are looked up. */
const keptModels = 64;

/** What is known of a pool's plugins. */
export interface CycleMeterOptions {
  readonly metrics: Metrics;
  readonly clock: Pick<Clock, "now">;
  /** Names the types of the plugins. */
  readonly scheduling: Pick<SchedulingSpec, "plugins" | "profiles">;
}

/** Of one pool. A cycle costs two looks at the clock and a count. */
export class CycleMeter implements CycleTracer {
  readonly #clock: Pick<Clock, "now">;
  readonly #types: ReadonlyMap<string, string>;
  /** By profile. */
  readonly #pickers: ReadonlyMap<string, string>;
  readonly #cycle: MetricHistogram;
  readonly #attempts: MetricFamily<MetricValue>;
  readonly #plugin: MetricFamily<MetricHistogram>;
  readonly #plugins = new Map<string, MetricHistogram>();
  /** By target model, then by slot of the endpoint. */
  readonly #chosen = new Map<string, (Chosen | undefined)[]>();
  #cycles = 0;
  #startedAt = 0;
  #isTimed = false;
  #picker = "";
  #lastAt = 0;

  constructor({ metrics, clock, scheduling }: CycleMeterOptions) {
    this.#clock = clock;
    this.#types = new Map(scheduling.plugins.map(({ name, type }) => [name, type]));
    this.#pickers = new Map(scheduling.profiles.map(({ name, picker }) => [name, picker]));
    this.#cycle = metrics.histogram(pickerMetrics.cycle).with();
    this.#attempts = metrics.counter(pickerMetrics.attempts);
    this.#plugin = metrics.histogram(pickerMetrics.plugin);
  }

  begin(): void {
    this.#isTimed = this.#cycles++ % timedCycles === 0;
    this.#startedAt = this.#clock.now();
  }

  profile(name: string): void {
    if (!this.#isTimed) return;
    this.#picker = this.#pickers.get(name) ?? "";
    this.#lastAt = this.#clock.now();
  }

  filtered(plugin: string): void {
    if (this.#isTimed) this.#timed("Filter", plugin);
  }

  scored(plugin: string): void {
    if (this.#isTimed) this.#timed("Scorer", plugin);
  }

  picked(): void {
    if (this.#isTimed) this.#timed("Picker", this.#picker);
  }

  end({ model }: ScheduledRequest, endpoints: readonly SchedulableEndpoint[]): void {
    this.#cycle.observe((this.#clock.now() - this.#startedAt) / 1_000);
    const [endpoint] = endpoints;
    if (endpoint === undefined) this.#attempts.with("failure", model, "", "", "").value++;
    else this.#chosenOf(model, endpoint).value++;
  }

  #chosenOf(model: string, endpoint: SchedulableEndpoint): MetricValue {
    let slots = this.#chosen.get(model);
    if (slots === undefined) {
      slots = [];
      if (this.#chosen.size < keptModels) this.#chosen.set(model, slots);
    }
    const known = slots[endpoint.slot];
    if (known?.address === endpoint.address) return known.count;
    const { name, port } = endpointName(endpoint);
    const count = this.#attempts.with("success", model, name, endpoint.labels["namespace"] ?? "", port);
    slots[endpoint.slot] = { address: endpoint.address, count };
    return count;
  }

  #timed(point: string, plugin: string): void {
    const key = `${point} ${plugin}`;
    let histogram = this.#plugins.get(key);
    if (histogram === undefined) {
      histogram = this.#plugin.with(point, this.#types.get(plugin) ?? plugin, plugin);
      this.#plugins.set(key, histogram);
    }
    const now = this.#clock.now();
    histogram.observe((now - this.#lastAt) / 1_000);
    this.#lastAt = this.#clock.now();
  }
}

interface Chosen {
  readonly address: string;
  readonly count: MetricValue;
}

/** What dashboards call an endpoint: its host, and its port apart. */
export function endpointName({ address }: Pick<SchedulableEndpoint, "address">): {
  readonly name: string;
  readonly port: string;
} {
  const [, name = address, port = ""] = /^(.+):(\d+)$/.exec(address) ?? [];
  return { name, port };
}
