/** `spillway models`: the repository of a running gateway through the v2 repository API, and the models of its pools. */
import { callGateway } from "../api-client.ts";
import { CommandError } from "../command-error.ts";
import { exitCodes } from "../exit-codes.ts";
import { formatTable } from "../table.ts";
import type { Terminal } from "../terminal.ts";

/** What the command line says. */
export interface ModelsOptions {
  readonly url: string;
  readonly key?: string;
  readonly json?: boolean;
}

interface IndexEntry {
  readonly name: string;
  readonly version?: string;
  readonly state?: string;
  readonly reason?: string;
}

/** An entry of `/v1/models`. */
interface OpenAiCard {
  readonly id: string;
  readonly ready?: boolean;
}

interface CountAndTime {
  readonly count: number;
  readonly ns: number;
}

interface StatisticsEntry {
  readonly name: string;
  readonly version: string;
  readonly inference_count: number;
  readonly execution_count: number;
  readonly inference_stats: Readonly<Record<"success" | "fail" | "queue" | "compute_infer", CountAndTime>>;
}

/** Prints every version and its state, and the models of pools of HTTP servers, which have no versions. */
export async function listModels(options: ModelsOptions, terminal: Terminal): Promise<number> {
  const index = (await callGateway(options, {
    method: "POST",
    path: "/v2/repository/index",
  })) as readonly IndexEntry[];
  const known = new Set(index.map(({ name }) => name));
  const pooled = (await listPooled(options, terminal)).filter(({ name }) => !known.has(name));
  const entries = [...index, ...pooled];
  if (options.json === true) terminal.print(`${JSON.stringify(entries, undefined, 2)}\n`);
  else if (entries.length === 0) terminal.print("no models\n");
  else {
    const rows = entries.map(({ name, version = "", state = "", reason = "" }) => {
      return [name, version, state, reason.split("\n")[0] ?? ""];
    });
    terminal.print(formatTable(["MODEL", "VERSION", "STATE", "REASON"], rows));
  }
  return exitCodes.ok.code;
}

/** Models that `/v1/models` tells besides those of the repository. A key that may not see them is told so. */
async function listPooled(options: ModelsOptions, terminal: Terminal): Promise<IndexEntry[]> {
  let answer: unknown;
  try {
    answer = await callGateway(options, { method: "GET", path: "/v1/models" });
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    terminal.complain(`models of pools are not listed: ${error.message}\n`);
    return [];
  }
  const { data = [] } = answer as { readonly data?: readonly OpenAiCard[] };
  return data.map(({ id, ready }) =>
    ready === false
      ? { name: id, state: "UNAVAILABLE", reason: "no server of its pool takes requests" }
      : { name: id, state: "READY", reason: "" },
  );
}

/** Loads or unloads and says that it is done. */
export async function changeModel(
  options: ModelsOptions & { readonly name: string; readonly action: "load" | "unload" },
  terminal: Terminal,
): Promise<number> {
  const { name, action } = options;
  const path = `/v2/repository/models/${encodeURIComponent(name)}/${action}`;
  await callGateway(options, { method: "POST", path });
  if (options.json === true) terminal.print(`${JSON.stringify({ name, [`${action}ed`]: true })}\n`);
  else terminal.print(`${name} ${action}ed\n`);
  return exitCodes.ok.code;
}

/** Prints what each version has done since the gateway started. */
export async function showStatistics(
  options: ModelsOptions & { readonly name: string | undefined },
  terminal: Terminal,
): Promise<number> {
  const { name } = options;
  const path = name === undefined ? "/v2/models/stats" : `/v2/models/${encodeURIComponent(name)}/stats`;
  const answer = (await callGateway(options, { method: "GET", path })) as {
    readonly model_stats: readonly StatisticsEntry[];
  };
  if (options.json === true) terminal.print(`${JSON.stringify(answer, undefined, 2)}\n`);
  else terminal.print(formatTable(statisticsHeader, answer.model_stats.map(statisticsRow)));
  return exitCodes.ok.code;
}

const statisticsHeader = [
  "MODEL",
  "VERSION",
  "ANSWERED",
  "FAILED",
  "ROWS",
  "CALLS",
  "ROWS/CALL",
  "QUEUE ms",
  "COMPUTE ms/CALL",
];

function statisticsRow(entry: StatisticsEntry): (string | number)[] {
  const { success, fail, queue, compute_infer: compute } = entry.inference_stats;
  const { inference_count: rows, execution_count: calls } = entry;
  return [
    entry.name,
    entry.version,
    success.count,
    fail.count,
    rows,
    calls,
    calls === 0 ? "" : (rows / calls).toFixed(1),
    meanMs(queue),
    meanMs(compute),
  ];
}

function meanMs({ count, ns }: CountAndTime): string {
  return count === 0 ? "" : (ns / count / 1e6).toFixed(2);
}
