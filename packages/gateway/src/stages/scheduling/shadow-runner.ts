/** Reads frames in the shadows' thread, and has every shadow live through them. */
import type { ServedEnd } from "../../contracts/plugins/scheduling.ts";
import { FrameReader, frameEvent, type Frame } from "./shadow-frame.ts";
import type { ShadowTally } from "./shadow-messages.ts";
import { MirrorEndpoint, type ToldRequest } from "./shadow-mirror.ts";
import type { ShadowProfile } from "./shadow-profile.ts";

/** What a runner needs. */
export interface RunnerOptions {
  /** By their index; undefined: one that is left out. */
  readonly shadows: readonly (ShadowProfile | undefined)[];
  /** Told the live clock's time of what follows. */
  readonly onTime: (now: number) => void;
  /** The shadow of this index runs from here on; -1: none does. */
  readonly onRun: (index: number) => void;
  /** Milliseconds, for measuring. */
  readonly now: () => number;
}

/** All shadows of one pool. */
export class ShadowRunner {
  readonly #options: RunnerOptions;
  readonly #busy: number[];

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#busy = options.shadows.map(() => 0);
  }

  /** What the shadows made of a frame. */
  run(frame: Frame): ShadowTally[] {
    const reader = new FrameReader(frame);
    this.#busy.fill(0);
    while (!reader.isAtEnd) this.#event(reader);
    return this.#options.shadows.flatMap((shadow, index) =>
      shadow === undefined ? [] : [shadow.take(this.#busy[index] ?? 0)],
    );
  }

  #event(reader: FrameReader): void {
    switch (reader.number()) {
      case frameEvent.endpoint:
        return this.#endpoint(reader);
      case frameEvent.gone: {
        const slot = reader.number();
        return this.#each((shadow) => shadow.gone(slot));
      }
      case frameEvent.signals:
        return this.#signals(reader);
      case frameEvent.cycle:
        return this.#cycle(reader);
      case frameEvent.dispatched: {
        const [number, slot] = this.#subject(reader);
        return this.#each((shadow) => shadow.dispatched(number, slot));
      }
      case frameEvent.firstToken: {
        const [number, slot] = this.#subject(reader);
        return this.#each((shadow) => shadow.firstToken(number, slot));
      }
      case frameEvent.ended: {
        const [number, slot] = this.#subject(reader);
        const end = readEnd(reader);
        return this.#each((shadow) => shadow.ended(number, slot, end));
      }
      default:
        throw new RangeError("a frame that cannot be read");
    }
  }

  #subject(reader: FrameReader): [number: number, slot: number] {
    this.#options.onTime(reader.number());
    return [reader.number(), reader.number()];
  }

  #each(tell: (shadow: ShadowProfile) => void): void {
    const { shadows, onRun, now } = this.#options;
    for (let index = 0; index < shadows.length; index++) {
      const shadow = shadows[index];
      if (shadow === undefined) continue;
      onRun(index);
      const startedAt = now();
      tell(shadow);
      this.#busy[index] = (this.#busy[index] ?? 0) + now() - startedAt;
    }
    onRun(-1);
  }

  #endpoint(reader: FrameReader): void {
    const slot = reader.number();
    const count = reader.number();
    const id = reader.text();
    const address = reader.text();
    const labels = Object.fromEntries(pairsOf(reader, count));
    this.#each((shadow) => shadow.place(new MirrorEndpoint(slot, id, address, labels)));
  }

  #signals(reader: FrameReader): void {
    const slot = reader.number();
    const numbers = Array.from({ length: 8 }, () => reader.number());
    const [updatedAt = 0, waiting = 0, running = 0, kvUsage = 0, adapters = 0, ...facts] = numbers;
    const [blockTokens = 0, blocks = 0, maxAdapters = 0] = facts;
    const [runningCount, waitingCount, customCount] = [reader.number(), reader.number(), reader.number()];
    const texts = (count: number): string[] => Array.from({ length: count }, () => reader.text());
    const runningAdapters = texts(runningCount);
    const waitingAdapters = texts(waitingCount);
    const custom = Array.from({ length: customCount }, () => [reader.text(), reader.number()] as const);
    this.#update(slot, (endpoint) => {
      endpoint.signals = {
        ...endpoint.signals,
        updatedAt,
        told: { waiting, running, kvUsage, adapters },
        blockTokens,
        blocks,
        maxAdapters,
        runningAdapters: [...runningAdapters],
        waitingAdapters: [...waitingAdapters],
        custom: new Map(custom),
      };
    });
  }

  #cycle(reader: FrameReader): void {
    this.#options.onTime(reader.number());
    const number = reader.number();
    const told = readRequest(reader);
    const live = reader.number();
    const count = reader.number();
    const slots: number[] = [];
    for (let i = 0; i < count; i++) slots.push(this.#candidate(reader));
    const digests = new Map<string, Uint8Array>();
    for (let left = reader.number(); left > 0; left--)
      digests.set(reader.text(), reader.bytes(reader.number()));
    const prompt: Uint8Array[] = [];
    for (let left = reader.number(); left > 0; left--) prompt.push(reader.bytes(reader.number()));
    const request = { ...told, digests, prompt };
    this.#each((shadow) => shadow.cycle(number, request, slots, live));
  }

  /** Writes what an endpoint was like into every shadow's copy; gives its slot. */
  #candidate(reader: FrameReader): number {
    const slot = reader.number();
    const [requests, promptTokens] = [reader.number(), reader.number()];
    const [outputTokens, sentSinceScrape] = [reader.number(), reader.number()];
    const [waiting, running, kvUsage] = [reader.number(), reader.number(), reader.number()];
    const [capacity, speed, loaded] = [reader.number(), reader.number(), reader.number()];
    this.#update(slot, (endpoint) => {
      const { load, signals } = endpoint;
      load.requests = requests;
      load.promptTokens = promptTokens;
      load.outputTokens = outputTokens;
      load.sentSinceScrape = sentSinceScrape;
      signals.waiting = waiting;
      signals.running = running;
      signals.kvUsage = kvUsage;
      endpoint.capacity = capacity;
      endpoint.speed = speed;
      endpoint.loaded = loaded === 1;
    });
    return slot;
  }

  #update(slot: number, write: (endpoint: MirrorEndpoint) => void): void {
    for (const shadow of this.#options.shadows) shadow?.update(slot, write);
  }
}

