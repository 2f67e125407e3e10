/** Starts worker processes as children of the gateway, each on a Unix socket in a private folder. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { getCompileCacheDir } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { formatWorkerSpec, workerSpecVariable, type WorkerModelSpec } from "@spillway/worker";
import type { LaunchedWorker, Launcher, WorkerExit, WorkerModel, WorkerSpec } from "../contracts/launcher.ts";
import type { LogFields, Logger } from "../contracts/telemetry.ts";
import { GatewayError } from "../core/errors.ts";

/** A Unix socket's path may have 107 bytes; a longer temporary folder is not used. */
const maxSocketPathBytes = 107;

/** Variables a worker gets: those that programs need to run, none that may hold a secret. */
const passedEnvironment = ["PATH", "HOME", "TMPDIR", "LANG", "TZ", "LD_LIBRARY_PATH", "NODE_COMPILE_CACHE"];

/** Node's own options that a worker inherits: how modules are found. Others, such as a debugger's port, are the gateway's alone. */
const inheritedOption = /^--conditions=|^--enable-source-maps$/;

/** What the launcher needs. */
export interface ChildLauncherOptions {
  /** The worker's program, a file URL or path. */
  readonly program: string;
  readonly logger: Logger;
  /** Where the sockets' folder is made; default the system's temporary folder. */
  readonly temporary?: string;
}

/** Starts children. The folder for their sockets has mode 0700 and goes with `close`. */
export function createChildLauncher(options: ChildLauncherOptions): Launcher {
  const folder = makeSocketFolder(options.temporary ?? tmpdir());
  const running = new Set<ChildWorker>();
  let launched = 0;
  const removeFolder = (): void => rmSync(folder, { recursive: true, force: true });
  process.on("exit", removeFolder);
  return {
    launch(spec) {
      const socket = join(folder, `${launched++}.sock`);
      const worker = new ChildWorker(spec, socket, options);
      running.add(worker);
      worker.onExit(() => {
        running.delete(worker);
        rmSync(socket, { force: true });
      });
      return worker;
    },
    close() {
      for (const worker of running) worker.kill();
      process.off("exit", removeFolder);
      removeFolder();
    },
  };
}

function makeSocketFolder(temporary: string): string {
  const longest = Buffer.byteLength(join(temporary, "spw-XXXXXX", "99999.sock"));
  const parent = longest <= maxSocketPathBytes ? temporary : "/tmp";
  try {
    return mkdtempSync(join(parent, "spw-"));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const text = `No folder for the workers' sockets can be made in ${parent}: ${reason}. Make room there, or set TMPDIR to another folder.`;
    throw new GatewayError("internal", text, { cause });
  }
}

/** One child. It ends by itself when its standard input closes, which the system does when the gateway dies. */
class ChildWorker implements LaunchedWorker {
  readonly pid: number;
  readonly address: string;
  readonly #child: ChildProcess;
  readonly #listeners: ((exit: WorkerExit) => void)[] = [];
  #exit: WorkerExit | undefined;
  /** The last error the child told of. */
  #said: string | undefined;

  constructor(spec: WorkerSpec, socket: string, options: ChildLauncherOptions) {
    const program = options.program.startsWith("file:") ? new URL(options.program).pathname : options.program;
    const inherited = process.execArgv.filter((option) => inheritedOption.test(option));
    this.#child = spawn(process.execPath, [...inherited, decodeURIComponent(program), "--supervised"], {
      env: {
        NODE_COMPILE_CACHE: getCompileCacheDir(),
        ...pick(process.env),
        [workerSpecVariable]: specText(socket, spec.models),
      },
      stdio: ["pipe", "ignore", "pipe"],
    });
    this.pid = this.#child.pid ?? 0;
    this.address = `unix:${socket}`;
    this.#child.on("error", ({ message }) => this.#ended({ code: null, signal: null, said: message }));
    // What is killed says nothing more; what ends by itself has said why, which may still be on its way.
    this.#child.on(
      "exit",
      (code, signal) => signal !== null && this.#ended({ code, signal, said: undefined }),
    );
    this.#child.on("close", (code, signal) => this.#ended({ code, signal, said: this.#said }));
    this.#child.stdin?.on("error", () => {});
    forwardLogs(this.#child, {
      worker: spec.id,
      logger: options.logger,
      onError: (text) => (this.#said = text),
    });
  }

  onExit(listener: (exit: WorkerExit) => void): void {
    if (this.#exit === undefined) this.#listeners.push(listener);
    else listener(this.#exit);
  }

  memoryBytes(): number | undefined {
    if (this.#exit !== undefined) return undefined;
    return residentBytes(this.pid);
  }

  kill(): void {
    if (this.#exit === undefined) this.#child.kill("SIGKILL");
  }

  #ended(exit: WorkerExit): void {
    if (this.#exit !== undefined) return;
    this.#exit = exit;
    for (const listener of this.#listeners) listener(exit);
  }
}

/** Linux takes no variable beyond 128 KiB. */
const maxVariableBytes = 100_000;

/** What the worker is to load. Settings with very many labels are left out: it then reads them from the disk itself. */
function specText(socket: string, models: readonly WorkerModel[]): string {
  const text = formatWorkerSpec({ socket, models: models.map(toModelSpec) });
  if (Buffer.byteLength(text) <= maxVariableBytes) return text;
  return formatWorkerSpec({ socket, models: models.map(({ settings: _, ...model }) => model) });
}

/** What the repository read goes to the worker as it is: it then loads neither the YAML parser nor the schema. */
function toModelSpec({ settings, ...model }: WorkerModel): WorkerModelSpec {
  return { ...model, ...(settings as Pick<WorkerModelSpec, "config" | "engine"> | undefined) };
}

function pick(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const picked: NodeJS.ProcessEnv = {};
  for (const name of passedEnvironment) if (environment[name] !== undefined) picked[name] = environment[name];
  return picked;
}

/** Resident memory from /proc, in bytes; undefined on systems without it. */
function residentBytes(pid: number): number | undefined {
  try {
    const pages = Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]);
    return pages * 4096;
  } catch {
    return undefined;
  }
}

/** Where the lines of a worker go. */
interface LogTarget {
  readonly worker: string;
  readonly logger: Logger;
  /** Hears the reason of each error, in one line. */
  readonly onError: (text: string) => void;
}

/** Lines a worker writes to standard error are JSON events; anything else is what a native library says. */
function forwardLogs(child: ChildProcess, { worker, logger, onError }: LogTarget): void {
  if (child.stderr === null) return;
  createInterface({ input: child.stderr, crlfDelay: Infinity }).on("line", (line) => {
    const event = parseEvent(line);
    if (event === undefined) return logger.warn("worker_output", { worker, text: line.slice(0, 2_000) });
    const { level, reason } = event;
    const write = level === "error" || level === "warn" || level === "debug" ? level : "info";
    logger[write](`worker_${eventName(event)}`, { worker, ...scalars(event) });
    if (level === "error" && typeof reason === "string")
      onError(reason.split("\n", 1)[0]?.slice(0, 500) ?? "");
  });
}

function parseEvent(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

function scalars(event: Record<string, unknown>): LogFields {
  const fields: Record<string, string | number | boolean> = {};
  for (const [key, value] of Object.entries(event)) {
    if (key === "level" || key === "event") continue;
    if (typeof value === "string" || typeof value === "number" || typeof value === "boolean")
      fields[key] = value;
  }
  return fields;
}

function eventName(event: Record<string, unknown>): string {
  return typeof event["event"] === "string" ? event["event"] : "event";
}
