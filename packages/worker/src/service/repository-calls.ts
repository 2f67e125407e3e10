/** The model repository extension: what there is, and on a worker of its own, load and unload. */
import { inference } from "@spillway/protocol";
import type { ModelRegistry, VersionState } from "../model/model-registry.ts";
import type { Refusal } from "../refusal.ts";
import { refuse } from "../refusal.ts";
import type { Reply } from "./method.ts";

/** Loads and unloads models of a repository on disk. Resolves with a refusal that says why not. */
export interface RepositoryControl {
  /** Loads what lies on disk now, replacing what is served. */
  load(name: string): Promise<Refusal | undefined>;
  /** Takes all versions of a model away until it is loaded again. */
  unload(name: string): Promise<Refusal | undefined>;
}

const noControl = refuse("unimplemented", "this worker is supervised: its gateway loads and unloads models");

/** `RepositoryIndex`. */
export function repositoryIndex(registry: ModelRegistry, request: inference.RepositoryIndexRequest): Reply {
  const models = registry.entries().flatMap(({ name, version, state }) => {
    if (request.ready && state.state !== "ready") return [];
    return [{ name, version, state: state.state.toUpperCase(), reason: reasonOf(state) }];
  });
  return [inference.RepositoryIndexResponse.encode({ models }).finish()];
}

function reasonOf(state: VersionState): string {
  switch (state.state) {
    case "loading":
      return "";
    case "ready":
      return state.problem ?? "";
    case "unavailable":
      return state.reason;
  }
}

/** `RepositoryModelLoad`. Files and configuration come from disk: none are taken from the request. */
export async function repositoryModelLoad(
  control: RepositoryControl | undefined,
  request: inference.RepositoryModelLoadRequest,
): Promise<Reply> {
  const [parameter] = Object.keys(request.parameters);
  if (parameter !== undefined)
    return refuse("invalid", `parameter "${parameter}": a model is loaded from its files only`);
  const refusal = control === undefined ? noControl : await control.load(request.modelName);
  return refusal ?? [inference.RepositoryModelLoadResponse.encode({}).finish()];
}

/** `RepositoryModelUnload`. */
export async function repositoryModelUnload(
  control: RepositoryControl | undefined,
  request: inference.RepositoryModelUnloadRequest,
): Promise<Reply> {
  const refusal = control === undefined ? noControl : await control.unload(request.modelName);
  return refusal ?? [inference.RepositoryModelUnloadResponse.encode({}).finish()];
}
