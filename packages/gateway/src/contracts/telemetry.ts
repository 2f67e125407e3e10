/** Logs and metrics as ports. Metric children are plain objects, written to without a call where it is hot. */

/** The levels, from the loudest; a logger writes its own and those before it. */
export const logLevels = ["error", "warn", "info", "debug"] as const;

/** How much somebody wants to read. */
export type LogLevel = (typeof logLevels)[number];

/** Event name and fields; never request bodies or credentials. */
export interface Logger {
  /** The quietest level that is written, for who would gather fields in vain; absent: every level may be. */
  readonly level?: LogLevel;
  error(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  debug(event: string, fields?: LogFields): void;
}

/** Values of a log line. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** A counter or gauge of one label set: add to or set `value`. */
export interface MetricValue {
  value: number;
}

/** A histogram of one label set. */
export interface MetricHistogram {
  observe(value: number): void;
}

/** A family: one name, its children by label values. The number of children is bounded; beyond it all share one labelled `other`. */
export interface MetricFamily<Child> {
  /** The child of these label values, in the order of the family's label names. Keep it where it is hot. */
  with(...labelValues: readonly string[]): Child;
  /** Forgets a child, so that it is no longer shown. */
  remove(...labelValues: readonly string[]): void;
}

/** Definition of a family: Prometheus naming (unit suffix, `_total` for counters). */
export interface MetricDefinition {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  /** Names under which dashboards know the family from elsewhere. */
  readonly aliases?: readonly MetricAlias[];
  /** Label sets beyond which new ones share the child labelled `other`; default: the registry's bound. */
  readonly maxLabelSets?: number;
}

/**
 * Another name of a family. It is counted once: the samples under this name are written from the same numbers when
 * somebody scrapes, and label sets that differ only in labels it lacks are added up.
 */
export interface MetricAlias {
  readonly name: string;
  /** Its labels, in order: the name here, and the family's label that it is; absent: the family's labels. */
  readonly labels?: readonly (readonly [alias: string, label: string])[];
}

/** Where families are made. Making one twice by the same name gives the same family. */
export interface Metrics {
  counter(definition: MetricDefinition): MetricFamily<MetricValue>;
  gauge(definition: MetricDefinition): MetricFamily<MetricValue>;
  /** Upper bounds ascending, in the unit of the name. */
  histogram(
    definition: MetricDefinition & { readonly buckets: readonly number[] },
  ): MetricFamily<MetricHistogram>;
  /** Called before each exposition, for values that are read rather than counted. */
  onCollect(collect: () => void): void;
  /** The text exposition format 0.0.4 of everything. */
  render(): string;
}
