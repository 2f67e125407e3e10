/** Models in a folder of the gateway's own, whose versions a program chooses: those that the edge endpoint's updater fetches. */
import type { LocalModelState } from "./local-inference.ts";

/** Which versions of a model are to run. */
export interface VersionChoice {
  /** Version folders to have loaded; empty: none. */
  readonly versions: readonly string[];
  /** The one that a request without a version gets; one of `versions`, or undefined: none of them. */
  readonly preferred: string | undefined;
}

/** The folder is a model repository: `<model>/<version>/model.onnx` and `<model>/<version>/model.yaml`. */
export interface ManagedModels {
  /** Absolute path; folders whose names start with a point are not looked at. */
  readonly directory: string;
  /**
   * Loads and unloads until the model's versions are as chosen. Versions that stay chosen go on serving meanwhile, and those
   * given up answer what they hold. Resolves when all of them serve or have failed; `state` tells which.
   */
  choose(model: string, choice: VersionChoice): Promise<void>;
  state(model: string, version: string): LocalModelState;
}
