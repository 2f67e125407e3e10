/** What one detector has done: by minute, hour and day, and when it last did. */
import { Counters, lastKinds } from "./counters.ts";

/** Milliseconds of an hour. */
export const hourMs = 3_600_000;
/** Milliseconds of a day. */
export const dayMs = 24 * hourMs;

/** Hours and days that are kept in memory, the current one included. */
export const kept = { hours: 48, days: 30 } as const;

/** What is counted by the minute, for the last hour. */
export const minuteKinds = ["queries", "escalations", "audits", "failures"] as const;

type LastKind = (typeof lastKinds)[number];
type MinuteKind = (typeof minuteKinds)[number];

const minutes = 60;
const minuteMs = 60_000;

/** Sums over the 23 hours before an hour and the 6 days before its day. */
interface Past {
  readonly hour: number;
  readonly day: Counters;
  readonly week: Counters;
}

/** What is to be added to the store's counters. */
export interface Unwritten {
  readonly hour: number;
  readonly added: Record<string, number>;
}

/** Counts of one detector. What is counted goes into `pending` and from there, at `drain`, into hours and days. */
export class DetectorActivity {
  readonly #hours = new Map<number, Counters>();
  readonly #days = new Map<number, Counters>();
  readonly #minutes = new Float64Array(minutes * minuteKinds.length);
  #minute = 0;
  #pending: Counters | undefined;
  #pendingHour = 0;
  #unwritten: Unwritten[] = [];
  /** Sums over the hours and days before the current ones, which seldom change. */
  #past: Past | undefined;
  readonly #sum: DetectorActivity | undefined;
  readonly #last = new Float64Array(lastKinds.length);
  /** By kind: the offset into `#writtenHour` that the store has. */
  readonly #written = new Float64Array(lastKinds.length);
  #writtenHour = 0;

  /** `sum` has the counts at fixed places of all whose sum it is. */
  constructor(sum?: DetectorActivity) {
    this.#sum = sum;
  }

  /** Where to count what happened at a wall time, ms. Not to be kept over turns. */
  at(wallMs: number): Counters {
    const hour = Math.floor(wallMs / hourMs);
    if (this.#pending === undefined || hour !== this.#pendingHour) {
      this.#fold();
      this.#pending = new Counters();
      this.#pendingHour = hour;
    }
    return this.#pending;
  }

  /** Counts by the minute. */
  tick(wallMs: number, kind: MinuteKind, count = 1): void {
    const minute = Math.floor(wallMs / minuteMs);
    this.#sum?.tick(wallMs, kind, count);
    this.#turnTo(minute);
    if (minute > this.#minute - minutes) {
      const place = this.#minutePlace(minute, kind);
      this.#minutes[place] = (this.#minutes[place] ?? 0) + count;
    }
  }

