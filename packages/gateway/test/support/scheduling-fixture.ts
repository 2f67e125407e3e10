/** Scheduling as a test needs it: endpoints that are plain objects, layers made of the built-in plugins. */
import type { PluginDefinition } from "../../src/contracts/plugins/plugin.ts";
import type {
  SchedulableEndpoint,
  ScheduledRequest,
  SchedulingSpec,
} from "../../src/contracts/plugins/scheduling.ts";
import type { WiredScheduling } from "../../src/contracts/plugins/wired-scheduling.ts";
import type { Logger, Metrics } from "../../src/contracts/telemetry.ts";
import type { Clock } from "../../src/core/clock.ts";
import { createSeededRandom, type Random } from "../../src/core/random.ts";
import { plainTraits, type RequestTraits } from "../../src/core/request-traits.ts";
import {
  createLoad,
  createSignals,
  type EndpointLoad,
  type ServerSignals,
} from "../../src/core/server-signals.ts";
import { createProfiles } from "../../src/plugins/create-profiles.ts";
import { builtInPlugins } from "../../src/plugins/index.ts";
import { PluginRegistry } from "../../src/plugins/plugin-registry.ts";
import { createMetrics } from "../../src/telemetry/index.ts";
import { createManualClock } from "../../src/testing.ts";

const silent: Logger = { error() {}, warn() {}, info() {}, debug() {} };

/** What a layer is made with. */
export interface WiringSetup {
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
  readonly metrics?: Metrics;
  readonly definitions?: readonly PluginDefinition[];
}

/** A layer of built-in plugins. */
export function wireProfiles(spec: SchedulingSpec, setup: WiringSetup = {}): WiredScheduling {
  const { clock = createManualClock(), random = createSeededRandom(1), logger = silent } = setup;
  const { metrics = createMetrics(), definitions = builtInPlugins } = setup;
  return createProfiles(spec, new PluginRegistry(definitions), { clock, random, logger, metrics });
}

/** What a test may set of an endpoint. */
export interface EndpointSetup {
  readonly labels?: Readonly<Record<string, string>>;
  readonly signals?: Partial<ServerSignals>;
  readonly load?: Partial<EndpointLoad>;
  readonly capacity?: number;
  readonly speed?: number;
  readonly loaded?: boolean;
  readonly address?: string;
}

/** An endpoint with the slot `index`. */
export function plainServer(index: number, setup: EndpointSetup = {}): SchedulableEndpoint {
  const { labels = {}, signals, load, capacity = 100, speed = 0, loaded = true } = setup;
  const address = setup.address ?? `10.0.0.${index + 1}:8000`;
  return {
    id: `pool/${address}`,
    address,
    labels,
    signals: { ...createSignals(), ...signals },
    load: { ...createLoad(), ...load },
    slot: index,
    capacity,
    speed,
    isLoaded: () => loaded,
  };
}

/** What a test may set of a request. */
export interface ScheduledSetup {
  readonly id?: string;
  readonly model?: string;
  readonly headers?: ScheduledRequest["headers"];
  readonly traits?: Partial<RequestTraits>;
  readonly promptTokens?: number;
  readonly maxOutputTokens?: number;
  readonly prompt?: string | readonly Uint8Array[];
  readonly dataSize?: number;
}

/** A request as plugins see it. */
export function scheduledRequest(setup: ScheduledSetup = {}): ScheduledRequest {
  const { prompt = [], promptTokens } = setup;
  const promptBytes = typeof prompt === "string" ? [new Uint8Array(Buffer.from(prompt))] : prompt;
  const bytes = promptBytes.reduce((sum, { length }) => sum + length, 0);
  return {
    id: setup.id ?? "request",
    model: setup.model ?? "m",
    headers: setup.headers ?? {},
    priority: 0,
    traits: { ...plainTraits, ...setup.traits },
    promptTokens: promptTokens ?? Math.ceil(bytes / 4),
    maxOutputTokens: setup.maxOutputTokens,
    promptBytes,
    bytes,
    data: Array.from({ length: setup.dataSize ?? 0 }, () => undefined),
  };
}
