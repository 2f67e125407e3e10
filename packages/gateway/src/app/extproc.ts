/** Opens the door for Envoy: its certificate, its health, its time to drain. */
import { healthCheck, healthWatch } from "@spillway/worker/standard-services";
import type { MethodHandler } from "@spillway/grpc";
import { noExplanations } from "../contracts/explanation.ts";
import type { ForwardCatalog } from "../contracts/http-endpoint.ts";
import type { ExtProcOptions } from "../contracts/options.ts";
import type { Pipeline } from "../contracts/pipeline.ts";
import type { Route } from "../contracts/route.ts";
import { createExtProcDoor, type ExtProcDoor, type ExtProcListening } from "../doors/extproc/extproc-door.ts";
import { keepCertificate, type KeptCertificate } from "./certificates.ts";
import type { Forwarding } from "./forward.ts";
import type { HealthState } from "./health-state.ts";
import type { GatewayContext } from "./options.ts";
import type { PickerWatch } from "./picker-watch.ts";
import { createSelfSigned } from "./self-signed.ts";

/** Where Envoy asks. */
export interface ExtProcAddress extends ExtProcListening {
  /** With TLS. */
  readonly secure: boolean;
}

/** The door, open. */
export interface OpenExtProc {
  readonly address: ExtProcAddress;
  /** Lets streams finish for the door's own time to drain, or for `graceMs` where that is 0. Idempotent. */
  close(options: { readonly graceMs: number }): Promise<void>;
}

/** What it is made from. */
export interface ExtProcParts {
  readonly context: GatewayContext;
  readonly pipeline: Pipeline;
  readonly forward: ForwardCatalog;
  readonly routes: readonly Route[];
  readonly health: HealthState;
  readonly watch: PickerWatch | undefined;
  readonly carried: Forwarding["carried"];
}

/** Well as long as anybody answers. */
const liveness = "liveness";
/** Services that health is asked of by name, as endpoint pickers have them. */
const services = new Set([liveness, "readiness", "envoy.service.ext_proc.v3.ExternalProcessor"]);

/** Rejects with a `GatewayError` that says which file or address is wrong. */
export async function openExtProc(options: ExtProcOptions, parts: ExtProcParts): Promise<OpenExtProc> {
  const { context, pipeline, forward, routes, health, carried, watch } = parts;
  const { tls } = options;
  const kept = typeof tls === "string" ? undefined : await keepCertificate(tls, context);
  const certificate =
    tls === "self-signed" ? createSelfSigned("spillway", context.clock.wallNow()) : kept?.certificate;
  let isOver = false;
  const door = createExtProcDoor({
    ...context,
    options,
    pipeline,
    pools: forward,
    routes,
    services: healthServices(health, () => isOver),
    onDrained() {
      isOver = true;
      health.changed();
    },
    certificate,
    onCarried: carried,
    explanations: watch?.explanations ?? noExplanations,
  });
  if (kept !== undefined) kept.renew = (next) => door.renew(next);
  const close = closing(door, kept, options.drainMs);
  try {
    const listening = await door.listen();
    return { address: { ...listening, secure: tls !== "none" }, close };
  } catch (error) {
    await close({ graceMs: 0 });
    throw error;
  }
}

function closing(
  door: ExtProcDoor,
  kept: KeptCertificate | undefined,
  drainMs: number,
): OpenExtProc["close"] {
  return async ({ graceMs }) => {
    await door.close({ graceMs: graceMs === 0 ? 0 : drainMs });
    kept?.close();
  };
}

/** Health as load balancers and probes ask for it; an unknown service is not found. */
function healthServices(health: HealthState, isOver: () => boolean): Map<string, MethodHandler> {
  const source = {
    isOver,
    isServing: (service: string) => service === liveness || health.isServing(),
    onChange: (listener: () => void) => health.onChange(listener),
  };
  return new Map<string, MethodHandler>([
    ["/grpc.health.v1.Health/Check", healthCheck(source, services)],
    ["/grpc.health.v1.Health/Watch", healthWatch(source, services)],
  ]);
}
