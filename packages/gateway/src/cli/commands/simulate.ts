/** `spillway simulate`: a model server that is none, to try Spillway against and to test with. */
import { readFileSync } from "node:fs";
import { faceNames, parseCloudOptions, parseFault, presets, startSimulator } from "@spillway/simulator";
import type { CloudOptions, FaceName, Fault, Preset, Simulator, SimulatorOptions } from "@spillway/simulator";
import { CommandError } from "../command-error.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Terminal } from "../terminal.ts";

/** What the command line says. */
export interface SimulateOptions {
  readonly face?: string;
  readonly preset?: string;
  readonly model?: readonly string[];
  readonly fault?: readonly string[];
  readonly key?: readonly string[];
  /** A JSON file: detectors, tokens, answers and pace of `--face groundlight`. */
  readonly cloud?: string;
  readonly host: string;
  readonly port: number;
  readonly seed: number;
  readonly timeScale: number;
}

/** Serves until it is told to stop. */
export async function simulate(options: SimulateOptions, terminal: Terminal): Promise<number> {
  const simulator = await start(readOptions(options));
  terminal.print(greeting(options, simulator));
  await new Promise<void>((resolve) => terminal.onStop(resolve));
  await simulator.close();
  return exitCodes.ok.code;
}

async function start(options: SimulatorOptions): Promise<Simulator> {
  try {
    return await startSimulator(options);
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (code === "EADDRINUSE")
      throw new CommandError(`port ${options.port} is taken; --port chooses another`);
    throw error;
  }
}

function readOptions(options: SimulateOptions): SimulatorOptions {
  const preset = presetOf(options.preset);
  const face = faceOf(options.face) ?? preset?.face;
  if (face === undefined)
    throw new CommandError(`--face ${faceNames.join("|")} or --preset says which server to simulate`);
  const models = options.model ?? preset?.models;
  return {
    ...preset,
    face,
    ...(models !== undefined && { models }),
    host: options.host,
    port: options.port,
    seed: options.seed,
    timeScale: options.timeScale,
    faults: (options.fault ?? []).map(readFault),
    ...(options.key !== undefined && { apiKeys: options.key }),
    ...(options.cloud !== undefined && { cloud: readCloud(options.cloud) }),
  };
}

function readCloud(path: string): CloudOptions {
  try {
    return parseCloudOptions(JSON.parse(readFileSync(path, "utf8")));
  } catch (error) {
    throw new CommandError(`--cloud ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function presetOf(name: string | undefined): Preset | undefined {
  if (name === undefined) return undefined;
  const found = Object.entries<Preset>(presets).find(([each]) => each === name);
  if (found !== undefined) return found[1];
  throw new CommandError(`there is no preset ${name}; there are ${Object.keys(presets).join(", ")}`);
}

function faceOf(name: string | undefined): FaceName | undefined {
  return faceNames.find((each) => each === name);
}

/** A fault as JSON, or as `status=429,retryAfter=2,probability=0.1`. */
export function readFault(given: string): Fault {
  try {
    if (given.trimStart().startsWith("{")) return parseFault(JSON.parse(given));
    const pairs = given.split(",").map((pair) => pair.split("=", 2));
    return parseFault(Object.fromEntries(pairs.map(([name, value = "true"]) => [name, readValue(value)])));
  } catch (error) {
    throw new CommandError(`--fault ${given}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function readValue(value: string): unknown {
  if (value === "true" || value === "false") return value === "true";
  return value !== "" && Number.isFinite(Number(value)) ? Number(value) : value;
}

const CHAT = '"messages":[{"role":"user","content":"Hello"}]';

function greeting({ preset, model, key, cloud }: SimulateOptions, simulator: Simulator): string {
  const { url } = simulator;
  const { face, models } = simulator.state();
  const [first] = presetOf(preset)?.models ?? [];
  const name =
    model?.[0] ?? (typeof first === "object" ? first.name : first) ?? models[0]?.name ?? "llama3.2";
  const lines = {
    ollama: [`curl ${url}/api/chat -d '{"model":"${name}",${CHAT}}'`, `curl ${url}/api/tags`],
    anthropic: [
      `curl ${url}/v1/messages -H 'anthropic-version: 2023-06-01' -d '{"model":"${name}","max_tokens":50,${CHAT}}'`,
    ],
    openai: [`curl ${url}/v1/chat/completions -d '{"model":"${name}","stream":true,${CHAT}}'`],
    groundlight: [
      `curl ${url}/device-api/v1/detectors -H 'x-api-token: ${key?.[0] ?? (cloud === undefined ? "api_anything" : "TOKEN")}'`,
      `curl ${url}/simulator/cloud`,
    ],
    vllm: [
      `curl ${url}/v1/chat/completions -d '{"model":"${name}","stream":true,${CHAT}}'`,
      `curl ${url}/metrics`,
    ],
  }[faceOf(face) ?? "vllm"];
  const what = face === "groundlight" ? "Groundlight cloud" : `${face} server`;
  const control = [
    `curl ${url}/simulator/faults -d '{"status":429,"retryAfter":2,"times":3}'`,
    `curl ${url}/simulator/state`,
    `curl ${url}/simulator/requests`,
  ];
  return `A simulated ${what} listens on ${url}\n\n${[...lines, ...control].map((line) => `  ${line}`).join("\n")}\n\nCtrl-C ends it.\n`;
}
