/** One metric family: its children by label set, bounded, and how they are written. */
import type { MetricAlias, MetricDefinition, MetricFamily } from "../contracts/telemetry.ts";
import { escapeHelp, formatLabels } from "./exposition.ts";

/** Type of a family as the exposition names it. */
export type MetricType = "counter" | "gauge" | "histogram" | "summary";

/** Label value that all label sets beyond the bound share. */
export const overflowLabel = "other";

/** How a family makes its children and writes their samples. */
export interface ChildKind<Child> {
  readonly type: MetricType;
  create(): Child;
  /** Adds the numbers of one child to another's. */
  add(sum: Child, child: Child): void;
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
  /** What `#children` is keyed by, taken apart; kept only where an alias has labels of its own. */
  readonly #values: Map<string, readonly string[]> | undefined;
  readonly #overflowLabels: string;

  constructor(definition: MetricDefinition, kind: ChildKind<Child>, maxLabelSets: number) {
    this.definition = definition;
    this.kind = kind;
    this.#maxLabelSets = definition.maxLabelSets ?? maxLabelSets;
    this.#values = definition.aliases?.some(({ labels }) => labels !== undefined) ? new Map() : undefined;
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
    if (this.#children.size < this.#maxLabelSets) return this.#add(labels, labelValues);
    const { labels: names } = this.definition;
    return (
      this.#children.get(this.#overflowLabels) ??
      this.#add(
        this.#overflowLabels,
        names.map(() => overflowLabel),
      )
    );
  }

  remove(...labelValues: readonly string[]): void {
    const labels = this.#labelsOf(labelValues);
    this.#children.delete(labels);
    this.#values?.delete(labels);
  }

  /** HELP, TYPE and samples, under the family's name and its aliases'; empty while there is no child. */
  render(): string {
    if (this.#children.size === 0) return "";
    let text = this.#write(this.definition.name, this.#children);
    for (const alias of this.definition.aliases ?? []) text += this.#write(alias.name, this.#summed(alias));
    return text;
  }

  #write(name: string, children: ReadonlyMap<string, Child>): string {
    let text = `# HELP ${name} ${escapeHelp(this.definition.help)}\n# TYPE ${name} ${this.kind.type}\n`;
    for (const [labels, child] of children) text += this.kind.write(name, labels, child);
    return text;
  }

  /** The children by an alias's labels. */
  #summed({ labels }: MetricAlias): ReadonlyMap<string, Child> {
    if (labels === undefined || this.#values === undefined) return this.#children;
    const names = labels.map(([name]) => name);
    const places = labels.map(([, label]) => this.definition.labels.indexOf(label));
    const sums = new Map<string, Child>();
    for (const [key, child] of this.#children) {
      const values = this.#values.get(key) ?? [];
      const formatted = formatLabels(
        names,
        places.map((place) => values[place] ?? ""),
      );
      let sum = sums.get(formatted);
      if (sum === undefined) sums.set(formatted, (sum = this.kind.create()));
      this.kind.add(sum, child);
    }
    return sums;
  }

  #add(labels: string, values: readonly string[]): Child {
    const child = this.kind.create();
    this.#children.set(labels, child);
    this.#values?.set(labels, values);
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
