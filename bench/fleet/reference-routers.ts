/** The policies that others ship, as their documents describe them: what our scheduling is compared with. */
import { pickingRouter } from "./router.ts";
import type { RouterKind } from "./router.ts";
import type { FleetRequest } from "./fleet-request.ts";
import type { FleetServer } from "./fleet-server.ts";
import type { Random } from "../../packages/simulator/src/random.ts";

/** Any server, all alike. */
export const randomRouter = pickingRouter("random", ({ servers, random }) => ({
  pick: () => at(servers, Math.floor(random.unit() * servers.length)),
}));

/** One after the other. */
export const roundRobin = pickingRouter("round robin", ({ servers }) => {
  let next = 0;
  return { pick: () => at(servers, next++ % servers.length) };
});

/** The server with the fewest requests under way; ties at random. Looks at all servers, not at two. */
export const leastRequest = pickingRouter("least request", ({ servers, random }) => ({
  pick: () => best(servers, random, (server) => -server.inFlight),
}));

/** Weights of the three scorers. */
export interface Weights {
  readonly queue: number;
  readonly kv: number;
  readonly prefix: number;
}

/** Scores of queue and KV cache as the servers' metrics tell them, and nothing else. */
export const loadOnly = weighted("load only", { queue: 1, kv: 1, prefix: 0 }, () => ({ share: () => 0 }));

/** Knows what is in the caches at every instant, as events of the servers tell it. */
export function precisePrefix(name: string, weights: Weights): RouterKind {
  return weighted(name, weights, () => ({ share: (request, server) => server.cachedShare(request) }));
}

/** What a router that guesses the caches from what it sent is given. */
export interface ApproximateOptions {
  readonly weights: Weights;
  readonly blockTokens: number;
  readonly maxBlocks: number;
  /** Blocks remembered of each server, least recently sent out first. */
  readonly capacity: number;
}

/** Guesses what is in the caches from what it sent where. */
export function approximatePrefix(name: string, options: ApproximateOptions): RouterKind {
  return weighted(name, options.weights, (servers) => {
    const sent = servers.map(() => new Set<number>());
    const blocksOf = (request: FleetRequest): readonly number[] =>
      request.ask.text.prompt(options.blockTokens).blocks;
    return {
      share(request, server) {
        const blocks = blocksOf(request);
        const count = Math.min(blocks.length, options.maxBlocks);
        const known = sent[server.index];
        let matched = 0;
        while (matched < count && known?.has(blocks[matched] ?? 0) === true) matched += 1;
        return count === 0 ? 0 : matched / count;
      },
      sent(request, server) {
        const known = sent[server.index];
        if (known !== undefined)
          remember(known, blocksOf(request).slice(0, options.maxBlocks), options.capacity);
      },
    };
  });
}

/** Adds blocks as the most recent ones; a Set keeps the order of insertion. */
function remember(known: Set<number>, blocks: readonly number[], capacity: number): void {
  for (const block of blocks) {
    known.delete(block);
    known.add(block);
  }
  for (const block of known) {
    if (known.size <= capacity) return;
    known.delete(block);
  }
}

/** How a weighted router finds out what share of a prompt is cached where. */
interface Shares {
  share(request: FleetRequest, server: FleetServer): number;
  sent?(request: FleetRequest, server: FleetServer): void;
}

/** Weighted scores and the highest sum, ties at random: `queue-scorer`, `kv-cache-utilization-scorer`, `prefix-cache-scorer`. */
function weighted(
  name: string,
  weights: Weights,
  makeShares: (servers: readonly FleetServer[]) => Shares,
): RouterKind {
  return pickingRouter(name, ({ servers, random }) => {
    const shares = makeShares(servers);
    return {
      pick(request) {
        const longest = Math.max(...servers.map(({ signals }) => signals.waiting));
        const shortest = Math.min(...servers.map(({ signals }) => signals.waiting));
        const spread = longest - shortest;
        return best(servers, random, (server) => {
          const { waiting, kvUsage } = server.signals;
          const queue = spread === 0 ? 1 : (longest - waiting) / spread;
          const prefix = weights.prefix === 0 ? 0 : shares.share(request, server);
          return weights.queue * queue + weights.kv * (1 - kvUsage) + weights.prefix * prefix;
        });
      },
      sent: (request, server) => shares.sent?.(request, server),
    };
  });
}

/** The highest score; of equal ones any. */
function best(
  servers: readonly FleetServer[],
  random: Random,
  score: (server: FleetServer) => number,
): FleetServer {
  let found = at(servers, 0);
  let highest = Number.NEGATIVE_INFINITY;
  let ties = 0;
  for (const server of servers) {
    const value = score(server);
    if (value < highest) continue;
    ties = value > highest ? 1 : ties + 1;
    if (ties > 1 && random.unit() * ties >= 1) continue;
    found = server;
    highest = value;
  }
  return found;
}

function at(servers: readonly FleetServer[], index: number): FleetServer {
  const server = servers[index];
  if (server === undefined) throw new RangeError(`no server ${index}`);
  return server;
}
