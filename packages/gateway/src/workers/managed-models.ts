/** A model repository whose versions a program chooses. */
import type { LocalModelState } from "../contracts/local-inference.ts";
import type { ManagedModels, VersionChoice } from "../contracts/managed-models.ts";
import { isFailure } from "../core/errors.ts";
import { ModelRepository, type ModelRepositoryOptions } from "./model-repository.ts";

/** What it needs: what a repository needs, with a folder that is looked at only when a choice is made. */
export interface ManagedRepositoryOptions extends Omit<ModelRepositoryOptions, "repository" | "choiceOf"> {
  /** Absolute path. Must exist when the repository is started. */
  readonly directory: string;
}

/** The repository, and who chooses. */
export interface ManagedRepository {
  readonly repository: ModelRepository;
  readonly models: ManagedModels;
}

const nothing: VersionChoice = { versions: [], preferred: undefined };

/** Serves nothing until something is chosen. */
export function createManagedModels({ directory, ...options }: ManagedRepositoryOptions): ManagedRepository {
  const choices = new Map<string, VersionChoice>();
  const repository = new ModelRepository({
    ...options,
    repository: { directory, pollMs: 0, instances: {}, control: "all" },
    choiceOf: (model) => choices.get(model) ?? nothing,
  });
  return {
    repository,
    models: {
      directory,
      async choose(model, choice) {
        if (choice.versions.length === 0) choices.delete(model);
        else choices.set(model, choice);
        // What cannot be loaded is told by `state`.
        await repository.load(model);
      },
      state: (model, version) => stateOf(repository, model, version),
    },
  };
}

function stateOf(repository: ModelRepository, model: string, version: string): LocalModelState {
  const found = repository.endpointFor(model, version);
  if (found === undefined) return { ready: false, reason: "there is no such model", version: undefined };
  if (!isFailure(found)) {
    const ready = found.state === "ready";
    return { ready, reason: ready ? "" : "no instance of it is running", version };
  }
  const status = repository.list().find((one) => one.name === model && one.version === version);
  const reason = status === undefined || status.reason === "" ? found.message : status.reason;
  return { ready: false, reason, version: undefined };
}
