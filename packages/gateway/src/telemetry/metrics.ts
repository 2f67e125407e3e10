/** The metric registry: plain numbers while the gateway works, text only when somebody scrapes. */
import type {
  MetricDefinition,
  MetricFamily,
  MetricHistogram,
  MetricValue,
  Metrics,
} from "../contracts/telemetry.ts";
import { formatNumber, isLabelName, isMetricName } from "./exposition.ts";
import { Family, type ChildKind, type MetricType } from "./family.ts";
import { histogramKind, summaryKind, type Summary } from "./histogram.ts";

/** Label sets of one family that are kept apart by default. */
const defaultMaxLabelSets = 1_000;

/** What one family is. */
export interface FamilyDescription extends MetricDefinition {
  readonly type: MetricType;
}

/** `Metrics`, and what only telemetry itself uses. */
export interface MetricRegistry extends Metrics {
  /** A summary that its owner fills before each exposition. `quantiles` are between 0 and 1. */
  summary(definition: MetricDefinition & { readonly quantiles: readonly number[] }): MetricFamily<Summary>;
  /** Every family made so far, in order. */
  families(): readonly FamilyDescription[];
}

/** Bounds of a registry. */
export interface MetricsOptions {
  /** Label sets of one family beyond which new ones share the child labelled `other`; default 1,000. */
  readonly maxLabelSets?: number;
}

/**
 * Makes a registry. Making a family throws for a name or label that Prometheus does not take, a
 * counter without `_total`, or a name that another type or other labels already have: mistakes in
 * the program, not in what it is asked.
 */
export function createMetrics(options: MetricsOptions = {}): MetricRegistry {
  const maxLabelSets = options.maxLabelSets ?? defaultMaxLabelSets;
  const families = new Map<string, { readonly type: MetricType; readonly family: Family<unknown> }>();
  const collectors: (() => void)[] = [];

  function family<Child>(definition: MetricDefinition, kind: ChildKind<Child>): Family<Child> {
    const known = families.get(definition.name);
    if (known === undefined) {
      checkDefinition(definition, kind.type);
      const made = new Family(definition, kind, maxLabelSets);
      families.set(definition.name, { type: kind.type, family: made });
      return made;
    }
    checkSame(definition, kind.type, known.family);
    // A family's children have the type its kind makes, and the kind was just found to be the same.
    return known.family as Family<Child>;
  }

  return {
    counter: (definition) => family(definition, valueKind("counter")),
    gauge: (definition) => family(definition, valueKind("gauge")),
    histogram: (definition): MetricFamily<MetricHistogram> =>
      family(definition, histogramKind(definition.name, definition.buckets)),
    summary: (definition) => family(definition, summaryKind(definition.quantiles)),
    onCollect: (collect) => void collectors.push(collect),
    families: () =>
      [...families.values()].map(({ type, family: { definition } }) => ({ ...definition, type })),
    render() {
      for (const collect of collectors) collect();
      let text = "";
      for (const { family: each } of families.values()) text += each.render();
      return text;
    },
  };
}

/** Counters and gauges: one number a child. */
function valueKind(type: "counter" | "gauge"): ChildKind<MetricValue> {
  return {
    type,
    create: () => ({ value: 0 }),
    add: (sum, child) => void (sum.value += child.value),
    write: (name, labels, child) =>
      `${name}${labels === "" ? "" : `{${labels}}`} ${formatNumber(child.value)}\n`,
  };
}

function checkDefinition(definition: MetricDefinition, type: MetricType): void {
  checkName(definition, type);
  for (const { name, labels = [] } of definition.aliases ?? []) {
    checkName({ name, labels: labels.map(([label]) => label) }, type);
    const strange = labels.find(([, label]) => !definition.labels.includes(label));
    if (strange !== undefined) throw new Error(`${name}: ${definition.name} has no label ${strange[1]}`);
  }
}

function checkName({ name, labels }: Pick<MetricDefinition, "name" | "labels">, type: MetricType): void {
  if (!isMetricName(name)) throw new Error(`"${name}" is not a metric name`);
  const wrong = labels.find((label) => !isLabelName(label));
  if (wrong !== undefined) throw new Error(`${name}: "${wrong}" cannot be a label`);
  if ((type === "counter") !== name.endsWith("_total")) {
    throw new Error(`${name}: counters end in _total, and nothing else does`);
  }
}

function checkSame(definition: MetricDefinition, type: MetricType, known: Family<unknown>): void {
  const same = known.kind.type === type && known.definition.labels.join() === definition.labels.join();
  if (!same) throw new Error(`${definition.name} already exists with another type or other labels`);
}
