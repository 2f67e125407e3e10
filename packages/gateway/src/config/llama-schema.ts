/** `llama` of `spillway.yaml`: the built-in engine for GGUF files. */
import * as z from "zod";
import { duration, size, whole } from "./values.ts";

/** What the engine is told; what is not said it chooses by the machine. */
export const llamaSchema = z.strictObject({
  threads: whole(1, 1_024)
    .optional()
    .describe("Threads that compute. Default: half of the cores; more than are free make it slower"),
  sequences: whole(1, 64)
    .default(4)
    .describe("Requests of one model that are computed at once; each takes memory for its context"),
  context: whole(16, 10_000_000)
    .default(4_096)
    .describe("Most tokens of a request and its answer; a model that was trained on fewer has fewer"),
  memory: size("1MiB", "1000000MiB")
    .optional()
    .describe(
      "Memory of all loaded models together; beyond it the one unused for longest is unloaded. Default: 70 % of the machine's",
    ),
  keepAlive: duration("1s", "10000d", { zero: "to unload at once" })
    .default("5m")
    .describe("How long a model stays loaded without requests, unless a request says otherwise"),
});
