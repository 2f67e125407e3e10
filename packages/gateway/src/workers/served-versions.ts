/** Which endpoint answers for a model and version: what routing reads on every request. */
import { compareVersions } from "../core/model.ts";
import type { WorkerEndpoint } from "./worker-endpoint.ts";

interface Entry {
  readonly byVersion: Map<string, WorkerEndpoint>;
  /** Versions in order, oldest first. */
  order: readonly string[];
  latest: WorkerEndpoint | undefined;
}

/** Endpoints by model and version. */
export class ServedVersions {
  readonly #models = new Map<string, Entry>();

  /** The version named, or the highest there is. */
  find(model: string, version: string | undefined): WorkerEndpoint | undefined {
    const entry = this.#models.get(model);
    return version === undefined ? entry?.latest : entry?.byVersion.get(version);
  }

  exact(model: string, version: string): WorkerEndpoint | undefined {
    return this.#models.get(model)?.byVersion.get(version);
  }

  has(endpoint: WorkerEndpoint): boolean {
    return this.exact(endpoint.model.name, endpoint.model.version) === endpoint;
  }

  models(): string[] {
    return [...this.#models.keys()];
  }

  versions(model: string): readonly string[] {
    return this.#models.get(model)?.order ?? [];
  }

  /** Routes the endpoint's model and version to it from now on. */
  set(endpoint: WorkerEndpoint): void {
    const { name, version } = endpoint.model;
    const entry = this.#models.get(name) ?? { byVersion: new Map(), order: [], latest: undefined };
    entry.byVersion.set(version, endpoint);
    this.#models.set(name, entry);
    refresh(entry);
  }

  delete(model: string, version: string): void {
    const entry = this.#models.get(model);
    if (entry === undefined) return;
    entry.byVersion.delete(version);
    if (entry.byVersion.size === 0) this.#models.delete(model);
    else refresh(entry);
  }
}

function refresh(entry: Entry): void {
  entry.order = [...entry.byVersion.keys()].sort(compareVersions);
  const last = entry.order.at(-1);
  entry.latest = last === undefined ? undefined : entry.byVersion.get(last);
}
