/** What the rules of the routing layer did to a request. */

/** What one rule did to a request: part of the decision that is told. */
export interface RuleTrace {
  /** The rule's name in the configuration. */
  readonly rule: string;
  readonly tookMs: number;
  /** `failed`: it threw, or could not do its work. `late`: it took longer than it may. What that means its `onFailure` says. */
  readonly result: "passed" | "changed" | "refused" | "failed" | "late";
  /** For people: `weight 9 of 10 → qwen-7b`. */
  readonly note: string | undefined;
}
