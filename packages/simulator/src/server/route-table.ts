/** Finds the route of a method and path. */
import type { FaceRoute, PathParameters } from "../faces/face.ts";

const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] as const;

/** The routes of a server. */
export class RouteTable {
  readonly #exact = new Map<string, FaceRoute>();
  readonly #patterns: { route: FaceRoute; parts: readonly string[] }[] = [];

  constructor(routes: readonly FaceRoute[]) {
    for (const route of routes) {
      if (/[:*]/.test(route.path)) this.#patterns.push({ route, parts: route.path.split("/") });
      else this.#exact.set(`${route.method} ${route.path}`, route);
    }
  }

  /** Every method of a path, with commas; an empty text where there is no such path. */
  allowed(path: string): string {
    return methods.filter((method) => this.find(method, path) !== undefined).join(", ");
  }

  /** The route and what its pattern caught. `path` is without the query. */
  find(method: string, path: string): { route: FaceRoute; parameters: PathParameters } | undefined {
    const exact = this.#exact.get(`${method} ${path}`);
    if (exact !== undefined) return { route: exact, parameters: {} };
    const parts = path.split("/");
    for (const { route, parts: pattern } of this.#patterns) {
      if (route.method !== method) continue;
      const parameters = matchParts(pattern, parts);
      if (parameters !== undefined) return { route, parameters };
    }
    return undefined;
  }
}

function matchParts(pattern: readonly string[], parts: readonly string[]): PathParameters | undefined {
  const parameters: Record<string, string> = {};
  for (const [at, name] of pattern.entries()) {
    const part = parts[at];
    if (part === undefined) return undefined;
    if (name.startsWith("*")) {
      parameters[name.slice(1)] = decode(parts.slice(at).join("/"));
      return parameters;
    }
    if (name.startsWith(":")) parameters[name.slice(1)] = decode(part);
    else if (name !== part) return undefined;
  }
  return pattern.length === parts.length ? parameters : undefined;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
