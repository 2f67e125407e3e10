/** What the gateway and a shadow's thread say to each other. */
import type { SchedulingSpec } from "../../contracts/plugins/scheduling.ts";

/** One shadow: a scheduling layer whose only profile it is. */
export interface ShadowSpec {
  readonly name: string;
  readonly spec: SchedulingSpec;
}

/** What a thread is started with. */
export interface ShadowThreadData {
  readonly shadows: readonly ShadowSpec[];
  readonly pool: string;
  /** Files of a user's own plugins, absolute. */
  readonly pluginFiles: readonly string[];
  /** Names of live producers that hand on what they find. */
  readonly twins: readonly string[];
  /** One number: the index of the shadow that runs now; -1: none. Written by the thread. */
  readonly running: Int32Array<SharedArrayBuffer>;
}

/** What came of one shadow for the cycles of a frame. */
export interface ShadowTally {
  readonly shadow: string;
  readonly agree: number;
  readonly disagree: number;
  readonly error: number;
  readonly aheadLive: number;
  readonly aheadShadow: number;
  readonly busyMs: number;
  /** Of the disagreements, where there is one. */
  readonly margins: readonly number[];
  /** Each a `ShadowDisagreement` as JSON. */
  readonly disagreements: readonly string[];
  /** Empty: none. */
  readonly lastError: string;
}

/** From the thread: once when it is ready, with the shadows that could not be made and why; then once for each frame. */
export type FromShadows =
  | {
      readonly kind: "ready";
      readonly failed: readonly (readonly [shadow: string, reason: string])[];
      /** Prompts are to be sent. */
      readonly readsPrompts: boolean;
    }
  | { readonly kind: "tallies"; readonly tallies: readonly ShadowTally[] };

/** Longest text of a thread that is kept. */
const longestText = 200_000;

/** A message, taken apart and put together anew; undefined where it is none. */
export function readMessage(value: unknown): FromShadows | undefined {
  if (!isRecord(value)) return undefined;
  if (value["kind"] === "ready") {
    const failed = listOf(value["failed"], (pair) => {
      if (!Array.isArray(pair)) return undefined;
      const [shadow, reason] = listOf(pair, textOf);
      return shadow === undefined ? undefined : ([shadow, reason ?? ""] as const);
    });
    return { kind: "ready", failed, readsPrompts: value["readsPrompts"] === true };
  }
  if (value["kind"] !== "tallies") return undefined;
  return { kind: "tallies", tallies: listOf(value["tallies"], readTally) };
}

function readTally(value: unknown): ShadowTally | undefined {
  if (!isRecord(value)) return undefined;
  const shadow = textOf(value["shadow"]);
  if (shadow === undefined) return undefined;
  const number = (name: string): number => Math.max(0, numberOf(value[name]) ?? 0);
  return {
    shadow,
    agree: number("agree"),
    disagree: number("disagree"),
    error: number("error"),
    aheadLive: number("aheadLive"),
    aheadShadow: number("aheadShadow"),
    busyMs: number("busyMs"),
    margins: listOf(value["margins"], numberOf),
    disagreements: listOf(value["disagreements"], textOf).slice(0, 16),
    lastError: textOf(value["lastError"]) ?? "",
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value.length <= longestText ? value : undefined;
}

function listOf<T>(value: unknown, read: (item: unknown) => T | undefined): T[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((item: unknown) => {
    const one = read(item);
    return one === undefined ? [] : [one];
  });
}
