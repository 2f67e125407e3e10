/** Endpoints and requests that plugins are tried with. They are frozen: a plugin that writes to them throws. */
import type { SchedulableEndpoint, ScheduledRequest } from "../../contracts/plugins/scheduling.ts";
import type { Random } from "../../core/random.ts";
import { plainTraits } from "../../core/request-traits.ts";
import { createLoad, createSignals } from "../../core/server-signals.ts";

/** `busy`: every server has other numbers. `silent`: none tells any. `alike`: all tell the same. */
export const flavours = ["busy", "silent", "alike"] as const;

/** What the servers tell of themselves. */
export type Flavour = (typeof flavours)[number];

const roles = ["prefill", "decode", "prefill-decode"];
const zones = ["a", "b", "c"];

/** So many endpoints, with the numbers that the random source gives. */
export function sampleEndpoints(
  count: number,
  { flavour, random, now }: { readonly flavour: Flavour; readonly random: Random; readonly now: number },
): readonly SchedulableEndpoint[] {
  return Object.freeze(
    Array.from({ length: count }, (_, index) => {
      const unit = flavour === "alike" ? () => 0.5 : () => random.unit();
      const address = `10.0.${index >> 8}.${index & 255}:8000`;
      return Object.freeze({
        id: `pool/${address}`,
        address,
        labels: Object.freeze({
          app: "vllm",
          "llm-d.ai/role": roles[index % roles.length] ?? "",
          "topology.kubernetes.io/zone": zones[index % zones.length] ?? "",
        }),
        signals: sampleSignals(flavour, unit, now),
        load: sampleLoad(flavour, unit),
        slot: index,
        capacity: 256,
        speed: flavour === "silent" ? 0 : 20 + Math.floor(unit() * 80),
        isLoaded: () => flavour === "silent" || index % 2 === 0,
      });
    }),
  );
}

function sampleSignals(flavour: Flavour, unit: () => number, now: number) {
  const signals = createSignals();
  if (flavour !== "silent") {
    const hasAdapters = unit() > 0.4;
    Object.assign(signals, {
      updatedAt: now,
      told: { waiting: now, running: now, kvUsage: now, adapters: now },
      waiting: Math.floor(unit() * 12),
      running: Math.floor(unit() * 64),
      kvUsage: unit(),
      blockTokens: 16,
      blocks: 20_000 + Math.floor(unit() * 20_000),
      maxAdapters: 4,
      runningAdapters: Object.freeze(hasAdapters ? ["adapter"] : []),
      waitingAdapters: Object.freeze([]),
    });
  }
  Object.freeze(signals.told);
  return Object.freeze(signals);
}

function sampleLoad(flavour: Flavour, unit: () => number) {
  const load = createLoad();
  if (flavour !== "silent") {
    load.requests = Math.floor(unit() * 40);
    load.promptTokens = Math.floor(unit() * 60_000);
    load.outputTokens = Math.floor(unit() * 20_000);
    load.sentSinceScrape = Math.floor(unit() * 5);
  }
  return Object.freeze(load);
}

const prompt = (words: number, seed: number): Uint8Array =>
  Buffer.from(Array.from({ length: words }, (_, index) => `word${(index * seed) % 977}`).join(" "));

/** Requests of several sorts; `more` is put over the first of them, once for each. */
export function sampleRequests(more: readonly Partial<ScheduledRequest>[] = []): readonly ScheduledRequest[] {
  const plain = {
    id: "r0",
    model: "model",
    headers: Object.freeze({}),
    priority: 0,
    traits: plainTraits,
    promptTokens: 25,
    maxOutputTokens: undefined,
    promptBytes: Object.freeze([prompt(20, 3)]),
    bytes: 200,
    data: [],
  } satisfies ScheduledRequest;
  const sorts: readonly Partial<ScheduledRequest>[] = [
    {},
    { promptTokens: 8_000, promptBytes: Object.freeze([prompt(500, 7), prompt(6_000, 11)]), bytes: 50_000 },
    {
      promptTokens: 8_000,
      promptBytes: Object.freeze([prompt(500, 7), prompt(6_000, 13)]),
      maxOutputTokens: 200,
    },
    {
      model: "adapter",
      priority: 100,
      headers: Object.freeze({ "x-session-token": "czE=", "x-session-id": "s1" }),
    },
    { promptBytes: Object.freeze([]), promptTokens: 0, bytes: 0, priority: -10, maxOutputTokens: 1 },
    { traits: Object.freeze({ ...plainTraits, sessionId: "s1", ttftSloMs: 500, tpotSloMs: 20 }) },
    ...more,
  ];
  return sorts.map((sort, index) => ({ ...plain, ...sort, id: `r${index}`, data: [] }));
}
