/** `spillway check --config-file`: reads the configuration of a picker, starts nothing, and tries it on paper. */
import { resolve } from "node:path";
import {
  createRegistry,
  loadDefinitions,
  loadEndpointPicker,
  type EndpointPicker,
} from "../../config/with-plugins.ts";
import { systemClock } from "../../core/clock.ts";
import { GatewayError } from "../../core/errors.ts";
import { createSeededRandom } from "../../core/random.ts";
import type { ProfileSpec, SchedulingSpec } from "../../contracts/plugins/scheduling.ts";
import type { WiredScheduling } from "../../contracts/plugins/wired-scheduling.ts";
import { createProfiles } from "../../plugins/create-profiles.ts";
import type { PluginRegistry } from "../../plugins/plugin-registry.ts";
import { createMetrics } from "../../telemetry/index.ts";
import { CommandError } from "../command-error.ts";
import { exitCodes } from "../exit-codes.ts";
import { pickOnPaper, readScenario, type PickStory, type ProfileStory } from "../pick-scenario.ts";
import { formatTable } from "../table.ts";
import type { Terminal } from "../terminal.ts";

/** What the command line says. */
export interface CheckPickerOptions {
  readonly configFile: string;
  readonly plugin?: readonly string[];
  /** File of endpoints and a request that are tried. */
  readonly scenario?: string;
  readonly json?: boolean;
}

/** What `--json` prints. */
interface PickerReport {
  readonly ok: boolean;
  readonly errors: readonly string[];
  readonly notes: readonly string[];
  readonly configuration: string;
  readonly scheduling: SchedulingSpec | null;
  /** Null: no scenario was given, or the configuration is wrong. */
  readonly pick: PickStory | null;
}

/** Prints the report. Exit code 1 when there are errors, or nobody can be picked. */
export async function checkPicker(options: CheckPickerOptions, terminal: Terminal): Promise<number> {
  const report = await makeReport(options, terminal);
  if (options.json === true) terminal.print(`${JSON.stringify(report, undefined, 2)}\n`);
  else printReport(report, terminal);
  return report.ok ? exitCodes.ok.code : exitCodes.failure.code;
}

async function makeReport(options: CheckPickerOptions, terminal: Terminal): Promise<PickerReport> {
  const { configFile, plugin = [], scenario } = options;
  const { workingDirectory } = terminal;
  const { definitions, errors } = await loadDefinitions(plugin, workingDirectory);
  const wrong = (problems: readonly string[]): PickerReport => {
    const nothing = { notes: [], configuration: configFile, scheduling: null, pick: null };
    return { ok: false, errors: problems, ...nothing };
  };
  if (errors.length > 0) return wrong(errors);
  const registry = createRegistry(definitions);
  const result = await loadEndpointPicker(configFile, { workingDirectory, registry });
  if ("errors" in result) return wrong(result.errors);
  const { picker, warnings } = result;
  let pick: PickStory | null = null;
  try {
    const wired = wire(picker.scheduling, registry);
    if (scenario !== undefined) {
      const read = await readScenario(resolve(workingDirectory, scenario), scenario);
      pick = await pickOnPaper(wired, read, systemClock.now());
    }
  } catch (error) {
    if (!(error instanceof GatewayError) && !(error instanceof CommandError)) throw error;
    return wrong(error.message.split("\n"));
  }
  const refused = pick === null || pick.refusal === null ? [] : [`no pick: ${pick.refusal}`];
  const { scheduling } = picker;
  const notes = [...warnings, ...noteFlow(picker)];
  return { ok: refused.length === 0, errors: refused, notes, configuration: configFile, scheduling, pick };
}

/** Makes every plugin, as a picker that starts would. Throws a `GatewayError` that names the one at fault. */
export function wire(scheduling: SchedulingSpec, registry: PluginRegistry): WiredScheduling {
  const quiet = { error() {}, warn() {}, info() {}, debug() {} };
  const host = { clock: systemClock, random: createSeededRandom(1), logger: quiet, metrics: createMetrics() };
  return createProfiles(scheduling, registry, host);
}

function noteFlow({ flow }: EndpointPicker): string[] {
  if (flow.mode !== "shed") return [];
  return [
    `flow control is off: nobody waits, and requests below priority 0 are refused while ${flow.saturation} says full`,
  ];
}

function printReport(
  { ok, errors, notes, configuration, scheduling, pick }: PickerReport,
  terminal: Terminal,
): void {
  for (const error of errors) terminal.complain(`${error}\n`);
  if (scheduling !== null) terminal.print(describe(configuration, scheduling));
  if (pick !== null) terminal.print(describePick(pick));
  for (const note of notes) terminal.print(`note: ${note}\n`);
  if (ok) terminal.print("\nok\n");
  else terminal.complain(`\n${errors.length} ${errors.length === 1 ? "error" : "errors"}\n`);
}

/** Above what `profileRow` says. */
export const profileTitles = ["PROFILE", "FILTERS", "SCORERS", "PICKER"] as const;

/** A profile in words. */
export function profileRow({ name, filters, scorers, picker }: ProfileSpec): string[] {
  return [
    name,
    filters.length === 0 ? "none" : filters.join(", "),
    scorers.length === 0 ? "none" : scorers.map(({ plugin, weight }) => `${plugin} ×${weight}`).join(", "),
    picker,
  ];
}

function describe(configuration: string, { profiles, handler }: SchedulingSpec): string {
  const table = formatTable(profileTitles, profiles.map(profileRow));
  return `configuration  ${configuration}\nhandler        ${handler}\n\n${table}`;
}

function describePick({ pick, profiles, faults }: PickStory): string {
  const told = profiles.map(describeProfile).join("");
  const broken = faults.map((fault) => `failed: ${fault}\n`).join("");
  return `${told}${broken}\npick  ${pick.length === 0 ? "nobody" : pick.join(", then ")}\n\n`;
}

function describeProfile({ profile, filtered, weights, scored, picked }: ProfileStory): string {
  const names = Object.keys(weights);
  const rows = scored.map(({ address, scores, total }) => [
    address,
    ...names.map((name) => (scores[name] ?? 0).toFixed(3)),
    total.toFixed(3),
    picked.includes(address) ? "picked" : "",
  ]);
  const left = filtered
    .filter(({ endpoints }) => endpoints.length > 0)
    .map(({ filter, endpoints }) => `${filter} left out ${endpoints.join(", ")}\n`);
  const header = names.map((name) => `${name} ×${weights[name] ?? 1}`);
  return `\nprofile ${profile}\n${left.join("")}${formatTable(["ENDPOINT", ...header, "TOTAL", ""], rows)}`;
}
