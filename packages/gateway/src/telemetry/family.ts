/** One metric family: its children by label set, bounded, and how they are written. */
import type { MetricDefinition, MetricFamily } from "../contracts/telemetry.ts";
import { escapeHelp, formatLabels } from "./exposition.ts";

/** Type of a family as the exposition names it. */
export type MetricType = "counter" | "gauge" | "histogram" | "summary";

/** Label value that all label sets beyond the bound share. */
export const overflowLabel = "other";

/** How a family makes its children and writes their samples. */
export interface ChildKind<Child> {
  readonly type: MetricType;
  create(): Child;
  /** Sample lines of one child. `labels` is formatted, without braces; empty for none. */
  write(name: string, labels: string, child: Child): string;
}

/** Children of one name. A label set beyond `maxLabelSets` gets the one child labelled `other` throughout. */
export class Family<Child> implements MetricFamily<Child> {
  readonly definition: MetricDefinition;
  readonly kind: ChildKind<Child>;
  readonly #maxLabelSets: number;
  /** By formatted labels: escaping makes that text unique to the label values. */
  readonly #children = new Map<string, Child>();
  readonly #overflowLabels: string;

  constructor(definition: MetricDefinition, kind: ChildKind<Child>, maxLabelSets: number) {
    this.definition = definition;
    this.kind = kind;
    this.#maxLabelSets = maxLabelSets;
    this.#overflowLabels = formatLabels(
      definition.labels,
      definition.labels.map(() => overflowLabel),
    );
  }

  /** Throws when the number of values is not that of the family's labels. */
  with(...labelValues: readonly string[]): Child {
    const labels = this.#labelsOf(labelValues);
    const known = this.#children.get(labels);
    if (known !== undefined) return known;
    if (this.#children.size < this.#maxLabelSets) return this.#add(labels);
    return this.#children.get(this.#overflowLabels) ?? this.#add(this.#overflowLabels);
  }

  remove(...labelValues: readonly string[]): void {
    this.#children.delete(this.#labelsOf(labelValues));
  }

  /** HELP, TYPE and samples; empty while there is no child. */
  render(): string {
    const { name, help } = this.definition;
    let samples = "";
    for (const [labels, child] of this.#children) samples += this.kind.write(name, labels, child);
    if (samples === "") return "";
    return `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${this.kind.type}\n${samples}`;
  }

  #add(labels: string): Child {
    const child = this.kind.create();
    this.#children.set(labels, child);
    return child;
  }

  #labelsOf(values: readonly string[]): string {
    const { name, labels } = this.definition;
    if (values.length !== labels.length) {
      throw new Error(
        `${name} has ${labels.length} labels (${labels.join(", ")}), got ${values.length} values`,
      );
    }
    return formatLabels(labels, values);
  }
}
