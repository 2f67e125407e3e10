/**
 * `/grafana/*` and `/prometheus/*`: the servers that the configuration names, through the gateway's
 * port. Looking needs the scope `status`: reads, and the calls by which both ask queries with POST.
 * Everything else that is not a read needs `admin`, and so do Prometheus's own admin and debug pages.
 */
import type { MonitoringOptions } from "../contracts/options.ts";
import { writePlainFailure } from "../contracts/plain-failure.ts";
import type { HttpCall, Route } from "../contracts/route.ts";
import type { Clock } from "../core/clock.ts";
import { failure, type Failure } from "../core/errors.ts";
import { ServerProxy } from "./server-proxy.ts";

/** One server and what may be asked of it. */
interface Monitor {
  readonly key: keyof MonitoringOptions;
  readonly name: string;
  readonly example: string;
  readonly cookies: boolean;
  /** Paths below its own where a POST only reads. */
  readonly queries: readonly string[];
  /** Paths below its own that need `admin` whatever the method. */
  readonly guarded: RegExp | undefined;
}

const monitors: readonly Monitor[] = [
  {
    key: "grafana",
    name: "Grafana",
    example: "http://127.0.0.1:3007",
    cookies: true,
    // What panels ask (https://grafana.com/docs/grafana/latest/developers/http_api/data_source/#query-a-data-source).
    queries: ["api/ds/query"],
    guarded: undefined,
  },
  {
    key: "prometheus",
    name: "Prometheus",
    example: "http://127.0.0.1:9090",
    cookies: false,
    // https://prometheus.io/docs/prometheus/latest/querying/api/
    queries: [
      "api/v1/query",
      "api/v1/query_range",
      "api/v1/query_exemplars",
      "api/v1/series",
      "api/v1/labels",
      "api/v1/format_query",
      "api/v1/parse_query",
    ],
    guarded: /^(api\/v1\/admin|debug)(\/|$)/,
  },
];

const changing = ["POST", "PUT", "PATCH", "DELETE"] as const;

/** The routes; those of a server that is not configured say how it would be. */
export function createMonitoringRoutes(
  monitoring: MonitoringOptions,
  { clock }: { readonly clock: Clock },
): Route[] {
  return monitors.flatMap((monitor) => routesOf(monitor, monitoring[monitor.key], clock));
}

function routesOf(monitor: Monitor, origin: string | undefined, clock: Clock): Route[] {
  const { key, name, cookies, queries } = monitor;
  const proxy = origin === undefined ? undefined : new ServerProxy({ name, origin, cookies, clock });
  const route = (method: Route["method"], path: string, scope: Route["scope"]): Route => ({
    method,
    path,
    scope,
    body: "stream",
    writeFailure: writePlainFailure,
    handle: (call) => refusalOf(monitor, call) ?? proxy?.carry(call) ?? notConfigured(monitor),
  });
  const rest = `/${key}/{path*}`;
  return [
    route("GET", `/${key}`, "status"),
    route("GET", rest, "status"),
    route("HEAD", rest, "status"),
    ...changing.map((method) => route(method, rest, "admin")),
    ...queries.flatMap((query) => [
      route("GET", `/${key}/${query}`, "status"),
      route("POST", `/${key}/${query}`, "status"),
    ]),
  ];
}

/** What the path alone says against a call, decoded as the server will decode it. */
function refusalOf({ guarded, name }: Monitor, { params, caller }: HttpCall): Failure | undefined {
  const segments = (params["path"] ?? "").split("/").filter((segment) => segment !== "" && segment !== ".");
  if (segments.includes("..")) return failure("bad_request", "The path may not go upwards");
  if (guarded?.test(segments.join("/")) !== true || caller.scopes.includes("admin")) return undefined;
  return failure("forbidden", `This page of ${name} needs the scope admin`);
}

function notConfigured({ key, name, example }: Monitor): Failure {
  return failure(
    "not_found",
    `No ${name} is configured; "monitoring: { ${key}: ${example} }" in the configuration shows it here`,
  );
}
