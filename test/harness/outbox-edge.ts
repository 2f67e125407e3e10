// A process with the edge endpoint's store, its client of the cloud and the drain between them: node outbox-edge.ts JSON,
// what is in `OutboxEdgeOptions`. Prints `open`, `queued ID` for every escalation that was promised, and `all queued`; a line
// `close` on its standard input ends it in order.
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import type {
  LabelPayload,
  QueryPayload,
  QueryRecord,
} from "../../packages/gateway/src/contracts/edge-records.ts";
import type { Escalation } from "../../packages/gateway/src/contracts/edge-store.ts";
import { systemClock, type Clock } from "../../packages/gateway/src/core/clock.ts";
import { isFailure } from "../../packages/gateway/src/core/errors.ts";
import { createSystemRandom } from "../../packages/gateway/src/core/random.ts";
import { Secret } from "../../packages/gateway/src/core/secret.ts";
import { createCloud } from "../../packages/gateway/src/edge/cloud/create-cloud.ts";
import { EscalationDrain } from "../../packages/gateway/src/edge/escalation/escalation-drain.ts";
import { askServer } from "../../packages/gateway/src/endpoints/ask-server.ts";
import { createConnectionFactory } from "../../packages/gateway/src/stages/upstream/server-connections.ts";
import { openEdgeStore } from "../../packages/gateway/src/store/open-edge-store.ts";
import { detectorOf, idOf, labelOf, type OutboxEdgeOptions } from "./outbox-ids.ts";

const options = JSON.parse(process.argv[2] ?? "{}") as OutboxEdgeOptions;
const { folder, cloud: origin, startedAt, factor, first, count, detectors, pictureBytes } = options;

/** Simulated milliseconds since the start of the trial, the same in every process of it. */
const passed = (): number => (Date.now() - startedAt) * factor;
const simulated: Clock = {
  now: passed,
  wallNow: () => startedAt + passed(),
  after: (delayMs, action) => systemClock.after(delayMs / factor, action),
};
const say = (event: string, fields?: object): void =>
  void (process.env["OUTBOX_EDGE_LOG"] === undefined || console.error(event, JSON.stringify(fields)));
const log = { error: say, warn: say, info: say, debug: say };

// Its records are of simulated time; how long its thread may take is not.
const clock = { ...systemClock, wallNow: () => simulated.wallNow() };
const store = await openEdgeStore({ folder, clock, log });
if (isFailure(store)) throw new Error(store.message);
const cloud = createCloud({
  options: {
    origin,
    token: Secret.of("api_trial_token_000001"),
    ca: undefined,
    connectTimeoutMs: 2_000,
    timeoutMs: 10_000,
  },
  connect: createConnectionFactory({ clock: systemClock }),
  ask: askServer,
  clock: systemClock,
  logger: log,
  version: "0.0.0",
});
const drain = new EscalationDrain({
  store,
  cloud,
  clock: simulated,
  random: createSystemRandom(),
  logger: log,
  observer: { answered() {}, compared() {}, delivered() {} },
  tokenOf: () => undefined,
});
drain.start();
writeSync(1, "open\n");

createInterface(process.stdin).on("line", (line) => {
  if (line === "close")
    void drain
      .close()
      .then(() => store.close())
      .then(() => process.exit(0));
});
// A process without work lives on: the drain's timers do not hold it.
setInterval(() => {}, 60_000);

function queryEscalation(n: number): Escalation {
  const id = idOf(n);
  const detectorId = detectorOf(n, detectors);
  const finding = { mode: "BINARY", label: "YES" } as const;
  const local = {
    finding,
    confidence: 0.6,
    rawConfidence: 0.6,
    outOfDomain: undefined,
    probabilities: undefined,
    model: { name: "trial", version: "1" },
  };
  const payload: QueryPayload = {
    detectorId,
    imageQueryId: id,
    patienceTime: undefined,
    confidenceThreshold: undefined,
    humanReview: "DEFAULT",
    inspectionId: undefined,
    metadata: { n },
    reason: "unsure",
    local,
  };
  const record: QueryRecord = {
    query: {
      id,
      detectorId,
      mode: "BINARY",
      query: "?",
      createdAt: new Date(simulated.wallNow()).toISOString(),
      result: { finding, confidence: 0.6, source: "ALGORITHM", fromEdge: true },
      patienceTime: 30,
      confidenceThreshold: 0.9,
      rois: null,
      text: null,
      doneProcessing: false,
      metadata: null,
    },
    local,
    escalation: { reason: "unsure", how: "queued" },
    withheld: undefined,
    cloud: undefined,
    pending: undefined,
  };
  const picture = Buffer.alloc(pictureBytes, n % 251);
  picture.write("ffd8ffe0", "hex");
  return {
    id,
    detectorId,
    kind: "query",
    payload: JSON.stringify(payload),
    picture: { bytes: picture, mediaType: "image/jpeg" },
    query: { id, detectorId, createdAt: simulated.wallNow(), record: JSON.stringify(record) },
  };
}

function labelEscalation(n: number): Escalation {
  const payload: LabelPayload = { imageQueryId: idOf(n), label: "YES", rois: undefined };
  return {
    id: labelOf(n),
    detectorId: detectorOf(n, detectors),
    kind: "label",
    payload: JSON.stringify(payload),
  };
}

async function queue(escalation: Escalation): Promise<void> {
  for (;;) {
    const answer = await outbox.enqueue(escalation);
    if (typeof answer === "string") return void writeSync(1, `queued ${escalation.id}\n`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const { outbox } = store;
for (let n = first; n < first + count; n += 16) {
  const group = Array.from({ length: Math.min(16, first + count - n) }, (_, at) => n + at);
  await Promise.all(
    group.flatMap((each) => {
      const own = [queue(queryEscalation(each))];
      return each % 10 === 0 ? [...own, queue(labelEscalation(each))] : own;
    }),
  );
  drain.wake();
}
writeSync(1, "all queued\n");
