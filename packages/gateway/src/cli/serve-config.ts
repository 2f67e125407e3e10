/** The configuration a command works with: the file, and what the command line says over it. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { loadConfig, type CompiledConfig } from "../config/index.ts";
import type { LogLevel } from "../contracts/telemetry.ts";
import { CommandError, ConfigFileError } from "./command-error.ts";
import type { Terminal } from "./terminal.ts";

/** Looked for in the working folder when no file is named. */
export const defaultFile = "spillway.yaml";

/** What the command line may say over the file. */
export interface Overrides {
  readonly config?: string;
  readonly models?: string;
  readonly port?: number;
  readonly grpcPort?: number;
  /** False: no gRPC, whatever the file says. */
  readonly grpc?: boolean;
  readonly host?: string;
  readonly logLevel?: LogLevel;
  readonly logFormat?: CompiledConfig["log"]["format"];
}

/** A configuration and the file it came from; undefined: built in. */
export interface ReadConfig {
  readonly file: string | undefined;
  readonly config: CompiledConfig;
}

/** Reads the file that is named or found and applies the command line. Throws a `ConfigFileError`. */
export async function readConfig(overrides: Overrides, terminal: Terminal): Promise<ReadConfig> {
  const { workingDirectory, environment } = terminal;
  const found = existsSync(resolve(workingDirectory, defaultFile)) ? defaultFile : undefined;
  const file = overrides.config ?? found;
  const result = await loadConfig({ file, workingDirectory, environment });
  if ("errors" in result) throw new ConfigFileError(result.errors);
  return { file, config: applyOverrides(result.config, overrides, workingDirectory) };
}

/**
 * The same once more, for a gateway that runs: a file that was there has to be there again, and to say something, since
 * without one everything would be as by default. Never rejects.
 */
export async function readConfigAgain(
  { file, overrides }: { readonly file: string | undefined; readonly overrides: Overrides },
  terminal: Terminal,
): Promise<{ readonly config: CompiledConfig } | { readonly errors: readonly string[] }> {
  try {
    if (file !== undefined && isBlank(resolve(terminal.workingDirectory, file)))
      return { errors: [`${file}: the file is empty`] };
    const { config } = await readConfig(
      file === undefined ? overrides : { ...overrides, config: file },
      terminal,
    );
    return { config };
  } catch (error) {
    if (error instanceof ConfigFileError) return { errors: error.errors };
    return { errors: [error instanceof Error ? error.message : String(error)] };
  }
}

/** False for one that cannot be read: whoever reads it says why. */
function isBlank(path: string): boolean {
  try {
    return readFileSync(path, "utf8").trim() === "";
  } catch {
    return false;
  }
}

function applyOverrides(config: CompiledConfig, overrides: Overrides, folder: string): CompiledConfig {
  const { host, port, grpcPort, logLevel, logFormat } = overrides;
  const bound = host === undefined ? {} : { host };
  const grpc = overrides.grpc === false ? undefined : config.grpc;
  return {
    ...config,
    http: listenersWith(port, config).map((door, index) => ({
      ...door,
      ...bound,
      ...(index === 0 && port !== undefined ? { port } : {}),
    })),
    grpc: grpc && { ...grpc, ...bound, ...(grpcPort === undefined ? {} : { port: grpcPort }) },
    ...applyModels(config, overrides.models, folder),
    log: {
      level: logLevel ?? config.log.level,
      format: logFormat ?? config.log.format,
    },
  };
}

/** Who names a port wants that one, and no further one that nobody asked for. */
function listenersWith(port: number | undefined, { http }: CompiledConfig): CompiledConfig["http"] {
  return port === undefined ? http : http.filter(({ optional }) => optional !== true);
}

function applyModels(
  { repository, llama }: CompiledConfig,
  models: string | undefined,
  folder: string,
): Pick<CompiledConfig, "repository" | "llama"> {
  if (models === undefined) return { repository, llama };
  if (repository === undefined) throw new CommandError("--models: the configuration says models: false");
  const directory = resolve(folder, models);
  return { repository: { ...repository, directory }, llama: llama && { ...llama, folders: [directory] } };
}

/** Throws a `CommandError` unless the model repository is a folder. */
export function requireRepository(config: CompiledConfig): void {
  const { repository } = config;
  if (repository === undefined) return;
  const about = statSync(repository.directory, { throwIfNoEntry: false });
  if (about?.isDirectory() === true) return;
  const found = about === undefined ? "there is no such folder" : "it is a file, not a folder";
  throw new CommandError(
    `${repository.directory}: ${found}; expected the folder that holds the models (--models, or models.repository in the configuration)`,
  );
}
