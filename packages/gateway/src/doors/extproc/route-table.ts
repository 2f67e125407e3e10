/** Which API a path belongs to. Gateways put prefixes before paths, so the longest known end of a path decides. */
import type { Route } from "../../contracts/route.ts";

/** Segments of a path that are looked at. */
const maxDepth = 16;

/** The addresses that ask models with a body. */
export class RouteTable {
  readonly #routes = new Map<string, Route>();

  /** Of all routes those count that ask a model and name nothing in their path. */
  constructor(routes: readonly Route[]) {
    for (const route of routes) {
      const asks = route.method === "POST" && route.scope === "infer" && route.body === "bytes";
      if (!asks || route.path.includes("{")) continue;
      this.#routes.set(route.path, route);
      // As for `/v1/chat/completions`, so for `/openai/chat/completions`.
      if (route.path.startsWith("/v1/")) this.#routes.set(route.path.slice("/v1".length), route);
    }
  }

  /** The route of a path without its query; undefined: no API that is known. */
  find(path: string): Route | undefined {
    let rest = path;
    for (let depth = 0; depth < maxDepth; depth++) {
      const route = this.#routes.get(rest);
      if (route !== undefined) return route;
      const next = rest.indexOf("/", 1);
      if (next < 0) return undefined;
      rest = rest.slice(next);
    }
    return undefined;
  }
}