  /** Remembers that something happened, unless something later is known. */
  touch(wallMs: number, kind: LastKind): void {
    const place = lastKinds.indexOf(kind);
    if (wallMs > (this.#last[place] ?? 0)) this.#last[place] = wallMs;
  }

  /** When something last happened, ms since the epoch; undefined for never. */
  lastAt(kind: LastKind): number | undefined {
    const at = this.#last[lastKinds.indexOf(kind)] ?? 0;
    return at === 0 ? undefined : at;
  }

  /** Counts of the last 60 minutes, oldest first. */
  minuteSeries(wallMs: number, kind: MinuteKind): number[] {
    const current = Math.floor(wallMs / minuteMs);
    this.#turnTo(current);
    return Array.from(
      { length: minutes },
      (_, index) => this.#minutes[this.#minutePlace(current - minutes + 1 + index, kind)] ?? 0,
    );
  }

  /** Counts of an hour since the epoch; undefined for one without any. */
  hour(hour: number): Counters | undefined {
    return this.#hours.get(hour);
  }

  /** Counts of a day (UTC) since the epoch. */
  day(day: number): Counters | undefined {
    return this.#days.get(day);
  }

  /** Counts at fixed places of the current hour and the 23 before. */
  lastDay(wallMs: number): Counters {
    const past = this.#pastOf(wallMs);
    return sumOf([past.day, this.#hours.get(past.hour)]);
  }

  /** Counts at fixed places of the current day and the 6 before. */
  lastWeek(wallMs: number): Counters {
    const past = this.#pastOf(wallMs);
    return sumOf([past.week, this.#days.get(Math.floor(past.hour / 24))]);
  }

  /** Moves what was counted into hours and days, and gives what the store does not have yet. */
  drain(wallMs: number): readonly Unwritten[] {
    this.#fold();
    this.#forget(wallMs);
    const unwritten = this.#unwritten;
    this.#unwritten = [];
    return unwritten;
  }

  /** True where `drain` has nothing to do. */
  get idle(): boolean {
    return this.#pending === undefined && this.#unwritten.length === 0;
  }

  /** Takes a counter that an earlier process wrote. Before the first `drain` whose result is written. */
  restore(hour: number, name: string, value: number, wallMs: number): void {
    const place = name.startsWith("last.") ? lastKinds.findIndex((kind) => name === `last.${kind}`) : -1;
    if (place >= 0) {
      const offset = Math.min(Math.max(0, value), hourMs - 1);
      this.#last[place] = Math.max(this.#last[place] ?? 0, hour * hourMs + offset);
      if (hour === Math.floor(wallMs / hourMs)) this.#writeTo(hour)[place] = value;
      return;
    }
    this.#addTo(hour, wallMs, name, value);
    if (this.#sum !== undefined) this.#sum.#addTo(hour, wallMs, name, value);
    const kind = minuteKindOf(name);
    if (kind !== undefined) this.#spread(hour, kind, value, wallMs);
  }

  #addTo(hour: number, wallMs: number, name: string, value: number): void {
    if (hour > Math.floor(wallMs / hourMs) - kept.hours) slotOf(this.#hours, hour).addNamed(name, value);
    slotOf(this.#days, Math.floor(hour / 24)).addNamed(name, value);
    this.#past = undefined;
  }

  #pastOf(wallMs: number): Past {
    const hour = Math.floor(wallMs / hourMs);
    if (this.#past?.hour === hour) return this.#past;
    const today = Math.floor(hour / 24);
    const hours = Array.from({ length: 23 }, (_, back) => this.#hours.get(hour - 1 - back));
    const days = Array.from({ length: 6 }, (_, back) => this.#days.get(today - 1 - back));
    this.#past = { hour, day: sumOf(hours), week: sumOf(days) };
    return this.#past;
  }

  #take(hour: number, counters: Counters): void {
    slotOf(this.#hours, hour).mergeFixed(counters);
    slotOf(this.#days, Math.floor(hour / 24)).mergeFixed(counters);
    if (hour !== this.#past?.hour) this.#past = undefined;
  }

  /** Spreads an hour's count evenly over its minutes up to now: when they were is not kept. */
  #spread(hour: number, kind: MinuteKind, value: number, wallMs: number): void {
    const from = hour * minutes;
    const to = Math.min(from + minutes, Math.floor(wallMs / minuteMs) + 1);
    const length = to - from;
    for (let index = 0; index < length; index += 1) {
      const share = Math.floor((value * (index + 1)) / length) - Math.floor((value * index) / length);
      if (share > 0) this.tick((from + index) * minuteMs, kind, share);
    }
  }

  #fold(): void {
    if (this.#pending === undefined) return;
    const hour = this.#pendingHour;
    slotOf(this.#hours, hour).merge(this.#pending);
    slotOf(this.#days, Math.floor(hour / 24)).merge(this.#pending);
    if (hour !== this.#past?.hour) this.#past = undefined;
    if (this.#sum !== undefined) this.#sum.#take(hour, this.#pending);
    const added = this.#pending.toRecord();
    const written = this.#writeTo(hour);
    for (const [place, kind] of lastKinds.entries()) {
      const offset = (this.#last[place] ?? 0) - hour * hourMs;
      const more = offset - (written[place] ?? 0);
      if (offset >= hourMs || more <= 0) continue;
      added[`last.${kind}`] = more;
      written[place] = offset;
    }
    this.#unwritten.push({ hour, added });
    this.#pending = undefined;
  }

  #writeTo(hour: number): Float64Array {
    if (hour !== this.#writtenHour) this.#written.fill(0);
    this.#writtenHour = hour;
    return this.#written;
  }

  #forget(wallMs: number): void {
    const hour = Math.floor(wallMs / hourMs);
    for (const each of this.#hours.keys()) if (each <= hour - kept.hours) this.#hours.delete(each);
    const day = Math.floor(wallMs / dayMs);
    for (const each of this.#days.keys()) if (each <= day - kept.days) this.#days.delete(each);
  }

  #turnTo(minute: number): void {
    if (minute <= this.#minute) return;
    const steps = Math.min(minutes, minute - this.#minute);
    for (let step = 0; step < steps; step += 1)
      for (const kind of minuteKinds) this.#minutes[this.#minutePlace(minute - step, kind)] = 0;
    this.#minute = minute;
  }

  #minutePlace(minute: number, kind: MinuteKind): number {
    return (minute % minutes) * minuteKinds.length + minuteKinds.indexOf(kind);
  }
}

/** Audits are escalations of their own kind: they are not counted among the others. */
function minuteKindOf(name: string): MinuteKind | undefined {
  if (name === "queries") return "queries";
  if (name === "escalation.audit") return "audits";
  if (name.startsWith("escalation.")) return "escalations";
  return name === "failed" ? "failures" : undefined;
}

function sumOf(slots: readonly (Counters | undefined)[]): Counters {
  const sum = new Counters();
  for (const slot of slots) if (slot !== undefined) sum.mergeFixed(slot);
  return sum;
}

function slotOf(slots: Map<number, Counters>, key: number): Counters {
  let slot = slots.get(key);
  if (slot === undefined) slots.set(key, (slot = new Counters()));
  return slot;
}
