/** A child process that ends when its standard input closes and logs JSON lines to standard error. */
import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { getCompileCacheDir } from "node:module";
import { createInterface } from "node:readline";
import type { WorkerExit } from "../contracts/launcher.ts";
import type { LogFields, Logger } from "../contracts/telemetry.ts";

/** Variables a worker gets: those that programs need to run, none that may hold a secret. */
const passedEnvironment = ["PATH", "HOME", "TMPDIR", "LANG", "TZ", "LD_LIBRARY_PATH", "NODE_COMPILE_CACHE"];

/** Node's own options that a worker inherits: how modules are found. Others, such as a debugger's port, are the gateway's alone. */
const inheritedOption = /^--conditions=|^--enable-source-maps$/;

/** What to start, and who hears of it. */
export interface SupervisedChildOptions {
  /** Names it in logs. */
  readonly id: string;
  /** What its log events begin with, and the field that names it: `worker`, `engine`. */
  readonly role: string;
  /** A JavaScript or TypeScript program, a file URL or path. */
  readonly program: string;
  readonly args: readonly string[];
  /** Variables beside those that programs need to run. */
  readonly environment: Readonly<Record<string, string>>;
  readonly logger: Logger;
  /** Hears the name of every event that it logs. */
  readonly onEvent?: (event: string) => void;
}

/** One child. It ends by itself when its standard input closes, which the system does when the gateway dies. */
export class SupervisedChild {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #listeners: ((exit: WorkerExit) => void)[] = [];
  #exit: WorkerExit | undefined;
  /** The last error the child told of. */
  #said: string | undefined;

  constructor(options: SupervisedChildOptions) {
    const { program, args, environment } = options;
    const file = program.startsWith("file:") ? decodeURIComponent(new URL(program).pathname) : program;
    const inherited = process.execArgv.filter((option) => inheritedOption.test(option));
    // A cache of its own: code that was compiled with other flags of V8 would be thrown away, at every start of either.
    const cache = getCompileCacheDir();
    this.#child = spawn(process.execPath, [...inherited, file, ...args], {
      env: {
        ...pick(process.env),
        ...(cache !== undefined && { NODE_COMPILE_CACHE: cache }),
        ...environment,
      },
      stdio: ["pipe", "ignore", "pipe"],
    });
    this.pid = this.#child.pid ?? 0;
    this.#child.on("error", ({ message }) => this.#ended({ code: null, signal: null, said: message }));
    // What is killed says nothing more; what ends by itself has said why, which may still be on its way.
    this.#child.on(
      "exit",
      (code, signal) => signal !== null && this.#ended({ code, signal, said: undefined }),
    );
    this.#child.on("close", (code, signal) => this.#ended({ code, signal, said: this.#said }));
    this.#child.stdin?.on("error", () => {});
    forwardLogs(this.#child, options, (text) => (this.#said = text));
  }

  /** Called once. A listener set after the end is called at once. */
  onExit(listener: (exit: WorkerExit) => void): void {
    if (this.#exit === undefined) this.#listeners.push(listener);
    else listener(this.#exit);
  }

  /** Resident memory in bytes; undefined where it cannot be told. */
  memoryBytes(): number | undefined {
    if (this.#exit !== undefined) return undefined;
    return residentBytes(this.pid);
  }

  /** Ends it at once. */
  kill(): void {
    if (this.#exit === undefined) this.#child.kill("SIGKILL");
  }

  #ended(exit: WorkerExit): void {
    if (this.#exit !== undefined) return;
    this.#exit = exit;
    for (const listener of this.#listeners) listener(exit);
  }
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

/** Lines on standard error are JSON events; anything else is what a native library says. `onError` hears each error's reason in one line. */
function forwardLogs(
  child: ChildProcess,
  { id, role, logger, onEvent }: SupervisedChildOptions,
  onError: (text: string) => void,
): void {
  if (child.stderr === null) return;
  createInterface({ input: child.stderr, crlfDelay: Infinity }).on("line", (line) => {
    const event = parseEvent(line);
    if (event === undefined) return logger.warn(`${role}_output`, { [role]: id, text: line.slice(0, 2_000) });
    const { level, reason } = event;
    const write = level === "error" || level === "warn" || level === "debug" ? level : "info";
    const name = eventName(event);
    logger[write](`${role}_${name}`, { [role]: id, ...scalars(event) });
    onEvent?.(name);
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
