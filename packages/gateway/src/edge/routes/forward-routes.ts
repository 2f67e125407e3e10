/** What goes to the cloud because nothing here answers it. */
import type { Route } from "../../contracts/route.ts";
import { writeGroundlightFailure } from "../../dialects/groundlight/write-failure.ts";
import { noCloud, type Forwarding, type ForwardReason } from "../forward.ts";

const methods = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const;

/** Below `/device-api/`, on every listener: unknown paths, and known ones with other methods. */
export function createDeviceApiForwards(forwarding: Forwarding, known: readonly Route[]): Route[] {
  const taken = new Set(known.map(({ method, path }) => `${method} ${shapeOf(path)}`));
  const paths = new Map(
    known.filter(({ path }) => path.startsWith("/device-api/")).map(({ path }) => [shapeOf(path), path]),
  );
  const others = [...paths].flatMap(([shape, path]) =>
    methods
      .filter((method) => !taken.has(`${method} ${shape}`))
      .map((method) => forwardRoute(forwarding, { method, path, reason: "other_method" })),
  );
  return [...others, ...createForwards(forwarding, "/device-api/{path*}")];
}

/** Everything below a path that no other route takes. */
export function createForwards(forwarding: Forwarding, path: string): Route[] {
  return methods.map((method) => forwardRoute(forwarding, { method, path, reason: "unknown_path" }));
}

function forwardRoute(
  forwarding: Forwarding,
  { method, path, reason }: Pick<Route, "method" | "path"> & { readonly reason: ForwardReason },
): Route {
  return {
    method,
    path,
    scope: "infer",
    body: "bytes",
    writeFailure: writeGroundlightFailure,
    handle: (call) => (forwarding.hasCloud ? forwarding.answer(call, reason) : noCloud(call)),
  };
}

/** Two patterns of one shape match the same paths. */
function shapeOf(path: string): string {
  return path.replaceAll(/\{\w+\}/g, "{}");
}
