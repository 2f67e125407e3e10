/** From a server's page of metrics to its `ServerSignals`: what is mapped is looked for, and nothing else. */
import type { EngineMapping, MetricMapping } from "../../contracts/plugins/data.ts";
import type { PluginNeeds } from "../../contracts/plugins/plugin.ts";
import type { ServerSignals } from "../../core/server-signals.ts";
import { FamilyPlace, SeriesReader, unescapeLabel } from "./metrics-page.ts";

/** Quantities that somebody reads. */
export type NeededSignal = NonNullable<PluginNeeds["signals"]>[number];

type Combine = NonNullable<MetricMapping["combine"]>;

/** What the series of one mapping come to on one page. */
interface Use {
  readonly signal: MetricMapping["signal"];
  /** The same for all mappings of one quantity. */
  readonly slot: number;
  readonly combine: Combine;
  readonly filters: readonly (readonly [name: Buffer, value: Buffer])[];
  readonly valueLabel: Buffer | undefined;
  readonly isText: boolean;
  count: number;
  value: number;
  /** Largest value of a series so far, where the newest counts. */
  newest: number;
  /** Where the text stands in the page. */
  from: number;
  to: number;
}

interface FamilyUses {
  readonly place: FamilyPlace;
  readonly uses: readonly Use[];
}

/** Quantities of `custom`. */
const maxCustom = 256;
/** Longest list of adapters that is read, bytes. */
const maxListBytes = 16_384;

const series = new SeriesReader();

/** Reads the pages of one server. */
export class SignalReader {
  readonly #families: readonly FamilyUses[];
  readonly #signals: ServerSignals;
  readonly #custom = new Map<string, number>();
  readonly #customTold = new Map<string, number>();
  /** The lists of adapters as they stood in the page, to see that they are what they were. */
  readonly #lists = { runningAdapters: Buffer.alloc(0), waitingAdapters: Buffer.alloc(0) };
  /** 1 for the quantities that the page has told, by slot. */
  readonly #told: Uint8Array;

