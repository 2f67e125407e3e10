/** Tells people how the models come up. */
import type { ModelStatus } from "../contracts/models.ts";
import type { Terminal } from "./terminal.ts";

const clearLine = "\r\u001B[2K";
const maxStatusLength = 64;

/** Prints each version once as it becomes ready or fails; on a terminal the last line names what still loads. */
export class ModelProgress {
  readonly #terminal: Pick<Terminal, "print" | "interactive">;
  /** What was last told of each version, at most one short text a version that exists. */
  readonly #told = new Map<string, string>();
  #ready: readonly string[] = [];
  #statusShown = false;
  #settled = false;

  constructor(terminal: Pick<Terminal, "print" | "interactive">) {
    this.#terminal = terminal;
  }

  /** Names of models with a version that is ready. */
  get readyNames(): readonly string[] {
    return this.#ready;
  }

  /** Takes the state of all versions. */
  update(models: readonly ModelStatus[]): void {
    const known = new Set(models.map(keyOf));
    for (const key of this.#told.keys()) if (!known.has(key)) this.#told.delete(key);
    const lines = models.flatMap((model) => this.#tell(model) ?? []);
    this.#ready = [...new Set(models.filter(({ state }) => state === "READY").map(({ name }) => name))];
    const loading = models.filter(({ state }) => state === "LOADING").map(({ name }) => name);
    this.#print(lines.join(""), loading);
  }

  /** Everything that should come up has or has failed to; from now on only news are told. */
  settled(): void {
    this.#settled = true;
    this.#print("", []);
  }

  #tell(model: ModelStatus): string | undefined {
    const { name, version, state, reason, instances } = model;
    if (state !== "READY" && (state !== "UNAVAILABLE" || reason === "")) return undefined;
    const key = keyOf(model);
    const told = this.#told.get(key);
    // A version that was ready and is not for a moment is a matter for the log.
    if (told === "ready" && state !== "READY") return undefined;
    const news = reason === "" ? "ready" : reason;
    if (told === news) return undefined;
    this.#told.set(key, news);
    const label = `${name} ${version}`.trim();
    const several = instances.wanted > 1 ? ` (${instances.wanted} instances)` : "";
    if (reason === "") return `  ready   ${label}${several}\n`;
    return `  ${state === "READY" ? "stays " : "failed"}  ${label}: ${reason.replaceAll("\n", "\n          ")}\n`;
  }

  #print(lines: string, loading: readonly string[]): void {
    const { print, interactive } = this.#terminal;
    const clear = this.#statusShown ? clearLine : "";
    const status =
      interactive && !this.#settled && loading.length > 0 ? `  loading ${shortList(loading)} …` : "";
    this.#statusShown = status !== "";
    if (clear + lines + status !== "") print(clear + lines + status);
  }
}

/** At most so many names that the line fits: one that wraps cannot be cleared. */
function shortList(names: readonly string[]): string {
  const all = names.join(", ");
  return all.length <= maxStatusLength ? all : `${names.length} models`;
}

function keyOf({ pool, name, version }: ModelStatus): string {
  return `${pool}/${name}/${version}`;
}
