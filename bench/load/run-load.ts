/** Runs a load specification in this process. */
import { LoadDriver } from "./driver.ts";
import type { DriverOptions } from "./driver.ts";
import { buildGrpcRequests } from "./grpc-requests.ts";
import { createHttp1Transport } from "./http1.ts";
import { buildHttp1Requests } from "./http1-requests.ts";
import { createGrpcTransport } from "./h2.ts";
import type { LoadResult } from "./load-result.ts";
import { checkLoadPlan } from "./load-spec.ts";
import type { CheckSpec, LoadSpec, ResponseCheck, Target } from "./load-spec.ts";
import type { Transport } from "./transport.ts";

/** A run under way. */
export interface LoadRun {
  readonly result: Promise<LoadResult>;
  /** Ends the measured window now; what is in flight is waited for. */
  stop(): void;
}

/** Around a run. */
export interface RunOptions extends DriverOptions {
  /** Judges answers, instead of the module that the specification names. */
  readonly check?: ResponseCheck;
}

/** Starts a run. Throws when the specification cannot be run. */
export async function runLoad(spec: LoadSpec, options: RunOptions = {}): Promise<LoadRun> {
  checkLoadPlan(spec);
  const check = options.check ?? (spec.check === undefined ? undefined : await loadCheck(spec.check));
  const driver = new LoadDriver(spec, createTransport(spec, check), options);
  return { result: driver.run(), stop: () => driver.stop() };
}

function createTransport(spec: LoadSpec, check: ResponseCheck | undefined): Transport {
  const { target, connections } = spec;
  const authority = authorityOf(target);
  if (spec.protocol === "http1") {
    const requests = buildHttp1Requests(spec.requests, { host: authority });
    const stampedEvents = spec.stampedEvents ?? false;
    return createHttp1Transport({ target, connections, requests, check, stampedEvents });
  }
  const requests = buildGrpcRequests(spec.requests, { authority });
  const streamsPerConnection = spec.streamsPerConnection ?? 1;
  return createGrpcTransport({ target, connections, streamsPerConnection, requests, check });
}

/** What goes into Host and `:authority`. */
function authorityOf(target: Target): string {
  return "path" in target ? "localhost" : `${target.host}:${target.port}`;
}

async function loadCheck(spec: CheckSpec): Promise<ResponseCheck> {
  const url = new URL(`../../${spec.module}`, import.meta.url);
  const module = (await import(url.href)) as Record<string, unknown>;
  const factory = module[spec.export];
  if (typeof factory !== "function") throw new TypeError(`${spec.module} has no function "${spec.export}"`);
  return (factory as (options: unknown) => ResponseCheck)(spec.options);
}
