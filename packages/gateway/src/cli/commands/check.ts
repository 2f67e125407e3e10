/** `spillway check`: reads everything, starts nothing, and says what would run or what is wrong. */
import { join } from "node:path";
import { nearestWord, scanRepository, type RepositorySnapshot } from "@spillway/worker/repository";
import { findSurprises, type CompiledConfig } from "../../config/index.ts";
import { createRegistry } from "../../config/with-plugins.ts";
import { GatewayError } from "../../core/errors.ts";
import {
  isGrpcPool,
  isHttpPool,
  type DoorOptions,
  type ExtProcOptions,
  type RepositoryOptions,
} from "../../contracts/options.ts";
import { planDeployments, selectedVersions } from "../../workers/desired-state.ts";
import type { SchedulingSpec } from "../../contracts/plugins/scheduling.ts";
import { liveSpec, shadowSpecs } from "../../plugins/shadow-specs.ts";
import { profileRow, profileTitles, wire } from "./check-picker.ts";
import { checkAccess } from "../access-checks.ts";
import { describeEdge, noteDetectors, reportEdge, type EdgeReport } from "../edge-report.ts";
import { engineProblem, ggufStatus, type GgufStatus } from "../engine-status.ts";
import { exitCodes } from "../exit-codes.ts";
import { findPoolProblems } from "../pool-problems.ts";
import { describeExtProc, placesOf, shortPath } from "../greeting.ts";
import { ConfigFileError } from "../command-error.ts";
import { readConfig, requireRepository, type Overrides } from "../serve-config.ts";
import { formatTable } from "../table.ts";
import type { Terminal } from "../terminal.ts";

/** What the command line says. */
export interface CheckOptions extends Overrides {
  readonly json?: boolean;
}

/** A model version that would run. */
interface CheckedModel {
  readonly name: string;
  readonly version: string;
  readonly engine: string;
  /** Null: a process of its own. */
  readonly group: string | null;
  readonly instances: number;
}

/** What `--json` prints. */
interface CheckReport {
  readonly ok: boolean;
  readonly errors: readonly string[];
  readonly notes: readonly string[];
  /** Null: built in. */
  readonly configuration: string | null;
  readonly http: readonly string[];
  readonly grpc: string | null;
  /** Where Envoy asks; null: it does not. */
  readonly extProc: string | null;
  readonly callers: CompiledConfig["access"]["mode"];
  readonly repository: string | null;
  readonly models: readonly CheckedModel[];
  readonly processes: number;
  readonly pools: CompiledConfig["pools"];
  readonly routes: CompiledConfig["routes"];
  readonly discovery: boolean;
  /** Names of the routing rules, in the order in which they run. */
  readonly rules: readonly string[];
  /** Null: there is no edge endpoint. */
  readonly edge: EdgeReport | null;
  /** Null: GGUF files are not served. */
  readonly gguf: GgufStatus | null;
}

/** Prints the report. Exit code 1 when there are errors. */
export async function check(options: CheckOptions, terminal: Terminal): Promise<number> {
  const report = await makeReport(options, terminal);
  if (options.json === true) terminal.print(`${JSON.stringify(report, undefined, 2)}\n`);
  else printReport(report, terminal);
  return report.ok ? exitCodes.ok.code : exitCodes.failure.code;
}

async function makeReport(options: CheckOptions, terminal: Terminal): Promise<CheckReport> {
  let read: Awaited<ReturnType<typeof readConfig>>;
  try {
    read = await readConfig(options, terminal);
  } catch (error) {
    if (!(error instanceof ConfigFileError)) throw error;
    return unreadable(options, error.errors);
  }
  const { config, file } = read;
  const gguf = await ggufStatus(config, terminal);
  const local = await readModels(config, gguf);
  const access = await checkAccess(config);
  const notes = [...findSurprises(config), ...access.notes, ...local.notes, ...noteLearnt(config)];
  const errors = [
    ...access.errors,
    ...local.errors,
    ...(await findPoolProblems(config.pools)),
    ...findPluginProblems(config),
  ];
  return {
    ok: errors.length === 0,
    errors,
    notes,
    configuration: file ?? null,
    http: config.http.map(address),
    grpc: config.grpc === undefined ? null : address(config.grpc),
    extProc: config.extProc === undefined ? null : describeExtProc(doorOf(config.extProc)),
    callers: config.access.mode,
    repository: config.repository?.directory ?? null,
    models: local.models,
    processes: local.processes,
    pools: config.pools,
    routes: config.routes,
    discovery: config.discovery,
    rules: config.rules.map(({ plugin }) => plugin.name),
    edge: reportEdge(config),
    gguf: gguf ?? null,
  };
}

