/** Series about configurations that were read while the gateway runs. */
import type { MetricDefinition } from "../contracts/telemetry.ts";

/** The families, for the reference page too. */
export const reloadMetrics = {
  reloads: {
    name: "spillway_config_reloads_total",
    help: "Times that the configuration was read again, by result: applied, unchanged, refused.",
    labels: ["result"],
  },
  successful: {
    name: "spillway_config_last_reload_successful",
    help: "1 while the configuration as it was last read is good, 0 while it is refused and the one before goes on.",
    labels: [],
  },
  waiting: {
    name: "spillway_config_restart_required",
    help: "Parts of the configuration as it was last read that wait for a restart.",
    labels: [],
  },
} as const satisfies Record<string, MetricDefinition>;
