/** What a contract suite consists of. */
import type { PluginDefinition } from "../../contracts/plugins/plugin.ts";
import type { ScheduledRequest } from "../../contracts/plugins/scheduling.ts";

/** One promise that plugins of a kind keep, for any test runner: `test(check.name, () => check.run())`. */
export interface ContractCheck {
  readonly name: string;
  /** Throws a `ContractViolation` that says what was expected, or what the plugin itself throws. */
  readonly run: () => void | Promise<void>;
}

/** What a plugin is tried with. */
export interface ContractOptions {
  /** As a configuration would have them. Default: none. */
  readonly parameters?: Readonly<Record<string, unknown>>;
  /** Plugins of one's own that this one reads from. */
  readonly others?: readonly PluginDefinition[];
  /** Names of profiles that a profile handler can work with. Default: `default`. */
  readonly profiles?: readonly string[];
  /** Requests that it is tried with, over those that are usual: headers that it reads. */
  readonly requests?: readonly Partial<ScheduledRequest>[];
  /** Most time for each of 1,000 endpoints, microseconds, at the best of many tries. Default 5: 5 ms in all. */
  readonly maxMicrosPerEndpoint?: number;
}

/** A plugin does not keep a promise of its kind. */
export class ContractViolation extends Error {
  constructor(message: string) {
    super(message);
    this.name = "ContractViolation";
  }
}

/** Throws a `ContractViolation` unless the condition holds. */
export function expect(condition: boolean, message: string): asserts condition {
  if (!condition) throw new ContractViolation(message);
}

/** The best of many tries is within the bound; the machine may be busy with other things meanwhile. */
export function expectQuick(
  what: string,
  { now, run, maxMs }: { readonly now: () => number; readonly run: () => void; readonly maxMs: number },
): void {
  let best = Infinity;
  for (let round = 0; round < 60 && (round < 20 || best > maxMs); round++) {
    const from = now();
    run();
    best = Math.min(best, now() - from);
  }
  expect(best <= maxMs, `${what} took ${best.toFixed(3)} ms at best; expected at most ${maxMs} ms`);
}
