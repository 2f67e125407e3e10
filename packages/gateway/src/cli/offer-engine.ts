/** Says how GGUF files can be served where the engine for them is not installed, and offers to install it. */
import type { CompiledConfig } from "../config/index.ts";
import { hasGguf, installedVersion, libraryFolder } from "../workers/llama/engine-files.ts";
import { toSentence } from "./describe-error.ts";
import type { Terminal } from "./terminal.ts";

/** Waits for a person only where one sits at the terminal; what goes wrong does not keep the gateway from starting. */
export async function offerEngine(config: CompiledConfig, terminal: Terminal): Promise<void> {
  const { llama } = config;
  if (llama === undefined || config.log.format === "json") return;
  const folder = libraryFolder(terminal.workingDirectory, terminal.environment);
  if (installedVersion(folder) !== undefined || !(await hasGguf(llama.folders))) return;
  terminal.print("GGUF files in the model folder need the llama engine: spillway engines add llama\n");
  if (terminal.ask === undefined) return;
  const answer = await terminal.ask("Install it now (about 90 MB from the package registry)? [y/N] ");
  if (!/^y(es)?$/i.test(answer.trim())) return;
  try {
    const { addEngine } = await import("./commands/engines.ts");
    await addEngine("llama", {}, terminal);
  } catch (error) {
    terminal.complain(`${toSentence(error)}\n`);
  }
}
