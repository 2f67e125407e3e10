/** What plugins are made with when they are tried: time that stands still, chance that repeats, nobody who listens. */
import type { CalloutFactory } from "../../contracts/http-callout.ts";
import { failure, GatewayError } from "../../core/errors.ts";
import { createSeededRandom } from "../../core/random.ts";
import type { Clock } from "../../core/clock.ts";
import type { Logger, Metrics } from "../../contracts/telemetry.ts";
import type { PluginDefinition, PluginHost } from "../../contracts/plugins/plugin.ts";
import type { ContractOptions } from "./contract-check.ts";

/** The moment at which samples are taken, ms on the clock. */
export const sampleNow = 1_000_000;

/** What every plugin of one try is made with. */
export function sampleHost(seed: number): Omit<PluginHost, "name" | "dataIndex"> {
  return { clock: still, random: createSeededRandom(seed), logger: nobody, metrics: uncounted };
}

/** A plugin that reads nothing of requests: of flow control or routing. */
export function createAlone(
  definition: PluginDefinition,
  { parameters = {} }: ContractOptions,
  seed: number,
): unknown {
  const dataIndex = (): never => {
    throw new GatewayError("bad_request", `${definition.type}: there is no data of a scheduling cycle here`);
  };
  const callout: CalloutFactory = () => ({
    post: () => Promise.resolve(failure("upstream_unreachable", "there is nobody to ask here")),
  });
  const host = { ...sampleHost(seed), name: definition.type, dataIndex, callout };
  return definition.create(definition.parameters.parse(parameters), host);
}

const still: Clock = {
  now: () => sampleNow,
  wallNow: () => Date.UTC(2026, 0, 1),
  after: () => ({ cancel() {} }),
};

const nobody: Logger = { error() {}, warn() {}, info() {}, debug() {} };

const uncounted: Metrics = {
  counter: () => ({ with: () => ({ value: 0 }), remove() {} }),
  gauge: () => ({ with: () => ({ value: 0 }), remove() {} }),
  histogram: () => ({ with: () => ({ observe() {} }), remove() {} }),
  onCollect() {},
  render: () => "",
};
