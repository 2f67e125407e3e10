/** Index, load and unload, the same over HTTP and gRPC. */
import type { ModelCatalog, ModelStatus } from "../../contracts/models.ts";
import { failure, type Failure } from "../../core/errors.ts";
import { isModelName } from "../../core/model.ts";
import { quoted } from "../tensors/describe.ts";

/** A model version in the repository index. */
export type IndexEntry = Pick<ModelStatus, "name" | "version" | "state" | "reason">;

/** All versions known, or only those that are ready. */
export function repositoryIndex(
  catalog: ModelCatalog,
  filter: { readonly readyOnly: boolean },
): IndexEntry[] {
  return catalog
    .list()
    .filter((entry) => !filter.readyOnly || entry.state === "READY")
    .map(({ name, version, state, reason }) => ({ name, version, state, reason }));
}

/** Loads or unloads a model by name. `parameters` are those of the call, by name. */
export function changeModel(
  catalog: ModelCatalog,
  action: "load" | "unload",
  { name, parameters }: { readonly name: string; readonly parameters: readonly string[] },
): Promise<Failure | undefined> {
  const problem = changeProblem(name, parameters);
  if (problem !== undefined) return Promise.resolve(problem);
  return action === "load" ? catalog.load(name) : catalog.unload(name);
}

function changeProblem(name: string, parameters: readonly string[]): Failure | undefined {
  if (!isModelName(name))
    return failure(
      "bad_request",
      `${quoted(name)} is no model name: expected up to 128 letters, digits, ".", "_" and "-", a letter or digit first`,
    );
  const sent = parameters.find((parameter) => parameter === "config" || parameter.startsWith("file:"));
  if (sent !== undefined)
    return failure(
      "unimplemented",
      `Parameter ${quoted(sent)}: models are loaded from the repository folder, not from the call`,
    );
  return undefined;
}
