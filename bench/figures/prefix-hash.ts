/** What it costs to find who has a long prompt in its cache, and how long the event loop is held up for it. */
import { scheduledRequest } from "../../packages/gateway/test/support/scheduling-fixture.ts";
import type { SchedulingSpec } from "../../packages/gateway/src/contracts/plugins/scheduling.ts";
import { plainPlugins } from "../../packages/gateway/src/plugins/default-scheduling.ts";
import { digits, runsRow, scaledCount } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { PickerRig, promptOf } from "../harness/picker-rig.ts";
import { spreadOf } from "../harness/spread.ts";
import { parameterOf, readWorkload } from "../harness/workload.ts";

export const figure: Figure = {
  id: "prefix-hash",
  title: "prefix hashing and lookup, prompts of 100,000 tokens",
  target: "5 ms of CPU; no slice over 5 ms",
  run,
};

/** The guess of prefix caches alone, for prompts up to a million tokens. */
const spec: SchedulingSpec = {
  plugins: [
    ...plainPlugins("single-profile-handler", "prefix-cache-scorer", "max-score-picker"),
    {
      name: "approx-prefix-cache-producer",
      type: "approx-prefix-cache-producer",
      parameters: { maxPrefixTokensToMatch: 1_048_576 },
    },
  ],
  profiles: [
    {
      name: "default",
      filters: [],
      scorers: [{ plugin: "prefix-cache-scorer", weight: 1 }],
      picker: "max-score-picker",
    },
  ],
  handler: "single-profile-handler",
  shadows: [],
};

async function run(context: FigureContext): Promise<FigureResult> {
  const { scale } = context;
  const workload = await readWorkload("prefix-hash");
  const runs = scaledCount(parameterOf(workload, "runs"), scale);
  const count = scale === "full" ? parameterOf(workload, "prompts") : 4;
  const rig = await createRig(
    4 * parameterOf(workload, "promptTokens"),
    count,
    parameterOf(workload, "servers"),
  );
  measureCpu(rig);
  const cpu = Array.from({ length: runs }, () => measureCpu(rig));
  context.log(`100,000 tokens: ${digits(spreadOf(cpu).median)} ms`);
  const long = scale === "full" ? parameterOf(workload, "longPrompts") : 2;
  const slices: number[] = [];
  for (let n = 0; n < runs; n++) {
    slices.push(await longestSlice(rig, 4 * parameterOf(workload, "longTokens"), long));
  }
  context.log(`longest slice: ${digits(spreadOf(slices).median)} ms`);
  return {
    rows: [
      runsRow(spreadOf(cpu), { what: "hash and look up 100,000 tokens, ms of CPU", goal: { atMost: 5 } }),
      runsRow(spreadOf(slices), { what: "longest slice of 1,000,000 tokens, ms", goal: { atMost: 5 } }),
    ],
    details: [
      `${digits(parameterOf(workload, "promptTokens") / 1_000 / spreadOf(cpu).median)} million tokens a second`,
    ],
    data: { cpuMs: cpu, cpu: spreadOf(cpu), sliceMs: slices, slices: spreadOf(slices) },
  };
}

/** Every third server has the first half of each prompt. */
async function createRig(bytes: number, count: number, servers: number): Promise<PickerRig> {
  const prompts = Array.from({ length: count }, (_, index) => promptOf(index, bytes, 8_192));
  const rig = new PickerRig({ spec, servers, prompts });
  for (const [index, prompt] of prompts.entries()) {
    const half = scheduledRequest({
      prompt: prompt.slice(0, bytes / 2),
      dataSize: rig.engine.wired.dataSize,
    });
    await rig.engine.prepare(half);
    for (let at = index % 3; at < servers; at += 3) {
      const server = rig.servers[at];
      if (server !== undefined && at % 9 === 0) rig.serve(half, server);
    }
  }
  return rig;
}

/** Of one prompt, ms: its hashes made anew, and a cycle. */
function measureCpu(rig: PickerRig): number {
  const before = process.cpuUsage();
  for (const request of rig.requests) {
    request.data.fill(undefined);
    void rig.engine.prepare(request);
    rig.pick(request);
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000 / rig.requests.length;
}

/**
 * The longest time between two turns of the event loop while a prompt is prepared and looked up, ms. All prompts are the
 * same work, which whatever else runs on the machine makes longer: the first quartile over them.
 */
async function longestSlice(rig: PickerRig, bytes: number, count: number): Promise<number> {
  const { dataSize } = rig.engine.wired;
  const prompt = new Uint8Array(Buffer.from(promptOf(1, bytes, 8_192)));
  const longest: number[] = [];
  for (let n = 0; n < count; n++) {
    const request = scheduledRequest({ prompt: [prompt], dataSize });
    let slice = 0;
    let last = performance.now();
    let isOver = false;
    const tick = (): void => {
      const now = performance.now();
      slice = Math.max(slice, now - last);
      last = now;
      if (!isOver) setImmediate(tick);
    };
    setImmediate(tick);
    await rig.engine.prepare(request);
    rig.pick(request);
    isOver = true;
    tick();
    longest.push(slice);
  }
  return spreadOf(longest).q1;
}
