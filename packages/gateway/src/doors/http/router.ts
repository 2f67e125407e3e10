/** Finds the route of a path: a map for fixed paths, a tree of segments for the rest. */
import type { FailureWriter, Route } from "../../contracts/route.ts";
import { RouteMeter, type HttpMeters } from "./http-metrics.ts";

/** A route under one method, with its counters. */
export interface CompiledRoute {
  readonly route: Route;
  readonly meter: RouteMeter;
  /** Names of the `{name}` parts, in order. */
  readonly names: readonly string[];
}

/** Everything at one address. */
interface Address {
  readonly methods: Map<string, CompiledRoute>;
  allow: string;
}

/**
 * What a path leads to. `writeFailure` is that of the API which the path seems to be meant for;
 * undefined when it looks like none.
 */
export type RouteMatch =
  | { readonly kind: "found"; readonly compiled: CompiledRoute; readonly params: Params }
  | { readonly kind: "no_method"; readonly allow: string; readonly writeFailure: FailureWriter | undefined }
  | {
      readonly kind: "no_path";
      readonly writeFailure: FailureWriter | undefined;
      /** The address that was probably meant; undefined where none suggests itself. */
      readonly meant: string | undefined;
    }
  | { readonly kind: "malformed"; readonly writeFailure: FailureWriter | undefined };

type Params = Readonly<Record<string, string>>;

interface Node {
  readonly literals: Map<string, Node>;
  /** `{name}` with a literal suffix, longest suffix first; a bare `{name}` has the empty suffix and comes last. */
  readonly captures: { readonly suffix: string; readonly node: Node }[];
  /** `{name*}`: everything that nothing else takes. */
  rest: Node | undefined;
  address: Address | undefined;
  /** Of the first route at or below this node. */
  writeFailure: FailureWriter | undefined;
  readonly isRest: boolean;
}

const noParams: Params = Object.freeze({});
const capture = /^\{(\w+)\}([^{}]*)$/;
const restCapture = /^\{(\w+)\*\}$/;

/** The route table. Throws a TypeError for two routes with one method and shape, or a pattern it cannot read. */
export class Router {
  readonly #fixed = new Map<string, Address>();
  readonly #root = createNode();
  readonly #meters: HttpMeters;

  constructor(routes: readonly Route[], meters: HttpMeters) {
    this.#meters = meters;
    for (const route of routes) this.#add(route);
  }

  /** Looks up a path as it was sent: dots and empty segments mean nothing. HEAD finds what GET does. */
  match(method: string, path: string): RouteMatch {
    const fixed = this.#fixed.get(path);
    if (fixed !== undefined) {
      const compiled = fixed.methods.get(method);
      if (compiled !== undefined) return { kind: "found", compiled, params: noParams };
      return this.#noMethod(fixed, path);
    }
    const values: string[] = [];
    const address = path.startsWith("/") ? find(this.#root, path, 1, values) : undefined;
    if (address === undefined) return this.#noPath(method, path);
    const compiled = address.methods.get(method);
    if (compiled === undefined) return this.#noMethod(address, path);
    const params = decodeParams(compiled.names, values);
    if (params === undefined) return { kind: "malformed", writeFailure: compiled.route.writeFailure };
    return { kind: "found", compiled, params };
  }

  #noPath(method: string, path: string): RouteMatch {
    const meant = likelyPaths(path).find((each) => this.#fixed.get(each)?.methods.has(method));
    return { kind: "no_path", writeFailure: this.#nearestWriter(meant ?? path), meant };
  }

  #noMethod({ allow }: Address, path: string): RouteMatch {
    return { kind: "no_method", allow, writeFailure: this.#nearestWriter(path) };
  }

  #add(route: Route): void {
    const names: string[] = [];
    let node = this.#root;
    for (const segment of route.path.slice(1).split("/")) {
      if (node.isRest) throw new TypeError(`"${route.path}" goes on behind the rest of the path`);
      node = descend(node, segment, names);
      node.writeFailure ??= route.writeFailure;
    }
    const address = (node.address ??= { methods: new Map(), allow: "" });
    if (names.length === 0) this.#fixed.set(route.path, address);
    this.#addMethod(address, route.method, { route, names });
    if (route.method === "GET") this.#addMethod(address, "HEAD", { route, names });
    address.allow = [...address.methods.keys()].join(", ");
  }

  #addMethod(address: Address, method: string, compiled: Omit<CompiledRoute, "meter">): void {
    const { path } = compiled.route;
    if (address.methods.get(method)?.route.method === method) {
      if (compiled.route.method !== method) return;
      throw new TypeError(`two routes answer ${method} ${path}`);
    }
    const meter = new RouteMeter(this.#meters, path, method);
    address.methods.set(method, { ...compiled, meter });
  }

  /** The writer of the API whose known addresses share the most leading segments with the path. */
  #nearestWriter(path: string): FailureWriter | undefined {
    let node = this.#root;
    let writer: FailureWriter | undefined;
    for (const segment of path.slice(1).split("/", maxDepth)) {
      const next =
        node.literals.get(segment) ??
        node.captures.find(({ suffix }) => segment.endsWith(suffix))?.node ??
        node.rest;
      if (next === undefined) break;
      node = next;
      writer = node.writeFailure;
    }
    return writer;
  }
}

