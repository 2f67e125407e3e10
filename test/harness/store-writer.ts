// A process that writes escalations into a data directory as fast as it may and prints each id once it was promised:
// node store-writer.ts FOLDER FIRST PICTURE-BYTES
import { writeSync } from "node:fs";
import type { EdgeStore } from "../../packages/gateway/src/contracts/edge-store.ts";
import { systemClock } from "../../packages/gateway/src/core/clock.ts";
import { isFailure } from "../../packages/gateway/src/core/errors.ts";
import { openEdgeStore } from "../../packages/gateway/src/store/open-edge-store.ts";

const [folder = "", first = "0", size = "3000"] = process.argv.slice(2);
const say = (event: string, fields?: object): void => console.error(event, JSON.stringify(fields));
const log = { error: say, warn: say, info: say, debug: say };
const now = systemClock.wallNow();

async function write(store: EdgeStore, n: number): Promise<void> {
  const id = `iq_${n}`;
  const detectorId = `det_${n % 3}`;
  const picture = { bytes: Buffer.alloc(Number(size), n % 251), mediaType: "image/png" };
  const query = { id, detectorId, createdAt: now, record: "{}" };
  const answer = await store.outbox.enqueue({ id, detectorId, kind: "query", payload: id, picture, query });
  if (typeof answer === "object") return void writeSync(1, `refused ${answer.code} ${answer.message}\n`);
  writeSync(1, `${answer} ${id}\n`);
  if (n % 5 !== 0) return;
  const label = await store.keepLabel({ id: `lb_${n}`, queryId: id, createdAt: now, record: "{}" });
  if (label === undefined) writeSync(1, `label lb_${n}\n`);
}

const store = await openEdgeStore({ folder, clock: systemClock, log });
if (isFailure(store)) throw new Error(store.message);
writeSync(1, "open\n");
for (let n = Number(first); ; n += 4)
  await Promise.all([n, n + 1, n + 2, n + 3].map((each) => write(store, each)));
