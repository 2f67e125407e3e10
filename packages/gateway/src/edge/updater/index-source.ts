/**
 * Models from an index: `{"models": {"<detector id or name>": [{"version": 3, "url": "…", "sha256": "…", "bytes": 1}]}}`, a
 * file that lies on a web server or on this machine. The highest version counts. `url` may be relative to the index.
 */
import { open } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import type { Clock } from "../../core/clock.ts";
import { isSameDetector } from "../../core/detector.ts";
import { httpGet, isHttp, refusalOf, type GetAnswer } from "./http-get.ts";
import { labelsOf, labelsSchema, sha256Schema } from "./offer-fields.ts";
import type { DetectorInUse, ModelOffer, ModelSource, NoOffer } from "./model-source.ts";
import { isTransferFailure, reasonOf, transferFailure, type TransferFailure } from "./transfer-failure.ts";

/** Where an index lies. */
export interface IndexSourceOptions {
  /** `http:`, `https:` or `file:`. */
  readonly url: string;
  /** PEM certificates of the authorities trusted; undefined: those that Node trusts. */
  readonly ca: string | undefined;
  readonly clock: Clock;
}

/** Larger ones are refused: reading one must not hold the loop. About 1,000 entries. */
const maxIndexBytes = 256 * 1024;
const timeoutMs = 10_000;
/** Detectors that are looked up within so long share one reading, ms. */
const freshMs = 2_000;

const indexSchema = z.object({ models: z.record(z.string(), z.unknown()) });
const entriesSchema = z
  .array(
    z.strictObject({
      version: z.int().min(1).max(999_999_999_999_999),
      url: z.string().min(1).max(4_000),
      sha256: sha256Schema,
      bytes: z.int().positive().optional(),
      labels: labelsSchema.optional(),
    }),
  )
  .max(1_000);

type Models = z.infer<typeof indexSchema>["models"];
type Entry = z.infer<typeof entriesSchema>[number];

/** Reads the index when detectors are looked up, at most every two seconds, over HTTP only when it has changed. */
export function createIndexSource(options: IndexSourceOptions): ModelSource {
  const reader = new IndexReader(options);
  return {
    async latest(subject, isBad) {
      const models = await reader.read();
      if (isTransferFailure(models))
        return {
          kind: "failed",
          reason: `the index of models cannot be read: ${models.reason}`,
          retryAfterMs: models.retryAfterMs,
        };
      return offerIn(models, subject, { isBad, base: options.url });
    },
  };
}

function offerIn(
  models: Models,
  { detector }: DetectorInUse,
  { isBad, base }: { readonly isBad: (contentId: string) => boolean; readonly base: string },
): ModelOffer | NoOffer {
  const key =
    Object.keys(models).find((each) => isSameDetector(each, detector.id)) ??
    (Object.hasOwn(models, detector.name) ? detector.name : undefined);
  if (key === undefined) return { kind: "none", reason: "the index has no model of this detector" };
  const read = entriesSchema.safeParse(models[key]);
  if (!read.success) {
    const [issue] = read.error.issues;
    const place = ["models", key, ...(issue?.path ?? [])].join(".");
    return { kind: "failed", reason: `the index is wrong at ${place.slice(0, 200)}: ${issue?.message}` };
  }
  const usable = read.data.filter(({ sha256 }) => !isBad(sha256)).sort((a, b) => b.version - a.version);
  const [entry] = usable;
  if (entry !== undefined) return offerOf(entry, base);
  const why = read.data.length === 0 ? "lists no version" : "lists only versions that were found to be bad";
  return { kind: "none", reason: `the index ${why}` };
}

function offerOf({ version, url, sha256, bytes, labels }: Entry, base: string): ModelOffer | NoOffer {
  const address = URL.parse(url, base);
  const isLocal = address?.protocol === "file:" && base.startsWith("file:");
  if (address === null || !(isHttp(address) || isLocal))
    return {
      kind: "failed",
      reason: `the index has an address that cannot be fetched for version ${version}`,
    };
  return {
    kind: "offer",
    source: "index",
    version: String(version),
    contentId: sha256,
    url: address.href,
    sha256,
    bytes,
    labels: labelsOf(labels),
  };
}

const tooLate = transferFailure(`no answer within ${timeoutMs} ms`);

class IndexReader {
  readonly #options: IndexSourceOptions;
  #reading: Promise<Models | TransferFailure> | undefined;
  #readAt = -Infinity;
  #kept: { readonly etag: string; readonly models: Models } | undefined;

  constructor(options: IndexSourceOptions) {
    this.#options = options;
  }

  read(): Promise<Models | TransferFailure> {
    const now = this.#options.clock.now();
    if (this.#reading === undefined || now - this.#readAt > freshMs) {
      this.#readAt = now;
      this.#reading = this.#fetch();
    }
    return this.#reading;
  }

  async #fetch(): Promise<Models | TransferFailure> {
    const controller = new AbortController();
    const timer = this.#options.clock.after(timeoutMs, () => controller.abort());
    try {
      const url = new URL(this.#options.url);
      return url.protocol === "file:"
        ? parseIndex(await readLocal(url))
        : await this.#get(url, controller.signal);
    } catch (error) {
      return controller.signal.aborted ? tooLate : transferFailure(reasonOf(error));
    } finally {
      timer.cancel();
    }
  }

  async #get(url: URL, signal: AbortSignal): Promise<Models | TransferFailure> {
    const headers = {
      "accept-encoding": "identity",
      ...(this.#kept !== undefined && { "if-none-match": this.#kept.etag }),
    };
    const answer = await httpGet({ url, headers, ca: this.#options.ca, stallMs: timeoutMs, signal });
    if (isTransferFailure(answer)) return signal.aborted ? tooLate : answer;
    if (answer.status === 304 && this.#kept !== undefined) {
      answer.body.destroy();
      return this.#kept.models;
    }
    const refused = refusalOf(answer, url);
    if (refused !== undefined) {
      answer.body.destroy();
      return refused;
    }
    const models = parseIndex(await bodyOf(answer));
    const { etag } = answer.headers;
    this.#kept = isTransferFailure(models) || etag === undefined ? undefined : { etag, models };
    return models;
  }
}

async function readLocal(url: URL): Promise<Buffer> {
  await using handle = await open(fileURLToPath(url));
  if ((await handle.stat()).size > maxIndexBytes) throw new Error(tooLarge);
  return await handle.readFile();
}

const tooLarge = `it has more than ${maxIndexBytes} bytes`;

async function bodyOf({ body }: GetAnswer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > maxIndexBytes) throw new Error(tooLarge);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parseIndex(bytes: Buffer): Models | TransferFailure {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch {
    return transferFailure("it is not JSON");
  }
  const read = indexSchema.safeParse(value);
  return read.success ? read.data.models : transferFailure('it is no object with "models" in it');
}
