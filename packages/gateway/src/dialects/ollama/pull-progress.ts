/** Progress of one pull on several servers, told as if it were one. */
import type { JsonObject } from "../chat/json-object.ts";

/** Distinct lines without a layer that are told; a server has about ten. */
const maxStatuses = 200;

/** Layers whose bytes are summed; a model has about ten. */
const maxLayers = 1_000;

interface Layer {
  total: number;
  /** By server. */
  readonly completed: Map<string, number>;
}

/** Adds up what the servers tell. */
export class PullProgress {
  /** Servers that have not failed. */
  readonly #servers: Set<string>;
  readonly #layers = new Map<string, Layer>();
  readonly #told = new Set<string>();

  constructor(servers: readonly string[]) {
    this.#servers = new Set(servers);
  }

  /** The server gave up: its bytes are no longer waited for. */
  failed(server: string): void {
    this.#servers.delete(server);
    for (const layer of this.#layers.values()) layer.completed.delete(server);
  }

  /**
   * The line for the caller, if there is anything new. A layer counts as often as servers pull it;
   * other lines are told for the first server that comes to them; `success` is told by nobody alone.
   */
  line(server: string, { status, digest, total, completed }: JsonObject): JsonObject | undefined {
    if (typeof status !== "string" || status === "success") return undefined;
    if (typeof digest === "string" && typeof total === "number") {
      return this.#layer(server, { status, digest, total, completed: count(completed) });
    }
    if (this.#told.has(status) || this.#told.size >= maxStatuses) return undefined;
    this.#told.add(status);
    return { status };
  }

  #layer(server: string, told: LayerLine): JsonObject | undefined {
    const { status, digest, total, completed } = told;
    let layer = this.#layers.get(digest);
    if (layer === undefined) {
      if (this.#layers.size >= maxLayers) return undefined;
      layer = { total, completed: new Map() };
      this.#layers.set(digest, layer);
    }
    layer.total = Math.max(layer.total, total);
    layer.completed.set(server, completed);
    let sum = 0;
    for (const bytes of layer.completed.values()) sum += bytes;
    return { status, digest, total: layer.total * this.#servers.size, completed: sum };
  }
}

interface LayerLine {
  readonly status: string;
  readonly digest: string;
  readonly total: number;
  readonly completed: number;
}

function count(value: unknown): number {
  return typeof value === "number" ? value : 0;
}
