/** The single checks of `spillway doctor`. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, statfs } from "node:fs/promises";
import { createRequire } from "node:module";
import { createServer, type ListenOptions } from "node:net";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { scanRepository } from "@spillway/worker/repository";
import type { RepositoryOptions } from "../contracts/options.ts";
import { socketFolderParent } from "../workers/socket-folder.ts";
import { toSentence } from "./describe-error.ts";

/** What was found. */
export interface Finding {
  readonly name: string;
  readonly status: "ok" | "warn" | "fail";
  readonly message: string;
  /** What to do about it. */
  readonly advice?: string;
}

const mebibyte = 2 ** 20;
/** The built-in models with the gateway take about 450 MB. */
const comfortableMemoryBytes = 1_024 * mebibyte;
const leastMemoryBytes = 256 * mebibyte;
/** Sockets and compiled code lie in the temporary folder. */
const comfortableDiskBytes = 512 * mebibyte;
const leastDiskBytes = 64 * mebibyte;

/** Node 24 runs the sources and has what they use. */
export function checkNode(): Finding {
  const { node } = process.versions;
  const name = "node";
  if (Number.parseInt(node, 10) >= 24) return { name, status: "ok", message: `Node ${node}` };
  const advice = "start through the command spillway, which brings Node 24, or install Node 24";
  return { name, status: "fail", message: `Node ${node} is too old`, advice };
}

/** Gateway and models want a core each. */
export function checkCpu(): Finding {
  const cores = availableParallelism();
  const name = "processors";
  if (cores >= 2) return { name, status: "ok", message: `${cores} cores` };
  return { name, status: "warn", message: "1 core, which gateway and models share", advice: "expect less" };
}

/** What this process could still take, its container's limit counted. */
export function checkMemory(bytes: number = process.availableMemory()): Finding {
  const name = "memory";
  const message = `${Math.round(bytes / mebibyte)} MiB available`;
  if (bytes >= comfortableMemoryBytes) return { name, status: "ok", message };
  const advice = "the built-in models need about 450 MiB; serve fewer models, or give more memory";
  return { name, status: bytes < leastMemoryBytes ? "fail" : "warn", message, advice };
}

/** Room in the temporary folder. */
export async function checkDisk(folder: string = tmpdir()): Promise<Finding> {
  const name = "disk";
  try {
    const { bavail, bsize } = await statfs(folder);
    const bytes = bavail * bsize;
    const message = `${Math.round(bytes / mebibyte)} MiB free in ${folder}`;
    if (bytes >= comfortableDiskBytes) return { name, status: "ok", message };
    const advice = "make room, or set TMPDIR to a folder that has some";
    return { name, status: bytes < leastDiskBytes ? "fail" : "warn", message, advice };
  } catch (error) {
    return { name, status: "fail", message: toSentence(error), advice: "set TMPDIR to a folder that exists" };
  }
}

/** Workers listen on Unix sockets in a private folder. */
export async function checkSockets(temporary: string = tmpdir()): Promise<Finding> {
  const name = "sockets";
  const parent = socketFolderParent(temporary);
  try {
    const folder = await mkdtemp(join(parent, "spw-"));
    try {
      await tryToListen({ path: join(folder, "0.sock") });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  } catch (error) {
    const advice = "set TMPDIR to a folder on a local disk that may be written to";
    return { name, status: "fail", message: `none can be made in ${parent}: ${toSentence(error)}`, advice };
  }
  const why = parent !== temporary ? `, as ${temporary} is too long for them` : "";
  return { name, status: "ok", message: `Unix sockets work in ${parent}${why}` };
}

/** A library with native code, loaded in a process of its own: one that crashes is found, not met. */
export async function checkNative(library: string, consequence: string): Promise<Finding> {
  try {
    const path = createRequire(import.meta.resolve("@spillway/worker")).resolve(library);
    const program = `require(${JSON.stringify(path)})`;
    await promisify(execFile)(process.execPath, ["-e", program], { timeout: 30_000 });
    return { name: library, status: "ok", message: "its native code loads" };
  } catch (error) {
    const advice =
      "install again on this machine (npm ci, or npm install): files copied from another system do not fit";
    return { name: library, status: "fail", message: `${consequence}: ${whyNotLoaded(error)}`, advice };
  }
}

/** The line of a crash report that says what happened. */
function whyNotLoaded(error: unknown): string {
  const { stderr = "", signal } = error as { stderr?: string; signal?: string | null };
  const line = stderr.split("\n").find((text) => /Error\b/.test(text));
  if (line !== undefined) return line.trim();
  if (typeof signal === "string") return `loading it ended with ${signal}`;
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
}

/** Listens for a moment. Rejects with the system's error. */
export function tryToListen(where: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(where, () => server.close(() => resolve()));
  });
}

/** The model repository can be read and its models are whole. */
export async function checkModels(repository: RepositoryOptions | undefined): Promise<Finding> {
  const name = "models";
  if (repository === undefined) return { name, status: "ok", message: "none of its own" };
  const { directory } = repository;
  try {
    const { models } = await scanRepository(directory);
    const broken = [...models.values()].filter(
      ({ error, versions }) => error !== undefined || versions.some((version) => version.error !== undefined),
    );
    const message = `${models.size} in ${directory}`;
    if (broken.length === 0) return { name, status: "ok", message };
    const names = broken.map((model) => model.name).join(", ");
    return {
      name,
      status: "warn",
      message: `${message}; not whole: ${names}`,
      advice: "spillway check says why",
    };
  } catch (error) {
    const advice = "name the folder that holds the models: --models, or models.repository";
    return { name, status: "fail", message: toSentence(error), advice };
  }
}
