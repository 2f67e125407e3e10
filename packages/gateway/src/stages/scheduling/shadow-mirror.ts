/** Endpoints and requests as a shadow sees them: copies of its own, which it may spoil for nobody but itself. */
import type { SchedulableEndpoint, ScheduledRequest } from "../../contracts/plugins/scheduling.ts";
import type { RequestTraits } from "../../core/request-traits.ts";
import { createLoad, createSignals, type EndpointLoad } from "../../core/server-signals.ts";

/** An endpoint as it was told of. */
export class MirrorEndpoint implements SchedulableEndpoint {
  readonly slot: number;
  readonly id: string;
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
  signals = createSignals();
  load: EndpointLoad = createLoad();
  capacity = 1;
  speed = 0;
  /** Of the model of the cycle that runs. */
  loaded = true;

  constructor(slot: number, id: string, address: string, labels: Readonly<Record<string, string>>) {
    this.slot = slot;
    this.id = id;
    this.address = address;
    this.labels = { ...labels };
  }

  isLoaded(): boolean {
    return this.loaded;
  }
}

/** What a cycle tells of its request; shared by all shadows, and not handed to any. */
export interface ToldRequest {
  readonly id: string;
  readonly model: string;
  readonly askedModel: string;
  readonly priority: number;
  readonly promptTokens: number;
  readonly maxOutputTokens: number | undefined;
  readonly bytes: number;
  readonly traits: RequestTraits;
  readonly headers: readonly (readonly [string, string])[];
  readonly digests: ReadonlyMap<string, Uint8Array>;
  readonly prompt: readonly Uint8Array[];
}

/** A shadow's copy of a request. */
export function mirrorRequest(told: ToldRequest, dataSize: number): ScheduledRequest {
  const { id, model, askedModel, priority, promptTokens, maxOutputTokens, bytes } = told;
  return {
    id,
    model,
    askedModel,
    priority,
    promptTokens,
    maxOutputTokens,
    bytes,
    headers: Object.fromEntries(told.headers),
    traits: { ...told.traits },
    promptBytes: told.prompt.map((part) => part.slice()),
    data: Array.from({ length: dataSize }),
  };
}
