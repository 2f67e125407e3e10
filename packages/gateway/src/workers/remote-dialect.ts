/** What differs between the protocols that a model server may speak: how it is asked, and how it is called. */
import { grpcStatus, type GrpcChannel } from "@spillway/grpc";
import { grpc, inference } from "@spillway/protocol";
import type { GrpcPoolOptions } from "../contracts/options.ts";
import { GatewayError } from "../core/errors.ts";
import { isModelName } from "../core/model.ts";
import {
  ask,
  describeModel,
  DiscoveryError,
  listModels,
  type DiscoveredModel,
  type ListedModel,
} from "./discovery.ts";
import { createGrpcInstance } from "./grpc-instance.ts";
import type { Host } from "./host.ts";
import type { ModelAddress } from "./model-infer.ts";
import type { ModelInstance } from "./model-instance.ts";
import { createPredictInstance, predictModel } from "./predict-instance.ts";

/** What a server says of itself. */
export type Survey =
  | { readonly ready: true; readonly models: readonly DiscoveredModel[] }
  | { readonly ready: false; readonly reason: string };

/** How thoroughly to ask. */
export interface SurveyOptions {
  /** What the server said last; empty at first. */
  readonly known: readonly DiscoveredModel[];
  /** `light`: models whose entry in the list is as it was are not described again. */
  readonly depth: "light" | "full";
}

/** A protocol. */
export interface RemoteDialect {
  /** Whether the server takes work, and its models; `known` itself when nothing has changed. Throws when it does not answer. */
  survey(channel: GrpcChannel, options: SurveyOptions): Promise<Survey>;
  createInstance(
    model: DiscoveredModel,
    options: { readonly id: string; readonly host: Host; readonly channel: GrpcChannel },
  ): ModelInstance;
}

/** The pool's protocol. Throws a `GatewayError` when a `model-inference` pool names no model: its servers cannot list them. */
export function createRemoteDialect(pool: GrpcPoolOptions): RemoteDialect {
  if (pool.dialect === "kserve-grpc") return createKserveDialect(pool);
  if (pool.models.length === 0) {
    const text = `Pool ${pool.name}: model-inference servers cannot list their models; name at least one under models`;
    throw new GatewayError("internal", text);
  }
  return createPredictDialect(pool.models);
}

/** Model versions of one server; the rest of its list is left out. */
const maxModels = 1_000;

function createKserveDialect(pool: GrpcPoolOptions): RemoteDialect {
  return {
    async survey(channel, { known, depth }) {
      if (!(await isReady(channel))) return { ready: false, reason: "the server says that it is not ready" };
      const listed = (await listModels(channel, pool.models)).slice(0, maxModels);
      const byAddress = new Map(known.map((model) => [keyOf(model.address), model]));
      const models = await Promise.all(
        listed.map(async (entry) => {
          const before = byAddress.get(keyOf(entry));
          const unchanged = before?.state === entry.state ? before : undefined;
          if (unchanged !== undefined && depth === "light") return unchanged;
          return describe(channel, { entry, before, maxBatch: pool.maxBatch });
        }),
      );
      return { ready: true, models: sameModels(models, known) ? known : models };
    },
    createInstance: (model, options) => createGrpcInstance({ ...options, model: model.address }),
  };
}

function keyOf({ name, version }: ModelAddress): string {
  return `${name}/${version}`;
}

interface Described {
  readonly entry: ListedModel;
  /** What was known of it. */
  readonly before: DiscoveredModel | undefined;
  readonly maxBatch: number;
}

/**
 * A model that is listed as ready and cannot be described is `gone`, so it is asked for again; but one
 * that was described before stays as it was. While it is not ready it keeps the version it was known by.
 */
async function describe(
  channel: GrpcChannel,
  { entry, before, maxBatch }: Described,
): Promise<DiscoveredModel> {
  if (!isModelName(entry.name)) return unusable(entry);
  const described = await describeModel(channel, entry, { maxBatch });
  if (before === undefined || described.model !== undefined) return described;
  return before.state === entry.state ? before : { ...described, version: before.version };
}

/** Names are parts of URLs; one that could be a path, or none, is not offered. */
function unusable({ name, version }: ListedModel): DiscoveredModel {
  const reason = "its name is not made of letters, digits, dots, dashes and underscores";
  return { name, version, state: "gone", model: undefined, reason, address: { name, version } };
}

function sameModels(models: readonly DiscoveredModel[], known: readonly DiscoveredModel[]): boolean {
  if (models.length !== known.length) return false;
  return (
    models.every((model, index) => model === known[index]) || JSON.stringify(models) === JSON.stringify(known)
  );
}

/** A server that does not have the call is taken at its word when it answers others. */
async function isReady(channel: GrpcChannel): Promise<boolean> {
  try {
    const bytes = await ask(channel, "/inference.GRPCInferenceService/ServerReady", new Uint8Array());
    return inference.ServerReadyResponse.decode(bytes).ready === true;
  } catch (error) {
    if (isUnimplemented(error)) return true;
    throw error;
  }
}

function createPredictDialect(names: readonly string[]): RemoteDialect {
  const models = names.map((name): DiscoveredModel => {
    const model = predictModel(name);
    const { version } = model;
    return { name, version, state: "ready", model, reason: "", address: { name, version } };
  });
  return {
    async survey(channel) {
      const healthy = await isServing(channel);
      return healthy
        ? { ready: true, models }
        : { ready: false, reason: "its health check says that it does not serve" };
    },
    createInstance: (model, options) => createPredictInstance({ ...options, model: model.name }),
  };
}

/** By the standard health service where there is one; else a server that answers at all is healthy. */
async function isServing(channel: GrpcChannel): Promise<boolean> {
  try {
    const bytes = await ask(channel, "/grpc.health.v1.Health/Check", new Uint8Array());
    const { status } = grpc.health.v1.HealthCheckResponse.decode(bytes);
    return status === grpc.health.v1.HealthCheckResponse.ServingStatus.SERVING;
  } catch (error) {
    if (isUnimplemented(error)) return true;
    throw error;
  }
}

function isUnimplemented(error: unknown): boolean {
  return error instanceof DiscoveryError && error.failure.code === grpcStatus.unimplemented;
}
