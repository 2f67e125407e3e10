/** `/admin/shadows`: how shadow profiles compare with the live ones, for operators. */
import { writePlainFailure } from "../contracts/plain-failure.ts";
import type { Explanations } from "../contracts/explanation.ts";
import { wireAnswer, type Route } from "../contracts/route.ts";
import type { ShadowDisagreement, ShadowReport, Shadows } from "../contracts/shadows.ts";
import { toldCycle } from "./decision-route.ts";

/** Answers with every shadow's counts and last disagreements; with both explanations as far as they are kept. */
export function createShadowsRoute(shadows: Shadows, explanations: Explanations): Route {
  return {
    method: "GET",
    path: "/admin/shadows",
    scope: "admin",
    body: "none",
    writeFailure: writePlainFailure,
    handle() {
      const told = shadows.reports().map((report) => toldReport(report, explanations));
      const body = Buffer.from(`${JSON.stringify({ shadows: told })}\n`);
      return wireAnswer(200, "application/json", [body], [["cache-control", "no-store"]]);
    },
  };
}

function toldReport(report: ShadowReport, explanations: Explanations): object {
  const { agree, disagree } = report.results;
  const compared = agree + disagree;
  return {
    pool: report.pool,
    shadow: report.shadow,
    state: report.state,
    results: report.results,
    agreement: compared === 0 ? null : agree / compared,
    prompt_tokens_ahead: report.promptTokensAhead,
    busy_ms: Math.round(report.busyMs),
    last_error: report.lastError ?? null,
    disagreements: report.disagreements.map((each) => toldDisagreement(each, explanations)),
  };
}

function toldDisagreement(
  { id, model, live, shadow, margin, explanation }: ShadowDisagreement,
  explanations: Explanations,
): object {
  const [cycle] = explanations.cyclesOf(id);
  return {
    id,
    model,
    live: live ?? null,
    shadow: shadow ?? null,
    margin: margin ?? null,
    explained: {
      live: cycle === undefined ? null : toldCycle(cycle),
      shadow: explanation === undefined ? null : toldCycle(explanation),
    },
  };
}
