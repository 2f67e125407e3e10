/** Program of the engine's process: `main.ts --models FOLDER --socket PATH`. */
import { rmdirSync, rmSync } from "node:fs";
import { enableCompileCache, flushCompileCache } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { readArguments, usage, type EngineOptions } from "./arguments.ts";
import { createJsonLog } from "./log.ts";
import { errorText } from "./refusal.ts";

// Before the library's hundreds of modules are imported: their compiled code comes from the cache.
enableCompileCache();

const log = createJsonLog();

try {
  const options = readArguments(process.argv.slice(2), fileURLToPath(new URL("..", import.meta.url)));
  if (options === undefined) process.stdout.write(usage);
  else await run(options);
} catch (error) {
  log("error", "cannot_start", { reason: errorText(error) });
  process.exit(1);
}

async function run(options: EngineOptions): Promise<void> {
  const socket = "path" in options.listen ? options.listen.path : undefined;
  if (options.supervised) endWithParent(socket);
  else process.once("SIGINT", () => end(socket)).once("SIGTERM", () => end(socket));
  process.on("uncaughtException", (error) => {
    log("error", "crashed", { reason: error.stack ?? error.message });
    end(socket);
  });
  const { loadLlamaRuntime } = await import("./node-llama/load-runtime.ts");
  const runtime = await loadLlamaRuntime({ ...options, log });
  if (options.check) process.exit(0);
  const { runEngine } = await import("./run-engine.ts");
  await runEngine(options, runtime);
  flushCompileCache();
}

/** Signals of the terminal are left to the parent; standard input is a pipe that closes when it dies. */
function endWithParent(socket: string | undefined): void {
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => {});
  const leave = (): void => {
    if (socket !== undefined) removeFolderOf(socket);
    end(socket);
  };
  process.stdin.once("end", leave).once("close", leave).once("error", leave).resume();
}

/** Ends at once: an exit would first wait for what is being computed, and nobody is left to hear it. */
function end(socket: string | undefined): void {
  if (socket !== undefined) rmSync(socket, { force: true });
  process.kill(process.pid, "SIGKILL");
}

/** The parent, which is gone, made the folder for the socket: it goes as well, unless it holds something else. */
function removeFolderOf(socket: string): void {
  rmSync(socket, { force: true });
  try {
    rmdirSync(dirname(socket));
  } catch {
    // It is not empty, or has gone.
  }
}
