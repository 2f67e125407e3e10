/** Scheduling by itself: a layer of built-in plugins, servers with loads and caches, requests with prompts. */
import {
  plainServer,
  scheduledRequest,
  wireProfiles,
} from "../../packages/gateway/test/support/scheduling-fixture.ts";
import type {
  SchedulableEndpoint,
  ScheduledRequest,
  SchedulingSpec,
  ServedEnd,
} from "../../packages/gateway/src/contracts/plugins/scheduling.ts";
import { isFailure } from "../../packages/gateway/src/core/errors.ts";
import { createSeededRandom } from "../../packages/gateway/src/core/random.ts";
import { ProfileEngine } from "../../packages/gateway/src/stages/scheduling/profile-engine.ts";

const answered: ServedEnd = {
  ok: true,
  prefilled: true,
  usage: { promptTokens: 8_192, cachedTokens: 0, completionTokens: 256, estimated: false },
  firstTokenMs: 100,
  durationMs: 1_000,
};

/** What is set up. */
export interface PickerSetup {
  readonly spec: SchedulingSpec;
  readonly servers: number;
  readonly prompts: readonly string[];
}

/** A layer with its servers and requests. */
export class PickerRig {
  readonly engine: ProfileEngine;
  readonly servers: readonly SchedulableEndpoint[];
  readonly requests: readonly ScheduledRequest[];

  /** Throws where a plugin does. */
  constructor({ spec, servers, prompts }: PickerSetup) {
    const wired = wireProfiles(spec);
    const random = createSeededRandom(7);
    const below = (n: number): number => Math.floor(random.unit() * n);
    this.engine = new ProfileEngine(wired, {
      onFault(plugin, error) {
        throw new Error(plugin, { cause: error });
      },
    });
    this.servers = Array.from({ length: servers }, (_, index) =>
      plainServer(index, {
        signals: {
          waiting: below(8),
          running: below(64),
          kvUsage: random.unit(),
          blocks: 8_192,
          blockTokens: 16,
          runningAdapters: [],
          waitingAdapters: [],
          maxAdapters: 4,
        },
        load: { requests: below(40), promptTokens: below(40_000), outputTokens: below(40_000) },
      }),
    );
    const { dataSize } = wired;
    this.requests = prompts.map((prompt, index) => scheduledRequest({ id: `r${index}`, prompt, dataSize }));
  }

  /** Hashes every prompt: what a request has once, before its first cycle. */
  async prepare(): Promise<void> {
    for (const request of this.requests) await this.engine.prepare(request);
  }

  /** The request is served and answered by the endpoint. */
  serve(request: ScheduledRequest, endpoint: SchedulableEndpoint): void {
    for (const { plugin } of this.engine.wired.observers) {
      plugin.dispatched?.(request, endpoint);
      plugin.ended?.(request, endpoint, answered);
    }
  }

  /** One cycle. */
  pick(request: ScheduledRequest): SchedulableEndpoint {
    const result = this.engine.run(request, this.servers);
    if (isFailure(result)) throw new Error(result.message);
    const [first] = result.endpoints;
    if (first === undefined) throw new Error("nobody was chosen");
    return first;
  }
}

/** A text of so many bytes that begins with `shared` bytes which all have in common. */
export function promptOf(index: number, bytes: number, shared: number): string {
  const random = createSeededRandom(index + 1);
  const words = Array.from({ length: 64 }, () => random.id());
  let own = "";
  while (own.length < bytes - shared) own += words[Math.floor(random.unit() * words.length)] ?? "";
  return (
    "You are a helpful assistant. ".repeat(Math.ceil(shared / 29)).slice(0, shared) +
    own.slice(0, bytes - shared)
  );
}
