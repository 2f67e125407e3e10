/** Amounts as Kubernetes writes them. */

const binarySuffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const decimalSuffixes: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
};

const quantityPattern = /^([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:([eE][+-]?\d+)|([KMGTPE]i)|([numkMGTPE]?))$/;

/**
 * A Kubernetes quantity as a whole number, rounded up as Kubernetes does: `10Gi`, `1k`, `500M`, `1e3`, `5000`.
 * Undefined for anything else and for what is below 0.
 */
export function parseQuantity(value: string | number): number | undefined {
  const [, digits, exponent = "", binary, decimal = ""] = quantityPattern.exec(String(value).trim()) ?? [];
  if (digits === undefined) return undefined;
  const factor =
    binary === undefined ? (decimalSuffixes[decimal] ?? 1) : 2 ** (10 * binarySuffixes.indexOf(binary));
  const amount = Math.ceil(Number(`${digits}${exponent}`) * factor);
  return amount >= 0 && Number.isFinite(amount) ? amount + 0 : undefined;
}
