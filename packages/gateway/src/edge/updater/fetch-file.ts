/** Brings a file to the disk, over cuts and restarts: what has arrived stays, and the rest is asked for by range (RFC 9110, 14). */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { copyFile, readFile, rm, stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { sleep, type Clock } from "../../core/clock.ts";
import { httpGet, isHttp, refusalOf, type GetAnswer } from "./http-get.ts";
import { badPackage, isTransferFailure, reasonOf, transferFailure } from "./transfer-failure.ts";
import type { TransferFailure } from "./transfer-failure.ts";

/** What to fetch and where to. */
export interface FetchJob {
  /** `http:`, `https:` or `file:`. */
  readonly url: string;
  /** Names the content: parts of another content are thrown away. */
  readonly contentId: string;
  /** Length of the file; undefined: not known beforehand. */
  readonly bytes: number | undefined;
  /** A checksum will be compared: parts of an earlier process can be used. */
  readonly isChecked: boolean;
  /** Names this process. */
  readonly session: string;
  /** Where parts are gathered; `FILE.json` beside it says what they are of. */
  readonly file: string;
  readonly maxBytes: number;
  readonly stallMs: number;
  readonly ca: string | undefined;
}

/** How it runs. */
export interface FetchOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onProgress: (received: number, total: number | undefined) => void;
}

/** Cuts in a row without a new byte after which it is given up. */
const maxFruitless = 4;
const maxCuts = 1_000;
const firstPauseMs = 200;

/** The connection broke; what arrived stays. */
interface Cut {
  readonly cut: string;
}

type FetchOutcome = undefined | TransferFailure | Cut;

function isCut(outcome: FetchOutcome | number): outcome is Cut {
  return typeof outcome === "object" && "cut" in outcome;
}

interface PartNote {
  readonly contentId: string;
  readonly session: string;
  /** Strong `ETag` or `Last-Modified`. */
  readonly validator: string | undefined;
}

/** Fetches until the file is whole. Undefined when it is: length as announced, on the disk. Never throws. */
export async function fetchFile(job: FetchJob, options: FetchOptions): Promise<undefined | TransferFailure> {
  try {
    const url = new URL(job.url);
    if (url.protocol === "file:") return await copyLocal(job, url, options);
    if (!isHttp(url)) return badPackage(`Addresses of packages are http, https or file, not ${url.protocol}`);
    return await fetchParts(job, url, options);
  } catch (error) {
    return transferFailure(options.signal.aborted ? "it was called off" : reasonOf(error));
  }
}

/** Removes what was gathered. */
export async function forgetParts(file: string): Promise<void> {
  await rm(file, { force: true });
  await rm(`${file}.json`, { force: true });
}

async function copyLocal(
  job: FetchJob,
  url: URL,
  { onProgress }: FetchOptions,
): Promise<undefined | TransferFailure> {
  const source = fileURLToPath(url);
  const { size } = await stat(source);
  const refused = sizeProblem(job, size);
  if (refused !== undefined) return refused;
  await forgetParts(job.file);
  await copyFile(source, job.file);
  onProgress(size, size);
  return undefined;
}

function sizeProblem({ bytes, maxBytes }: FetchJob, size: number): TransferFailure | undefined {
  if (size > maxBytes)
    return badPackage(`The package has ${size} bytes; the largest that is taken has ${maxBytes}`);
  if (bytes !== undefined && size !== bytes)
    return badPackage(`The package has ${size} bytes; ${bytes} were announced`);
  return undefined;
}

async function fetchParts(
  job: FetchJob,
  url: URL,
  options: FetchOptions,
): Promise<undefined | TransferFailure> {
  let fruitless = 0;
  let why = "";
  for (let cuts = 0; cuts < maxCuts; cuts++) {
    const before = await partOf(job);
    const outcome = await fetchOnce(job, url, before, options);
    if (!isCut(outcome)) return outcome;
    why = outcome.cut;
    if (options.signal.aborted) return transferFailure("it was called off");
    const after = await partOf(job);
    fruitless = after.bytes > before.bytes ? 0 : fruitless + 1;
    if (fruitless >= maxFruitless) break;
    await sleep(options.clock, firstPauseMs * 2 ** fruitless);
  }
  return transferFailure(`The download from ${url.host} breaks off: ${why}`);
}

interface Part {
  readonly bytes: number;
  readonly validator: string | undefined;
}

const nothing: Part = { bytes: 0, validator: undefined };

/** What of the file is here and can be gone on from. */
async function partOf({ file, contentId, isChecked, session }: FetchJob): Promise<Part> {
  try {
    const note = JSON.parse(await readFile(`${file}.json`, "utf8")) as PartNote;
    const isUsable = note.contentId === contentId && (isChecked || note.session === session);
    // Without a validator only a checksum can tell parts of two contents apart.
    if (!isUsable || (note.validator === undefined && !isChecked)) return nothing;
    const { size } = await stat(file);
    return { bytes: size, validator: note.validator };
  } catch {
    return nothing;
  }
}

