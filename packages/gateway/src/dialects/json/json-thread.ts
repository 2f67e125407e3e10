/** Entry of a JSON thread: runs one task after another and hands the memory of the results over. */
import { parentPort } from "node:worker_threads";
import type { JsonLimits } from "./scan-json.ts";
import { threadTasks, type ThreadTasks } from "./thread-tasks.ts";

/** What the pool sends. */
export interface ThreadRequest {
  readonly name: keyof ThreadTasks;
  readonly input: unknown;
  readonly limits: JsonLimits;
}

/** The memory behind every typed array in a plain value, each once. */
function buffersIn(value: unknown, found: Set<ArrayBuffer> = new Set()): Set<ArrayBuffer> {
  if (ArrayBuffer.isView(value)) {
    // Slices of Node's shared pool must stay where they are: they are copied.
    if (value.buffer instanceof ArrayBuffer && value.buffer.byteLength > Buffer.poolSize)
      found.add(value.buffer);
  } else if (Array.isArray(value)) {
    if (typeof value[0] === "object" || value[0] === undefined)
      for (const item of value) buffersIn(item, found);
  } else if (typeof value === "object" && value !== null) {
    for (const item of Object.values(value)) buffersIn(item, found);
  }
  return found;
}

parentPort?.on("message", ({ name, input, limits }: ThreadRequest) => {
  const task = threadTasks[name] as (input: unknown, limits: JsonLimits) => unknown;
  const result = task(input, limits);
  parentPort?.postMessage(result, [...buffersIn(result)]);
});
