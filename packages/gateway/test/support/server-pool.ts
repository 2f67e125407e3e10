/** A pool of real sockets under test. */
import { setTimeout as pause } from "node:timers/promises";
import type { TestContext } from "node:test";
import type { LogFields } from "../../src/contracts/telemetry.ts";
import type { HttpPoolOptions } from "../../src/contracts/options.ts";
import { defaultHttpPool } from "../../src/config/index.ts";
import type { AttemptResult } from "../../src/contracts/http-endpoint.ts";
import { systemClock } from "../../src/core/clock.ts";
import { createSystemRandom } from "../../src/core/random.ts";
import { createEndpointMetrics } from "../../src/endpoints/endpoint-metrics.ts";
import type { Scraping } from "../../src/endpoints/metrics/pool-metrics.ts";
import { createScrapeCounts } from "../../src/endpoints/metrics/scrape-metrics.ts";
import { ScrapeWheel } from "../../src/endpoints/metrics/scrape-wheel.ts";
import {
  createServerPool,
  type ServerPool,
  type ServerPoolOptions,
} from "../../src/endpoints/server-pool.ts";
import { RequestLine } from "../../src/stages/flowcontrol/line.ts";
import { createConnectionFactory } from "../../src/stages/upstream/server-connections.ts";
import { createMetrics, type Metrics } from "../../src/index.ts";

/** A pool and what it said. */
export interface PoolUnderTest {
  readonly pool: ServerPool;
  readonly metrics: Metrics;
  /** `event endpoint state` of what was logged. */
  readonly log: string[];
  /** The same of what was logged as a warning. */
  readonly warnings: string[];
  /** `address state` of every endpoint. */
  readonly states: () => string[];
}

/** Quick probes and back-offs. */
const quick = {
  intervalMs: 50,
  timeoutMs: 1_000,
  failures: 3,
  backoffMs: { initial: 60, max: 1_000 },
} as const;

/** Makes a pool that ends with its test, and starts it. */
export async function startServerPool(
  test: Pick<TestContext, "after">,
  options: Partial<HttpPoolOptions> & Pick<HttpPoolOptions, "dialect" | "endpoints">,
  more: Partial<Pick<ServerPoolOptions, "resolve" | "resolveMs" | "fileMs" | "gate" | "discovery">> &
    Pick<Scraping, "extractors"> = {},
): Promise<PoolUnderTest> {
  const { extractors = [], ...parts } = more;
  const clock = systemClock;
  const log: string[] = [];
  const warnings: string[] = [];
  const lineOf = (event: string, fields: LogFields = {}): string =>
    [event, fields["endpoint"], fields["state"], fields["engine"]]
      .filter((part) => part !== undefined)
      .join(" ");
  const write = (event: string, fields?: LogFields): void => void log.push(lineOf(event, fields));
  const warn = (event: string, fields?: LogFields): void => {
    write(event, fields);
    warnings.push(lineOf(event, fields));
  };
  const metrics = createMetrics();
  const pool = createServerPool({
    pool: { ...defaultHttpPool("chat", options.dialect, []), health: quick, ...options },
    connect: createConnectionFactory({ clock }),
    line: new RequestLine({ clock, maxQueue: 10, onRefused: () => {} }),
    clock,
    random: createSystemRandom(),
    logger: { error: write, warn, info: write, debug: write },
    metrics: createEndpointMetrics(metrics),
    scraping: {
      wheel: new ScrapeWheel(clock),
      counts: createScrapeCounts(metrics, () => clock.now()),
      extractors,
    },
    onChange: () => {},
    ...parts,
  });
  test.after(() => pool.close());
  await pool.start();
  const states = (): string[] => pool.endpoints.map(({ id, state }) => `${id.replace("chat/", "")} ${state}`);
  return { pool, metrics, log, warnings, states };
}

/** Waits for a condition; a test that waits in vain ends by its time limit with the last value. */
export async function eventually<Value>(
  read: () => Value,
  isRight: (value: Value) => boolean,
): Promise<Value> {
  const limit = performance.now() + 5_000;
  for (;;) {
    const value = read();
    if (isRight(value)) return value;
    if (performance.now() > limit) throw new Error(`never came true; last: ${JSON.stringify(value)}`);
    await pause(5);
  }
}

/** How an attempt ended. */
export function ended(kind: AttemptResult["kind"], more: Partial<AttemptResult> = {}): AttemptResult {
  return {
    kind,
    status: undefined,
    retryAfterMs: undefined,
    firstTokenMs: undefined,
    durationMs: 0,
    usage: undefined,
    ...more,
  };
}
