/** Starts a server under test as a process of its own, waits until it answers, and ends it for certain. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { get } from "node:http";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { LoopDelay } from "../load/loop-delay.ts";
import { nodeBinary, repositoryRoot } from "./paths.ts";
import type { ServerMessage, ServerOrder } from "./server-messages.ts";

/** A TCP address on this machine. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** How a server says that it is ready: by a message with its port, or by answering a GET with a 2xx status. */
export type Readiness =
  | { readonly kind: "message" }
  | { readonly kind: "http"; readonly address: Address; readonly path: string };

/** A Node program to start. */
export interface ServerSpec {
  /** For reports. */
  readonly name: string;
  /** Path from the repository root, or an absolute one. */
  readonly script: string;
  readonly args?: readonly string[];
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default: the repository root. */
  readonly cwd?: string;
  /** The Node that runs it. Default: the one that the lockfile installs. */
  readonly node?: string;
  readonly ready: Readiness;
  /**
   * Reads the event-loop delay of a server that does not speak by messages, out of its metrics for instance. Called at
   * the start of a measured window too, for servers that count anew when they are read.
   */
  readonly loopDelay?: (address: Address) => Promise<LoopDelay | null>;
  /** Called with each line that the server writes to stderr. */
  readonly onLine?: (line: string) => void;
  /** Default 30 s. */
  readonly readyTimeoutMs?: number;
  /** Time between the request to stop and SIGKILL. Default 10 s. */
  readonly stopTimeoutMs?: number;
}

/** How a server ended. */
export interface ServerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The end of what it wrote to stdout and stderr. */
  readonly output: string;
}

const MAX_OUTPUT_CHARACTERS = 16_384;
const POLL_MS = 20;

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === "string") reject(new Error("expected a TCP address"));
        else resolve(address.port);
      });
    });
  });
}

/** A running server. It does not outlive this process. */
export class ServerProcess {
  readonly name: string;
  readonly pid: number;
  /** Milliseconds from the start of the process until it was ready. */
  readonly readyAfterMs: number;
  readonly address: Address;
  readonly #running: Running;
  readonly #spec: ServerSpec;
  #exit: Promise<ServerExit> | null = null;

  private constructor(spec: ServerSpec, running: Running, ready: { address: Address; afterMs: number }) {
    this.name = spec.name;
    this.pid = running.child.pid ?? -1;
    this.readyAfterMs = ready.afterMs;
    this.address = ready.address;
    this.#running = running;
    this.#spec = spec;
  }

  /** Resolves when the server is ready; rejects with what it wrote when it ends before or takes too long. */
  static async start(spec: ServerSpec): Promise<ServerProcess> {
    const startMs = performance.now();
    const running = new Running(spec);
    const timer = new AbortController();
    const timeoutMs = spec.readyTimeoutMs ?? 30_000;
    const late = sleep(timeoutMs, `not ready after ${timeoutMs} ms`, { signal: timer.signal }).catch(
      () => "",
    );
    const outcome = await Promise.race([running.ready(spec.ready, timer.signal), running.ended, late]);
    timer.abort();
    if (typeof outcome === "object" && "port" in outcome) {
      return new ServerProcess(spec, running, { address: outcome, afterMs: performance.now() - startMs });
    }
    running.child.kill("SIGKILL");
    const reason = typeof outcome === "string" ? outcome : `ended with ${outcome.signal ?? outcome.code}`;
    throw new Error(`${spec.name} (${spec.script}): ${reason}\n${running.output}`);
  }

  /** What it has written so far, the last part. */
  get output(): string {
    return this.#running.output;
  }

