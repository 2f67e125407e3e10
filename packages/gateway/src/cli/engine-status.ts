/** Whether the engines are installed that the gateway can be given, and what they would serve. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { CompiledConfig } from "../config/index.ts";
import {
  engineProgram,
  engineVersion,
  installedVersion,
  libraryFolder,
  listGguf,
} from "../workers/llama/engine-files.ts";
import type { Finding } from "./doctor-checks.ts";
import type { Terminal } from "./terminal.ts";

/** An engine as `--json` prints it. */
export interface EngineStatus {
  readonly name: string;
  readonly description: string;
  /** `outdated`: another version than this Spillway is made for; `broken`: half of an installation. */
  readonly state: "installed" | "missing" | "outdated" | "broken";
  /** What is installed; null where nothing is. */
  readonly version: string | null;
  /** What this Spillway is made for. */
  readonly wanted: string;
  readonly folder: string;
}

/** The command that installs the engine, or installs it anew. */
export const addCommand = "spillway engines add llama";

/** The llama engine. */
export function llamaStatus({
  workingDirectory,
  environment,
}: Pick<Terminal, "workingDirectory" | "environment">): EngineStatus {
  const folder = libraryFolder(workingDirectory, environment);
  const wanted = engineVersion();
  const version = installedVersion(folder) ?? null;
  const half = existsSync(join(folder, "node_modules"));
  const installed = version === wanted ? "installed" : "outdated";
  const state = version === null ? (half ? "broken" : "missing") : installed;
  return { name: "llama", description: "language models from GGUF files", state, version, wanted, folder };
}

/** GGUF files of a configuration's model folders, and the engine for them. */
export interface GgufStatus {
  /** Absolute paths, at most 100. */
  readonly files: readonly string[];
  readonly engine: EngineStatus;
}

/** Files that are listed. */
const maxListed = 100;

/** Undefined where GGUF files are not served. */
export async function ggufStatus(
  { llama }: CompiledConfig,
  terminal: Pick<Terminal, "workingDirectory" | "environment">,
): Promise<GgufStatus | undefined> {
  if (llama === undefined) return undefined;
  return { files: await listGguf(llama.folders, maxListed), engine: llamaStatus(terminal) };
}

/** What keeps the engine from serving as it should, in one line; undefined: nothing. */
export function engineProblem({ state, version, wanted }: EngineStatus): string | undefined {
  switch (state) {
    case "installed":
      return undefined;
    case "missing":
      return `GGUF files need the llama engine, which is not installed: ${addCommand}`;
    case "broken":
      return `GGUF files need the llama engine, of which only a part is installed: ${addCommand}`;
    case "outdated":
      return `the llama engine that is installed is ${version}, this Spillway is made for ${wanted}: ${addCommand}`;
  }
}

/** The engine can serve what is there: installed, and its native code loads on this machine. */
export async function checkEngine(status: GgufStatus): Promise<Finding> {
  const { files, engine } = status;
  const name = "llama engine";
  const needed = files.length > 0;
  if (engine.state === "missing" && !needed)
    return { name, status: "ok", message: `not installed, and no GGUF file needs it (${addCommand})` };
  const problem = engineProblem(engine);
  const unusable = engine.state === "missing" || engine.state === "broken";
  if (problem !== undefined && unusable)
    return { name, status: "warn", message: problem.replace(`: ${addCommand}`, ""), advice: addCommand };
  try {
    const args = [...process.execArgv.filter((option) => option.startsWith("--conditions=")), engineProgram];
    await promisify(execFile)(process.execPath, [...args, "--check", "--library", engine.folder], {
      timeout: 60_000,
    });
  } catch (error) {
    const message = `installed, but it does not start: ${whyNotStarted(error)}`;
    return { name, status: needed ? "fail" : "warn", message, advice: `${addCommand} installs it anew` };
  }
  if (problem !== undefined) return { name, status: "warn", message: problem };
  const count = files.length === 1 ? "1 GGUF file" : `${files.length} GGUF files`;
  return { name, status: "ok", message: `${engine.version ?? ""} starts; ${count}` };
}

/** The reason of the engine's last log line, else what the system says. */
function whyNotStarted(error: unknown): string {
  const { stderr = "" } = error as { stderr?: string };
  const reason = /"reason":("(?:[^"\\]|\\.)*")/.exec(stderr)?.[1];
  if (reason !== undefined) return JSON.parse(reason) as string;
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
}
