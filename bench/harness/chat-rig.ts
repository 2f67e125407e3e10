/** What the figures about chats run: servers behind, the gateway before them with keys and limits, and the bare proxy. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { LoadPlan } from "../load/load-spec.ts";
import { startGateway } from "./gateway.ts";
import type { FigureContext, Scale } from "./figure.ts";
import { freePort, ServerProcess } from "./serve.ts";
import type { Address } from "./serve.ts";

/** Started servers. */
export interface ChatRig {
  /** The servers behind. */
  readonly upstreams: readonly [ServerProcess, ...ServerProcess[]];
  readonly gateway: ServerProcess;
  /** Value of `Authorization` that the gateway lets in. */
  readonly authorization: string;
  /** Starts the server of this place again, at its address. */
  restart(place: number): Promise<ServerProcess>;
}

/** How a rig is built. */
export interface ChatRigOptions {
  /** Servers behind the gateway; default 1. */
  readonly upstreams?: number;
}

const SMOKE_STREAMS = 50;
const SECRET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";
const KEY_ID = "bench";
/** High enough that no request is refused, so that limits cost what they cost and change nothing. */
const LIMITS = { requestsPerMinute: 1_000_000_000, tokensPerMinute: 1_000_000_000, concurrency: 100_000 };

/** Starts a rig, uses it and closes it, whatever happens. */
export async function withChatRig<Result>(
  context: FigureContext,
  options: ChatRigOptions,
  use: (rig: ChatRig) => Promise<Result>,
): Promise<Result> {
  const started: ServerProcess[] = [];
  try {
    const first = await startUpstream(started);
    const more: ServerProcess[] = [];
    while (more.length + 1 < (options.upstreams ?? 1)) more.push(await startUpstream(started));
    const upstreams: [ServerProcess, ...ServerProcess[]] = [first, ...more];
    const authorization = `Bearer spw_${KEY_ID}_${SECRET}`;
    const { server: gateway } = await startGateway({
      directory: join(context.directory, "chat-rig"),
      config: gatewayConfig(upstreams.map(({ address }) => address)),
      authorization,
    });
    started.push(gateway);
    const restart = async (place: number): Promise<ServerProcess> => {
      const again = await startUpstream(started, upstreams[place]?.address.port);
      upstreams[place] = again;
      return again;
    };
    return await use({ upstreams, gateway, authorization, restart });
  } finally {
    await Promise.all(started.map((server) => server.close()));
  }
}

/** Starts the bare proxy before a server. The caller closes it. */
export function startBareProxy(upstream: ServerProcess): Promise<ServerProcess> {
  return ServerProcess.start({
    name: "proxy",
    script: "bench/reference/bare-proxy.ts",
    ready: { kind: "message" },
    env: { UPSTREAM: originOf(upstream.address) },
  });
}

/** The plan with a header in each request. */
export function withHeaders(plan: LoadPlan, headers: Readonly<Record<string, string>>): LoadPlan {
  const requests = plan.requests.map((one) => ({ ...one, headers: { ...one.headers, ...headers } }));
  return { ...plan, requests };
}

/** The plan of a smoke run: few streams and short ones. Others stay as they are. */
export function scaledStreams(plan: LoadPlan, scale: Scale): LoadPlan {
  if (scale !== "smoke" || plan.protocol !== "http1") return plan;
  const requests = plan.requests.map((one) => {
    if (one.body?.kind !== "text") return one;
    return {
      ...one,
      body: { ...one.body, value: one.body.value.replace(/"max_tokens":\d+/, '"max_tokens":10') },
    };
  });
  return { ...plan, connections: Math.min(plan.connections, SMOKE_STREAMS), requests };
}

/** `http://host:port`. */
export function originOf({ host, port }: Address): string {
  return `http://${host}:${port}`;
}

async function startUpstream(started: ServerProcess[], port?: number): Promise<ServerProcess> {
  const server = await ServerProcess.start({
    name: `upstream-${started.length + 1}`,
    script: "bench/reference/chat-upstream.ts",
    ready: { kind: "message" },
    env: { PORT: String(port ?? (await freePort())) },
  });
  started.push(server);
  return server;
}

function gatewayConfig(upstreams: readonly Address[]): Record<string, unknown> {
  const secret = `sha256:${createHash("sha256").update(SECRET).digest("hex")}`;
  return {
    models: false,
    predict: { features: false, prompt: false },
    auth: {
      keys: [{ id: KEY_ID, secret, scopes: ["infer", "status"], limits: LIMITS }],
      keysFile: false,
    },
    pools: {
      bench: { dialect: "openai", endpoints: upstreams.map(originOf), concurrency: 4096 },
    },
    flow: { maxQueue: 10_000 },
  };
}