  /** Counts event-loop delay anew, where the server can. */
  async resetLoopDelay(): Promise<void> {
    if (this.#spec.loopDelay === undefined) this.#running.order({ type: "reset" });
    else await this.#spec.loopDelay(this.address);
  }

  /** Event-loop delay since the last reset, or since the server started; null when it does not tell. */
  async loopDelay(): Promise<LoopDelay | null> {
    if (this.#spec.loopDelay !== undefined) return this.#spec.loopDelay(this.address);
    return this.#running.reportLoopDelay();
  }

  /** Asks the server to stop, kills it when it does not. Idempotent. */
  close(): Promise<ServerExit> {
    this.#exit ??= this.#stop();
    return this.#exit;
  }

  async #stop(): Promise<ServerExit> {
    const { child, ended } = this.#running;
    if (!this.#running.order({ type: "stop" })) child.kill("SIGTERM");
    const killer = setTimeout(() => child.kill("SIGKILL"), this.#spec.stopTimeoutMs ?? 10_000);
    const { code, signal } = await ended;
    clearTimeout(killer);
    return { code, signal, output: this.output };
  }
}

/** Starts a server, uses it and closes it, whatever happens. */
export async function withServer<Result>(
  spec: ServerSpec,
  use: (server: ServerProcess) => Promise<Result>,
): Promise<Result> {
  const server = await ServerProcess.start(spec);
  try {
    return await use(server);
  } finally {
    await server.close();
  }
}

/** Not that of this process: V8 throws code away that was compiled with other flags, as gateways have. */
function ownCache(): Readonly<Record<string, string>> {
  const { NODE_COMPILE_CACHE: shared } = process.env;
  return shared === undefined ? {} : { NODE_COMPILE_CACHE: join(shared, "served") };
}

/** The child process and what it has said. */
class Running {
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  output = "";
  readonly #listening = Promise.withResolvers<Address>();
  #reports: ((loopDelay: LoopDelay | null) => void)[] = [];

  constructor(spec: ServerSpec) {
    const speaks = spec.ready.kind === "message";
    this.child = spawn(
      spec.node ?? nodeBinary,
      ["--conditions=source", resolve(repositoryRoot, spec.script), ...(spec.args ?? [])],
      {
        cwd: spec.cwd ?? repositoryRoot,
        env: { ...process.env, ...ownCache(), ...spec.env },
        stdio: speaks ? ["ignore", "pipe", "pipe", "ipc"] : ["ignore", "pipe", "pipe"],
      },
    );
    const killOnExit = (): void => void this.child.kill("SIGKILL");
    process.once("exit", killOnExit);
    this.ended = new Promise((resolve) => {
      this.child.once("error", (error) => {
        this.#keep(error.message);
        resolve({ code: null, signal: null });
      });
      this.child.once("close", (code, signal) => {
        process.off("exit", killOnExit);
        this.#report(null);
        resolve({ code, signal });
      });
    });
    this.child.stdout?.on("data", (chunk: Buffer) => this.#keep(chunk.toString()));
    this.child.stderr?.on("data", (chunk: Buffer) => this.#keep(chunk.toString()));
    if (spec.onLine !== undefined && this.child.stderr !== null)
      createInterface({ input: this.child.stderr }).on("line", spec.onLine);
    this.child.on("message", (message: ServerMessage) => this.#hear(message));
  }

  /** Sends an order; false when the server does not speak by messages or is gone. */
  order(order: ServerOrder): boolean {
    return this.child.connected && this.child.send(order);
  }

  reportLoopDelay(): Promise<LoopDelay | null> {
    return new Promise((resolve) => {
      if (this.order({ type: "report" })) this.#reports.push(resolve);
      else resolve(null);
    });
  }

  async ready(readiness: Readiness, signal: AbortSignal): Promise<Address> {
    if (readiness.kind === "message") return this.#listening.promise;
    while (!signal.aborted && !(await answers(readiness.address, readiness.path))) await sleep(POLL_MS);
    return readiness.address;
  }

  #hear(message: ServerMessage): void {
    if (message.type === "listening") this.#listening.resolve({ host: "127.0.0.1", port: message.port });
    else this.#report(message.loopDelay);
  }

  #report(loopDelay: LoopDelay | null): void {
    const reports = this.#reports;
    this.#reports = [];
    for (const resolve of reports) resolve(loopDelay);
  }

  #keep(text: string): void {
    this.output = (this.output + text).slice(-MAX_OUTPUT_CHARACTERS);
  }
}

/** Whether a GET gets a 2xx answer. */
function answers(address: Address, path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ ...address, path, agent: false, timeout: 1000 }, (response) => {
      response.resume();
      resolve((response.statusCode ?? 0) >= 200 && (response.statusCode ?? 0) < 300);
    });
    request.once("timeout", () => request.destroy());
    request.once("error", () => resolve(false));
  });
}
