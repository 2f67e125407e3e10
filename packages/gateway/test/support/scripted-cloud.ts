/** A cloud without a network that answers as a test says. */
import type {
  Cloud,
  CloudFailure,
  CloudHealth,
  CloudLabelSubmission,
  CloudSubmission,
} from "../../src/contracts/cloud.ts";
import type { Cancellation } from "../../src/core/cancellation.ts";
import type { Finding, ImageQuery } from "../../src/core/detector.ts";

/** What a test sets and looks at. */
export interface ScriptedCloud extends Cloud {
  /** Every submission and label, in the order they came. */
  readonly came: (CloudSubmission | CloudLabelSubmission)[];
  /** Submissions that have no answer yet. */
  readonly open: number;
  /** The most that were open at once. */
  readonly mostOpen: number;
  /** Answers a submission; default `answerOf(it)`. A promise is ended early when the caller leaves. */
  onSubmit: (submission: CloudSubmission) => ImageQuery | CloudFailure | Promise<ImageQuery | CloudFailure>;
  onLabel: (label: CloudLabelSubmission) => undefined | CloudFailure;
  /** Answers `imageQuery`. */
  onAsk: (id: string) => ImageQuery | CloudFailure;
  /** Ids that were asked for. */
  readonly asked: string[];
  setHealth(state: CloudHealth["state"]): void;
}

/** A failure of a kind. */
export function failureOf(kind: CloudFailure["kind"], status?: number, retryAfterMs?: number): CloudFailure {
  return { failed: true, kind, status, detail: `${kind} ${status ?? ""}`.trim(), retryAfterMs };
}

/** An image query with an answer; `source` STILL_PROCESSING for none yet. */
export function answerOf(
  { imageQueryId, detectorId }: { readonly imageQueryId: string; readonly detectorId: string },
  finding: Finding = { mode: "BINARY", label: "YES" },
  source = "CLOUD",
): ImageQuery {
  return {
    id: imageQueryId,
    detectorId,
    mode: finding.mode,
    query: "?",
    createdAt: "2026-01-01T00:00:00.000Z",
    result: { finding, confidence: 0.97, source, fromEdge: false },
    patienceTime: 30,
    confidenceThreshold: 0.9,
    rois: null,
    text: null,
    doneProcessing: true,
    metadata: null,
  };
}

/** Makes one that answers everything at once with YES. */
export function scriptedCloud(): ScriptedCloud {
  const listeners: ((health: CloudHealth) => void)[] = [];
  let health: CloudHealth = { state: "unknown", since: 0, reason: "" };
  let open = 0;
  let mostOpen = 0;
  const refuse = (): Promise<CloudFailure> => Promise.resolve(failureOf("refused", 404));
  return {
    address: "http://cloud",
    came: [],
    asked: [],
    get open() {
      return open;
    },
    get mostOpen() {
      return mostOpen;
    },
    onSubmit: (submission) => answerOf(submission),
    onLabel: () => undefined,
    onAsk: () => failureOf("refused", 404),
    setHealth(state) {
      health = { state, since: 0, reason: "" };
      for (const listener of listeners) listener(health);
    },
    health: () => health,
    onHealthChange: (listener) => void listeners.push(listener),
    async submit(submission, { cancellation }) {
      this.came.push(submission);
      open += 1;
      mostOpen = Math.max(mostOpen, open);
      const answer = await Promise.race([this.onSubmit(submission), leaving(cancellation)]);
      open -= 1;
      return answer;
    },
    addLabel(label) {
      this.came.push(label);
      return Promise.resolve(this.onLabel(label));
    },
    imageQuery(id) {
      this.asked.push(id);
      return Promise.resolve(this.onAsk(id));
    },
    detector: refuse,
    detectors: refuse,
    me: refuse,
    modelInfo: refuse,
    reportMetrics: refuse,
    forward: refuse,
    close() {},
  };
}

function leaving(cancellation: Cancellation | undefined): Promise<CloudFailure> {
  return new Promise((resolve) => cancellation?.listen(() => resolve(failureOf("timeout"))));
}
