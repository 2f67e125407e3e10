/** Asks a new version about recent pictures before it answers anybody. */
import type { EdgeStore } from "../../contracts/edge-store.ts";
import type { LocalInference, LocalModel } from "../../contracts/local-inference.ts";
import { Cancellation } from "../../core/cancellation.ts";
import type { Detector, LocalAnswer } from "../../core/detector.ts";
import { isFailure, type Failure } from "../../core/errors.ts";
import type { Caller } from "../../core/request.ts";

/** What it needs. */
export interface SmokeTestParts {
  readonly store: EdgeStore;
  readonly local: LocalInference;
}

/** How it went. */
export interface SmokeResult {
  /** Why the version must not serve; undefined: it may. */
  readonly problem: string | undefined;
  /** Recent pictures that it answered; 0: only the plain grey one. */
  readonly pictures: number;
}

const maxPictures = 5;
/** Queries that are looked through for pictures: of most of them none is kept. */
const maxQueries = 50;
const timeoutMs = 30_000;

const updater: Caller = { id: "local", scopes: ["infer"] };

/** 64×64 pixels of grey, as PNG. */
const plainPicture = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAAAAACPAi4CAAAAKUlEQVR42u3MQREAAAwCIKMb3RD77SAA6VEEAoFAIBAIBAKBQCAQfA8G320AeXC6efoAAAAASUVORK5CYII=",
  "base64",
);

/** Recent pictures, newest first, that the store still has; a grey one where there are none that the model can read. */
export async function smokeTest(
  parts: SmokeTestParts,
  detector: Detector,
  model: LocalModel,
): Promise<SmokeResult> {
  let pictures = 0;
  for await (const { bytes, mediaType } of recentPictures(parts.store, detector.id)) {
    const answer = await ask(parts, { detector, model, bytes, mediaType });
    // Callers send what is no picture as well.
    if (isFailure(answer) && answer.code === "invalid_image") continue;
    const problem = problemOf(answer);
    if (problem !== undefined) return { problem: `on a recent picture: ${problem}`, pictures };
    pictures++;
  }
  if (pictures > 0) return { problem: undefined, pictures };
  const answer = await ask(parts, { detector, model, bytes: plainPicture, mediaType: "image/png" });
  const problem = problemOf(answer);
  return { problem: problem === undefined ? undefined : `on a plain grey picture: ${problem}`, pictures };
}

async function* recentPictures(store: EdgeStore, detectorId: string) {
  const page = await store.queries({ detectorId, offset: 0, limit: maxQueries });
  if ("code" in page) return;
  let found = 0;
  for (const { id } of page.queries) {
    const picture = await store.picture(id);
    if (picture === undefined || "code" in picture) continue;
    yield picture;
    if (++found === maxPictures) return;
  }
}

interface Asked {
  readonly detector: Detector;
  readonly model: LocalModel;
  readonly bytes: Uint8Array;
  readonly mediaType: string;
}

function ask({ local }: SmokeTestParts, { bytes, ...asked }: Asked): Promise<LocalAnswer | Failure> {
  return local.infer({
    ...asked,
    picture: bytes,
    caller: updater,
    requestId: `smoke-${asked.model.name}`.slice(0, 100),
    timeoutMs,
    cancellation: new Cancellation(),
  });
}

function problemOf(answer: LocalAnswer | Failure): string | undefined {
  if (isFailure(answer)) return answer.message;
  const { rawConfidence } = answer;
  // NaN fails both comparisons.
  if (!(rawConfidence >= 0 && rawConfidence <= 1.000_1))
    return `its confidence is ${rawConfidence}, not of 0 to 1`;
  return undefined;
}
