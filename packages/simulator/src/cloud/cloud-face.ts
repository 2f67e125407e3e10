/** The routes of a simulated Groundlight cloud: tokens, throttling and latency around every one of them. */
import type { Face, FaceRoute, PathParameters, World } from "../faces/face.ts";
import type { ErrorAnswer, Exchange } from "../server/exchange.ts";
import type { Cloud } from "./cloud.ts";
import { MAX_CLOUD_BODY_BYTES } from "./cloud-options.ts";
import { notFound, refused } from "./reply.ts";
import type { CloudCall, Reply } from "./reply.ts";
import { Throttle } from "./throttle.ts";
import { whoAmI } from "./tokens.ts";

type Handle = (call: CloudCall) => Reply;

/** Makes the face of a cloud. */
export function createCloudFace(cloud: Cloud, world: World): Face {
  const throttle = new Throttle(world.clock);
  const known = (handle: Handle) => (exchange: Exchange, path: PathParameters) => {
    answerAfter(exchange, world, cloud, handleKnown(exchange, { cloud, path, throttle }, handle));
  };
  const download = (exchange: Exchange, path: PathParameters): void =>
    answerAfter(exchange, world, cloud, cloud.models.download(readCall(exchange, path)));
  return {
    name: "groundlight",
    errors: {
      body: ({ message }: ErrorAnswer) => ({ detail: message }),
      frame: ({ message }: ErrorAnswer) => `${JSON.stringify({ detail: message })}\n`,
    },
    maxBodyBytes: MAX_CLOUD_BODY_BYTES,
    routes: [
      ...apiRoutes(cloud).map(([method, place, handle]) => ({
        method,
        path: place,
        handle: known(handle),
      })),
      { method: "GET", path: "/model-files/:id", handle: download },
      { method: "HEAD", path: "/model-files/:id", handle: download },
    ],
    control: controlRoutes(cloud),
    notFound: (exchange) => {
      if (/^\/(?:device|edge)-api\//.test(exchange.path))
        exchange.error({ status: 404, message: "Not found." });
      else exchange.html(404);
    },
    notAllowed: (exchange, allow) =>
      exchange.error({
        status: 405,
        message: `Method "${exchange.request.method}" not allowed.`,
        headers: { allow },
      }),
  };
}

function apiRoutes(cloud: Cloud): [method: string, path: string, handle: Handle][] {
  const { detectorBook: detectors, queryBook: queries, tokens, models } = cloud;
  const v1 = "/device-api/v1";
  const urls: Handle = (call) => models.fetchUrls(call, detectors);
  return [
    ["GET", `${v1}/me`, whoAmI],
    ["GET", `${v1}/detectors`, (call) => detectors.list(call)],
    ["POST", `${v1}/detectors`, (call) => detectors.create(call)],
    ["GET", `${v1}/detectors/:id`, (call) => detectors.get(call)],
    ["PATCH", `${v1}/detectors/:id`, (call) => detectors.patch(call)],
    ["DELETE", `${v1}/detectors/:id`, (call) => detectors.remove(call)],
    ["DELETE", `${v1}/detector-reset/:id`, (call) => queries.reset(call)],
    ["GET", `${v1}/detector-groups`, (call) => detectors.listGroups(call)],
    ["POST", `${v1}/detector-groups`, (call) => detectors.createGroup(call)],
    ["GET", `${v1}/image-queries`, (call) => queries.list(call)],
    ["POST", `${v1}/image-queries`, (call) => queries.submit(call)],
    ["GET", `${v1}/image-queries/:id`, (call) => queries.get(call)],
    ["GET", `${v1}/image-queries/:id/image`, (call) => queries.picture(call)],
    ["POST", `${v1}/labels`, (call) => queries.label(call)],
    ["GET", `${v1}/month-to-date-account-info`, (call) => queries.account(call)],
    ["GET", `${v1}/api-tokens`, (call) => tokens.list(call)],
    ["POST", `${v1}/api-tokens`, (call) => tokens.create(call)],
    ["GET", `${v1}/api-tokens/by-snippet/:snippet`, (call) => tokens.bySnippet(call)],
    ["DELETE", `${v1}/api-tokens/:name`, (call) => tokens.remove(call)],
    ["GET", `${v1}/edge/fetch-model-urls/:id/`, urls],
    ["GET", "/edge-api/v1/fetch-model-urls/:id/", urls],
    ["POST", `${v1}/edge/report-metrics`, (call) => cloud.takeMetrics(call)],
    ["GET", "/device-api/reader-credentials", () => notFound()],
  ];
}

function controlRoutes(cloud: Cloud): FaceRoute[] {
  return [
    {
      method: "GET",
      path: "/simulator/cloud",
      handle: (exchange) => exchange.json(cloud.snapshot()),
    },
    {
      method: "DELETE",
      path: "/simulator/cloud",
      handle: (exchange) => {
        cloud.clear();
        exchange.json({});
      },
    },
  ];
}

function readCall(exchange: Exchange, path: PathParameters): Omit<CloudCall, "caller"> {
  const { request, record, body, rawBody } = exchange;
  const at = record.path.indexOf("?");
  return {
    method: request.method ?? "GET",
    path,
    query: new URLSearchParams(at < 0 ? "" : record.path.slice(at + 1)),
    headers: request.headers,
    body,
    rawBody,
    origin: `http://${request.headers.host ?? "127.0.0.1"}`,
  };
}

/** Asks who calls and how often, then the route. */
function handleKnown(
  exchange: Exchange,
  { cloud, path, throttle }: { cloud: Cloud; path: PathParameters; throttle: Throttle },
  handle: Handle,
): Reply {
  const token = exchange.request.headers["x-api-token"];
  if (typeof token !== "string" || token === "")
    return refused(401, "Authentication credentials were not provided.");
  const caller = cloud.tokens.find(token);
  if (caller === undefined) return refused(401, "Invalid API token.");
  const waitSeconds = throttle.take(token, cloud.options.throttle);
  if (waitSeconds > 0)
    return refused(429, `Request was throttled. Expected available in ${waitSeconds} seconds.`, {
      "retry-after": String(waitSeconds),
    });
  return handle({ ...readCall(exchange, path), caller });
}

/** Sends an answer when the latency is over. What was asked counts, whether or not the caller is still there. */
function answerAfter(
  exchange: Exchange,
  world: World,
  { options: { latencyMs = 0 } }: Cloud,
  reply: Reply,
): void {
  const send = (): void => {
    world.load.active -= 1;
    exchange.onClose(() => undefined);
    sendReply(exchange, reply);
  };
  world.load.active += 1;
  if (latencyMs <= 0) return send();
  const timer = world.clock.after(latencyMs, send);
  exchange.onClose(() => {
    timer.cancel();
    world.load.active -= 1;
  });
}

function sendReply(exchange: Exchange, { status = 200, json, bytes, headers = {} }: Reply): void {
  if (bytes !== undefined) exchange.bytes(bytes, { status, headers });
  else if (json === undefined) exchange.text("", { status, headers });
  else exchange.json(json, { status, headers });
}
