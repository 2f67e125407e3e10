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

/** Tells callers and operators what rules did: `x-spillway-rules: guard=passed;dur=3.1, canary=changed;dur=0.02`, ms. */
export function rulesHeader(rules: readonly RuleTrace[]): readonly [name: string, value: string] {
  const texts = rules.map(({ rule, result, tookMs }) => {
    return `${ruleText(rule)}=${result};dur=${Math.round(tookMs * 100) / 100}`;
  });
  return ["x-spillway-rules", texts.join(", ")];
}

/** A rule's name as a header can carry it. */
export function ruleText(name: string): string {
  return encodeURI(name.toWellFormed());
}
