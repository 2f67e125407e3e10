/** The llama engine as a process, over models of random weights. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { root } from "../../scripts/lib/paths.ts";
import { engineVersion, installedVersion } from "../../packages/gateway/src/workers/llama/engine-files.ts";
import { buildGguf, type GgufOptions } from "./gguf-build.ts";

const folder = path.join(root, "engines/llama");

/**
 * Why tests of the engine are skipped: false where it is installed. With `SPILLWAY_TEST_STRICT=1` in the environment
 * a missing engine throws.
 */
export function engineMissing(): string | false {
  if (installedVersion(folder) === engineVersion()) return false;
  const message = "needs the llama engine: node packages/gateway/bin/spillway.mjs engines add llama";
  if (process.env["SPILLWAY_TEST_STRICT"] === "1") throw new Error(message);
  return message;
}

/** A line the engine logged. */
export interface EngineEvent {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** A running engine. */
export interface TestEngine {
  readonly url: string;
  readonly child: ChildProcess;
  /** The folder its models lie in. */
  readonly models: string;
  readonly events: readonly EngineEvent[];
  /** Posts JSON. */
  post(address: string, body: unknown, signal?: AbortSignal): Promise<Response>;
  close(): Promise<void>;
}

/** Starts the engine on a free port, over GGUF files of these names. Resolves when it listens. */
export async function startEngine(
  models: Readonly<Record<string, GgufOptions>>,
  args: readonly string[] = [],
): Promise<TestEngine> {
  const modelFolder = mkdtempSync(path.join(tmpdir(), "spw-gguf-"));
  for (const [name, options] of Object.entries(models)) {
    const file = path.join(modelFolder, `${name}.gguf`);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, buildGguf(options));
  }
  const program = path.join(folder, "src/main.ts");
  const child = spawn(
    process.execPath,
    [program, "--models", modelFolder, "--port", "0", "--supervised", ...args],
    { stdio: ["pipe", "ignore", "pipe"] },
  );
  const events: EngineEvent[] = [];
  const url = await new Promise<string>((resolve, reject) => {
    child.once("exit", () => reject(new Error(`the engine ended: ${JSON.stringify(events)}`)));
    createInterface({ input: child.stderr }).on("line", (line) => {
      if (!line.startsWith("{")) return;
      const event = JSON.parse(line) as EngineEvent;
      events.push(event);
      if (event.event === "listening") resolve(`http://127.0.0.1:${String(event["port"])}`);
    });
  });
  const close = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.stdin.end();
      await once(child, "exit");
    }
    rmSync(modelFolder, { recursive: true, force: true });
  };
  const post = (address: string, body: unknown, signal?: AbortSignal): Promise<Response> =>
    fetch(`${url}${address}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      ...(signal === undefined ? {} : { signal }),
    });
  return { url, child, models: modelFolder, events, post, close };
}
