/** Models of a pool, for the surfaces that list them. */
import type { PooledModel } from "../contracts/http-endpoint.ts";
import { cardOf, type ServerEndpoint } from "./server-endpoint.ts";

/** Models of a pool; what its servers have beyond that is served, but not listed. */
const maxListed = 5_000;

/** Every model once, by the name that its first server gives it, in the order of the servers' lists. */
export function listModels(pool: string, servers: readonly ServerEndpoint[]): PooledModel[] {
  const holders = new Map<string, ServerEndpoint[]>();
  for (const server of servers) {
    for (const [alias, { model }] of server.targets) {
      if (alias !== model) continue;
      const known = holders.get(model);
      if (known !== undefined) known.push(server);
      else if (holders.size < maxListed) holders.set(model, [server]);
    }
  }
  return [...holders].map(([name, having]) => {
    const running = having.flatMap((server) => {
      const card = server.survey?.running?.get(name);
      return card === undefined ? [] : [{ endpoint: server.id, card }];
    });
    return {
      name,
      pool,
      dialects: [...new Set(having.flatMap((server) => server.targetFor(name)?.dialect ?? []))],
      ready: having.filter(({ state }) => state === "ready").length,
      endpoints: having.length,
      loaded: having.filter((server) => server.isLoaded(name)).length,
      card: having.map((server) => cardOf(server, name)).find((card) => card !== undefined),
      running,
    };
  });
}
