/**
 * Writes down for the shadows' thread what live scheduling sees and does. On the live path it copies numbers and refers
 * to texts; nothing of it is awaited, and nothing comes back.
 */
import type {
  Candidates,
  CycleTracer,
  Producer,
  RequestObserver,
  SchedulableEndpoint,
  ScheduledRequest,
  ServedEnd,
} from "../../contracts/plugins/scheduling.ts";
import type { Named } from "../../contracts/plugins/wired-scheduling.ts";
import type { Clock } from "../../core/clock.ts";
import { FrameWriter, frameEvent, numbersPerCandidate, type Frame } from "./shadow-frame.ts";

/** Longest reply, in characters, that is handed on to plugins that learn from it. */
const longestReply = 16_384;
/** Bytes of a prompt that are handed on at most, where shadows read prompts. */
const longestPrompt = 65_536;
/** Headers that no plugin needs, and a thread of a user's own plugins should not have. */
const credentials = new Set(["authorization", "proxy-authorization", "x-api-key", "api-key", "x-api-token"]);

/** Where frames go. */
export interface FrameTaker {
  /** False: nobody can take a cycle now. */
  takes(): boolean;
  /** A cycle was left out. */
  dropped(): void;
  /** Something was written, after nothing was. */
  written(): void;
}

/** What a recorder needs. */
export interface RecorderOptions {
  readonly clock: Pick<Clock, "now">;
  /** Live producers, whose digests of prompts are handed on. */
  readonly producers: readonly Named<Producer>[];
  /** Place in `ScheduledRequest.data` that is the recorder's own. */
  readonly place: number;
  readonly taker: FrameTaker;
}

/** What the thread knows of an endpoint. */
interface Told {
  readonly endpoint: SchedulableEndpoint;
  updatedAt: number;
}

const nobody: readonly SchedulableEndpoint[] = [];

/** Of one pool: hears of its cycles, and of what becomes of its requests. */
export class ShadowRecorder implements CycleTracer, RequestObserver {
  readonly #clock: Pick<Clock, "now">;
  readonly #producers: readonly Named<Producer>[];
  readonly #place: number;
  readonly #taker: FrameTaker;
  readonly #writer = new FrameWriter();
  /** By slot. */
  #told: (Told | undefined)[] = [];
  #endpoints: readonly SchedulableEndpoint[] = nobody;
  #next = 1;
  /** Requests with smaller numbers are not known to the thread that runs. */
  #first = 1;

  constructor({ clock, producers, place, taker }: RecorderOptions) {
    this.#clock = clock;
    this.#producers = producers.filter(({ plugin }) => plugin.digest !== undefined);
    this.#place = place;
    this.#taker = taker;
  }

  /** Whether shadows read prompts themselves, since no live producer does it for them. */
  sendsPrompts = false;

  /** A new thread, which knows of nothing. */
  restart(): void {
    this.#told = [];
    this.#first = this.#next;
    this.#writer.clear();
  }

  /** Bytes that wait to be taken. */
  get size(): number {
    return this.#writer.size;
  }

  /** What was written since the last call; undefined: nothing. */
  take(): Frame | undefined {
    return this.#writer.isEmpty ? undefined : this.#writer.take();
  }

  begin(_request: ScheduledRequest, { endpoints }: Candidates): void {
    this.#endpoints = endpoints;
  }

  profile(): void {}

  filtered(): void {}

  scored(): void {}

  picked(): void {}

