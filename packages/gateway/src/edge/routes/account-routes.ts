/** `/me` and `/api-tokens/by-snippet`: what clients ask before anything else. They start with the cloud away, too. */
import { isCloudFailure, isTemporary, type Cloud } from "../../contracts/cloud.ts";
import type { HttpCall, Route, RouteResult } from "../../contracts/route.ts";
import type { JsonObject } from "../../core/detector.ts";
import { failure, isFailure } from "../../core/errors.ts";
import { jsonAnswer } from "../../dialects/json-answer.ts";
import type { AccountMemory } from "../account-memory.ts";
import { relay, type Forwarding } from "../forward.ts";
import { apiRoutes, cloudToken } from "./edge-route.ts";

/** What the routes need. */
export interface AccountRouteDeps {
  readonly cloud: Cloud | undefined;
  readonly forwarding: Forwarding;
  readonly hasDeviceToken: boolean;
  /** Of the device's own token. */
  readonly account: Pick<AccountMemory, "me" | "keep">;
}

/** How long the cloud may take, ms: the client waits 10 s, and is answered here where the cloud does not. */
const timeoutMs = 3_000;

/** Who a caller is where no cloud can tell. */
const nobody: JsonObject = {
  email: "edge@localhost",
  username: "edge",
  group: { id: 0, name: "edge" },
  is_superuser: false,
};

/** The routes. */
export function createAccountRoutes(deps: AccountRouteDeps): Route[] {
  const read = { method: "GET", scope: "infer", body: "none" } as const;
  return [
    ...apiRoutes({ ...read, path: "/me", handle: (call) => whoAmI(deps, call) }),
    ...apiRoutes({
      ...read,
      path: "/api-tokens/by-snippet/{snippet}",
      handle: (call) => tokenBySnippet(deps, call),
    }),
  ];
}

async function whoAmI(
  { cloud, hasDeviceToken, account }: AccountRouteDeps,
  call: HttpCall,
): Promise<RouteResult> {
  if (cloud === undefined || cloud.health().state === "unreachable")
    return jsonAnswer(200, account.me ?? nobody);
  const token = hasDeviceToken ? undefined : cloudToken(call);
  const { requestId, cancellation } = call;
  const me = await cloud.me({ timeoutMs, token, requestId, cancellation });
  cancellation.listen(undefined);
  if (!isCloudFailure(me)) {
    if (hasDeviceToken) await account.keep(me);
    return jsonAnswer(200, me);
  }
  return isTemporary(me) ? jsonAnswer(200, account.me ?? nobody) : relay(me);
}

/** 404 says that tokens are not managed here: the client goes on with the one it has. */
async function tokenBySnippet(
  { cloud, forwarding, hasDeviceToken }: AccountRouteDeps,
  call: HttpCall,
): Promise<RouteResult> {
  const unknown = failure("not_found", "Tokens are not managed here");
  if (cloud === undefined || !forwarding.isPossible || cloudToken(call) === undefined) return unknown;
  const answer = await forwarding.ask(call, "account");
  if (isCloudFailure(answer) || isFailure(answer) || answer.status >= 500) return unknown;
  // Callers of a device with a token of its own are let in by this gateway: the cloud need not know theirs.
  return hasDeviceToken && answer.status === 401 ? unknown : answer;
}
