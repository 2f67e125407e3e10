/** What all requests of a door share. */
import type { Pipeline } from "../../contracts/pipeline.ts";
import type { Logger } from "../../contracts/telemetry.ts";
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { BodyBounds } from "./body-intake.ts";
import type { HttpMeters, RouteMeter } from "./http-metrics.ts";
import type { Router } from "./router.ts";

/** Made once a door. */
export interface DoorContext extends BodyBounds {
  readonly router: Router;
  readonly pipeline: Pipeline;
  /** Origins of web pages that may read answers; undefined when there are none. */
  origins: ReadonlySet<string> | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly meters: HttpMeters;
  /** For requests that no route answers. */
  readonly unrouted: RouteMeter;
  /** What answers say in `Keep-Alive`: how long their connection is kept. */
  readonly keepAlive: string;
  /** True once the door closes: every answer then ends its connection. */
  draining: boolean;
}