function pairsOf(reader: FrameReader, count: number): [string, string][] {
  return Array.from({ length: count }, () => [reader.text(), reader.text()]);
}

function orUndefined(value: number): number | undefined {
  return Number.isNaN(value) ? undefined : value;
}

function readRequest(reader: FrameReader): Omit<ToldRequest, "digests" | "prompt"> {
  const [id, model, askedModel, fairnessId] = [reader.text(), reader.text(), reader.text(), reader.text()];
  const [priority, promptTokens] = [reader.number(), reader.number()];
  const [maxOutputTokens, bytes] = [orUndefined(reader.number()), reader.number()];
  const [ttftSloMs, tpotSloMs] = [orUndefined(reader.number()), orUndefined(reader.number())];
  const objective = reader.number() === 1 ? reader.text() : undefined;
  const sessionId = reader.number() === 1 ? reader.text() : undefined;
  const headers = pairsOf(reader, reader.number());
  const traits = { fairnessId, objective, ttftSloMs, tpotSloMs, sessionId };
  return { id, model, askedModel, priority, promptTokens, maxOutputTokens, bytes, traits, headers };
}

function readEnd(reader: FrameReader): ServedEnd {
  const [ok, prefilled] = [reader.number() === 1, reader.number() === 1];
  const [firstTokenMs, durationMs] = [orUndefined(reader.number()), reader.number()];
  const promptTokens = reader.number();
  const [cachedTokens, completionTokens] = [reader.number(), reader.number()];
  const estimated = reader.number() === 1;
  const replyText = reader.number() === 1 ? reader.text() : undefined;
  const usage = Number.isNaN(promptTokens)
    ? undefined
    : { promptTokens, cachedTokens, completionTokens, estimated };
  return { ok, prefilled, usage, replyText, firstTokenMs, durationMs };
}
