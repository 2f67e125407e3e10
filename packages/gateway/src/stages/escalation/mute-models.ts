/** Models whose servers refuse to tell log-probabilities. */
import type { ForwardRoute } from "../../contracts/http-endpoint.ts";

/** Known for the life of the process; names are configured, the bound is for safety. */
const maxModels = 1_024;

/** By pool and model. */
export class MuteModels {
  readonly #keys = new Set<string>();

  add(route: ForwardRoute): void {
    if (this.#keys.size < maxModels) this.#keys.add(keyOf(route));
  }

  has(route: ForwardRoute): boolean {
    return this.#keys.has(keyOf(route));
  }
}

function keyOf({ pool, model }: ForwardRoute): string {
  return `${pool.name}/${model}`;
}
