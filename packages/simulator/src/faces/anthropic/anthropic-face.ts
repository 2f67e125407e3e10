/** A server that behaves like Anthropic's API. */
import type { Model } from "../../model-spec.ts";
import type { ErrorAnswer, Exchange } from "../../server/exchange.ts";
import type { Face, FaceRoute, World } from "../face.ts";
import { fields } from "../fields.ts";
import { findExactly, hexId } from "../openai/flavour.ts";
import { checkMessages } from "./check-messages.ts";
import { answerMessages, anthropicErrors, countTokens } from "./messages.ts";
import type { MessagesFlavour } from "./messages.ts";

/** Makes the face. */
export function createAnthropicFace(world: World): Face {
  const flavour: MessagesFlavour = {
    world,
    lateHead: false,
    overloaded: { status: 529, message: "Overloaded" },
    headers: () => ({
      "request-id": `req_${hexId(world, 24)}`,
      "anthropic-ratelimit-requests-limit": "4000",
      "anthropic-ratelimit-requests-remaining": String(Math.max(0, 4000 - world.load.active)),
      "anthropic-ratelimit-requests-reset": new Date(world.clock.wallNow()).toISOString(),
    }),
    find: (name) => findExactly(world, name),
    missing: (name) => ({ status: 404, message: `model: ${name}` }),
    id: (prefix) => `${prefix}${hexId(world, 24)}`,
  };
  return {
    name: "anthropic",
    errors: anthropicErrors,
    routes: routesOf(flavour),
    guard: (exchange) => guard(exchange, world),
    notFound: (exchange) => exchange.error({ status: 404, message: "Not found" }),
    notAllowed: (exchange, allow) =>
      exchange.error({ status: 405, message: "Method Not Allowed", headers: { allow } }),
  };
}

function routesOf(flavour: MessagesFlavour): FaceRoute[] {
  return [
    { method: "POST", path: "/v1/messages", handle: (exchange) => answerMessages(exchange, flavour) },
    {
      method: "POST",
      path: "/v1/messages/count_tokens",
      handle: (exchange) => countTokens(exchange, flavour),
    },
    { method: "GET", path: "/v1/models", handle: (exchange) => listModels(exchange, flavour) },
    {
      method: "GET",
      path: "/v1/models/*name",
      handle: (exchange, { name = "" }) => showModel(exchange, flavour, name),
    },
  ];
}

/** A key where the simulator was given some, the version always, and bodies that Anthropic takes. */
function guard({ request: { headers }, path, body }: Exchange, { apiKeys }: World): ErrorAnswer | undefined {
  const given = headers["x-api-key"] ?? headers.authorization?.replace(/^Bearer /, "");
  if (apiKeys.length > 0 && given === undefined)
    return { status: 401, message: "x-api-key header is required" };
  if (apiKeys.length > 0 && !apiKeys.includes(String(given)))
    return { status: 401, message: "invalid x-api-key" };
  if (headers["anthropic-version"] === undefined)
    return { status: 400, message: "anthropic-version: header is required" };
  return path === "/v1/messages" ? checkMessages(fields(body)) : undefined;
}

function describe({ name }: Model): Record<string, unknown> {
  return { type: "model", id: name, display_name: name, created_at: "2026-01-01T00:00:00Z" };
}

function listModels(exchange: Exchange, flavour: MessagesFlavour): void {
  const { models } = flavour.world;
  const ids = [...models.keys()];
  const page = {
    data: [...models.values()].map(describe),
    has_more: false,
    first_id: ids[0] ?? null,
    last_id: ids.at(-1) ?? null,
  };
  exchange.json(page, { headers: flavour.headers(exchange) });
}

function showModel(exchange: Exchange, flavour: MessagesFlavour, name: string): void {
  const found = flavour.find(name);
  if (found === undefined) exchange.error(flavour.missing(name));
  else exchange.json(describe(found.model), { headers: flavour.headers(exchange) });
}
