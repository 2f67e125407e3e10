/** All models behind the gateway, of the repository and of the pools, for surfaces that list and describe them. */
import type { ModelEndpoint } from "../contracts/endpoint.ts";
import type { ModelCatalog, ModelStatus } from "../contracts/models.ts";
import { failure, isFailure, type Failure } from "../core/errors.ts";
import { mayUse } from "../core/may-use.ts";
import type { Caller } from "../core/request.ts";
import type { ModelRepository } from "./model-repository.ts";
import type { StatisticsRegistry } from "./statistics-registry.ts";

/** A place where models are served: the repository or a pool. */
export interface ModelSource {
  /** True once everything that should run has come up or failed to. */
  readonly settled: boolean;
  /** Undefined when the source does not know the model. */
  endpointFor(model: string, version: string | undefined): ModelEndpoint | Failure | undefined;
  versions(model: string): readonly string[];
  list(): ModelStatus[];
}

/** What the catalog reads. The first source that knows a model decides. */
export interface CatalogOptions {
  readonly repository: ModelRepository | undefined;
  readonly sources: readonly ModelSource[];
  readonly statistics: StatisticsRegistry;
}

/** Says which models exist; `model_not_found` lists at most ten of them, and to a caller only those it may use. */
export function unknownModel(sources: readonly ModelSource[], name: string, caller?: Caller): Failure {
  const listed = new Set(sources.flatMap((source) => source.list().map((status) => status.name)));
  const names = [...listed].filter((each) => caller === undefined || mayUse(caller, each));
  const shown = names.slice(0, 10).join(", ") + (names.length > 10 ? ", …" : "");
  const hint = names.length === 0 ? "no model is served" : `served are ${shown}`;
  return failure("model_not_found", `No model ${JSON.stringify(name.slice(0, 200))}; ${hint}`);
}

/** Joins the sources. Loading and unloading is the repository's. */
export function createCatalog(options: CatalogOptions): ModelCatalog {
  const { repository, sources, statistics } = options;
  const endpointFor = (name: string, version: string | undefined): ModelEndpoint | Failure => {
    for (const source of sources) {
      const found = source.endpointFor(name, version);
      if (found !== undefined) return found;
    }
    return unknownModel(sources, name);
  };
  const noRepository = failure("unimplemented", "This gateway has no model repository of its own");
  return {
    find(name, version) {
      const found = endpointFor(name, version);
      return isFailure(found) ? found : found.model;
    },
    versions(name) {
      for (const source of sources) {
        const versions = source.versions(name);
        if (versions.length > 0) return versions;
      }
      return [];
    },
    isReady(name, version) {
      const found = endpointFor(name, version);
      return !isFailure(found) && found.state === "ready";
    },
    list: () => sources.flatMap((source) => source.list()),
    statistics: (name, version) => statistics.snapshots(name, version),
    ready: () => sources.every((source) => source.settled),
    load: (name) => repository?.load(name) ?? Promise.resolve(noRepository),
    unload: (name) => repository?.unload(name) ?? Promise.resolve(noRepository),
  };
}
