/** Opens a model package: a tar archive, plain or gzipped, of `model.onnx`, `model.yaml` and files that the model refers to. */
import { closeSync, createReadStream, fsyncSync, openSync, writeSync } from "node:fs";
import { mkdir, open } from "node:fs/promises";
import { join } from "node:path";
import { Transform, Writable, type TransformCallback } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { Parser, type ReadEntry } from "tar";
import { badPackage, reasonOf, transferFailure, type TransferFailure } from "./transfer-failure.ts";

/** What to unpack. */
export interface UnpackJob {
  readonly file: string;
  /** Made, and must not exist. What is in it after a failure is the caller's to remove. */
  readonly folder: string;
  /** Most bytes of the archive after unzipping. */
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

/** The files without which a package is none. */
const required = ["model.onnx", "model.yaml"];
const maxEntries = 32;
/** Plain names at the top of the archive: nothing that could be a path. */
const plainName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;
const plainTypes = new Set(["File", "OldFile", "ContiguousFile"]);
/** Where the magic of POSIX and GNU archives begins (POSIX.1-2001, ustar). */
const magicAt = 257;

class PackageError extends Error {}

/** Writes the package's files into the folder and brings them to the disk. Undefined when all is well. Never throws. */
export async function unpackPackage(job: UnpackJob): Promise<undefined | TransferFailure> {
  const files = new PackageFiles(job.folder);
  try {
    await mkdir(job.folder);
    const stages = [
      createReadStream(job.file),
      ...((await isGzip(job.file)) ? [createGunzip()] : []),
      bounded(job.maxBytes),
      intoParser(files),
    ];
    await pipeline(stages, { signal: job.signal });
    const missing = required.filter((name) => !files.names.has(name));
    if (missing.length > 0) return badPackage(`The package lacks ${missing.join(" and ")}`);
    return undefined;
  } catch (error) {
    if (job.signal.aborted) return transferFailure("it was called off");
    if (isSystemError(error)) return transferFailure(reasonOf(error));
    const reason = reasonOf(error);
    return badPackage(
      error instanceof PackageError ? reason : `The package is no readable tar archive: ${reason}`,
    );
  } finally {
    files.close();
  }
}

async function isGzip(file: string): Promise<boolean> {
  await using handle = await open(file);
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(2), 0, 2, 0);
  return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b;
}

/** Of the file system, such as a full disk; those of zlib have codes that begin with Z. */
function isSystemError(error: unknown): boolean {
  return error instanceof Error && "syscall" in error;
}

/** Passes an archive through up to a bound, once it has seen that it is one. */
function bounded(maxBytes: number): Transform {
  let seen = 0;
  let head: Buffer | undefined = Buffer.alloc(0);
  return new Transform({
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      seen += chunk.byteLength;
      if (seen > maxBytes)
        return done(new PackageError(`The package unpacks to more than ${maxBytes} bytes`));
      if (head === undefined) return done(null, chunk);
      head = Buffer.concat([head, chunk]);
      if (head.byteLength < magicAt + 5) return done();
      if (head.toString("latin1", magicAt, magicAt + 5) !== "ustar")
        return done(new PackageError("The package is neither a tar archive nor a gzipped one"));
      const all = head;
      head = undefined;
      done(null, all);
    },
    flush(done) {
      done(head === undefined ? null : new PackageError("The package is too short for a tar archive"));
    },
  });
}

/** Feeds the library's parser; it tells of entries while it is written to. */
function intoParser(files: PackageFiles): Writable {
  let failed: Error | undefined;
  const note = (error: unknown): void =>
    void (failed ??= error instanceof Error ? error : new Error(String(error)));
  const guarded = (action: () => void): void => {
    try {
      action();
    } catch (error) {
      note(error);
    }
  };
  const parser = new Parser({ strict: true, brotli: false, zstd: false });
  parser.on("error", note);
  parser.on("entry", (entry: ReadEntry) => guarded(() => takeEntry(files, entry, guarded)));
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (failed === undefined) guarded(() => void parser.write(chunk));
      done(failed);
    },
    final(done) {
      let isDone = false;
      const finish = (): void => {
        if (!isDone) done(failed);
        isDone = true;
      };
      parser.once("end", finish);
      parser.once("error", finish);
      guarded(() => void parser.end());
      if (failed !== undefined) finish();
    },
  });
}

function takeEntry(files: PackageFiles, entry: ReadEntry, guarded: (action: () => void) => void): void {
  const name = entry.path.replace(/^\.\//, "");
  const isTop = entry.type === "Directory" && (name === "" || name === ".");
  // Programs of one system write its attributes as files of their own.
  if (isTop || (plainTypes.has(entry.type) && name.startsWith("._"))) return entry.resume();
  if (!plainTypes.has(entry.type) || !plainName.test(name))
    throw new PackageError(
      `The package holds ${JSON.stringify(entry.path.slice(0, 100))} (${entry.type}); only plain files at its top are taken`,
    );
  const write = files.add(name);
  entry.on("data", (chunk: Buffer) => guarded(() => write(chunk)));
  entry.on("end", () => guarded(() => files.finish()));
}

/** The files of one package, one after the other. Blocks: it runs in the installing thread. */
class PackageFiles {
  readonly names = new Set<string>();
  readonly #folder: string;
  #open: number | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  add(name: string): (chunk: Buffer) => void {
    if (this.names.has(name)) throw new PackageError(`The package holds ${name} twice`);
    if (this.names.size >= maxEntries)
      throw new PackageError(`The package holds more than ${maxEntries} files`);
    this.names.add(name);
    const file = openSync(join(this.#folder, name), "wx", 0o600);
    this.#open = file;
    return (chunk) => {
      for (let at = 0; at < chunk.byteLength;) at += writeSync(file, chunk, at);
    };
  }

  finish(): void {
    if (this.#open !== undefined) fsyncSync(this.#open);
    this.close();
  }

  close(): void {
    if (this.#open !== undefined) closeSync(this.#open);
    this.#open = undefined;
  }
}
