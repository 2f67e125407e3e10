/** The server of the fleet simulations, from its workload file. */
import type { EngineOptions } from "../../packages/simulator/src/engine/options.ts";
import { parameterOf, readWorkload } from "../harness/workload.ts";
import type { ServerSurroundings } from "./fleet-server.ts";

/** A server, and what surrounds it. */
export interface ServerSettings {
  readonly engine: EngineOptions;
  readonly surroundings: ServerSurroundings;
}

/** Reads `bench/workloads/fleet-server.json`. */
export async function readServerSettings(): Promise<ServerSettings> {
  const workload = await readWorkload("fleet-server");
  const of = (name: string): number => parameterOf(workload, name);
  return {
    engine: {
      maxSequences: of("maxSequences"),
      maxBatchedTokens: of("maxBatchedTokens"),
      // vLLM has no bound.
      maxWaiting: Number.MAX_SAFE_INTEGER,
      maxContext: of("maxContext"),
      blockTokens: of("blockTokens"),
      kvBlocks: of("kvBlocks"),
      prefixCache: true,
      stepMs: of("stepMs"),
      prefillMsPerToken: 1000 / of("prefillTokensPerSecond"),
      decodeMsPerSequence: of("decodeMsPerSequence"),
      contextMsPerThousandTokens: of("contextMsPerThousandTokens"),
      maxAdapters: of("maxAdapters"),
      maxLoadedAdapters: of("maxLoadedAdapters"),
      adapterLoadMs: of("adapterLoadMs"),
    },
    surroundings: {
      admissionMs: of("admissionMs"),
      deliveryMs: of("deliveryMs"),
      scrapeIntervalMs: of("scrapeIntervalMs"),
      scrapeDelayMs: of("scrapeDelayMs"),
    },
  };
}
