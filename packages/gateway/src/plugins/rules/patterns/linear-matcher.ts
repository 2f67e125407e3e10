/**
 * Looks for several regular expressions in a text at once, in time that grows with the text alone: all ways through the
 * patterns are followed together (K. Thompson, Regular Expression Search Algorithm, CACM 11, 1968), and what was found of
 * a set of them is kept for the next time (a lazily made automaton with a bound on its memory).
 */
import {
  parsePattern,
  PatternError,
  wordRanges,
  type Assertion,
  type PatternNode,
  type Ranges,
} from "./parse-pattern.ts";

/** A step of a pattern: a character, a choice of two, a place, or its end. */
type Step =
  | { readonly kind: "chars"; readonly ranges: Ranges; readonly next: number }
  | { readonly kind: "split"; readonly next: number; other: number }
  | { readonly kind: "assert"; readonly what: Assertion; readonly next: number }
  | { readonly kind: "match"; readonly pattern: number };

/** What stands before a place. */
type Before = "start" | "word" | "other";

/** Where all ways through the patterns are. */
interface State {
  /** Steps that come next, ascending. */
  readonly steps: readonly number[];
  readonly before: Before;
  /** By class of characters: the next state, or the pattern that has matched. */
  readonly next: (State | number | undefined)[];
}

/** Steps of all patterns together: repetitions count as often as they repeat. */
const maxSteps = 4_000;

/** States that are kept; then all are forgotten. */
const maxStates = 1_000;

/** Steps looked at for one text, some milliseconds. */
const defaultBudget = 1_000_000;

/** Some patterns. */
export class LinearMatcher {
  readonly #steps: Step[] = [];
  readonly #starts: readonly number[];
  /** Class of each UTF-16 code unit: those of a class are alike to all patterns. */
  readonly #classes = new Uint16Array(65_536);
  readonly #classCount: number;
  /** A character of each class. */
  readonly #samples: readonly number[];
  readonly #isWord: readonly boolean[];
  #states = new Map<string, State>();
  #spent = 0;

  /** Throws a `PatternError` for a pattern that cannot be matched in linear time, or is too long. */
  constructor(patterns: readonly { readonly source: string; readonly ignoreCase: boolean }[]) {
    this.#starts = patterns.map(({ source, ignoreCase }, pattern) => {
      const end = this.#add({ kind: "match", pattern });
      return this.#compile(parsePattern(source, ignoreCase), end);
    });
    const limits = this.#limits();
    this.#classCount = limits.length;
    for (const [index, from] of limits.entries())
      this.#classes.fill(index, from, limits[index + 1] ?? 65_536);
    this.#samples = limits;
    this.#isWord = limits.map((code) => isIn(wordRanges, code));
  }

  /** Index of a pattern that the text matches somewhere; undefined: none does; `spent`: it takes too long to know. */
  find(text: string, budget = defaultBudget): number | "spent" | undefined {
    this.#spent = 0;
    let state = this.#stateOf(this.#starts, "start");
    for (let i = 0; i < text.length; i++) {
      const found = this.#classes[text.charCodeAt(i)] ?? 0;
      const next = state.next[found] ?? this.#follow(state, found);
      if (typeof next === "number") return next;
      if (this.#spent > budget) return "spent";
      state = next;
    }
    return this.#reached(state, undefined).match;
  }

  #follow(state: State, found: number): State | number {
    const { match, chars } = this.#reached(state, found);
    if (match !== undefined) return (state.next[found] = match);
    const code = this.#samples[found] ?? 0;
    const steps = new Set(this.#starts);
    for (const { ranges, next } of chars) if (isIn(ranges, code)) steps.add(next);
    const next = this.#stateOf([...steps], this.#isWord[found] === true ? "word" : "other");
    state.next[found] = next;
    return next;
  }

  /** The characters that may come, and whether a pattern is at its end, before a character of this class or the end of the text. */
  #reached(
    { steps, before }: State,
    found: number | undefined,
  ): { readonly match: number | undefined; readonly chars: readonly Extract<Step, { kind: "chars" }>[] } {
    const chars: Extract<Step, { kind: "chars" }>[] = [];
    const seen = new Set<number>(steps);
    const isEdge = (before === "word") !== (found !== undefined && this.#isWord[found] === true);
    const holds: Readonly<Record<Assertion, boolean>> = {
      start: before === "start",
      end: found === undefined,
      edge: isEdge,
      "no-edge": !isEdge,
    };
    // What is added while it is walked is walked too.
    for (const index of seen) {
      this.#spent++;
      const step = this.#steps[index];
      if (step === undefined) continue;
      if (step.kind === "match") return { match: step.pattern, chars };
      if (step.kind === "chars") chars.push(step);
      else if (step.kind === "split") seen.add(step.next).add(step.other);
      else if (holds[step.what]) seen.add(step.next);
    }
    return { match: undefined, chars };
  }

  #stateOf(steps: readonly number[], before: Before): State {
    const ordered = steps.toSorted((a, b) => a - b);
    const key = `${before}${ordered.join()}`;
    const known = this.#states.get(key);
    if (known !== undefined) return known;
    if (this.#states.size >= maxStates) this.#states = new Map();
    const next = Array.from<undefined>({ length: this.#classCount });
    const state: State = { steps: ordered, before, next };
    this.#states.set(key, state);
    return state;
  }

  #add(step: Step): number {
    if (this.#steps.length >= maxSteps) throw new PatternError("the patterns are too long together");
    return this.#steps.push(step) - 1;
  }

  /** Index of the step that a node begins with, before `next`. */
  #compile(node: PatternNode, next: number): number {
    switch (node.kind) {
      case "chars":
        return this.#add({ kind: "chars", ranges: node.ranges, next });
      case "assert":
        return this.#add({ kind: "assert", what: node.what, next });
      case "sequence":
        return node.of.reduceRight((after, each) => this.#compile(each, after), next);
      case "choice":
        return node.of
          .map((each) => this.#compile(each, next))
          .reduceRight((other, each) => this.#add({ kind: "split", next: each, other }));
      case "repeat":
        return this.#repeat(node, next);
    }
  }

  #repeat({ of, min, max }: Extract<PatternNode, { kind: "repeat" }>, next: number): number {
    let start = next;
    if (max === Infinity) {
      const loop: Step = { kind: "split", next, other: next };
      start = this.#add(loop);
      loop.other = this.#compile(of, start);
    } else {
      for (let i = min; i < max; i++) {
        start = this.#add({ kind: "split", next: this.#compile(of, start), other: next });
      }
    }
    for (let i = 0; i < min; i++) start = this.#compile(of, start);
    return start;
  }

  /** Where classes of characters begin. */
  #limits(): readonly number[] {
    const limits = new Set([0]);
    const ranges = this.#steps.map((step) => (step.kind === "chars" ? step.ranges : []));
    for (const each of [...ranges, wordRanges]) {
      for (const [index, code] of each.entries()) limits.add(index % 2 === 0 ? code : code + 1);
    }
    return [...limits].filter((code) => code <= 0xffff).sort((a, b) => a - b);
  }
}

function isIn(ranges: Ranges, code: number): boolean {
  for (let i = 0; i < ranges.length; i += 2) {
    if (code >= (ranges[i] ?? 0) && code <= (ranges[i + 1] ?? 0)) return true;
  }
  return false;
}
