/** Series about how scarce the servers of models are, for autoscalers and alerts. */
import { scarcityRegimes, type Scarcity } from "../../contracts/scarcity.ts";
import type { MetricDefinition, Metrics } from "../../contracts/telemetry.ts";

/** The families of this module, for the reference page. */
export const scarcityMetrics = {
  regime: {
    name: "spillway_model_scarcity",
    help: "1 for the regime that the model's servers are in (plenty, tight, scarce), 0 for the others. Model * is every model of a pool whose servers take any.",
    labels: ["pool", "model", "regime"],
  },
  saturation: {
    name: "spillway_model_saturation_ratio",
    help: "How full the model's servers are, smoothed: 0 idle, 1 full, above: more than full.",
    labels: ["pool", "model"],
  },
  waiting: {
    name: "spillway_model_waiting_requests",
    help: "Requests that wait for the model: in line here, and in its servers as they tell.",
    labels: ["pool", "model"],
  },
  wait: {
    name: "spillway_model_expected_wait_seconds",
    help: "How long a request for the model that comes now is expected to wait.",
    labels: ["pool", "model"],
  },
  replicas: {
    name: "spillway_model_replicas",
    help: "Servers that can be asked for the model.",
    labels: ["pool", "model"],
  },
  wanted: {
    name: "spillway_model_replicas_wanted",
    help: "Servers that the present work for the model needs, with some room: what an autoscaler may take as its target.",
    labels: ["pool", "model"],
  },
  seconds: {
    name: "spillway_model_saturation_eta_seconds",
    help: "Seconds until the model's servers are full if its work goes on to grow as in the last minute; +Inf where it does not grow, 0 where they are full.",
    labels: ["pool", "model"],
  },
} as const satisfies Record<string, MetricDefinition>;

/** Shows the readings of scarcities that come and go with their pools. */
export interface ScarcityGauges {
  add(scarcity: Scarcity): void;
  remove(scarcity: Scarcity): void;
}

/** Makes the gauges. */
export function createScarcityGauges(metrics: Metrics): ScarcityGauges {
  const regimes = metrics.gauge(scarcityMetrics.regime);
  const families = {
    saturation: metrics.gauge(scarcityMetrics.saturation),
    waiting: metrics.gauge(scarcityMetrics.waiting),
    wait: metrics.gauge(scarcityMetrics.wait),
    replicas: metrics.gauge(scarcityMetrics.replicas),
    wanted: metrics.gauge(scarcityMetrics.wanted),
    seconds: metrics.gauge(scarcityMetrics.seconds),
  };
  const followed = new Set<Scarcity>();
  let shown: (readonly [pool: string, model: string])[] = [];
  metrics.onCollect(() => {
    const before = new Map(shown.map((labels) => [labels.join("\n"), labels]));
    const readings = [...followed].flatMap((scarcity) => scarcity.readings());
    shown = readings.map(({ pool, model }) => [pool, model]);
    for (const reading of readings) {
      const { pool, model } = reading;
      before.delete(`${pool}\n${model}`);
      for (const regime of scarcityRegimes)
        regimes.with(pool, model, regime).value = regime === reading.regime ? 1 : 0;
      families.saturation.with(pool, model).value = reading.saturation;
      families.waiting.with(pool, model).value = reading.waiting;
      families.wait.with(pool, model).value = reading.waitMs / 1_000;
      families.replicas.with(pool, model).value = reading.replicas;
      families.wanted.with(pool, model).value = reading.replicasWanted;
      families.seconds.with(pool, model).value = reading.secondsToSaturation;
    }
    for (const labels of before.values()) {
      for (const regime of scarcityRegimes) regimes.remove(...labels, regime);
      for (const family of Object.values(families)) family.remove(...labels);
    }
  });
  return {
    add: (scarcity) => void followed.add(scarcity),
    remove: (scarcity) => void followed.delete(scarcity),
  };
}
