/** Gives the edge endpoint's models their updater. */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { EdgeOptions } from "../contracts/edge-options.ts";
import type { LocalModel } from "../contracts/local-inference.ts";
import type { ManagedModels } from "../contracts/managed-models.ts";
import { GatewayError } from "../core/errors.ts";
import type { DetectorRegistry } from "../edge/detectors/registry.ts";
import type { CloudTokens } from "../edge/escalation/cloud-tokens.ts";
import type { QueryDeps } from "../edge/query-deps.ts";
import { createCloudSource } from "../edge/updater/cloud-source.ts";
import { createIndexSource } from "../edge/updater/index-source.ts";
import { defaultUpdaterLimits, ModelUpdater } from "../edge/updater/model-updater.ts";
import type { DetectorInUse } from "../edge/updater/model-source.ts";
import type { GatewayConfig, GatewayContext } from "./options.ts";

/** Folder of fetched models; undefined where nobody offers any. */
export function fetchedModels(
  { edge }: Pick<GatewayConfig, "edge">,
  { dataFolder }: GatewayContext,
): string | undefined {
  if (edge === undefined || (edge.cloud === undefined && edge.models.index === undefined)) return undefined;
  return join(resolve(dataFolder ?? ".spillway"), "models");
}

/** Undefined where nothing is fetched. Throws a `GatewayError` where the certificate authority's file cannot be read. */
export function createEdgeUpdater(
  parts: {
    readonly options: EdgeOptions;
    readonly context: GatewayContext;
    readonly managed: ManagedModels | undefined;
  },
  deps: Pick<QueryDeps, "registry" | "settings" | "local" | "cloud" | "store"> & {
    readonly tokens: CloudTokens;
  },
): ModelUpdater | undefined {
  const { options, context, managed } = parts;
  if (managed === undefined) return undefined;
  const { clock, random, logger } = context;
  const { models } = options;
  const { cloud, registry, settings, tokens } = deps;
  const ca = models.ca === undefined ? undefined : readAuthority(models.ca);
  const own = new WeakSet<LocalModel>();
  return new ModelUpdater({
    clock,
    random,
    logger,
    ca,
    models: managed,
    sources: [
      ...(models.index === undefined ? [] : [createIndexSource({ url: models.index, ca, clock })]),
      ...(cloud === undefined ? [] : [createCloudSource(cloud)]),
    ],
    inUse: () => detectorsWithoutModel(registry, own, tokens),
    serve(id, model) {
      const known = registry.find(id);
      if (known === undefined || (known.model !== undefined && !own.has(known.model))) return;
      if (model !== undefined) own.add(model);
      known.model = model;
    },
    refreshMs: () => settings.refreshMs,
    limits: { ...defaultUpdaterLimits, packageBytes: models.packageBytes, diskBytes: models.diskBytes },
    store: deps.store,
    local: deps.local,
  });
}

/** Those that answer here, with what the configuration does not name. */
function detectorsWithoutModel(
  registry: DetectorRegistry,
  own: WeakSet<LocalModel>,
  tokens: CloudTokens,
): DetectorInUse[] {
  const found: DetectorInUse[] = [];
  for (const { detector, policy, model } of registry.all()) {
    if (detector === undefined || !policy.enabled || (model !== undefined && !own.has(model))) continue;
    found.push({ detector, token: () => tokens.of(detector.id) });
  }
  return found;
}

function readAuthority(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new GatewayError("internal", `edge.models.ca: ${path} cannot be read`, { cause: error });
  }
}