async function fetchOnce(job: FetchJob, url: URL, part: Part, options: FetchOptions): Promise<FetchOutcome> {
  if (job.bytes !== undefined && part.bytes === job.bytes) return undefined;
  const { signal } = options;
  const from = job.bytes !== undefined && part.bytes > job.bytes ? 0 : part.bytes;
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  if (from > 0) headers["range"] = `bytes=${from}-`;
  if (from > 0 && part.validator !== undefined) headers["if-range"] = part.validator;
  const answer = await httpGet({ url, headers, ca: job.ca, stallMs: job.stallMs, signal });
  if (isTransferFailure(answer)) return signal.aborted ? answer : { cut: answer.reason };
  try {
    if (answer.status === 416 && from > 0) {
      await forgetParts(job.file);
      return { cut: "it has no such part" };
    }
    return refusalOf(answer, url) ?? (await receive(job, answer, from, options));
  } finally {
    answer.body.destroy();
  }
}

/** Without a pause before the body is listened to: what breaks in a pause would go unnoticed, and its bytes be lost. */
async function receive(
  job: FetchJob,
  answer: GetAnswer,
  asked: number,
  options: FetchOptions,
): Promise<FetchOutcome> {
  const span = spanOf(answer, asked);
  if (span === undefined) return transferFailure("The server answered with another part than was asked for");
  const refused = span.total === undefined ? undefined : sizeProblem(job, span.total);
  if (refused !== undefined) return refused;
  if (span.from === 0) startAnew(job, answer);
  const file = openSync(job.file, "r+");
  try {
    const end = await append(job, file, answer, span, options);
    if (typeof end !== "number") return end;
    fsyncSync(file);
    return sizeProblem(job, end);
  } finally {
    closeSync(file);
  }
}

interface Span {
  readonly from: number;
  /** Of the whole file. */
  readonly total: number | undefined;
}

/** Which part of the file the answer is; undefined: not one that can be used. */
function spanOf({ status, headers }: GetAnswer, asked: number): Span | undefined {
  if (status === 200) {
    const length = headers["content-length"];
    return { from: 0, total: length === undefined ? undefined : Number(length) };
  }
  const found = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(headers["content-range"] ?? "");
  if (found === null || Number(found[1]) !== asked) return undefined;
  return { from: asked, total: found[3] === "*" ? undefined : Number(found[3]) };
}

/** An empty file, and the note of what will be in it, which is there before the first byte is. */
function startAnew(job: FetchJob, { headers }: GetAnswer): void {
  rmSync(`${job.file}.json`, { force: true });
  writeFileSync(job.file, "");
  const { etag } = headers;
  // A weak validator must not be sent in If-Range (RFC 9110, 13.1.5).
  const strong = etag !== undefined && etag.startsWith('"') ? etag : undefined;
  const note: PartNote = {
    contentId: job.contentId,
    session: job.session,
    validator: strong ?? headers["last-modified"],
  };
  writeFileSync(`${job.file}.json.new`, JSON.stringify(note));
  renameSync(`${job.file}.json.new`, `${job.file}.json`);
}

/**
 * Writes the body behind what is there, each piece when it comes: of a stream that breaks, what waited in its buffer would be
 * lost. Gives the length of the file when the body was whole. Throws what the disk throws. Blocks: it runs in a thread.
 */
function append(
  job: FetchJob,
  file: number,
  { body }: GetAnswer,
  { from, total }: Span,
  { onProgress }: FetchOptions,
): Promise<number | TransferFailure | Cut> {
  const most = total ?? job.bytes ?? job.maxBytes;
  let end = from;
  return new Promise((resolve, reject) => {
    const takeChunk = (chunk: Buffer): void => {
      if (end + chunk.byteLength > most)
        return resolve(badPackage(`The server sends more than the ${most} bytes that the package may have`));
      try {
        for (let at = 0; at < chunk.byteLength;) at += writeSync(file, chunk, at, undefined, end + at);
      } catch (error) {
        return reject(error);
      }
      end += chunk.byteLength;
      onProgress(end, total ?? job.bytes);
    };
    const finish = (): void => {
      const wanted = total ?? job.bytes ?? end;
      resolve(end < wanted ? { cut: `it ends after ${end} of ${wanted} bytes` } : end);
    };
    body.on("data", takeChunk);
    body.on("end", finish);
    body.on("error", (error) => resolve({ cut: error.message }));
    body.on("close", () => resolve({ cut: "the connection was closed" }));
    if (body.destroyed) resolve({ cut: "the connection was closed" });
  });
}
