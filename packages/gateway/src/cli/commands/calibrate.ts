/** `spillway calibrate`: what a detector's confidence is worth, asked of a running gateway. */
import { callGateway, type Gateway } from "../api-client.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Terminal } from "../terminal.ts";

/** What the command line says. */
export interface CalibrateOptions extends Gateway {
  readonly json?: boolean;
  /** Tell what is there, fit nothing. */
  readonly show?: boolean;
}

interface Share {
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
}

/** The gateway's answer, as far as it is printed. */
interface Told {
  readonly mode: string;
  readonly wished_agreement: number;
  readonly model: string | null;
  readonly in_use: boolean;
  readonly fitted_at: string | null;
  readonly calibration: {
    readonly model: Readonly<Record<string, unknown>> & { readonly kind: string };
    readonly pairs: number;
    readonly effective_pairs: number;
    readonly before: { readonly ece: number };
    readonly after: { readonly ece: number };
  } | null;
  readonly threshold: number | null;
  readonly choice: {
    readonly reached: boolean;
    readonly why: string | null;
    readonly level: number;
    readonly agreement?: Share;
    readonly escalations?: Share;
  } | null;
  readonly drift: {
    readonly drifting: boolean;
    readonly why: string | null;
    readonly since: string | null;
  } | null;
  readonly new_pairs: number;
  readonly problem: string | null;
}

/** Fits and prints; a fit that gave nothing ends with the code of a failure. */
export async function calibrate(
  detector: string,
  options: CalibrateOptions,
  terminal: Terminal,
): Promise<number> {
  const path = `/admin/edge/detectors/${encodeURIComponent(detector)}/calibration`;
  const method = options.show === true ? "GET" : "POST";
  const told = (await callGateway(options, { method, path })) as Told;
  if (options.json === true) terminal.print(`${JSON.stringify(told, undefined, 2)}\n`);
  else
    terminal.print(
      linesOf(told)
        .map((line) => `${line}\n`)
        .join(""),
    );
  if (told.problem === null) return exitCodes.ok.code;
  terminal.complain(`not calibrated: ${told.problem}\n`);
  return options.show === true ? exitCodes.ok.code : exitCodes.failure.code;
}

function linesOf(told: Told): string[] {
  const { calibration, choice, drift, model, fitted_at: fittedAt } = told;
  const lines = [`model        ${model ?? "none has answered yet"}`, `mode         ${told.mode}`];
  if (calibration === null || choice === null)
    return [
      ...lines,
      // After a fit that gave nothing the problem says how many there are; these are the ones since then.
      told.problem === null
        ? `calibration  none yet; ${told.new_pairs} answers were compared with the cloud's so far`
        : "calibration  none yet",
    ];
  const { model: fitted, pairs, before, after } = calibration;
  const worth = Math.floor(calibration.effective_pairs);
  lines.push(
    `calibration  ${fitted.kind}, of ${fittedAt ?? "unknown time"}, from ${pairs} comparisons worth ${worth}; ${told.in_use ? "in use" : "not in use"}`,
    `error        ${percent(before.ece)} before, ${percent(after.ece)} after`,
  );
  if (choice.reached && told.threshold !== null)
    lines.push(
      `threshold    ${told.threshold.toFixed(4)} for an agreement of ${percent(told.wished_agreement)}`,
    );
  else
    lines.push(
      `threshold    none reaches ${percent(told.wished_agreement)}: ${choice.why ?? "unknown"}; the nearest:`,
    );
  if (choice.agreement !== undefined) lines.push(`agreement    ${shareText(choice.agreement)}`);
  if (choice.escalations !== undefined) lines.push(`escalations  ${shareText(choice.escalations)}`);
  lines.push(`drift        ${driftText(drift)}`);
  return lines;
}

function driftText(drift: Told["drift"]): string {
  if (drift?.drifting !== true) return "none seen";
  return `${(drift.why ?? "").replaceAll("_", " ")} since ${drift.since ?? "unknown time"}`;
}

function shareText({ estimate, low, high }: Share): string {
  return `${percent(estimate)} (${percent(low)} to ${percent(high)})`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}
