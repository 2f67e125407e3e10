/** A pick on paper: these endpoints, with these numbers, and this request ⇒ this endpoint, and why. */
import { readFile } from "node:fs/promises";
import * as z from "zod";
import { parse } from "yaml";
import type {
  Candidates,
  CycleTracer,
  SchedulableEndpoint,
  ScheduledRequest,
} from "../contracts/plugins/scheduling.ts";
import type { WiredScheduling } from "../contracts/plugins/wired-scheduling.ts";
import { plainTraits } from "../core/request-traits.ts";
import { createLoad, createSignals } from "../core/server-signals.ts";
import { ProfileEngine } from "../stages/scheduling/profile-engine.ts";
import { CommandError } from "./command-error.ts";

const count = z.number().min(0);

const endpointSchema = z.strictObject({
  name: z.string().optional(),
  namespace: z.string().optional(),
  address: z.string().min(1),
  port: z.int().min(1).max(65_535),
  labels: z.record(z.string(), z.string()).default({}),
  waiting: count.optional(),
  running: count.optional(),
  kvUsage: z.number().min(0).max(1).optional(),
  adapters: z.array(z.string()).optional(),
  maxAdapters: count.optional(),
  requests: count.default(0),
  promptTokens: count.default(0),
});

const scenarioSchema = z.strictObject({
  endpoints: z.array(endpointSchema).min(1).max(1_024),
  request: z
    .strictObject({
      model: z.string().default("model"),
      headers: z.record(z.string(), z.string()).default({}),
      priority: z.int().default(0),
      prompt: z.string().default(""),
      promptTokens: z.int().min(0).optional(),
      maxOutputTokens: z.int().min(1).optional(),
      sessionId: z.string().optional(),
    })
    .prefault({}),
});

/** What is tried. */
export type Scenario = z.output<typeof scenarioSchema>;