  constructor(engine: EngineMapping, needs: readonly NeededSignal[], signals: ServerSignals) {
    this.#signals = signals;
    signals.custom = this.#custom;
    const wanted = engine.metrics.filter(({ signal }) => needs.includes(needFor(signal)));
    const quantities = [...new Set(wanted.map(({ signal }) => signal))];
    this.#told = new Uint8Array(quantities.length);
    const byFamily = Map.groupBy(wanted, ({ metric }) => metric);
    this.#families = [...byFamily].map(([name, mappings]) => ({
      place: new FamilyPlace(name),
      uses: mappings.map((mapping) => compileUse(mapping, quantities.indexOf(mapping.signal))),
    }));
  }

  /** Families that are looked for. */
  get families(): readonly string[] {
    return this.#families.map(({ place }) => place.name.toString());
  }

  /**
   * Takes what a page tells; it begins with a line feed (see `metrics-page.ts`). Returns false where it tells nothing of
   * what was looked for.
   */
  read(page: Buffer, now: number): boolean {
    this.#told.fill(0);
    for (const { place, uses } of this.#families) {
      if (this.#areTold(uses)) continue;
      const at = place.find(page);
      if (at < 0) continue;
      series.begin(page, place.name, at);
      for (const use of uses) reset(use);
      while (series.next()) for (const use of uses) add(use);
      for (const use of uses) this.#take(use, page, now);
    }
    this.#signals.updatedAt = now;
    return this.#families.length === 0 || this.#told.includes(1);
  }

  /** True where names that come first have told all that the family could. */
  #areTold(uses: readonly Use[]): boolean {
    for (const { slot } of uses) if (this.#told[slot] !== 1) return false;
    return true;
  }

  /** Takes a quantity of `custom` that something else has read; bounded in their number. */
  tell(name: string, value: number, now: number): void {
    if (!Number.isFinite(value) || (!this.#customTold.has(name) && this.#customTold.size >= maxCustom))
      return;
    this.#custom.set(name, value);
    this.#customTold.set(name, now);
  }

  /** Forgets what was last told longer ago than `staleAfterMs`. */
  expire(now: number, staleAfterMs: number): void {
    const signals = this.#signals;
    const { told } = signals;
    const since = now - staleAfterMs;
    if (told.waiting < since) signals.waiting = Number.NaN;
    if (told.running < since) signals.running = Number.NaN;
    if (told.kvUsage < since) signals.kvUsage = Number.NaN;
    if (told.adapters < since && told.adapters > Number.NEGATIVE_INFINITY) this.#forgetAdapters();
    for (const [key, at] of this.#customTold) if (at < since) this.#custom.delete(key);
  }

  #forgetAdapters(): void {
    const signals = this.#signals;
    if (signals.runningAdapters.length > 0) signals.runningAdapters = [];
    if (signals.waitingAdapters.length > 0) signals.waitingAdapters = [];
    this.#lists.runningAdapters = this.#lists.waitingAdapters = Buffer.alloc(0);
  }

  #take(use: Use, page: Buffer, now: number): void {
    const { signal, slot } = use;
    if (use.count === 0 || this.#told[slot] === 1) return;
    this.#told[slot] = 1;
    const value = use.combine === "average" ? use.value / use.count : use.value;
    const signals = this.#signals;
    switch (signal) {
      case "waiting":
      case "running":
      case "kvUsage":
        signals[signal] = signal === "kvUsage" ? Math.min(value, 1) : value;
        signals.told[signal] = now;
        return;
      case "blockTokens":
      case "blocks":
      case "maxAdapters":
        signals[signal] = value;
        return;
      case "runningAdapters":
      case "waitingAdapters":
        signals.told.adapters = now;
        return this.#takeList(signal, page.subarray(use.from, use.to));
      default: {
        this.tell(signal.slice("custom:".length), value, now);
      }
    }
  }

  /** A list that says what it said before keeps its array. */
  #takeList(signal: "runningAdapters" | "waitingAdapters", raw: Buffer): void {
    if (raw.equals(this.#lists[signal])) return;
    this.#lists[signal] = Buffer.from(raw);
    const names = unescapeLabel(raw.toString()).split(",");
    this.#signals[signal] = names.map((name) => name.trim()).filter((name) => name !== "");
  }
}

function needFor(signal: MetricMapping["signal"]): NeededSignal {
  switch (signal) {
    case "waiting":
    case "running":
    case "kvUsage":
    case "blockTokens":
    case "blocks":
      return signal;
    case "maxAdapters":
    case "runningAdapters":
    case "waitingAdapters":
      return "adapters";
    default:
      return "custom";
  }
}

function compileUse(mapping: MetricMapping, slot: number): Use {
  const { signal, labels, valueLabel, combine = usualCombine(signal) } = mapping;
  return {
    signal,
    slot,
    combine,
    filters: Object.entries(labels).map(([name, value]) => [Buffer.from(name), Buffer.from(value)]),
    valueLabel: valueLabel === undefined ? undefined : Buffer.from(valueLabel),
    isText: signal === "runningAdapters" || signal === "waitingAdapters",
    count: 0,
    value: 0,
    newest: Number.NEGATIVE_INFINITY,
    from: 0,
    to: 0,
  };
}

/** Several series are several engines behind one address. */
function usualCombine(signal: MetricMapping["signal"]): Combine {
  switch (needFor(signal)) {
    case "waiting":
    case "running":
    case "blocks":
      return "sum";
    case "kvUsage":
    case "custom":
      return "average";
    case "adapters":
      return "newest";
    case "blockTokens":
      return "last";
  }
}

function reset(use: Use): void {
  use.count = 0;
  use.value = 0;
  use.newest = Number.NEGATIVE_INFINITY;
}

/** Counts the series that the reader stands at. What is no finite number, or below 0 where that makes no sense, says nothing. */
function add(use: Use): void {
  const { combine, filters, valueLabel } = use;
  if (combine === "newest" && !(series.value > use.newest)) return;
  for (const [name, value] of filters) if (!series.findLabel(name) || !series.labelIs(value)) return;
  if (valueLabel !== undefined && !series.findLabel(valueLabel)) return;
  const value = valueOf(use);
  if (Number.isNaN(value)) return;
  use.newest = series.value;
  use.value = use.count === 0 ? value : combined(combine, use.value, value);
  use.count++;
}

function valueOf(use: Use): number {
  if (use.isText) {
    if (series.labelEnd - series.labelStart > maxListBytes) return Number.NaN;
    use.from = series.labelStart;
    use.to = series.labelEnd;
    return 0;
  }
  const value = use.valueLabel === undefined ? series.value : series.labelNumber();
  const isPossible = Number.isFinite(value) && (value >= 0 || use.signal.startsWith("custom:"));
  return isPossible ? value : Number.NaN;
}

function combined(combine: Combine, sum: number, value: number): number {
  switch (combine) {
    case "sum":
    case "average":
      return sum + value;
    case "max":
      return Math.max(sum, value);
    case "newest":
    case "last":
      return value;
  }
}
