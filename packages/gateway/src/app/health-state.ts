/** Readiness of the gateway, for the health services of its gRPC doors. */

/** Readiness as the health service sees it. */
export class HealthState {
  /** True when requests would be answered. */
  readonly isServing: () => boolean;
  readonly #listeners = new Set<() => void>();

  constructor(isServing: () => boolean) {
    this.isServing = isServing;
  }

  /** Calls back after each possible change; returns how to stop. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** It may be another now. */
  changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
