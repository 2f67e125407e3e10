/** What is valid in `edge` and perhaps a surprise. */
import type { EdgeOptions } from "../contracts/edge-options.ts";

/** More sure answers than this for a first calibration are more than a day of ten a second: to most lines that is never. */
const mostAnswers = 1_000_000;

/** Audits one sure answer in a hundred. */
const fittingRate = 0.01;

/** Sentences about calibrations that are to be used and would not come about. */
export function findEdgeSurprises(edge: EdgeOptions | undefined): string[] {
  if (edge?.cloud === undefined) return [];
  const starved = new Map<string, string[]>();
  for (const { id, policy, calibration, auditRate = edge.auditRate } of [
    ...edge.detectors,
    ...(edge.rejectUnknownDetectors ? [] : [{ id: "every detector that is not listed", ...edge.defaults }]),
  ]) {
    if (calibration.mode !== "automatic" || !policy.enabled || policy.disableCloudEscalation) continue;
    const needed = leastComparisons(calibration.agreement);
    if (!Number.isFinite(needed) || needed <= auditRate * mostAnswers) continue;
    const why =
      auditRate === 0
        ? "an auditRate of 0 checks none of the sure answers"
        : `an auditRate of ${auditRate} needs ${grouped(needed / auditRate)} sure answers for the first one`;
    const text = `${why}; ${fittingRate} needs ${grouped(needed / fittingRate)}`;
    starved.set(text, [...(starved.get(text) ?? []), id]);
  }
  return [...starved].map(([text, [first = "", ...others]]) => {
    const who = others.length === 0 ? first : `${first} and ${others.length} more`;
    return `calibration is automatic for ${who}, but ${text}`;
  });
}

/** Comparisons, all agreeing, below which an agreement is not proven at the level 0.95 (docs/guides/calibration.md). */
function leastComparisons(agreement: number): number {
  return Math.ceil(Math.log(0.05) / Math.log(agreement));
}

function grouped(count: number): string {
  return Math.ceil(Math.round(count * 1_000) / 1_000).toLocaleString("en-US");
}
