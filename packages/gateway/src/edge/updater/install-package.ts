/** Fetches a model package, checks it and publishes it as a version folder that a model repository can load. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { access, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { isMap, parseDocument } from "yaml";
import type { Clock } from "../../core/clock.ts";
import { fetchFile, forgetParts } from "./fetch-file.ts";
import { badPackage, reasonOf, transferFailure } from "./transfer-failure.ts";
import type { TransferFailure } from "./transfer-failure.ts";
import { unpackPackage } from "./unpack-package.ts";

/** A package to install. Plain data: it travels to a thread. */
export interface InstallJob {
  /** Folder of the model repository. */
  readonly repository: string;
  /** Name of the model, and of its folder. */
  readonly model: string;
  /** Name of the version's folder, which must not exist. */
  readonly version: string;
  /** `http:`, `https:` or `file:`. */
  readonly url: string;
  /** Names the content of the package over processes. */
  readonly contentId: string;
  /** SHA-256 of the package in lower-case hex; undefined: not known. */
  readonly sha256: string | undefined;
  /** Length of the package; undefined: not known. */
  readonly bytes: number | undefined;
  /** Most bytes of the package, and of what is in it. */
  readonly maxBytes: number;
  /** Without a byte for so long the connection is given up, ms. */
  readonly stallMs: number;
  /** PEM certificates of the authorities trusted; undefined: those that Node trusts. */
  readonly ca: string | undefined;
  /** Names the process. */
  readonly session: string;
}

/** How far it is. */
export interface InstallProgress {
  readonly phase: "downloading" | "verifying";
  readonly received: number;
  /** Undefined where nobody says. */
  readonly total: number | undefined;
}

/** A published version. */
export interface Installed {
  /** Of the package, lower-case hex. */
  readonly sha256: string;
  /** Of the package. */
  readonly bytes: number;
  /** Of what was in it. */
  readonly unpackedBytes: number;
}

/** How it runs. */
export interface InstallOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: InstallProgress) => void;
}

/** Folder for packages that have not all arrived, inside the repository: its name hides it from the models. */
const partsFolder = ".parts";
/** What a model repository reads of a `model.yaml`. */
const maxConfigBytes = 1_048_576;
/** Folder for versions that are being unpacked. */
const stagingFolder = ".staging";

/**
 * Downloads, going on where an earlier attempt was cut; compares the checksum; unpacks beside the models; publishes by a
 * rename. Either the whole version is there and on the disk, or nothing of it. Never throws.
 */
export async function installPackage(
  job: InstallJob,
  options: InstallOptions,
): Promise<Installed | TransferFailure> {
  try {
    return await install(job, options);
  } catch (error) {
    return transferFailure(options.signal.aborted ? "it was called off" : reasonOf(error));
  }
}

async function install(job: InstallJob, options: InstallOptions): Promise<Installed | TransferFailure> {
  const file = join(job.repository, partsFolder, job.model);
  await mkdir(dirname(file), { recursive: true });
  const fetched = await fetchFile(
    { ...job, file, isChecked: job.sha256 !== undefined },
    {
      ...options,
      onProgress: (received, total) => options.onProgress({ phase: "downloading", received, total }),
    },
  );
  if (fetched?.isFinal === true) await forgetParts(file);
  if (fetched !== undefined) return fetched;
  const { sha256, bytes } = await digestOf(file, options.signal);
  options.onProgress({ phase: "verifying", received: bytes, total: bytes });
  if (job.sha256 !== undefined && job.sha256 !== sha256) {
    await forgetParts(file);
    return transferFailure(`The package's SHA-256 is ${sha256}; ${job.sha256} was announced`);
  }
  const problem = await publish(job, file, options.signal);
  if (problem === undefined || problem.isFinal) await forgetParts(file);
  if (problem !== undefined) return problem;
  return { sha256, bytes, unpackedBytes: await sizeOf(join(job.repository, job.model, job.version)) };
}

async function sizeOf(folder: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(folder)) bytes += (await stat(join(folder, name))).size;
  return bytes;
}

async function digestOf(file: string, signal: AbortSignal): Promise<Omit<Installed, "unpackedBytes">> {
  const hash = createHash("sha256");
  const stream = createReadStream(file, { highWaterMark: 2 ** 20 });
  await pipeline(stream, hash, { signal });
  return { sha256: hash.digest("hex"), bytes: stream.bytesRead };
}

async function publish(
  { repository, model, version, maxBytes }: InstallJob,
  file: string,
  signal: AbortSignal,
): Promise<undefined | TransferFailure> {
  const staging = join(repository, stagingFolder, model);
  const target = join(repository, model, version);
  await rm(staging, { recursive: true, force: true });
  await mkdir(dirname(staging), { recursive: true });
  try {
    const problem = await unpackPackage({ file, folder: staging, maxBytes, signal });
    if (problem !== undefined) return problem;
    await settleConfig(join(staging, "model.yaml"));
    if (await exists(target)) return badPackage(`There is a version ${version} of ${model} already`);
    await syncFolder(staging);
    await mkdir(dirname(target), { recursive: true });
    await rename(staging, target);
    await syncFolder(dirname(target));
    await syncFolder(repository);
    return undefined;
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/**
 * Takes out what a `model.yaml` says of versions and groups, which is not a version's to say: the updater chooses versions,
 * and each has a process of its own, so that a new one that dies takes no other with it. What cannot be read stays as it is:
 * loading tells what is wrong with it.
 */
async function settleConfig(file: string): Promise<void> {
  if ((await stat(file)).size > maxConfigBytes) return;
  const document = parseDocument(await readFile(file, "utf8"));
  if (document.errors.length > 0 || !isMap(document.contents)) return;
  const removed = ["versions", "group"].map((key) => document.delete(key));
  if (removed.includes(true)) await writeFile(file, document.toString(), { flush: true });
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Brings the names in a folder to the disk. */
async function syncFolder(path: string): Promise<void> {
  await using handle = await open(path);
  await handle.sync();
}
