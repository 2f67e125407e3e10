/** What Envoy is answered (`ProcessingResponse`). Lists of fields: see `proto/ext_proc.proto`. */
import type { HeaderList } from "../../core/headers.ts";
import { WireWriter } from "./wire-writer.ts";

/** Header and metadata key of the endpoints chosen, the first of them and then those for retries. */
export const destinationKey = "x-gateway-destination-endpoint";
/** Metadata key of what the endpoints scored. */
const scoresKey = "x-gateway-destination-endpoint-scores";

/** Longest piece of a body in one message; Envoy's own bound is 64 KiB. */
export const sliceBytes = 62_000;

/** Changes of headers. */
export interface HeaderChanges {
  readonly set: HeaderList;
  /** Names in lower case. */
  readonly remove: readonly string[];
}

/** Scores by address. */
export type EndpointScores = readonly (readonly [address: string, score: number])[];

const writer = new WireWriter();

const requestHeadersTag = 0x0a;
const responseHeadersTag = 0x12;
const requestBodyTag = 0x1a;
const responseBodyTag = 0x22;
const requestTrailersTag = 0x2a;
const responseTrailersTag = 0x32;
const immediateTag = 0x3a;
const dynamicMetadataTag = 0x42;

/** Bytes that a header takes at most beside its name and value. */
const headerOverhead = 32;
const envelopeBytes = 256;

function sizeOf({ set, remove }: HeaderChanges): number {
  let bytes = envelopeBytes;
  for (const [name, value] of set) bytes += 3 * (name.length + value.length) + headerOverhead;
  for (const name of remove) bytes += 3 * name.length + headerOverhead;
  return bytes;
}

/** `CommonResponse.header_mutation`, or that of trailers and immediate answers, each under its own tag. */
function writeChanges(tag: number, { set, remove }: HeaderChanges): void {
  if (set.length === 0 && remove.length === 0) return;
  const mark = writer.mark;
  for (let i = remove.length - 1; i >= 0; i--) writer.text(0x12, remove[i] ?? "");
  for (let i = set.length - 1; i >= 0; i--) {
    const [name, value] = set[i] ?? ["", ""];
    const option = writer.mark;
    // OVERWRITE_IF_EXISTS_OR_ADD
    writer.number(0x18, 2);
    const header = writer.mark;
    writer.text(0x1a, value);
    writer.text(0x0a, name);
    writer.nest(0x0a, header);
    writer.nest(0x0a, option);
  }
  writer.nest(tag, mark);
}

/** Where a request goes, as metadata. */
export interface Destination {
  /** Addresses with commas between, the first choice first. */
  readonly addresses: string;
  /** Undefined: not to be told. */
  readonly scores: EndpointScores | undefined;
}

function metadataBytes({ addresses, scores = [] }: Destination): number {
  let bytes = envelopeBytes + addresses.length;
  for (const [address] of scores) bytes += address.length + headerOverhead;
  return bytes;
}

/** `dynamic_metadata`: a `Struct` with the one namespace `envoy.lb`. */
function writeMetadata({ addresses, scores }: Destination): void {
  const all = writer.mark;
  const entry = writer.mark;
  const value = writer.mark;
  const inner = writer.mark;
  if (scores !== undefined) writeScores(scores);
  writeEntry(destinationKey, () => writer.text(0x1a, addresses));
  writer.nest(0x2a, inner);
  writer.nest(0x12, value);
  writer.text(0x0a, "envoy.lb");
  writer.nest(0x0a, entry);
  writer.nest(dynamicMetadataTag, all);
}

/** An entry of `Struct.fields`; `write` writes the inside of its `Value`. */
function writeEntry(key: string, write: () => void): void {
  const entry = writer.mark;
  const value = writer.mark;
  write();
  writer.nest(0x12, value);
  writer.text(0x0a, key);
  writer.nest(0x0a, entry);
}

const double = Buffer.alloc(9);

function writeScores(scores: EndpointScores): void {
  writeEntry(scoresKey, () => {
    const struct = writer.mark;
    for (const [address, score] of scores) {
      writeEntry(address, () => {
        double[0] = 0x11;
        double.writeDoubleLE(score, 1);
        writer.fields(double);
      });
    }
    writer.nest(0x2a, struct);
  });
}

/** The answer to the head of a request that goes on. */
export function requestHeadersReply(changes: HeaderChanges, destination: Destination): Uint8Array {
  writer.begin(sizeOf(changes) + metadataBytes(destination));
  writeMetadata(destination);
  writeCommon(requestHeadersTag, changes, true);
  return writer.take();
}

/** The answer to a head to which nothing is to be done yet: its body is asked for. */
export function continueRequest(): Uint8Array {
  return headersReply(requestHeadersTag, noChanges);
}

