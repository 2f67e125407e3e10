/** The `grpc-timeout` header: at most eight digits and a unit. */

const unitMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/** Longest wait a timer can hold. */
const maxTimerMs = 2_147_483_647;

/** Milliseconds as a header value, in the finest unit that fits; at least 1 ms. */
export function encodeGrpcTimeout(timeoutMs: number): string {
  const ms = Math.max(1, Math.ceil(timeoutMs));
  if (ms < 100_000_000) return `${ms}m`;
  return `${Math.min(99_999_999, Math.ceil(ms / 1000))}S`;
}

/** A header value in milliseconds; undefined when it is malformed. */
export function decodeGrpcTimeout(text: string): number | undefined {
  if (!/^\d{1,8}[HMSmun]$/.test(text)) return undefined;
  return Math.min(maxTimerMs, Number(text.slice(0, -1)) * (unitMs[text.slice(-1)] ?? 1));
}
