/** Puts the engine for GGUF files together: its process, and the pool that it is while it runs. */
import { defaultHttpPool } from "../config/index.ts";
import { enginePool, type LlmEngine } from "../contracts/llm-engine.ts";
import type { HttpPoolOptions } from "../contracts/options.ts";
import type { ServerPool } from "../endpoints/server-pool.ts";
import { createConnectionFactory } from "../stages/upstream/server-connections.ts";
import { EngineConnection } from "../workers/llama/engine-connection.ts";
import { LlamaEngine } from "../workers/llama/llama-engine.ts";
import type { OwnPools } from "./forward.ts";
import type { GatewayConfig, GatewayContext } from "./options.ts";

/** What it needs. */
export interface LlamaParts {
  readonly config: GatewayConfig;
  readonly context: GatewayContext;
  readonly pools: OwnPools;
}

/** Models whose sequences are all counted: the engine's door is as wide as they need. */
const countedModels = 4;
/** Requests at once, at least. */
const leastConcurrency = 16;

/** Starts nothing yet; the pools are not ready until its start is decided. Undefined where GGUF files are not served. */
export function createLlama({
  config,
  context,
  pools,
}: LlamaParts): Pick<LlmEngine, "start" | "close"> | undefined {
  const { repository, llama, workers } = config;
  if (repository === undefined || llama === undefined || context.llama === undefined) return undefined;
  const { clock, logger } = context;
  const concurrency = Math.max(leastConcurrency, countedModels * llama.sequences);
  let pool: ServerPool | undefined;
  const engine = new LlamaEngine({
    ...llama,
    ...context.llama,
    // What the gateway sends the engine takes: requests wait in the gateway's line.
    maxQueue: concurrency,
    pollMs: repository.pollMs,
    clock,
    logger,
    backoffMs: workers.backoffMs,
    silentMs: () => connection?.silentMs ?? 0,
    isBusy: () => pool?.endpoints.some(({ inFlight }) => inFlight > 0) ?? false,
  });
  const dial = createConnectionFactory({ clock });
  let connection: EngineConnection | undefined;
  const connect = () => (connection = new EngineConnection(engine, dial(engine.access), clock));
  const update = (): void => {
    const { state } = engine;
    if (state === "ready") pool ??= pools.add({ options: poolOptions(config, concurrency), connect, label });
    if (state === "idle" && pool !== undefined) {
      pools.remove(pool);
      pool = undefined;
    }
    pools.setPending(state === "starting" && pool === undefined);
  };
  let isStarted = false;
  engine.onChange(() => {
    const { state, reason = "" } = engine;
    if (state === "missing") {
      const fields = { engine: "llama", reason };
      // At the start the command line says it in its own words.
      if (isStarted) logger.warn("engine_missing", fields);
      else logger.info("engine_missing", fields);
    }
    connection?.engineChanged();
    update();
  });
  pools.setPending(true);
  return {
    async start() {
      await engine.start();
      isStarted = true;
      update();
    },
    close: () => engine.close(),
  };
}

/** What the engine is called beside its pool's name. */
const label = "engine";

/**
 * The engine speaks Ollama's and OpenAI's chats, completions and embeddings itself. It is asked often, which costs it
 * next to nothing: a file that was added or removed is soon known. A request whose process died is tried once more, in
 * the next one: who brings down that as well is not worth a third.
 */
function poolOptions({ pools }: GatewayConfig, concurrency: number): HttpPoolOptions {
  const name = pools.some((pool) => pool.name === enginePool) ? `${enginePool}-${label}` : enginePool;
  const pool = defaultHttpPool(name, "ollama", [`unix:/${label}`]);
  return {
    ...pool,
    concurrency,
    serves: ["chat", "completions", "embeddings"],
    retry: { ...pool.retry, maxRetries: 1 },
    health: { ...pool.health, intervalMs: 2_000, failures: 100, backoffMs: { initial: 500, max: 2_000 } },
  };
}
