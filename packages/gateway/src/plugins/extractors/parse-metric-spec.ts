/** `name{label=value,…}`: a family of metrics, and the labels that its series must have. */

/** A specification that was read. */
export interface MetricSpec {
  readonly metric: string;
  readonly labels: Readonly<Record<string, string>>;
}

const whole = /^([a-zA-Z_:][\w:]*)\s*(?:\{(.*)\})?$/s;
const label = /\s*([a-zA-Z_]\w*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",={}]*?))\s*(?:,|$)/gsy;

/** Reads one. Values stand in quotes or without; undefined for what is none. */
export function parseMetricSpec(text: string): MetricSpec | undefined {
  const [, metric, inner = ""] = whole.exec(text.trim()) ?? [];
  if (metric === undefined) return undefined;
  const labels: Record<string, string> = {};
  let end = 0;
  for (const match of inner.matchAll(label)) {
    const [part, name = "", quoted, plain = ""] = match;
    labels[name] =
      quoted === undefined
        ? plain
        : quoted.replaceAll(/\\(.)/gs, (_, each: string) => (each === "n" ? "\n" : each));
    end += part.length;
  }
  return inner.slice(end).trim() === "" ? { metric, labels } : undefined;
}
