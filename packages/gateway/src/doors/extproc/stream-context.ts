/** What all streams of a door share. */
import type { Explanations } from "../../contracts/explanation.ts";
import type { ForwardCatalog } from "../../contracts/http-endpoint.ts";
import type { Pipeline } from "../../contracts/pipeline.ts";
import type { Logger } from "../../contracts/telemetry.ts";
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { ExtProcMeters } from "./extproc-metrics.ts";
import type { CarriedEnd } from "./picked-request.ts";
import type { RouteTable } from "./route-table.ts";
import type { UsualBody } from "./usual-body.ts";

/** Bounds of one request and of all. */
export interface StreamLimits {
  /** Largest body of one request, bytes. */
  readonly maxBodyBytes: number;
  /** Bodies held at once over all requests, bytes. */
  readonly maxTotalBodyBytes: number;
  readonly maxHeaders: number;
}

/** Made once a door. */
export interface StreamContext {
  readonly pipeline: Pipeline;
  readonly pools: Pick<ForwardCatalog, "pools">;
  readonly routes: RouteTable;
  readonly limits: StreamLimits;
  readonly usualBody: UsualBody;
  /** Envoy's list of endpoints that may be chosen counts. */
  readonly subsets: boolean;
  /** Where scores come from that are told in the metadata; undefined: none are. */
  readonly explanations: Explanations | undefined;
  readonly onCarried: (carried: CarriedEnd) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly meters: ExtProcMeters;
}
