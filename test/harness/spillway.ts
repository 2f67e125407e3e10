// Runs the command `spillway` from the sources as a real process.
import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import path from "node:path";

const program = path.join(import.meta.dirname, "../../packages/gateway/src/cli/main.ts");

/**
 * Shared by all runs, so that every start but the first is a second start, and not with tests: V8 throws code away that was
 * compiled with other flags.
 */
const compileCache = path.join(tmpdir(), "node-compile-cache", "spillway");

/** How a run ended. */
export interface Ended {
  /** Null: ended by `signal`. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running command. */
export interface Running {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** What it has printed so far. */
  readonly output: { readonly stdout: string; readonly stderr: string };
  kill(signal: NodeJS.Signals): void;
  /** Resolves with the first match in what is printed; rejects when the command ends without one. */
  printed(pattern: RegExp, stream?: "stdout" | "stderr"): Promise<RegExpExecArray>;
}

/** Where a command runs; the environment is added to a bare one. */
export interface RunOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A command that ends by running the command line behind its arguments, in its own place. */
  readonly wrapper?: readonly string[];
}

/** Starts `spillway` with arguments. Whoever starts it ends it. */
export function startSpillway(args: readonly string[], options: RunOptions): Running {
  const { PATH = "", HOME = "", TMPDIR } = process.env;
  const commandLine = [process.execPath, "--conditions=source", program, ...args];
  const [command = "", ...rest] = [...(options.wrapper ?? []), ...commandLine];
  const child = spawn(command, rest, {
    cwd: options.cwd,
    env: {
      PATH,
      HOME,
      NODE_COMPILE_CACHE: compileCache,
      ...(TMPDIR === undefined ? {} : { TMPDIR }),
      ...options.env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  const listeners = new Set<() => void>();
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (chunk: string) => {
      output[name] += chunk;
      for (const listener of listeners) listener();
    });
  }
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal, ...output }));
  });
  return {
    pid: child.pid ?? 0,
    ended,
    output,
    kill: (signal) => void child.kill(signal),
    printed: (pattern, stream = "stdout") =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = pattern.exec(output[stream]);
          if (found === null) return;
          listeners.delete(look);
          resolve(found);
        };
        listeners.add(look);
        look();
        void ended.then(({ code }) =>
          reject(new Error(`ended with ${code} before ${pattern}:\n${output.stdout}\n${output.stderr}`)),
        );
      }),
  };
}

/** Runs `spillway` to its end. */
export function runSpillway(args: readonly string[], options: RunOptions): Promise<Ended> {
  return startSpillway(args, options).ended;
}
