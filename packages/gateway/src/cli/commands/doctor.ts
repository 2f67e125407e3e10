/** `spillway doctor`: looks for what would keep Spillway from working on this machine, and says what to do. */
import { resolve } from "node:path";
import { findSurprises, type CompiledConfig } from "../../config/index.ts";
import { checkAccess } from "../access-checks.ts";
import { exitCodes } from "../exit-codes.ts";
import {
  checkCpu,
  checkDisk,
  checkMemory,
  checkModels,
  checkNative,
  checkNode,
  checkSockets,
  type Finding,
} from "../doctor-checks.ts";
import { checkPorts, type Port } from "../doctor-ports.ts";
import { checkCloud, checkDataFolder } from "../doctor-edge.ts";
import { checkPools } from "../doctor-pools.ts";
import { checkEngine, ggufStatus } from "../engine-status.ts";
import { ConfigFileError } from "../command-error.ts";
import { readConfig } from "../serve-config.ts";
import type { Terminal } from "../terminal.ts";

/** What the command line says. */
export interface DoctorOptions {
  readonly config?: string;
  readonly json?: boolean;
}

/** Prints a line a finding. Exit code 1 when one of them is a failure. */
export async function doctor(options: DoctorOptions, terminal: Terminal): Promise<number> {
  const findings = [
    checkNode(),
    checkCpu(),
    checkMemory(),
    await checkDisk(),
    await checkSockets(),
    await checkNative("onnxruntime-node", "ONNX models cannot be served"),
    await checkNative("sharp", "pictures cannot be read"),
    ...(await checkConfigured(options, terminal)),
  ];
  const ok = findings.every(({ status }) => status !== "fail");
  if (options.json === true) terminal.print(`${JSON.stringify({ ok, findings }, undefined, 2)}\n`);
  else for (const finding of findings) terminal.print(describe(finding));
  return ok ? exitCodes.ok.code : exitCodes.failure.code;
}

/** What the configuration names: ports and models. */
async function checkConfigured(options: DoctorOptions, terminal: Terminal): Promise<Finding[]> {
  let config: CompiledConfig;
  try {
    ({ config } = await readConfig(options, terminal));
  } catch (error) {
    if (!(error instanceof ConfigFileError)) throw error;
    const message = error.errors.join("; ");
    return [{ name: "configuration", status: "fail", message, advice: "correct the file" }];
  }
  const surprises = findSurprises(config).map((message): Finding => {
    return { name: "configuration", status: "warn", message };
  });
  const access = await checkAccess(config);
  const files = [
    ...access.errors.map((message): Finding => {
      return { name: "access", status: "fail", message, advice: "correct the file" };
    }),
    ...access.notes.map((message): Finding => {
      return { name: "access", status: message.includes("is valid until") ? "ok" : "warn", message };
    }),
  ];
  const gguf = await ggufStatus(config, terminal);
  return [
    ...surprises,
    ...files,
    ...(await checkPorts(config.http, otherPorts(config))),
    await checkModels(config.repository),
    ...(gguf === undefined ? [] : [await checkEngine(gguf)]),
    ...(await checkPools(config.pools)),
    ...(await checkEdge(config, terminal)),
  ];
}

/** Ports that are not for HTTP. */
function otherPorts({ grpc, extProc }: CompiledConfig): Port[] {
  const ports: Port[] = grpc === undefined ? [] : [grpc];
  if (extProc === undefined) return ports;
  const { host, port, healthPort } = extProc;
  const all = healthPort === undefined ? [port] : [port, healthPort];
  return [...ports, ...all.map((each): Port => ({ host, port: each, tls: undefined }))];
}

async function checkEdge({ edge }: CompiledConfig, terminal: Terminal): Promise<Finding[]> {
  if (edge === undefined) return [];
  const folder = resolve(terminal.workingDirectory, terminal.environment["SPILLWAY_DATA"] ?? ".spillway");
  const found = [checkDataFolder(folder)];
  if (edge.cloud !== undefined) found.push(checkCloud(edge.cloud));
  return Promise.all(found);
}

function describe({ status, name, message, advice }: Finding): string {
  const label = { ok: "ok  ", warn: "warn", fail: "FAIL" }[status];
  return `${label}  ${name}: ${message}${advice === undefined ? "" : `\n      ${advice}`}\n`;
}
