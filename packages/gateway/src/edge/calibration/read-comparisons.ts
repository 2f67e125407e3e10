/** Reads a model's comparisons from the store. */
import type { CalibrationStore, ComparedKind, ComparedPage } from "../../contracts/edge-store.ts";
import { isFailure, type Failure } from "../../core/errors.ts";
import type { PairColumns } from "./pairs.ts";
import { poolStrata, type Stratum } from "./pool-strata.ts";

/** Which comparisons. */
export interface ComparisonsOf {
  readonly detectorId: string;
  readonly model: string;
  /** Milliseconds since the Unix epoch; undefined: all that are kept. */
  readonly since: number | undefined;
}

/** What there is to fit to. */
export interface Comparisons {
  readonly pairs: PairColumns;
  /** Why they do not stand for all answers, however many they are; undefined where they do. */
  readonly gap: string | undefined;
}

/** A kind of answers that makes up less than this share may lack comparisons. */
const negligible = 0.002;

/** Audits and escalations, weighted so that together they stand for all answers of the model. */
export async function readComparisons(
  store: Pick<CalibrationStore, "pairs">,
  of: ComparisonsOf,
): Promise<Comparisons | Failure> {
  const strata: Stratum[] = [];
  for (const kind of ["escalation", "audit"] as const) {
    const stratum = await readStratum(store, of, kind);
    if (isFailure(stratum)) return stratum;
    strata.push(stratum);
  }
  return { pairs: poolStrata(strata), gap: gapIn(strata) };
}

/** No weight mends that a kind of answers was never compared. */
function gapIn([escalations, audits]: readonly Stratum[]): string | undefined {
  const unsure = escalations?.seenWeight ?? 0;
  const sure = audits?.seenWeight ?? 0;
  const isLacking = (one: Stratum | undefined): boolean =>
    one?.kept.confidence.length === 0 && one.seenWeight > negligible * (unsure + sure);
  if (isLacking(audits))
    return `none of ${sure} sure answers was compared with the cloud; auditRate says how many are`;
  if (isLacking(escalations)) return `none of ${unsure} unsure answers was compared with the cloud`;
  return undefined;
}

async function readStratum(
  store: Pick<CalibrationStore, "pairs">,
  of: ComparisonsOf,
  kind: ComparedKind,
): Promise<Stratum | Failure> {
  const pages: ComparedPage[] = [];
  let before: number | undefined;
  do {
    const page = await store.pairs({ ...of, kind, before });
    if (isFailure(page)) return page;
    pages.push(page);
    before = page.next;
  } while (before !== undefined);
  return { kept: joined(pages), seenWeight: pages.at(-1)?.answers ?? 0 };
}

function joined(pages: readonly ComparedPage[]): PairColumns {
  const length = pages.reduce((sum, page) => sum + page.confidence.length, 0);
  const all = {
    confidence: new Float64Array(length),
    agreed: new Uint8Array(length),
    weight: new Float64Array(length),
  };
  let start = 0;
  for (const { confidence, agreed, weight } of pages) {
    all.confidence.set(confidence, start);
    all.agreed.set(agreed, start);
    all.weight.set(weight, start);
    start += confidence.length;
  }
  return all;
}
