/** Replays what the real client sent, step by step, against anything that speaks Groundlight's API. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { parseCloudOptions, type Fault } from "@spillway/simulator";

/** What one call of the client sends. */
export interface Step {
  readonly name: string;
  /** What the id of the thing that the step made is called in later steps. */
  readonly gives?: string;
  readonly faults?: readonly Fault[];
  readonly requests: readonly Sent[];
}

/** One request of it. */
export interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: { readonly json?: unknown; readonly picture?: number };
  readonly status: number;
}

const folder = path.join(import.meta.dirname, "fixtures");
const read = (name: string): Buffer => readFileSync(path.join(folder, name));
/** All of them, in order. */
export const { steps } = JSON.parse(read("steps.json").toString()) as { steps: readonly Step[] };
/** The cloud that they were recorded with. */
export const options = parseCloudOptions(JSON.parse(read("cloud.json").toString()));
const [firstToken] = options.tokens ?? [];
const [firstDetector] = options.detectors ?? [];
assert.ok(typeof firstToken === "string" && typeof firstDetector === "object");

/** The token that the client had. */
export const token: string = firstToken;

/** The detector that edge devices ask models of. */
export const edgeDetector: string = firstDetector.id ?? "";

/** What stands for ids and tokens in the recording. */
export function recordedNames(): Map<string, string> {
  return new Map([
    ["{token}", token],
    ["{other_token}", "api_nobody_knows_this_token"],
    ["{snippet}", token.slice(0, 20)],
    ["{edge_detector}", edgeDetector],
  ]);
}

/** Without these the client refuses an answer. */
const queryKeys =
  "metadata id type created_at query detector_id result_type result patience_time confidence_threshold rois text";
const detectorKeys =
  "id type created_at name query group_name confidence_threshold patience_time metadata mode mode_configuration";
const needed: readonly (readonly [path: RegExp, keys: string])[] = [
  [/\/detectors\?|\/image-queries\?page/, "count results"],
  [/\/image-queries(?:\?.*detector_id=[^&]*|\/iq_\w+)$/, queryKeys],
  [/\/detectors(?:\/det_\w+)?$/, detectorKeys],
  [/\/labels$/, "confidence class_name annotations_requested created_at detector_id source text"],
  [/\/me$/, "email username group is_superuser"],
  [/\/by-snippet\//, "name raw_key_snippet created_at last_used_at token_ttl"],
  [/\/month-to-date/, "iqs escalations active_detectors iqs_limit escalations_limit active_detectors_limit"],
];

/** Sends one request and checks its answer; what it made is named for the steps behind it. */
export async function replay(
  url: string,
  { name, gives }: Step,
  { sent, names }: { sent: Sent; names: Map<string, string> },
): Promise<void> {
  const place = filled(sent.path, names);
  // Recorded ids of requests are numbered within a step: those of one call that the client repeats are equal.
  const requestId = (value: string): string => value.replace(/^\{(request_\d+)\}$/, `$1 of ${name}`);
  const headers = Object.entries(sent.headers).map(([key, value]) => [key, filled(requestId(value), names)]);
  const answer = await fetch(url + place, {
    method: sent.method,
    headers: Object.fromEntries(headers) as Record<string, string>,
    ...bodyOf(sent, names),
  });
  const body = Buffer.from(await answer.arrayBuffer());
  assert.equal(
    answer.status,
    sent.status,
    `${name}: ${sent.method} ${place}: ${body.toString().slice(0, 300)}`,
  );
  if (answer.headers.get("content-type") !== "application/json") return;
  const json = (JSON.parse(body.toString()) ?? {}) as Record<string, unknown>;
  if (!answer.ok) assert.ok(Object.keys(json).length > 0, name);
  else checkKeys(name, place, json);
  const { id } = json;
  if (gives !== undefined && answer.ok && typeof id === "string" && !names.has(`{${gives}}`))
    names.set(`{${gives}}`, id);
}

function bodyOf(
  { body }: Sent,
  names: ReadonlyMap<string, string>,
): { body?: string | Uint8Array<ArrayBuffer> } {
  if (body?.picture !== undefined) return { body: new Uint8Array(read("picture.jpg")) };
  return body?.json === undefined ? {} : { body: filled(JSON.stringify(body.json), names) };
}

function filled(text: string, names: ReadonlyMap<string, string>): string {
  return text.replace(/\{[a-z_]+\}/g, (name) => names.get(name) ?? name);
}

function checkKeys(name: string, place: string, json: Readonly<Record<string, unknown>>): void {
  for (const [pattern, keys] of needed) {
    if (!pattern.test(place)) continue;
    const missing = keys.split(" ").filter((key) => !(key in json));
    assert.deepEqual(missing, [], `${name}: ${place}`);
    return;
  }
}
