/** Tells people which HTTP servers were found and what they serve. */
import type { HttpEndpoint, HttpPool } from "../contracts/http-endpoint.ts";
import type { Terminal } from "./terminal.ts";

/** Names that are listed of a server. */
const maxNames = 4;
/** Servers that are told of; with more the log says the rest. */
const maxTold = 64;

/** Prints each server once when it is ready, and once when it is not before it ever was. */
export class PoolProgress {
  readonly #terminal: Pick<Terminal, "print">;
  readonly #told = new Map<string, "ready" | "failed">();

  constructor(terminal: Pick<Terminal, "print">) {
    this.#terminal = terminal;
  }

  /** Takes the state of all pools. */
  update(pools: readonly HttpPool[]): void {
    for (const pool of pools) {
      for (const endpoint of pool.endpoints) this.#tell(pool, endpoint);
    }
  }

  #tell(pool: HttpPool, endpoint: HttpEndpoint): void {
    const { id, state } = endpoint;
    const told = this.#told.get(id);
    if (told === "ready" || (told === undefined && this.#told.size >= maxTold)) return;
    if (state === "ready") {
      this.#told.set(id, "ready");
      this.#terminal.print(`  ready   ${label(endpoint)}: ${namesOf(pool, endpoint)}\n`);
    } else if (told === undefined && (state === "unhealthy" || state === "misconfigured")) {
      this.#told.set(id, "failed");
      this.#terminal.print(`  failed  ${label(endpoint)}: ${reasons[state]}\n`);
    }
  }
}

const reasons = {
  unhealthy: "it cannot be reached or does not answer; it is asked again and again",
  misconfigured: "it refuses the pool's credentials, or speaks another dialect",
} as const;

function label({ id, pool }: HttpEndpoint): string {
  return `${pool} at ${id.slice(pool.length + 1)}`;
}

function namesOf(pool: HttpPool, endpoint: HttpEndpoint): string {
  const names = pool
    .models()
    .map(({ name }) => name)
    .filter((name) => endpoint.targetFor(name) !== undefined);
  if (names.length === 0) return "no models";
  return (
    names.slice(0, maxNames).join(", ") +
    (names.length > maxNames ? ` and ${names.length - maxNames} more` : "")
  );
}
