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
import { HealthState } from "./health-state.ts";
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

/** Services that health is asked of by name, as endpoint pickers have them; `liveness` is well as long as anybody answers. */
const readyServices = new Set(["readiness", "envoy.service.ext_proc.v3.ExternalProcessor"]);
const liveness = new Set(["liveness"]);

/** Rejects with a `GatewayError` that says which file or address is wrong. */
export async function openExtProc(options: ExtProcOptions, parts: ExtProcParts): Promise<OpenExtProc> {
  const { context, pipeline, forward, routes, health, carried, watch } = parts;
  const { tls } = options;
  const kept = typeof tls === "string" ? undefined : await keepCertificate(tls, context);
  const certificate =
    tls === "self-signed" ? createSelfSigned("spillway", context.clock.wallNow()) : kept?.certificate;
  const services = healthServices(health);
  const door = createExtProcDoor({
    ...context,
    options,
    pipeline,
    pools: forward,
    routes,
    services,
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
function healthServices(health: HealthState): Map<string, MethodHandler> {
  const alive = new HealthState(() => true);
  const known = new Set([...readyServices, ...liveness]);
  const check = healthCheck(health, known);
  const checkAlive = healthCheck(alive, liveness);
  return new Map<string, MethodHandler>([
    ["/grpc.health.v1.Health/Check", either(check, checkAlive)],
    ["/grpc.health.v1.Health/Watch", healthWatch(health, readyServices)],
  ]);
}

/** `HealthCheckRequest` whose one field is the name of the service. */
const livenessRequest = Buffer.from("\n\bliveness", "latin1");

function either(ready: MethodHandler, alive: MethodHandler): MethodHandler {
  if (ready.kind !== "unary" || alive.kind !== "unary")
    throw new TypeError("health is checked by unary calls");
  return {
    kind: "unary",
    handle: (call) => (livenessRequest.equals(call.message) ? alive.handle(call) : ready.handle(call)),
  };
}
