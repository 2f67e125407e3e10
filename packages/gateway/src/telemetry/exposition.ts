/**
 * Pieces of the Prometheus text format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/): escaping, numbers, valid names.
 */

/** Value of the `Content-Type` header of an exposition. */
export const expositionContentType = "text/plain; version=0.0.4; charset=utf-8";

const metricName = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const labelName = /^[a-zA-Z][a-zA-Z0-9_]*$/;
const labelEscapes: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", '"': '\\"' };

/** True for a name that a family may have; colons are for recording rules and not taken. */
export function isMetricName(name: string): boolean {
  return metricName.test(name);
}

/** True for a label name that is neither reserved (`__x`, `le`, `quantile`) nor malformed. */
export function isLabelName(name: string): boolean {
  return labelName.test(name) && name !== "le" && name !== "quantile";
}

/** `a="x",b="y"` of label names and as many values; empty for none. */
export function formatLabels(names: readonly string[], values: readonly string[]): string {
  let text = "";
  for (let index = 0; index < names.length; index++) {
    text += `${index === 0 ? "" : ","}${names[index]}="${escapeLabelValue(values[index] ?? "")}"`;
  }
  return text;
}

function escapeLabelValue(value: string): string {
  return /[\\\n"]/.test(value) ? value.replaceAll(/[\\\n"]/g, (found) => labelEscapes[found] ?? "") : value;
}

/** Help text with its backslashes and line breaks escaped. */
export function escapeHelp(help: string): string {
  return help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

/** A sample value as Go's ParseFloat reads it. */
export function formatNumber(value: number): string {
  if (value === Infinity) return "+Inf";
  if (value === -Infinity) return "-Inf";
  return String(value);
}
