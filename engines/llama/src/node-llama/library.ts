/** Finds and starts node-llama-cpp where it was installed. This folder is all that knows the library. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type * as Library from "node-llama-cpp";
import type { Log } from "../log.ts";

/** The library's exports. */
export type LlamaLibrary = typeof Library;

/** Imports the library from `<folder>/node_modules`. Rejects where it is not installed there. */
export async function importLibrary(folder: string): Promise<LlamaLibrary> {
  const place = join(folder, "node_modules", "node-llama-cpp");
  const manifest = join(place, "package.json");
  if (!existsSync(manifest))
    throw new Error(`node-llama-cpp is not installed in ${folder}: spillway engines add llama`);
  const { main } = JSON.parse(readFileSync(manifest, "utf8")) as { readonly main: string };
  return (await import(pathToFileURL(join(place, main)).href)) as LlamaLibrary;
}

/**
 * Starts llama.cpp from the installed binary; nothing is compiled or downloaded. On Macs the binary computes on the
 * graphics processor; elsewhere the one that is installed has no other than the main processor.
 *
 * @param options.threads how many compute at once
 * @param options.said hears what llama.cpp warns of
 */
export async function startLlama(
  { getLlama, LlamaLogLevel }: LlamaLibrary,
  {
    threads,
    log,
    said,
  }: { readonly threads: number; readonly log: Log; readonly said: (text: string) => void },
): Promise<Library.Llama> {
  return getLlama({
    gpu: process.platform === "darwin" ? "auto" : false,
    build: "never",
    skipDownload: true,
    progressLogs: false,
    maxThreads: threads,
    logLevel: LlamaLogLevel.warn,
    logger: (level, message) => {
      const text = message.trim().slice(0, 1_000);
      if (text === "") return;
      said(text);
      log(level === LlamaLogLevel.warn ? "debug" : "warn", "llama", { text });
    },
  });
}