/** Plugins that cannot be made or joined, pool by pool. */
function findPluginProblems({ pools, plugins }: CompiledConfig): string[] {
  const registry = createRegistry(plugins);
  const findIn = (at: string, spec: SchedulingSpec): string[] => {
    try {
      wire(spec, registry);
      return [];
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      return [`${at}: ${error.message}`];
    }
  };
  return pools.filter(isHttpPool).flatMap(({ name, scheduling }) => {
    if (scheduling === undefined) return [];
    const at = `pools.${name}.scheduling`;
    const live = findIn(at, liveSpec(scheduling));
    const shadows = shadowSpecs(scheduling).flatMap((each) =>
      findIn(`${at}.shadows.${each.name}`, each.spec),
    );
    // What is wrong with a plugin that all have is said once.
    return live.length > 0 ? live : shadows;
  });
}

/** What nobody can know without asking the servers. */
function noteLearnt({ pools }: CompiledConfig): string[] {
  const learnt = pools.filter((pool) => isHttpPool(pool) && pool.models.length === 0);
  if (learnt.length < 2) return [];
  const names = learnt.map(({ name }) => name).join(", ");
  return [
    `the pools ${names} serve what their servers list; a model that several have goes to the first of them in the file, unless a route says otherwise`,
  ];
}

function unreadable({ config }: CheckOptions, errors: readonly string[]): CheckReport {
  return {
    ok: false,
    errors,
    notes: [],
    configuration: config ?? "spillway.yaml",
    http: [],
    grpc: null,
    extProc: null,
    callers: "loopback",
    repository: null,
    models: [],
    processes: 0,
    pools: [],
    routes: [],
    discovery: false,
    rules: [],
    edge: null,
    gguf: null,
  };
}

function doorOf({ host, port, healthPort, tls }: ExtProcOptions): Parameters<typeof describeExtProc>[0] {
  return { host, port, healthPort, secure: tls !== "none" };
}

function address({ host, port, tls }: DoorOptions): string {
  return `${tls === undefined ? "" : "tls "}${host.includes(":") ? `[${host}]` : host}:${port}`;
}

interface LocalModels {
  readonly models: readonly CheckedModel[];
  readonly processes: number;
  readonly errors: readonly string[];
  readonly notes: readonly string[];
}