/** Reads a file. Throws a `CommandError` that says what is wrong with it. */
export async function readScenario(path: string, name: string): Promise<Scenario> {
  let value: unknown;
  try {
    value = parse(await readFile(path, "utf8"), { maxAliasCount: 0, prettyErrors: false });
  } catch (error) {
    throw new CommandError(`${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const result = scenarioSchema.safeParse(value);
  if (result.success) return result.data;
  const lines = result.error.issues.map(({ path: at, message }) => `${name}: ${at.join(".")}: ${message}`);
  throw new CommandError(lines.join("\n"));
}

/** One endpoint in a profile: what each scorer said. */
export interface ScoredEndpoint {
  readonly address: string;
  /** By the scorer's name, before its weight. */
  readonly scores: Readonly<Record<string, number>>;
  readonly total: number;
}

/** One profile of a cycle. */
export interface ProfileStory {
  readonly profile: string;
  readonly filtered: readonly { readonly filter: string; readonly endpoints: readonly string[] }[];
  readonly weights: Readonly<Record<string, number>>;
  /** Best first. */
  readonly scored: readonly ScoredEndpoint[];
  readonly picked: readonly string[];
}

/** A cycle, told. */
export interface PickStory {
  /** Best first; empty where the request is refused. */
  readonly pick: readonly string[];
  /** Why it is refused. */
  readonly refusal: string | null;
  readonly profiles: readonly ProfileStory[];
  /** Plugins that threw. */
  readonly faults: readonly string[];
}

/** Runs one cycle. */
export async function pickOnPaper(
  wired: WiredScheduling,
  scenario: Scenario,
  now: number,
): Promise<PickStory> {
  const teller = new Teller();
  const faults: string[] = [];
  const onFault = (plugin: string, error: unknown): void =>
    void faults.push(`${plugin}: ${error instanceof Error ? error.message : String(error)}`);
  const engine = new ProfileEngine(wired, { onFault, tracer: teller });
  const request = requestOf(scenario.request, wired.dataSize);
  await engine.prepare(request);
  const result = engine.run(
    request,
    scenario.endpoints.map((each, slot) => endpointOf(each, slot, now)),
  );
  const refusal = "code" in result ? result.message : null;
  const pick = "code" in result ? [] : result.endpoints.map(({ address }) => address);
  return { pick, refusal, profiles: teller.profiles, faults };
}

function requestOf(request: Scenario["request"], dataSize: number): ScheduledRequest {
  const prompt = Buffer.from(request.prompt);
  const headers = Object.entries(request.headers).map(
    ([name, value]) => [name.toLowerCase(), value] as const,
  );
  return {
    id: "on-paper",
    model: request.model,
    headers: Object.fromEntries(headers),
    priority: request.priority,
    traits: { ...plainTraits, sessionId: request.sessionId },
    promptTokens: request.promptTokens ?? Math.ceil(prompt.length / 4),
    maxOutputTokens: request.maxOutputTokens,
    promptBytes: prompt.length === 0 ? [] : [prompt],
    bytes: prompt.length,
    data: Array.from<unknown>({ length: dataSize }),
  };
}

function endpointOf(written: Scenario["endpoints"][number], slot: number, now: number): SchedulableEndpoint {
  const { address, port, labels, waiting, running, kvUsage, adapters, maxAdapters } = written;
  const at = `${address.includes(":") ? `[${address}]` : address}:${port}`;
  const told = Object.entries({ waiting, running, kvUsage, maxAdapters, runningAdapters: adapters });
  const signals = Object.assign(
    createSignals(),
    { updatedAt: now, told: { waiting: now, running: now, kvUsage: now, adapters: now } },
    Object.fromEntries(told.filter(([, value]) => value !== undefined)),
  );
  const load = Object.assign(createLoad(), {
    requests: written.requests,
    promptTokens: written.promptTokens,
  });
  return {
    id: `paper/${at}`,
    address: at,
    labels,
    signals,
    load,
    slot,
    capacity: 65_536,
    speed: 0,
    isLoaded: () => true,
  };
}

/** Keeps what a cycle does. */
class Teller implements CycleTracer {
  readonly profiles: ProfileStory[] = [];
  #name = "";
  #left: readonly string[] = [];
  #filtered: { filter: string; endpoints: readonly string[] }[] = [];
  #weights: Record<string, number> = {};
  #scores = new Map<string, Record<string, number>>();
  #all: readonly string[] = [];

  begin(_request: ScheduledRequest, candidates: Candidates): void {
    this.#all = addresses(candidates);
  }

  profile(name: string): void {
    this.#name = name;
    this.#left = this.#all;
    this.#filtered = [];
    this.#weights = {};
    this.#scores = new Map();
  }

  filtered(filter: string, candidates: Candidates): void {
    const left = addresses(candidates);
    const endpoints = this.#left.filter((each) => !left.includes(each));
    this.#filtered.push({ filter, endpoints });
    this.#left = left;
  }

  scored(plugin: string, weight: number, candidates: Candidates, scores: Float64Array): void {
    this.#weights[plugin] = weight;
    for (const [index, address] of addresses(candidates).entries()) {
      const own = this.#scores.get(address) ?? {};
      own[plugin] = scores[index] ?? 0;
      this.#scores.set(address, own);
    }
  }

  picked(candidates: Candidates, totals: Float64Array, picked: Int32Array, chosen: number): void {
    const scored = addresses(candidates).map((address, index) => ({
      address,
      scores: this.#scores.get(address) ?? {},
      total: totals[index] ?? 0,
    }));
    this.profiles.push({
      profile: this.#name,
      filtered: this.#filtered,
      weights: this.#weights,
      scored: scored.toSorted((a, b) => b.total - a.total),
      picked: Array.from(
        picked.subarray(0, chosen),
        (position) => candidates.endpoints[position]?.address ?? "",
      ),
    });
  }

  end(): void {}
}

function addresses({ endpoints, positions, count: length }: Candidates): string[] {
  return Array.from(positions.subarray(0, length), (position) => endpoints[position]?.address ?? "");
}