/** The path as it would be with the usual mistakes in a client's base address mended: a slash, `/v1` or `/api` too much or too few. */
function likelyPaths(path: string): string[] {
  const clean = path.slice(0, maxMendedLength).replaceAll(/\/+/g, "/").replace(/\/$/, "");
  const [, inner = clean] = /^\/[^/]+(\/.*)$/.exec(clean) ?? [];
  return [clean, `/v1${clean}`, `/api${clean}`, inner, `/v1${inner}`, `/api${inner}`];
}

/** No fixed address is as long. */
const maxMendedLength = 200;

/** No known address has more segments than this. */
const maxDepth = 16;

function createNode(isRest = false): Node {
  return {
    literals: new Map(),
    captures: [],
    rest: undefined,
    address: undefined,
    writeFailure: undefined,
    isRest,
  };
}

function descend(node: Node, segment: string, names: string[]): Node {
  const [, restName] = restCapture.exec(segment) ?? [];
  if (restName !== undefined) {
    names.push(restName);
    return (node.rest ??= createNode(true));
  }
  const [, name, suffix = ""] = capture.exec(segment) ?? [];
  if (name === undefined) {
    if (/[{}]/.test(segment)) throw new TypeError(`cannot read the route segment "${segment}"`);
    const next = node.literals.get(segment) ?? createNode();
    node.literals.set(segment, next);
    return next;
  }
  names.push(name);
  const known = node.captures.find((each) => each.suffix === suffix);
  if (known !== undefined) return known.node;
  const next = createNode();
  node.captures.push({ suffix, node: next });
  node.captures.sort((a, b) => b.suffix.length - a.suffix.length);
  return next;
}

/** Depth first, literals before captures, the rest of the path last; `values` holds what the captures on the way took. */
function find(node: Node, path: string, start: number, values: string[]): Address | undefined {
  const slash = path.indexOf("/", start);
  const segment = slash < 0 ? path.slice(start) : path.slice(start, slash);
  const literal = node.literals.get(segment);
  if (literal !== undefined) {
    const found = slash < 0 ? literal.address : find(literal, path, slash + 1, values);
    if (found !== undefined) return found;
  }
  for (const { suffix, node: next } of node.captures) {
    if (segment.length <= suffix.length || !segment.endsWith(suffix)) continue;
    values.push(segment.slice(0, segment.length - suffix.length));
    const found = slash < 0 ? next.address : find(next, path, slash + 1, values);
    if (found !== undefined) return found;
    values.pop();
  }
  if (node.rest?.address === undefined) return undefined;
  values.push(path.slice(start));
  return node.rest.address;
}

/** Undefined for a value that is not valid percent-encoded UTF-8. */
function decodeParams(names: readonly string[], values: readonly string[]): Params | undefined {
  const params: Record<string, string> = {};
  for (let i = 0; i < names.length; i++) {
    const value = decode(values[i] ?? "");
    if (value === undefined) return undefined;
    params[names[i] ?? ""] = value;
  }
  return params;
}

function decode(text: string): string | undefined {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
