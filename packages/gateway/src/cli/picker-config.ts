/** `spillway picker`: from the router's flags to a gateway that answers Envoy alone. */
import { resolve } from "node:path";
import { defaultHttpPool, type CompiledConfig } from "../config/index.ts";
import {
  createRegistry,
  loadDefinitions,
  loadEndpointPicker,
  parseConfig,
  parseEndpointPicker,
  type EndpointPicker,
  type EndpointPickerResult,
} from "../config/with-plugins.ts";
import type { ExtProcOptions, HttpPoolOptions } from "../contracts/options.ts";
import type { DataSpec } from "../contracts/plugins/data.ts";
import type { LogLevel } from "../contracts/telemetry.ts";
import { CommandError, ConfigFileError } from "./command-error.ts";
import type { Terminal } from "./terminal.ts";
import { defaultScheduling } from "../plugins/default-scheduling.ts";

/** What the command line says, with its defaults. */
export interface PickerOptions {
  readonly configFile?: string;
  readonly configText?: string;
  /** Files of plugins of one's own. */
  readonly plugin?: readonly string[];
  /** `host:port` of servers, in the place of a discovery. */
  readonly endpoints?: readonly string[];
  readonly host: string;
  readonly grpcPort: number;
  readonly grpcHealthPort: number;
  readonly metricsPort: number;
  /** True: metrics are for this machine only. */
  readonly metricsEndpointAuth: boolean;
  readonly secureServing: boolean;
  /** Folder with `tls.crt` and `tls.key`. */
  readonly certPath?: string;
  readonly emitEndpointScores: boolean;
  readonly disableEndpointSubsetFilter: boolean;
  /** ms, as the others that are durations. */
  readonly drainTimeout: number;
  readonly refreshMetricsInterval: number;
  readonly metricsStalenessThreshold: number;
  readonly poolName: string;
  readonly logLevel?: LogLevel;
  readonly logFormat: CompiledConfig["log"]["format"];
}

/** A configuration, and what is worth knowing about it. */
export interface PickerConfig {
  readonly config: CompiledConfig;
  readonly notes: readonly string[];
}

/** Reads what the command line names. Throws a `ConfigFileError` with every mistake, or a `CommandError`. */
export async function readPickerConfig(options: PickerOptions, terminal: Terminal): Promise<PickerConfig> {
  const { workingDirectory } = terminal;
  const { definitions, errors } = await loadDefinitions(options.plugin ?? [], workingDirectory);
  const registry = createRegistry(definitions);
  const conflicts = registry.conflicts.map(({ type, message }) => `--plugin: ${type}: ${message}`);
  if (errors.length + conflicts.length > 0) throw new ConfigFileError([...errors, ...conflicts]);
  const metrics = {
    intervalMs: Math.max(shortestRefreshMs, options.refreshMetricsInterval),
    staleAfterMs: options.metricsStalenessThreshold,
  };
  const result = await readPicker(options, { workingDirectory, registry, metrics });
  if ("errors" in result) throw new ConfigFileError(result.errors);
  const { picker, warnings } = result;
  const endpoints = (options.endpoints ?? []).map(serverAddress);
  if (endpoints.length === 0 && picker.data.discovery === undefined) throw new CommandError(noEndpoints);
  const config = {
    ...plainConfig(options),
    extProc: doorOf(options, workingDirectory),
    pools: [poolOf(options.poolName, endpoints, { ...result, isDefault: isDefault(options) })],
    rules: picker.rules.map((plugin) => ({
      plugin,
      models: undefined,
      onFailure: undefined,
      timeoutMs: undefined,
    })),
    plugins: definitions,
  } satisfies CompiledConfig;
  return { config, notes: [...warnings, ...noteParsers(picker), ...noteInterval(options)] };
}

/** Servers are asked for their metrics no more often, ms: as the router does. */
const shortestRefreshMs = 50;

function noteInterval({ refreshMetricsInterval }: PickerOptions): string[] {
  if (refreshMetricsInterval >= shortestRefreshMs) return [];
  return [`--refresh-metrics-interval is ${shortestRefreshMs}ms at least`];
}

const noEndpoints =
  "there is nothing to choose from: name a discovery (dataLayer.discovery in the configuration, with a plugin of the type file-discovery), or servers with --endpoints host:port,…";

/** Without a file the data layer is as the router's default, and profiles are Spillway's own. */
const emptyText = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n";

