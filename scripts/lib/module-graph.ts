// Which module imports which, and the cycles among them.
import path from "node:path";
import { importsOf } from "./imports.ts";
import type { Source } from "./source.ts";

/** Module → the modules of the same set it imports, by value, type, dynamically or as a thread. */
export type ModuleGraph = ReadonlyMap<string, readonly string[]>;

/** The graph of relative imports within the given sources. */
export function moduleGraph(sources: readonly Source[]): ModuleGraph {
  const files = new Set(sources.map(({ file }) => file));
  const targets = (source: Source): string[] => {
    const relative = importsOf(source).filter(({ specifier }) => specifier.startsWith("."));
    const paths = relative.map(({ specifier }) =>
      path.posix.join(path.posix.dirname(source.file), specifier),
    );
    return [...new Set(paths)].filter((target) => files.has(target));
  };
  return new Map(sources.map((source) => [source.file, targets(source)]));
}

/**
 * The knots of a graph: each set of modules that all reach each other, sorted; a module that imports itself is
 * one too. Tarjan's algorithm (SIAM J. Comput. 1972) for strongly connected components.
 */
export function cyclesOf(graph: ModuleGraph): string[][] {
  const order = new Map<string, number>();
  const stack: string[] = [];
  const cycles: string[][] = [];
  const visit = (module: string): number => {
    const index = order.size;
    order.set(module, index);
    let lowest = index;
    stack.push(module);
    for (const target of graph.get(module) ?? []) {
      if (!order.has(target)) lowest = Math.min(lowest, visit(target));
      else if (stack.includes(target)) lowest = Math.min(lowest, order.get(target) ?? lowest);
    }
    if (lowest === index) collect(stack.splice(stack.indexOf(module)));
    return lowest;
  };
  const collect = (knot: string[]): void => {
    const [first = ""] = knot;
    if (knot.length > 1 || graph.get(first)?.includes(first)) cycles.push(knot.sort());
  };
  for (const module of graph.keys()) if (!order.has(module)) visit(module);
  return cycles;
}
