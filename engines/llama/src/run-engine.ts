/** The engine from its options to its end. */
import { readFileSync, rmSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { EngineOptions } from "./arguments.ts";
import { answerJson } from "./http/answer.ts";
import { createEngineServer, type EngineRoute } from "./http/server.ts";
import { createJsonLog } from "./log.ts";
import { ModelStore } from "./models/model-store.ts";
import { ollamaErrorBody } from "./ollama/error-body.ts";
import { generateRoute, ollamaChatRoute, ollamaEmbedRoute } from "./ollama/inference.ts";
import { listingRoutes } from "./ollama/listings.ts";
import { chatRoute } from "./openai/chat.ts";
import { completionsRoute } from "./openai/completions.ts";
import { embeddingsRoute } from "./openai/embeddings.ts";
import { modelsRoute } from "./openai/models.ts";
import type { Runtime } from "./port.ts";
import { Service } from "./service.ts";

/** Every address the engine answers. */
export function engineRoutes(service: Service, version: string): EngineRoute[] {
  return [
    {
      method: "GET",
      path: "/health",
      errorBody: ollamaErrorBody,
      handle: ({ response }) => answerJson(response, { status: "ok", waiting: service.waiting }),
    },
    chatRoute(service),
    completionsRoute(service),
    embeddingsRoute(service),
    modelsRoute(service.store),
    ...listingRoutes(service.store, version),
    ollamaChatRoute(service),
    generateRoute(service),
    ollamaEmbedRoute(service),
  ];
}

/** Runs until it is told to end. Rejects where it cannot listen. */
export async function runEngine(options: EngineOptions, runtime: Runtime): Promise<Server> {
  const log = createJsonLog();
  const { models: folders, memoryBytes, keepAliveMs, maxQueue } = options;
  const now = Date.now;
  const store = new ModelStore({ folders, runtime, log, memoryBytes, keepAliveMs, now });
  const service = new Service({ store, maxQueue, now });
  const server = createEngineServer(engineRoutes(service, packageVersion()));
  await listen(server, options.listen);
  const address = server.address();
  const where = typeof address === "string" ? { socket: address } : { port: (address as AddressInfo).port };
  log("info", "listening", { ...where, pid: process.pid, sinceStartMs: Math.round(performance.now()) });
  return server;
}

function listen(server: Server, where: EngineOptions["listen"]): Promise<void> {
  if ("path" in where) rmSync(where.path, { force: true });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    const done = (): void => {
      server.off("error", reject);
      resolve();
    };
    if ("path" in where) server.listen(where.path, done);
    else server.listen(where.port, "127.0.0.1", done);
  });
}

function packageVersion(): string {
  const file = new URL("../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}