  end(request: ScheduledRequest, chosen: readonly SchedulableEndpoint[]): void {
    const endpoints = this.#endpoints;
    this.#endpoints = nobody;
    if (!this.#taker.takes()) {
      request.data[this.#place] = undefined;
      return this.#taker.dropped();
    }
    if (this.#writer.isEmpty) this.#taker.written();
    for (const endpoint of endpoints) this.#tell(endpoint);
    this.#writeCycle(request, endpoints, chosen);
  }

  dispatched(request: ScheduledRequest, endpoint: SchedulableEndpoint): void {
    this.#writeEvent(frameEvent.dispatched, request, endpoint);
  }

  firstToken(request: ScheduledRequest, endpoint: SchedulableEndpoint): void {
    this.#writeEvent(frameEvent.firstToken, request, endpoint);
  }

  ended(request: ScheduledRequest, endpoint: SchedulableEndpoint, end: ServedEnd): void {
    if (!this.#writeEvent(frameEvent.ended, request, endpoint)) return;
    const writer = this.#writer;
    const { ok, prefilled, usage, replyText, firstTokenMs, durationMs } = end;
    writer.reserve(10);
    writer.number(ok ? 1 : 0);
    writer.number(prefilled ? 1 : 0);
    writer.number(firstTokenMs ?? Number.NaN);
    writer.number(durationMs);
    writer.number(usage?.promptTokens ?? Number.NaN);
    writer.number(usage?.cachedTokens ?? 0);
    writer.number(usage?.completionTokens ?? 0);
    writer.number(usage?.estimated === true ? 1 : 0);
    writer.number(replyText === undefined ? 0 : 1);
    if (replyText !== undefined) writer.text(replyText.slice(0, longestReply));
  }

  forgotten(endpoint: SchedulableEndpoint): void {
    if (this.#told[endpoint.slot]?.endpoint !== endpoint) return;
    this.#told[endpoint.slot] = undefined;
    this.#open(2);
    this.#writer.number(frameEvent.gone);
    this.#writer.number(endpoint.slot);
  }

  #open(numbers: number): void {
    if (this.#writer.isEmpty) this.#taker.written();
    this.#writer.reserve(numbers);
  }

  /** False where the thread does not know the request. */
  #writeEvent(kind: number, { data }: ScheduledRequest, { slot }: SchedulableEndpoint): boolean {
    const number = data[this.#place];
    if (typeof number !== "number" || number < this.#first) return false;
    this.#open(4);
    const writer = this.#writer;
    writer.number(kind);
    writer.number(this.#clock.now());
    writer.number(number);
    writer.number(slot);
    return true;
  }

  /** What the thread does not know yet of an endpoint. */
  #tell(endpoint: SchedulableEndpoint): void {
    const { slot, signals } = endpoint;
    const told = this.#told[slot];
    if (told?.endpoint === endpoint) {
      if (told.updatedAt === signals.updatedAt) return;
      told.updatedAt = signals.updatedAt;
    } else {
      this.#told[slot] = { endpoint, updatedAt: signals.updatedAt };
      this.#writeEndpoint(endpoint);
    }
    this.#writeSignals(endpoint);
  }

  #writeEndpoint({ slot, id, address, labels }: SchedulableEndpoint): void {
    const writer = this.#writer;
    const pairs = Object.entries(labels);
    writer.reserve(3);
    writer.number(frameEvent.endpoint);
    writer.number(slot);
    writer.number(pairs.length);
    writer.text(id);
    writer.text(address);
    for (const [name, value] of pairs) {
      writer.text(name);
      writer.text(value);
    }
  }

  #writeSignals({ slot, signals }: SchedulableEndpoint): void {
    const writer = this.#writer;
    const { told, runningAdapters, waitingAdapters, custom } = signals;
    writer.reserve(14 + custom.size);
    writer.number(frameEvent.signals);
    writer.number(slot);
    writer.number(signals.updatedAt);
    writer.number(told.waiting);
    writer.number(told.running);
    writer.number(told.kvUsage);
    writer.number(told.adapters);
    writer.number(signals.blockTokens);
    writer.number(signals.blocks);
    writer.number(signals.maxAdapters);
    writer.number(runningAdapters.length);
    writer.number(waitingAdapters.length);
    writer.number(custom.size);
    for (const adapter of runningAdapters) writer.text(adapter);
    for (const adapter of waitingAdapters) writer.text(adapter);
    for (const [name, value] of custom) {
      writer.text(name);
      writer.number(value);
    }
  }

  #writeCycle(
    request: ScheduledRequest,
    endpoints: readonly SchedulableEndpoint[],
    chosen: readonly SchedulableEndpoint[],
  ): void {
    const writer = this.#writer;
    const known = request.data[this.#place];
    const number = typeof known === "number" && known >= this.#first ? known : this.#next++;
    request.data[this.#place] = number;
    writer.cycles++;
    writer.reserve(17 + numbersPerCandidate * endpoints.length);
    writer.number(frameEvent.cycle);
    writer.number(this.#clock.now());
    writer.number(number);
    this.#writeRequest(request);
    writer.number(chosen[0]?.slot ?? -1);
    writer.number(endpoints.length);
    const { model } = request;
    for (let i = 0; i < endpoints.length; i++) {
      const endpoint = endpoints[i];
      if (endpoint === undefined) continue;
      const { load, signals } = endpoint;
      writer.number(endpoint.slot);
      writer.number(load.requests);
      writer.number(load.promptTokens);
      writer.number(load.outputTokens);
      writer.number(load.sentSinceScrape);
      writer.number(signals.waiting);
      writer.number(signals.running);
      writer.number(signals.kvUsage);
      writer.number(endpoint.capacity);
      writer.number(endpoint.speed);
      writer.number(endpoint.isLoaded(model) ? 1 : 0);
    }
    this.#writeDigests(request);
    this.#writePrompt(request);
  }

  #writeRequest(request: ScheduledRequest): void {
    const writer = this.#writer;
    const { traits, headers } = request;
    writer.text(request.id);
    writer.text(request.model);
    writer.text(request.askedModel ?? request.model);
    writer.text(traits.fairnessId);
    writer.number(request.priority);
    writer.number(request.promptTokens);
    writer.number(request.maxOutputTokens ?? Number.NaN);
    writer.number(request.bytes);
    writer.number(traits.ttftSloMs ?? Number.NaN);
    writer.number(traits.tpotSloMs ?? Number.NaN);
    writer.number(traits.objective === undefined ? 0 : 1);
    if (traits.objective !== undefined) writer.text(traits.objective);
    writer.number(traits.sessionId === undefined ? 0 : 1);
    if (traits.sessionId !== undefined) writer.text(traits.sessionId);
    let count = 0;
    for (const name in headers) {
      const value = headers[name];
      if (value === undefined || credentials.has(name)) continue;
      count++;
      writer.text(name);
      writer.text(typeof value === "string" ? value : value.join(", "));
    }
    writer.number(count);
  }

  #writeDigests(request: ScheduledRequest): void {
    const writer = this.#writer;
    writer.reserve(1 + this.#producers.length);
    writer.number(this.#producers.length);
    for (const { name, plugin } of this.#producers) {
      const digest = digestOf(plugin, request);
      writer.text(name);
      writer.number(digest.length);
      writer.append(digest);
    }
  }

  #writePrompt(request: ScheduledRequest): void {
    const writer = this.#writer;
    const parts = this.sendsPrompts ? request.promptBytes : noParts;
    writer.reserve(1 + parts.length);
    writer.number(parts.length);
    let room = longestPrompt;
    for (const part of parts) {
      const length = Math.min(part.length, room);
      writer.number(length);
      if (length > 0) writer.append(length === part.length ? part : part.subarray(0, length));
      room -= length;
    }
  }
}

const nothing = new Uint8Array(0);
const noParts: readonly Uint8Array[] = [];

/** A producer that throws here has nothing to say to shadows; traffic does not notice. */
function digestOf(producer: Producer, request: ScheduledRequest): Uint8Array {
  try {
    return producer.digest?.(request) ?? nothing;
  } catch {
    return nothing;
  }
}
