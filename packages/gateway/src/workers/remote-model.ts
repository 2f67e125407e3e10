/** One model version of a pool: its endpoint, and the servers that are attached to it. */
import type { ServedModel } from "../core/model.ts";
import { failure } from "../core/errors.ts";
import type { DiscoveredModel } from "./discovery.ts";
import type { ModelInstance } from "./model-instance.ts";
import type { RemoteLink } from "./remote-link.ts";
import type { WorkerEndpoint } from "./worker-endpoint.ts";

/** A server that can be called for the model now. */
export interface RemoteOffer {
  readonly address: string;
  readonly link: RemoteLink;
  readonly discovered: DiscoveredModel & { readonly model: ServedModel };
}

/** Two descriptions with one fingerprint can be called alike. How many rows pay in one call may differ. */
function fingerprint({ inputs, outputs, task, mapping, batchable }: ServedModel): string {
  return JSON.stringify([inputs, outputs, task, mapping, batchable]);
}

/** Keeps an endpoint's instances equal to what the servers offer. */
export class RemoteModel {
  readonly endpoint: WorkerEndpoint;
  readonly #fingerprint: string;
  readonly #createInstance: (offer: RemoteOffer) => ModelInstance;
  readonly #attached = new Map<RemoteLink, ModelInstance>();

  constructor(endpoint: WorkerEndpoint, createInstance: (offer: RemoteOffer) => ModelInstance) {
    this.endpoint = endpoint;
    this.#fingerprint = fingerprint(endpoint.model);
    this.#createInstance = createInstance;
  }

  /** True for a server that describes the model as this endpoint does. */
  fits(offer: RemoteOffer): boolean {
    return fingerprint(offer.discovered.model) === this.#fingerprint;
  }

  /** Attaches what is new and detaches what is no longer offered; calls that run are answered. */
  update(offers: readonly RemoteOffer[]): void {
    const fitting = new Set(offers.map((offer) => offer.link));
    for (const [link, instance] of this.#attached) {
      if (fitting.has(link)) continue;
      this.#attached.delete(link);
      this.endpoint.detach(instance);
    }
    for (const offer of offers) {
      if (this.#attached.has(offer.link)) continue;
      const instance = this.#createInstance(offer);
      this.#attached.set(offer.link, instance);
      this.endpoint.attach(instance);
    }
  }

  /** Refuses what waits: no server has the model any more, or has it in this form. */
  close(reason: string): void {
    this.update([]);
    this.endpoint.close(failure("model_unavailable", reason, 1_000));
  }
}