function isDefault({ configFile, configText = "" }: PickerOptions): boolean {
  return configFile === undefined && configText === "";
}

async function readPicker(
  options: PickerOptions,
  context: Parameters<typeof loadEndpointPicker>[1],
): Promise<EndpointPickerResult> {
  const { configFile, configText = "" } = options;
  if (configFile !== undefined && configText !== "") {
    throw new CommandError("--config-file and --config-text say the same thing; expected one of them");
  }
  if (configFile !== undefined) return loadEndpointPicker(configFile, context);
  const read = (text: string): EndpointPickerResult =>
    parseEndpointPicker(text, { ...context, file: "--config-text", directory: context.workingDirectory });
  if (configText !== "") return read(configText);
  const result = read(emptyText);
  return "errors" in result ? result : { ...result, warnings: [] };
}

/** Nothing but a place for metrics, health and the API for operators. */
function plainConfig({
  host,
  metricsPort,
  metricsEndpointAuth,
  logLevel,
  logFormat,
}: PickerOptions): CompiledConfig {
  const text = [
    `listen: [{ host: ${JSON.stringify(host)}, port: ${metricsPort} }]`,
    ...(metricsEndpointAuth ? [] : ["auth: none"]),
    "grpc: false",
    "models: false",
    "llama: false",
    "discovery: false",
  ];
  const result = parseConfig(text.join("\n"), { directory: "/", environment: {} });
  if ("errors" in result) throw new ConfigFileError(result.errors);
  const { config } = result;
  return {
    ...config,
    http: config.http.map((door) => ({ ...door, scopes: ["open", "any", "status", "admin"] as const })),
    log: { level: logLevel, format: logFormat },
  };
}

/** Bodies of one request, and of all at once: prompts of a million tokens pass. */
const bounds = { maxConnections: 10_000, maxBodyBytes: 64 * 2 ** 20, maxTotalBodyBytes: 1024 * 2 ** 20 };

function doorOf(options: PickerOptions, workingDirectory: string): ExtProcOptions {
  const { certPath, secureServing } = options;
  const folder = certPath === undefined ? undefined : resolve(workingDirectory, certPath);
  const secure =
    folder === undefined
      ? ("self-signed" as const)
      : { cert: resolve(folder, "tls.crt"), key: resolve(folder, "tls.key") };
  return {
    ...bounds,
    host: options.host,
    port: options.grpcPort,
    healthPort: options.grpcHealthPort,
    tls: secureServing ? secure : "none",
    drainMs: options.drainTimeout,
    maxStreams: 40_000,
    maxHeaders: 500,
    subsets: !options.disableEndpointSubsetFilter,
    scores: options.emitEndpointScores,
  };
}

/** As many as there may be: what a server can do at once is for the profile and for flow control to say. */
const unbounded = 65_536;

/** The servers are not asked what they serve, and speak what Envoy's callers speak. */
function poolOf(
  name: string,
  endpoints: readonly string[],
  { picker, isDefault: plain }: { readonly picker: EndpointPicker; readonly isDefault: boolean },
): HttpPoolOptions {
  const { scheduling, flow } = picker;
  const data: DataSpec = picker.data;
  return {
    ...defaultHttpPool(name, "openai", endpoints),
    serves: ["chat", "completions", "embeddings", "responses", "messages", "count_tokens"],
    passthrough: true,
    concurrency: unbounded,
    flow,
    data,
    // Named, so that the pool is watched as a picker's: its series, its decisions, its state.
    scheduling: plain ? defaultScheduling({ readsMetrics: true }) : scheduling,
  };
}

function serverAddress(text: string): string {
  const address = text.includes("://") ? text : `http://${text}`;
  const url = URL.parse(address);
  // A scheme says its port; without one 80 was hardly meant.
  const hasPort = text.includes("://") || /:\d+$/.test(text);
  if (
    hasPort &&
    url !== null &&
    url.hostname !== "" &&
    url.pathname === "/" &&
    /^https?:$/.test(url.protocol)
  ) {
    return address;
  }
  throw new CommandError(`--endpoints: expected host:port, separated by commas, got "${text}"`);
}

/** What the door understands is the same whatever parsers a file names. */
function noteParsers({ parsers }: EndpointPicker): string[] {
  if (parsers === undefined) return [];
  return [
    `parsers (${parsers.join(", ")}): the door understands every API that Spillway has, whichever are named`,
  ];
}
