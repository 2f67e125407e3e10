/** Finds the picture in a body: the body itself, or the one file of a form (RFC 7578). Nothing is copied. */
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import { headerValue, type HeaderMap } from "../../core/headers.ts";
import { readMediaType } from "./read-submission.ts";

/** A picture as it came. */
export interface GivenPicture {
  /** A view of the body. */
  readonly bytes: Uint8Array;
  /** Lower case, without parameters: what the caller says it is. */
  readonly mediaType: string;
}

const maxParts = 16;
const maxPartHeadBytes = 4_096;
const headEnd = Buffer.from("\r\n\r\n");

/** The picture of `POST /image-queries`. */
export function readPicture(headers: HeaderMap, body: Uint8Array): GivenPicture | Failure {
  const mediaType = readMediaType(headers);
  if (typeof mediaType !== "string") return mediaType;
  const found = mediaType === "multipart/form-data" ? readForm(headers, body) : { bytes: body, mediaType };
  if (isFailure(found)) return found;
  return found.bytes.byteLength === 0 ? failure("invalid_image", "The picture is empty") : found;
}

interface Part {
  readonly mediaType: string;
  readonly isFile: boolean;
  readonly bytes: Uint8Array;
}

function readForm(headers: HeaderMap, body: Uint8Array): GivenPicture | Failure {
  const boundary = readBoundary(headerValue(headers, "content-type") ?? "");
  if (boundary === undefined) return failure("bad_request", "multipart/form-data without a boundary");
  const parts = splitParts(Buffer.from(body.buffer, body.byteOffset, body.byteLength), boundary);
  if (isFailure(parts)) return parts;
  const files = parts.filter(({ isFile, mediaType }) => isFile || mediaType.startsWith("image/"));
  const [file] = files;
  if (file === undefined) return failure("invalid_image", "The form has no part with a picture");
  if (files.length > 1) return failure("bad_request", `The form has ${files.length} pictures, expected one`);
  const { bytes } = file;
  if (file.mediaType.startsWith("image/") || bytes.byteLength === 0)
    return { bytes, mediaType: file.mediaType };
  const sniffed = sniffMediaType(bytes);
  return sniffed === undefined
    ? failure(
        "unsupported_media_type",
        `The form's file is ${file.mediaType || "of no type"}, expected image/…`,
      )
    : { bytes, mediaType: sniffed };
}

function readBoundary(contentType: string): string | undefined {
  const found = /;\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType);
  return found?.[1] ?? found?.[2];
}

function splitParts(body: Buffer, boundary: string): Part[] | Failure {
  const cut = failure("bad_request", "The form is cut short or has no part of its boundary");
  const line = Buffer.from(`--${boundary}`, "latin1");
  const separator = Buffer.concat([Buffer.from("\r\n"), line]);
  const parts: Part[] = [];
  // The first boundary stands at the start, or on a line of its own after a preamble.
  const first = body.subarray(0, line.length).equals(line) ? 0 : body.indexOf(separator) + 2;
  if (first === 1) return cut;
  let at = first + line.length;
  for (;;) {
    if (body.subarray(at, at + 2).toString("latin1") === "--") return parts;
    if (parts.length >= maxParts) return failure("bad_request", `The form has more than ${maxParts} parts`);
    const headStop = body.subarray(at, at + maxPartHeadBytes).indexOf(headEnd);
    if (headStop < 0) return cut;
    const start = at + headStop + headEnd.length;
    // An empty part's boundary begins with the line end of its head.
    const stop = body.indexOf(separator, start - 2);
    if (stop < 0) return cut;
    parts.push(
      readPart(body.toString("latin1", at, at + headStop), body.subarray(start, Math.max(start, stop))),
    );
    at = stop + separator.length;
  }
}

function readPart(head: string, bytes: Uint8Array): Part {
  const type = /^content-type:\s*([^\r\n;]*)/im.exec(head)?.[1] ?? "";
  const isFile = /^content-disposition:[^\r\n]*;\s*filename\*?=/im.test(head);
  return { mediaType: type.trim().toLowerCase(), isFile, bytes };
}

const signatures: readonly (readonly [mediaType: string, hex: string, at: number])[] = [
  ["image/jpeg", "ffd8ff", 0],
  ["image/png", "89504e47", 0],
  ["image/gif", "47494638", 0],
  ["image/webp", "57454250", 8],
  ["image/bmp", "424d", 0],
  ["image/x-icon", "00000100", 0],
];

/** Media type by the first bytes; undefined for none of the formats that the cloud takes. */
export function sniffMediaType(bytes: Uint8Array): string | undefined {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(12, bytes.byteLength)).toString("hex");
  return signatures.find(([, hex, at]) => head.startsWith(hex, at * 2))?.[0];
}
