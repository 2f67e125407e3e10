/**
 * `/status`: the page and what it reads. The page itself holds nothing secret and is open, so that a browser can load it and
 * ask for a key; everything it then reads needs the scope `status`.
 */
import { readFileSync } from "node:fs";
import { writePlainFailure } from "../../contracts/plain-failure.ts";
import { wireAnswer, type HttpCall, type Route, type RouteResult } from "../../contracts/route.ts";
import type { EdgeStore } from "../../contracts/edge-store.ts";
import type { HeaderList } from "../../core/headers.ts";
import { failure, isFailure } from "../../core/errors.ts";
import { hourMs } from "./detector-activity.ts";
import { writeMetricsPayload, writeResources } from "./groundlight-payloads.ts";
import { maxRecent } from "./recent-queries.ts";
import { dashboardOf, writeActivity, writeStatus, type StatusSources } from "./write-status.ts";

/** What the routes read. */
export interface StatusRouteParts extends Omit<StatusSources, "store"> {
  readonly store: Pick<EdgeStore, "picture" | "counters">;
}

const recentByDefault = 50;
/** A larger picture is not shown: the page may ask for many. */
const maxPictureBytes = 8 * 1024 * 1024;

/**
 * How files of the types begin that browsers only draw; anything else could be a page of its own. What the sender called it
 * is not asked: the Groundlight client says JPEG of everything.
 */
const beginnings: readonly (readonly [type: string, at: number, text: string])[] = [
  ["image/jpeg", 0, "\xff\xd8\xff"],
  ["image/png", 0, "\x89PNG\r\n\x1a\n"],
  ["image/gif", 0, "GIF8"],
  ["image/webp", 8, "WEBP"],
  ["image/bmp", 0, "BM"],
];

/** Nothing from elsewhere, nothing inline, no frames (https://www.w3.org/TR/CSP3/). */
const pagePolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const safe: HeaderList = [
  ["x-content-type-options", "nosniff"],
  ["referrer-policy", "no-referrer"],
];

/** Files of the folder `page`, by the name under `/status/assets/`, with their types. */
const assetTypes: Readonly<Record<string, string>> = {
  "activity.js": "text/javascript; charset=utf-8",
  "main.js": "text/javascript; charset=utf-8",
  "charts.js": "text/javascript; charset=utf-8",
  "elements.js": "text/javascript; charset=utf-8",
  "format.js": "text/javascript; charset=utf-8",
  "reading.js": "text/javascript; charset=utf-8",
  "sections.js": "text/javascript; charset=utf-8",
  "style.css": "text/css; charset=utf-8",
};

/** The routes. The page's files are read once, here; throws where one is missing. */
export function createStatusRoutes(parts: StatusRouteParts): Route[] {
  const { monitor, now, machine } = parts;
  const sources = { ...parts, store: () => parts.store.counters };
  const lastFullHour = (): number => Math.floor(now() / hourMs) - 1;
  return [
    ...createPageRoutes(),
    read("/status/data.json", async ({ query }) => {
      const wanted = Number(new URLSearchParams(query).get("recent") ?? recentByDefault);
      if (!Number.isInteger(wanted) || wanted < 0) return badParameter("recent", `0 to ${maxRecent}`);
      return json(await writeStatus(sources, Math.min(wanted, maxRecent)));
    }),
    read("/status/activity.json", ({ query }) => {
      const params = new URLSearchParams(query);
      const span = params.get("span") ?? "hours";
      if (span !== "hours" && span !== "days") return badParameter("span", "hours or days");
      const detectorId = params.get("detector") ?? undefined;
      return json(writeActivity(monitor, { span, detectorId, now: now() }));
    }),
    read("/status/metrics.json", () => json(writeMetricsPayload({ monitor, machine, now }, lastFullHour()))),
    read("/status/resources.json", () => json(writeResources({ machine }))),
    read("/status/edge-config", () => json(monitor.parts.edgeConfig())),
    read("/status/cloud-config", () => {
      const cloud = monitor.parts.cloud();
      return json({ dashboard_url: cloud === undefined ? null : dashboardOf(cloud.address) });
    }),
    read("/status/pictures/{id}", (call) => showPicture(parts, call)),
  ];
}

function createPageRoutes(): Route[] {
  const page = load("index.html");
  const assets = new Map(Object.keys(assetTypes).map((name) => [name, load(name)]));
  return [
    open("/status", () =>
      wireAnswer(
        200,
        "text/html; charset=utf-8",
        [page],
        [["content-security-policy", pagePolicy], ["cache-control", "no-cache"], ...safe],
      ),
    ),
    open("/status/assets/{name}", ({ params }) => {
      const name = params["name"] ?? "";
      const body = assets.get(name);
      if (body === undefined) return failure("not_found", "The status page has no such file");
      return wireAnswer(200, assetTypes[name] ?? "", [body], [["cache-control", "no-cache"], ...safe]);
    }),
  ];
}

function load(name: string): Uint8Array {
  return readFileSync(new URL(`./page/${name}`, import.meta.url));
}

type Handler = (call: HttpCall) => RouteResult | Promise<RouteResult>;

function open(path: string, handle: Handler): Route {
  return { method: "GET", path, scope: "open", body: "none", writeFailure: writePlainFailure, handle };
}

function read(path: string, handle: Handler): Route {
  return { method: "GET", path, scope: "status", body: "none", writeFailure: writePlainFailure, handle };
}

function json(value: unknown): RouteResult {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  return wireAnswer(200, "application/json", [body], [["cache-control", "no-store"], ...safe]);
}

function badParameter(name: string, wanted: string): RouteResult {
  return { ...failure("bad_request", `"${name}" must be ${wanted}`), field: name };
}

/** With `?else=empty` a picture that is not kept is 204: the page asks for many, and browsers log each error. */
async function showPicture({ store }: StatusRouteParts, { params, query }: HttpCall): Promise<RouteResult> {
  const id = params["id"] ?? "";
  if (!/^[\w-]{1,100}$/.test(id)) return failure("not_found", "This is no id of an image query");
  const picture = await store.picture(id);
  if (picture === undefined && query === "else=empty")
    return { status: 204, headers: [["cache-control", "no-store"]], body: [] };
  if (picture === undefined)
    return failure("not_found", "The picture is not kept: only escalated ones and some recent ones are");
  if (isFailure(picture)) return picture;
  const { bytes } = picture;
  if (bytes.byteLength > maxPictureBytes)
    return failure("body_too_large", `The picture has ${bytes.byteLength} bytes, too many to be shown here`);
  const type = pictureTypeOf(bytes);
  if (type === undefined) return failure("unsupported_media_type", "No picture that a browser shows");
  return wireAnswer(
    200,
    type,
    [bytes],
    [
      ["cache-control", "private, max-age=3600"],
      ["content-security-policy", "default-src 'none'; sandbox"],
      ...safe,
    ],
  );
}

function pictureTypeOf(bytes: Uint8Array): string | undefined {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(16, bytes.byteLength)).toString("latin1");
  return beginnings.find(([, at, text]) => head.startsWith(text, at))?.[0];
}
