/** A forwarded request as plugins and the line see it. */
import type { HttpEndpoint } from "../../contracts/http-endpoint.ts";
import type { LineCost } from "../../contracts/line.ts";
import type { InflightTokens } from "../../contracts/plugins/data-keys.ts";
import type { ScheduledRequest, SchedulableEndpoint } from "../../contracts/plugins/scheduling.ts";
import type { WiredScheduling } from "../../contracts/plugins/wired-scheduling.ts";
import type { ForwardPayload } from "../../core/forward.ts";
import type { HeaderMap } from "../../core/headers.ts";
import type { InferenceRequest } from "../../core/request.ts";
import { plainTraits, type RequestTraits } from "../../core/request-traits.ts";
import { writeShape } from "./waiting-shape.ts";

const noHeaders: HeaderMap = {};
const noParts: readonly Uint8Array[] = [];
const noEndpoints: readonly SchedulableEndpoint[] = [];

/** Completion tokens expected for each prompt token, where nothing better is known: what upstream's picker takes. */
const outputRatio = 1.5;

/** Made when the request comes to scheduling, kept until its end. */
export class AskedRequest implements ScheduledRequest, LineCost {
  readonly request: InferenceRequest<ForwardPayload>;
  readonly model: string;
  readonly data: unknown[];
  readonly rows = 1;
  /** The endpoints of its last cycle: what positions in `data` belong to. */
  endpoints: readonly SchedulableEndpoint[] = noEndpoints;
  /** Flow control was asked whether it may wait. */
  isAdmitted = false;
  /** Producers were asked whether they need time. */
  isPrepared = false;
  /** They need it still. */
  preparing: Promise<void> | undefined;
  /** The layer that `data` is of. */
  readonly wired: WiredScheduling;
  /** While it waits: the server that it would go to if all had room, and until when that is taken for so, on the clock. */
  preferred: HttpEndpoint | undefined;
  preferredUntil = -Infinity;
  #promptBytes: readonly Uint8Array[] | undefined;

  constructor(request: InferenceRequest<ForwardPayload>, model: string, wired: WiredScheduling) {
    this.request = request;
    this.model = model;
    this.wired = wired;
    this.data = wired.dataSize === 0 ? emptyData : [];
    for (let i = 0; i < wired.dataSize; i++) this.data.push(undefined);
  }

  get id(): string {
    return this.request.id;
  }

  get askedModel(): string {
    return this.request.model;
  }

  get shapeKey(): string {
    return writeShape({ model: this.model, only: this.request.only });
  }

  get headers(): HeaderMap {
    return this.request.headers ?? noHeaders;
  }

  get priority(): number {
    return this.request.priority;
  }

  get traits(): RequestTraits {
    return this.request.traits ?? plainTraits;
  }

  get promptTokens(): number {
    return this.request.payload.estimate.promptTokens;
  }

  get maxOutputTokens(): number | undefined {
    return this.request.payload.estimate.maxCompletionTokens;
  }

  get bytes(): number {
    return this.request.payload.bytes ?? 0;
  }

  get promptBytes(): readonly Uint8Array[] {
    if (!this.wired.readsPrompt) return noParts;
    return (this.#promptBytes ??= this.request.payload.promptParts?.() ?? noParts);
  }

  /** Prompt tokens that the endpoint has to compute: all, where nobody knows better. */
  uncachedTokens(endpoint: SchedulableEndpoint): number {
    const tokens = this.#inflight;
    if (tokens === undefined) return this.promptTokens;
    const position = this.endpoints.indexOf(endpoint);
    return position < 0 ? this.promptTokens : (tokens.own[position] ?? this.promptTokens);
  }

  /** Completion tokens that are expected. */
  get outputTokens(): number {
    const tokens = this.#inflight;
    if (tokens !== undefined) return tokens.outputTokens;
    return Math.min(Math.round(this.promptTokens * outputRatio), this.maxOutputTokens ?? Infinity);
  }

  get #inflight(): InflightTokens | undefined {
    const { inflightIndex } = this.wired;
    return inflightIndex < 0 ? undefined : (this.data[inflightIndex] as InflightTokens | undefined);
  }
}

const emptyData: unknown[] = [];
