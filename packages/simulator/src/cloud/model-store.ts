/** Trained models as edge devices fetch them: their addresses, and the files in the manner of an object store. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Clock } from "../clock.ts";
import type { CloudModel } from "./cloud-options.ts";
import { isDetector } from "./detectors.ts";
import type { DetectorBook } from "./detectors.ts";
import { idOfName } from "./ids.ts";
import { notFound } from "./reply.ts";
import type { CloudCall, Reply } from "./reply.ts";

interface Binary {
  readonly id: string;
  readonly bytes: Buffer;
  /** In quotes; the MD5 of the bytes, as object stores give it. */
  readonly etag: string;
  readonly modified: string;
}

interface PublishedModel {
  readonly primary: Binary | undefined;
  readonly oodd: Binary | undefined;
  readonly spec: CloudModel;
}

const DEFAULT_PIPELINE = "generic-cached-timm-efficientnet_b0_knn\n";
const MAX_BINARIES = 64;

/** The models of all detectors: one each, and the last 64 files, so that a download of an older one can end. */
export class ModelStore {
  readonly #byDetector = new Map<string, PublishedModel>();
  readonly #binaries = new Map<string, Binary>();
  readonly #clock: Clock;
  readonly #ttlMs: number;

  constructor(clock: Clock, ttlMs = 3_600_000) {
    this.#clock = clock;
    this.#ttlMs = ttlMs;
  }

  /** Makes this the detector's model. Throws when its file cannot be read. */
  publish(detectorId: string, spec: CloudModel): void {
    const primary = this.#binary(spec);
    const oodd = spec.oodd === undefined ? undefined : this.#binary(spec.oodd);
    this.#byDetector.set(detectorId.toLowerCase(), { primary, oodd, spec });
    for (const id of this.#binaries.keys()) {
      if (this.#binaries.size <= MAX_BINARIES) break;
      this.#binaries.delete(id);
    }
  }

  /** `GET …/fetch-model-urls/:id/`: ids, short-lived addresses, pipelines. */
  fetchUrls(call: CloudCall, detectors: DetectorBook): Reply {
    const detector = detectors.own(call, call.path["id"] ?? "");
    if (!isDetector(detector)) return detector;
    const model = this.#byDetector.get(detector.id.toLowerCase());
    if (model === undefined) return notFound("This detector has no model for edge devices.");
    const { primary, oodd, spec } = model;
    return {
      json: {
        // What there is none of is left out: the client refuses null.
        model_binary_id: primary?.id,
        model_binary_url: this.#url(call, primary),
        oodd_model_binary_id: oodd?.id,
        oodd_model_binary_url: this.#url(call, oodd),
        pipeline_config: spec.pipelineConfig ?? DEFAULT_PIPELINE,
        oodd_pipeline_config:
          spec.oodd === undefined ? undefined : (spec.oodd.pipelineConfig ?? DEFAULT_PIPELINE),
        predictor_metadata: JSON.stringify({
          text_query: detector.query,
          mode: detector.mode,
          detector_name: detector.name,
          mode_configuration: detector.modeConfiguration,
        }),
        minimal_compatible: spec.minimalCompatible ?? false,
      },
    };
  }

  /** `GET` or `HEAD` of a file: needs no token but an address that is still good. */
  download({ path, query, headers }: Omit<CloudCall, "caller">): Reply {
    const binary = this.#binaries.get(path["id"] ?? "");
    if (binary === undefined) return storeError(404, "NoSuchKey", "The specified key does not exist.");
    const expires = Number(query.get("Expires"));
    if (query.get("Signature") !== sign(binary.id, expires))
      return storeError(403, "SignatureDoesNotMatch", "The signature does not match.");
    if (expires * 1000 <= this.#clock.wallNow())
      return storeError(403, "AccessDenied", "Request has expired");
    const { bytes, etag, modified } = binary;
    const about = {
      "content-type": "binary/octet-stream",
      "accept-ranges": "bytes",
      "last-modified": modified,
      etag,
    };
    if (headers["if-none-match"] === etag) return { status: 304, headers: about };
    if (headers["if-match"] !== undefined && headers["if-match"] !== etag)
      return storeError(412, "PreconditionFailed", "At least one of the preconditions did not hold.");
    const condition = headers["if-range"];
    const ranged = condition === undefined || condition === etag || condition === modified;
    const range = ranged ? readRange(headers.range, bytes.length) : undefined;
    if (range === "outside")
      return storeError(416, "InvalidRange", "The requested range is not satisfiable", {
        "content-range": `bytes */${bytes.length}`,
      });
    if (range === undefined) return { bytes, headers: about };
    const { from, to } = range;
    return {
      status: 206,
      bytes: bytes.subarray(from, to + 1),
      headers: { ...about, "content-range": `bytes ${from}-${to}/${bytes.length}` },
    };
  }

  #binary({ id, bytes, file }: Pick<CloudModel, "id" | "bytes" | "file">): Binary | undefined {
    const content = bytes ?? (file === undefined ? undefined : readFileSync(file));
    if (content === undefined) return undefined;
    const whole = Buffer.from(content);
    const md5 = createHash("md5").update(whole).digest("hex");
    const modified = new Date(this.#clock.wallNow()).toUTCString();
    const binary = { id: id ?? idOfName("mlbin_", md5), bytes: whole, etag: `"${md5}"`, modified };
    // The newest is last, also when it is published again.
    this.#binaries.delete(binary.id);
    this.#binaries.set(binary.id, binary);
    return binary;
  }

  #url({ origin }: CloudCall, binary: Binary | undefined): string | undefined {
    if (binary === undefined) return undefined;
    const expires = Math.ceil((this.#clock.wallNow() + this.#ttlMs) / 1000);
    return `${origin}/model-files/${binary.id}?Expires=${expires}&Signature=${sign(binary.id, expires)}`;
  }
}

/** Stands for a signature: only this server makes addresses that it takes. */
function sign(id: string, expires: number): string {
  return createHash("sha256").update(`${id} ${expires} spillway-simulator`).digest("hex").slice(0, 32);
}

function storeError(status: number, code: string, message: string, headers = {}): Reply {
  const xml = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message></Error>`;
  return { status, bytes: Buffer.from(xml), headers: { "content-type": "application/xml", ...headers } };
}

/** One range of RFC 9110; undefined for none, several or what is no range: the whole is sent then. */
function readRange(
  given: string | undefined,
  size: number,
): { from: number; to: number } | "outside" | undefined {
  const found = /^bytes=(\d*)-(\d*)$/.exec(given ?? "");
  if (found === null) return undefined;
  const [, first = "", last = ""] = found;
  if (first === "" && last === "") return undefined;
  if (first === "")
    return Number(last) === 0 ? "outside" : { from: Math.max(0, size - Number(last)), to: size - 1 };
  const from = Number(first);
  const to = last === "" ? size - 1 : Math.min(Number(last), size - 1);
  if (from >= size) return "outside";
  return to < from ? undefined : { from, to };
}
