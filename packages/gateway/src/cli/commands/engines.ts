/** `spillway engines`: what the gateway can be given beside its own. */
import { CommandError } from "../command-error.ts";
import { installEngine, removeEngine } from "../engine-install.ts";
import { llamaStatus } from "../engine-status.ts";
import { exitCodes } from "../exit-codes.ts";
import { shortPath } from "../greeting.ts";
import { formatTable } from "../table.ts";
import type { Terminal } from "../terminal.ts";

/** What the command line says. */
export interface EnginesOptions {
  readonly json?: boolean;
}

const engineName = "llama";

/** Prints the engines and whether they are installed. */
export function listEngines({ json }: EnginesOptions, terminal: Terminal): number {
  const engines = [llamaStatus(terminal)];
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
  const before = llamaStatus(terminal);
  const { folder, wanted } = before;
  if (before.state !== "installed") {
    const progress = showProgress(terminal, `Installing the llama engine ${wanted} (about 90 MB)`);
    try {
      await installEngine({ version: wanted, folder, environment: terminal.environment });
    } finally {
      progress.end();
    }
  }
  if (json === true) terminal.print(`${JSON.stringify(llamaStatus(terminal), undefined, 2)}\n`);
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
  const before = llamaStatus(terminal);
  removeEngine(before.folder);
  if (json === true) terminal.print(`${JSON.stringify(llamaStatus(terminal), undefined, 2)}\n`);
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
