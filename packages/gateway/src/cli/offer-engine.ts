/** Says how GGUF files can be served where the engine for them is not installed, and offers to install it. */
import type { CompiledConfig } from "../config/index.ts";
import { toSentence } from "./describe-error.ts";
import { engineProblem, ggufStatus } from "./engine-status.ts";
import type { Terminal } from "./terminal.ts";

/** Installs an engine. Throws where that cannot be done. */
export type InstallEngine = (name: string, terminal: Terminal) => Promise<unknown>;

/** Waits for a person only where one sits at the terminal; what goes wrong does not keep the gateway from starting. */
export async function offerEngine(
  config: CompiledConfig,
  terminal: Terminal,
  install: InstallEngine = addWithNpm,
): Promise<void> {
  if (config.log.format === "json") return;
  const status = await ggufStatus(config, terminal);
  if (status === undefined || status.files.length === 0) return;
  const problem = engineProblem(status.engine);
  if (problem === undefined) return;
  terminal.print(`${problem}\n`);
  if (terminal.ask === undefined) return;
  const answer = await terminal.ask("Install it now (about 90 MB from the package registry)? [y/N] ");
  if (!/^y(es)?$/i.test(answer.trim())) return;
  try {
    await install("llama", terminal);
  } catch (error) {
    terminal.complain(`${toSentence(error)}\n`);
  }
}

/** Imported when it is needed: few starts install anything. */
async function addWithNpm(name: string, terminal: Terminal): Promise<void> {
  const { addEngine } = await import("./commands/engines.ts");
  await addEngine(name, {}, terminal);
}
