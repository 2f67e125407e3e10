/** `/admin/edge/detectors/{id}/calibration`: what a detector's confidence is worth, for operators. */
import { writePlainFailure } from "../../contracts/plain-failure.ts";
import type { Route, RouteResult } from "../../contracts/route.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import { jsonAnswer } from "../../dialects/json-answer.ts";
import type { Calibration } from "../calibration/fit-calibration.ts";
import type { CalibrationReport, Calibrator } from "../calibration/calibrator.ts";
import type { ThresholdOutcome } from "../calibration/choose-threshold.ts";
import type { DetectorRegistry } from "../detectors/registry.ts";

/** What the routes need. */
export interface CalibrationRouteDeps {
  readonly calibrator: Pick<Calibrator, "fit" | "report">;
  readonly registry: Pick<DetectorRegistry, "find">;
}

const path = "/admin/edge/detectors/{id}/calibration";

/** `GET` tells, `POST` fits first. */
export function createCalibrationRoutes(deps: CalibrationRouteDeps): Route[] {
  const common = { path, scope: "admin", body: "none", writeFailure: writePlainFailure } as const;
  return [
    { ...common, method: "GET", handle: ({ params }) => tell(deps, params["id"] ?? "") },
    { ...common, method: "POST", handle: ({ params }) => fit(deps, params["id"] ?? "") },
  ];
}

async function fit(deps: CalibrationRouteDeps, id: string): Promise<RouteResult> {
  if (deps.calibrator.report(id) === undefined) return noReport(deps, id);
  const result = await deps.calibrator.fit(id);
  return isFailure(result) ? result : tell(deps, id);
}

function tell(deps: CalibrationRouteDeps, id: string): RouteResult {
  const report = deps.calibrator.report(id);
  return report === undefined ? noReport(deps, id) : jsonAnswer(200, toldReport(id, report));
}

function noReport({ registry }: CalibrationRouteDeps, id: string): Failure {
  return registry.find(id) === undefined
    ? failure("not_found", `No detector ${id} is known here`)
    : failure("bad_request", `Answers of ${id} are compared with nothing: edge.cloud names no cloud`);
}

function toldReport(id: string, report: CalibrationReport): object {
  const { options, model, calibration, inUse, drift, newPairs, problem } = report;
  return {
    detector_id: id,
    mode: options.mode,
    wished_agreement: options.agreement,
    model: model ?? null,
    in_use: inUse,
    fitted_at: calibration === undefined ? null : new Date(calibration.fittedAt).toISOString(),
    calibration: calibration === undefined ? null : toldCalibration(calibration.calibration),
    threshold: calibration?.threshold ?? null,
    choice: calibration === undefined ? null : toldChoice(calibration.choice),
    drift:
      drift === undefined
        ? null
        : {
            drifting: drift.drifting,
            why: drift.why ?? null,
            since: drift.since === undefined ? null : new Date(drift.since).toISOString(),
            score: drift.score,
            score_limit: drift.scoreLimit,
            stability_index: drift.stability,
          },
    new_pairs: newPairs,
    problem: problem ?? null,
  };
}

function toldCalibration({ model, before, after, pairs, effectivePairs }: Calibration): object {
  const scores = ({ logLoss, brier, ece }: typeof before): object => ({ log_loss: logLoss, brier, ece });
  return { model, pairs, effective_pairs: effectivePairs, before: scores(before), after: scores(after) };
}

function toldChoice(choice: NonNullable<CalibrationReport["calibration"]>["choice"]): object {
  const reached = choice.kind === "reached";
  const outcome: ThresholdOutcome | undefined = reached ? choice : choice.best;
  return {
    reached,
    why: reached ? null : choice.why,
    level: choice.level,
    ...(outcome === undefined
      ? {}
      : {
          model_confidence: outcome.threshold,
          agreement: outcome.agreement,
          escalations: outcome.escalations,
          kept_pairs: outcome.keptPairs,
        }),
  };
}