async function readModels(config: CompiledConfig, gguf: GgufStatus | undefined): Promise<LocalModels> {
  const { repository } = config;
  if (repository === undefined) return { models: [], processes: 0, errors: [], notes: [] };
  try {
    requireRepository(config);
    const snapshot = await scanRepository(repository.directory);
    const { models, processes } = planned(snapshot, repository);
    return {
      models,
      processes,
      errors: problemsOf(snapshot),
      notes: [...notesOf(snapshot, config, gguf), ...noteEngine(gguf)],
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { models: [], processes: 0, errors: [reason], notes: [] };
  }
}

function planned(
  snapshot: RepositorySnapshot,
  repository: RepositoryOptions,
): Pick<LocalModels, "models" | "processes"> {
  const { deployments } = planDeployments(snapshot, repository, () => true);
  const all = [...deployments.values()];
  const models = all.flatMap(({ members, count }) =>
    members.map(({ name, version }): CheckedModel => {
      const scanned = snapshot.models.get(name)?.versions.find((each) => each.version === version);
      const group = scanned?.config?.group ?? null;
      return { name, version, engine: scanned?.engine ?? "", group, instances: count };
    }),
  );
  const byName = models.toSorted(
    (a, b) => a.name.localeCompare(b.name) || Number(a.version) - Number(b.version),
  );
  return { models: byName, processes: all.reduce((sum, { count }) => sum + count, 0) };
}

function problemsOf(snapshot: RepositorySnapshot): string[] {
  return [...snapshot.models.values()].flatMap((model) => {
    const versions = selectedVersions(model).flatMap(({ error }) => error ?? []);
    return [...(model.error === undefined ? [] : [model.error]), ...new Set(versions)].flatMap((error) =>
      error.split("\n"),
    );
  });
}

/** What is valid and perhaps not meant: names of models that are not there, folders that are no models. */
function notesOf(
  snapshot: RepositorySnapshot,
  config: CompiledConfig,
  gguf: GgufStatus | undefined,
): string[] {
  const names = [...snapshot.models.keys()];
  const isServed = (name: string): boolean =>
    gguf?.files.some((file) => file.startsWith(join(snapshot.directory, name, "/"))) ?? false;
  const ignored = snapshot.ignored.filter(({ name }) => !isServed(name));
  const notes = ignored.map(({ name, reason }) => `${name}: not a model: ${reason}`);
  for (const name of Object.keys(config.repository?.instances ?? {})) {
    if (!names.includes(name)) notes.push(`models.instances: no model ${name}${near(name, names)}`);
  }
  // A pool that lists its models itself may well have it.
  const pools = config.pools.filter(isGrpcPool);
  if (pools.some((pool) => pool.models.length === 0)) return notes;
  notes.push(...noteDetectors(config, names, near));
  const served = [...names, ...pools.flatMap((pool) => pool.models)];
  const { featuresModel, promptModel } = config.predict;
  for (const [key, name] of [["features", featuresModel] as const, ["prompt", promptModel] as const]) {
    if (name !== undefined && !served.includes(name)) {
      notes.push(
        `predict.${key}: no model ${name}${near(name, served)}; requests with ${key} have to name a model`,
      );
    }
  }
  return notes;
}

/** What the engine lacks is of interest where there is something for it. */
function noteEngine(gguf: GgufStatus | undefined): string[] {
  if (gguf === undefined || gguf.files.length === 0) return [];
  const problem = engineProblem(gguf.engine);
  return problem === undefined ? [] : [problem];
}

function near(name: string, known: readonly string[]): string {
  const nearest = nearestWord(name, known);
  return nearest === undefined ? "" : `; did you mean "${nearest}"?`;
}

function printReport(report: CheckReport, terminal: Terminal): void {
  for (const error of report.errors) terminal.complain(`${error}\n`);
  if (report.http.length === 0) {
    terminal.complain(`\n${counted(report.errors.length, "error")}\n`);
    return;
  }
  terminal.print(describe(report, terminal.workingDirectory));
  for (const note of report.notes) terminal.print(`note: ${note}\n`);
  if (report.ok) terminal.print("\nok\n");
  else terminal.complain(`\n${counted(report.errors.length, "error")}\n`);
}

const callersInWords = {
  none: "anybody, to infer and see the status",
  loopback: "this machine only",
  keys: "whoever has a key",
} as const;

function describe(report: CheckReport, workingDirectory: string): string {
  const { repository, grpc, http, models, pools, processes } = report;
  const callers = callersInWords[report.callers];
  let text = `configuration  ${report.configuration ?? "built in"}\n`;
  text += `listen         http ${http.join(", ")}; ${grpc === null ? "no gRPC" : `grpc ${grpc}`}\n`;
  if (report.extProc !== null) text += `envoy          ${report.extProc}\n`;
  text += `callers        ${callers}\n`;
  text += `models         ${repository === null ? "none" : shortPath(repository, workingDirectory)}\n`;
  if (report.gguf !== null && report.gguf.files.length > 0)
    text += `GGUF files     ${listed(report.gguf.files, workingDirectory)}\n`;
  if (report.rules.length > 0) text += `rules          ${report.rules.join(", then ")}\n`;
  if (report.discovery) text += "discovery      model servers at the usual ports of this machine\n";
  if (models.length > 0) {
    const rows = models.map(({ name, version, engine, group, instances }) => {
      return [name, version, engine, group === null ? "its own" : `group ${group}`, instances];
    });
    text += `\n${formatTable(["MODEL", "VERSION", "ENGINE", "PROCESS", "INSTANCES"], rows)}`;
    text += `${counted(processes, "process", "processes")}\n`;
  }
  if (pools.length > 0) {
    const rows = pools.map((pool) => {
      const listed = pool.models.length === 0 ? "all" : pool.models.join(" ");
      return [pool.name, pool.dialect, placesOf(pool).join(" "), listed];
    });
    text += `\n${formatTable(["POOL", "DIALECT", "ENDPOINTS", "MODELS"], rows)}`;
  }
  text += describeScheduling(pools);
  if (report.routes.length > 0) {
    const rows = report.routes.map(({ model, targets, escalate }) => {
      const where = targets.map((target) => `${target.pool}/${target.model} ${target.weight}`);
      const second = escalate === undefined ? "" : `; escalates to ${escalate.to.pool}/${escalate.to.model}`;
      return [model, `${where.join(", ")}${second}`];
    });
    text += `\n${formatTable(["ROUTE", "TARGETS AND WEIGHTS"], rows)}`;
  }
  if (report.edge !== null) text += describeEdge(report.edge);
  return text;
}

/** The profiles of the pools that have some, shadows below those that decide. */
function describeScheduling(pools: CheckReport["pools"]): string {
  const rows = pools.filter(isHttpPool).flatMap(({ name, scheduling }) => {
    if (scheduling === undefined) return [];
    const shadows = scheduling.shadows.map((each) => ({ ...each, name: `${each.name} (shadow)` }));
    return [...scheduling.profiles, ...shadows].map((profile) => [name, ...profileRow(profile)]);
  });
  return rows.length === 0 ? "" : `\n${formatTable(["POOL", ...profileTitles], rows)}`;
}

/** Files that are named; `--json` has more. */
const maxNamed = 4;

function listed(files: readonly string[], workingDirectory: string): string {
  const named = files.slice(0, maxNamed).map((file) => shortPath(file, workingDirectory));
  return named.join(", ") + (files.length > maxNamed ? ` and ${files.length - maxNamed} more` : "");
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
