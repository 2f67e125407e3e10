/** Which versions of which models a worker serves, and the state of each. */
import type { Refusal } from "../refusal.ts";
import { refuse } from "../refusal.ts";
import { compareVersions } from "../repository/versions.ts";
import type { LoadedModel } from "./loaded-model.ts";

/**
 * State of a version.
 * - `loading`: its engine is being made; requests are refused.
 * - `ready`: it answers. `problem` is set when a newer content of the same version could not be loaded.
 * - `unavailable`: it could not be loaded, or was unloaded.
 */
export type VersionState =
  | { readonly state: "loading" }
  | { readonly state: "ready"; readonly model: LoadedModel; readonly problem?: string }
  | { readonly state: "unavailable"; readonly reason: string };

/** A version as the index lists it. */
export interface RegistryEntry {
  readonly name: string;
  readonly version: string;
  readonly state: VersionState;
}

/** Names and versions to states. Listeners hear of every change after it. */
export class ModelRegistry {
  readonly #models = new Map<string, Map<string, VersionState>>();
  readonly #listeners = new Set<() => void>();

  /** Sets a version's state. The caller closes a model that it replaces. */
  set(name: string, version: string, state: VersionState): void {
    const versions = this.#models.get(name) ?? new Map<string, VersionState>();
    this.#models.set(name, versions.set(version, state));
    this.notify();
  }

  /** Forgets a version. */
  delete(name: string, version: string): void {
    const versions = this.#models.get(name);
    versions?.delete(version);
    if (versions?.size === 0) this.#models.delete(name);
    this.notify();
  }

  /** A version's state, or undefined when there is no such version. */
  get(name: string, version: string): VersionState | undefined {
    return this.#models.get(name)?.get(version);
  }

  /** All versions, by name, then by number. */
  entries(): RegistryEntry[] {
    return [...this.#models.keys()].toSorted().flatMap((name) => this.versionsOf(name));
  }

  /** The versions of a model, lowest number first; empty for an unknown one. */
  versionsOf(name: string): RegistryEntry[] {
    const versions = this.#models.get(name) ?? new Map<string, VersionState>();
    const entries = [...versions].map(([version, state]) => ({ name, version, state }));
    return entries.toSorted((a, b) => compareVersions(a.version, b.version));
  }

  /** The version asked for, or without one the highest that is ready; a refusal that says what there is otherwise. */
  find(name: string, version: string): LoadedModel | Refusal {
    const versions = this.#models.get(name);
    if (versions === undefined) return this.#unknownModel(name);
    const asked = versions.get(version);
    if (asked?.state === "ready") return asked.model;
    const entries = this.versionsOf(name);
    const latest = entries.findLast((one) => one.state.state === "ready") ?? entries.at(-1);
    const entry = version === "" ? latest : entries.find((one) => one.version === version);
    if (entry === undefined) {
      const known = entries.map((one) => one.version);
      return refuse("notFound", `model "${name}" has no version "${version}"; it has ${known.join(", ")}`);
    }
    const { state } = entry;
    if (state.state === "ready") return state.model;
    const why = state.state === "loading" ? "is loading" : `is not available: ${state.reason}`;
    // What is wrong with a whole model is listed without a version.
    const which = entry.version === "" ? "" : ` version ${entry.version}`;
    return refuse("unavailable", `model "${name}"${which} ${why}`);
  }

  /** Calls the listener after each change. Returns how to stop. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls the listeners: something that health depends on has changed outside. */
  notify(): void {
    for (const listener of this.#listeners) listener();
  }

  #unknownModel(name: string): Refusal {
    const known = [...this.#models.keys()].toSorted();
    const shown = known.slice(0, 10).join(", ") + (known.length > 10 ? ", …" : "");
    return refuse(
      "notFound",
      `Request for unknown model: "${name}" is not found; served: ${shown || "none"}`,
    );
  }
}
