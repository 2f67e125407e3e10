/** `spillway engines`: what the gateway can be given beside its own. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { engineVersion, installedVersion, libraryFolder } from "../../workers/llama/engine-files.ts";
import { CommandError } from "../command-error.ts";
import { installEngine, removeEngine } from "../engine-install.ts";
import { exitCodes } from "../exit-codes.ts";
import { shortPath } from "../greeting.ts";
import { formatTable } from "../table.ts";
import type { Terminal } from "../terminal.ts";

/** What the command line says. */
export interface EnginesOptions {
  readonly json?: boolean;
}

/** An engine as `--json` prints it. */
interface EngineStatus {
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

const engineName = "llama";

/** Prints the engines and whether they are installed. */
export function listEngines({ json }: EnginesOptions, terminal: Terminal): number {
  const engines = [statusOf(terminal)];
  if (json === true) terminal.print(`${JSON.stringify({ engines }, undefined, 2)}\n`);
  else {
    const rows = engines.map(({ name, state, version, folder, description }) => {
      return [name, state, version ?? "", shortPath(folder, terminal.workingDirectory), description];
    });
    terminal.print(formatTable(["ENGINE", "STATE", "VERSION", "FOLDER", "WHAT IT DOES"], rows));
  }
  return exitCodes.ok.code;
}

/** Installs an engine, unless it is there. Throws a `CommandError` where that cannot be done. */
export async function addEngine(name: string, { json }: EnginesOptions, terminal: Terminal): Promise<number> {
  requireKnown(name);
  const before = statusOf(terminal);
  const { folder, wanted } = before;
  if (before.state !== "installed") {
    const progress = showProgress(terminal, `Installing the llama engine ${wanted} (about 90 MB)`);
    try {
      await installEngine({ version: wanted, folder, environment: terminal.environment });
    } finally {
      progress.end();
    }
  }
  if (json === true) terminal.print(`${JSON.stringify(statusOf(terminal), undefined, 2)}\n`);
  else {
    const place = shortPath(folder, terminal.workingDirectory);
    const verb = before.state === "installed" ? "is installed already" : "is installed";
    terminal.print(
      `The llama engine ${wanted} ${verb} in ${place}. Put a GGUF file into the model folder.\n`,
    );
  }
  return exitCodes.ok.code;
}

/** Removes what was installed. */
export function dropEngine(name: string, { json }: EnginesOptions, terminal: Terminal): number {
  requireKnown(name);
  const before = statusOf(terminal);
  removeEngine(before.folder);
  if (json === true) terminal.print(`${JSON.stringify(statusOf(terminal), undefined, 2)}\n`);
  else
    terminal.print(
      before.state === "missing" ? "The llama engine is not installed.\n" : "The llama engine is removed.\n",
    );
  return exitCodes.ok.code;
}

function requireKnown(name: string): void {
  if (name === engineName) return;
  throw new CommandError(`there is no engine "${name}"; engines are: ${engineName}`);
}

function statusOf({ workingDirectory, environment }: Terminal): EngineStatus {
  const folder = libraryFolder(workingDirectory, environment);
  const wanted = engineVersion();
  const version = installedVersion(folder) ?? null;
  const half = existsSync(join(folder, "node_modules"));
  const installed = version === wanted ? "installed" : "outdated";
  const state = version === null ? (half ? "broken" : "missing") : installed;
  return { name: engineName, description: "language models from GGUF files", state, version, wanted, folder };
}

/** A line that counts seconds on a terminal, one line elsewhere. */
function showProgress(terminal: Terminal, what: string): { end(): void } {
  if (!terminal.interactiveErrors) {
    terminal.complain(`${what}\n`);
    return { end: () => {} };
  }
  let seconds = 0;
  terminal.complain(what);
  const timer = setInterval(() => terminal.complain(`\r${what} … ${++seconds} s`), 1_000);
  return {
    end() {
      clearInterval(timer);
      terminal.complain("\n");
    },
  };
}
