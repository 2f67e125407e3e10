/** Query strings: known parameters only, each once. */
import { failure, isFailure, type Failure } from "../../core/errors.ts";

/** What was given, decoded. */
export type QueryParameters = ReadonlyMap<string, string>;

/** `query` has no `?`. Unknown parameters are named in the failure, with the known ones. */
export function readQueryString(query: string, known: readonly string[]): QueryParameters | Failure {
  const given = new Map<string, string>();
  const unknown: string[] = [];
  for (const [name, value] of new URLSearchParams(query)) {
    if (!known.includes(name)) {
      if (unknown.length < 5) unknown.push(name.slice(0, 60));
    } else if (given.has(name)) return { ...failure("bad_request", `${name} is given twice`), field: name };
    else given.set(name, value);
  }
  const [first] = unknown;
  if (first === undefined) return given;
  const message = `Invalid query parameters: ${unknown.join(", ")}. Known are ${known.join(", ")}`;
  return { ...failure("bad_request", message), field: first };
}

/** Which page of a list is wanted. */
export interface PageWanted {
  /** From 1. */
  readonly page: number;
  /** 1 to 100. */
  readonly pageSize: number;
}

/** Which image queries are wanted. */
export interface ImageQueryListing extends PageWanted {
  readonly detectorId: string | undefined;
}

/** Which detectors are wanted. */
export interface DetectorListing extends PageWanted {
  readonly name: string | undefined;
}

/** Query string of `GET /image-queries`. */
export function readImageQueryListing(query: string): ImageQueryListing | Failure {
  const given = readQueryString(query, ["page", "page_size", "detector_id"]);
  if (isFailure(given)) return given;
  const page = readPageWanted(given);
  return isFailure(page) ? page : { ...page, detectorId: given.get("detector_id") };
}

/** Query string of `GET /detectors`. */
export function readDetectorListing(query: string): DetectorListing | Failure {
  const given = readQueryString(query, ["page", "page_size", "name"]);
  if (isFailure(given)) return given;
  const page = readPageWanted(given);
  return isFailure(page) ? page : { ...page, name: given.get("name") };
}

/** A page size of more than 100 is 100, as the cloud has it. */
function readPageWanted(given: QueryParameters): PageWanted | Failure {
  const page = readCount(given, "page", 1);
  if (typeof page !== "number") return page;
  const pageSize = readCount(given, "page_size", 10);
  return typeof pageSize !== "number" ? pageSize : { page, pageSize: Math.min(pageSize, 100) };
}

function readCount(given: QueryParameters, name: string, missing: number): number | Failure {
  const text = given.get(name);
  if (text === undefined) return missing;
  if (/^\d{1,9}$/.test(text) && Number(text) > 0) return Number(text);
  return { ...failure("bad_request", `${name} must be a whole number of at least 1`), field: name };
}
