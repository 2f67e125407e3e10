/** `spillway doctor` and the HTTP servers of the configuration: can they be reached, and what do they serve. */
import { setTimeout as pause } from "node:timers/promises";
import { isHttpPool, type HttpPoolOptions, type PoolOptions } from "../contracts/options.ts";
import { systemClock } from "../core/clock.ts";
import { createSystemRandom } from "../core/random.ts";
import { createEndpointMetrics } from "../endpoints/endpoint-metrics.ts";
import type { ServerEndpoint } from "../endpoints/server-endpoint.ts";
import { createServerPool } from "../endpoints/server-pool.ts";
import { RequestLine } from "../stages/flowcontrol/line.ts";
import { createConnectionFactory } from "../stages/upstream/server-connections.ts";
import { createMetrics } from "../telemetry/index.ts";
import { toSentence } from "./describe-error.ts";
import type { Finding } from "./doctor-checks.ts";

/** Longer than a server may take to answer, ms. */
const patienceMs = 8_000;
const silent = (): void => undefined;

/** A finding for each endpoint. Asks only what they are and serve. */
export async function checkPools(pools: readonly PoolOptions[]): Promise<Finding[]> {
  const found = await Promise.all(pools.filter(isHttpPool).map(checkPool));
  return found.flat();
}

async function checkPool(options: HttpPoolOptions): Promise<Finding[]> {
  const clock = systemClock;
  const name = `pool ${options.name}`;
  let pool: ReturnType<typeof createServerPool>;
  try {
    pool = createServerPool({
      pool: options,
      connect: createConnectionFactory({ clock }),
      line: new RequestLine({ clock, maxQueue: 1, onRefused: silent }),
      clock,
      random: createSystemRandom(),
      logger: { error: silent, warn: silent, info: silent, debug: silent },
      metrics: createEndpointMetrics(createMetrics()),
      onChange: silent,
    });
  } catch (error) {
    return [{ name, status: "fail", message: toSentence(error), advice: "correct the file or its name" }];
  }
  try {
    const limit = clock.now() + patienceMs;
    await Promise.race([pool.start(), pause(patienceMs, undefined, { ref: false })]);
    while (!pool.settled && clock.now() < limit) await pause(20);
    if (pool.endpoints.length > 0) return pool.endpoints.map((endpoint) => describeEndpoint(name, endpoint));
    const advice = `correct pools.${options.name}.endpoints: names have to resolve`;
    return [{ name, status: "warn", message: "no address was found", advice }];
  } finally {
    pool.close();
  }
}

function describeEndpoint(name: string, { address, state, survey, targets }: ServerEndpoint): Finding {
  if (state === "ready" && survey !== undefined) {
    const { make, dialect, version } = survey;
    const what = [make === "other" ? `speaks ${dialect}` : make, version].filter(
      (part) => part !== undefined,
    );
    const count = new Set([...targets.values()].map(({ model }) => model)).size;
    return {
      name,
      status: "ok",
      message: `${address}: ${what.join(" ")}, ${count} ${count === 1 ? "model" : "models"}`,
    };
  }
  if (state === "misconfigured") {
    const advice = "give the pool the right credentials and dialect; dialect: auto asks the server";
    return { name, status: "fail", message: `${address}: it refuses our questions`, advice };
  }
  const message = state === "loading" ? `${address}: it is still loading` : `${address}: no answer`;
  return { name, status: "warn", message, advice: "start the server, or correct its address" };
}