/** The answer to the head of an answer. */
export function responseHeadersReply(changes: HeaderChanges): Uint8Array {
  return headersReply(responseHeadersTag, changes);
}

const noChanges: HeaderChanges = { set: [], remove: [] };

function headersReply(tag: number, changes: HeaderChanges): Uint8Array {
  writer.begin(sizeOf(changes));
  writeCommon(tag, changes, false);
  return writer.take();
}

/** A `HeadersResponse`, with an empty `CommonResponse` at least. */
function writeCommon(tag: number, changes: HeaderChanges, clearsRoute: boolean): void {
  const outer = writer.mark;
  const common = writer.mark;
  if (clearsRoute) writer.number(0x28, 1);
  writeChanges(0x12, changes);
  writer.nest(0x0a, common);
  writer.nest(tag, outer);
}

/** Whose body it is. */
export type Side = "request" | "response";

/**
 * A piece of a body that is streamed both ways, of at most `sliceBytes`: what comes before the bytes, and the bytes,
 * which are not copied.
 */
export function streamedReply(side: Side, body: Uint8Array, endOfStream: boolean): readonly Uint8Array[] {
  writer.begin(envelopeBytes);
  const bytes = body.length;
  const outer = writer.mark;
  if (bytes > 0) writer.nest(0x0a, outer, bytes);
  if (endOfStream) writer.number(0x10, 1);
  // Streamed, BodyMutation, CommonResponse, BodyResponse: each holds the one before, and the bytes at its end.
  writer.nest(0x1a, outer, bytes);
  writer.nest(0x1a, outer, bytes);
  writer.nest(0x0a, outer, bytes);
  writer.nest(side === "request" ? requestBodyTag : responseBodyTag, outer, bytes);
  const head = writer.take();
  return bytes === 0 ? [head] : [head, body];
}

/** What is done to a body, or a piece of one, that Envoy holds itself. */
export interface BodyReply {
  /** The body instead; undefined: as it came. Empty: none. */
  readonly body: readonly Uint8Array[] | undefined;
  /** Of a buffered request: what its head becomes. */
  readonly changes?: HeaderChanges | undefined;
  readonly destination?: Destination | undefined;
}

/** The answer to a body that is buffered, or to a piece of one that is streamed one way. */
export function heldBodyReply(side: Side, { body, changes = noChanges, destination }: BodyReply): Uint8Array {
  let bytes = 0;
  for (const piece of body ?? []) bytes += piece.length;
  writer.begin(sizeOf(changes) + bytes + (destination === undefined ? 0 : metadataBytes(destination)));
  if (destination !== undefined) writeMetadata(destination);
  const outer = writer.mark;
  const common = writer.mark;
  if (destination !== undefined) writer.number(0x28, 1);
  if (body !== undefined) writeMutation(body);
  writeChanges(0x12, changes);
  writer.nest(0x0a, common);
  writer.nest(side === "request" ? requestBodyTag : responseBodyTag, outer);
  return writer.take();
}

function writeMutation(body: readonly Uint8Array[]): void {
  const mutation = writer.mark;
  const whole = writer.mark;
  for (let i = body.length - 1; i >= 0; i--) writer.fields(body[i] ?? new Uint8Array(0));
  if (writer.mark === whole) writer.number(0x10, 1);
  else writer.nest(0x0a, whole);
  writer.nest(0x1a, mutation);
}

/** The answer to trailers, to which nothing is done. */
export function trailersReply(side: Side): Uint8Array {
  writer.begin(envelopeBytes);
  writer.nest(side === "request" ? requestTrailersTag : responseTrailersTag, writer.mark);
  return writer.take();
}

/** An answer that Envoy gives at once. */
export interface ImmediateAnswer {
  readonly status: number;
  readonly headers: HeaderList;
  readonly body: readonly Uint8Array[];
  /** For Envoy's access log. */
  readonly details: string;
}

/** Writes one. */
export function immediateReply({ status, headers, body, details }: ImmediateAnswer): Uint8Array {
  const changes = { set: headers, remove: [] };
  let bytes = 0;
  for (const piece of body) bytes += piece.length;
  writer.begin(sizeOf(changes) + bytes + 3 * details.length);
  const outer = writer.mark;
  writer.text(0x2a, details);
  const whole = writer.mark;
  for (let i = body.length - 1; i >= 0; i--) writer.fields(body[i] ?? new Uint8Array(0));
  writer.nest(0x1a, whole);
  writeChanges(0x12, changes);
  const code = writer.mark;
  writer.number(0x08, status);
  writer.nest(0x0a, code);
  writer.nest(immediateTag, outer);
  return writer.take();
}
