/** `model.yaml`: what each key means, its default and its range. One schema for the gateway and the worker. */
import * as z from "zod";

/** Engines that can run a model. */
export const engineKinds = ["onnx", "text", "mock"] as const;

/** Name of an engine. */
export type EngineKind = (typeof engineKinds)[number];

/** What an output tensor can carry. */
export const outputRoles = ["scores", "boxes", "classes", "count", "text"] as const;

/** What an output tensor carries. */
export type OutputRole = (typeof outputRoles)[number];

/** Model and group names become folder names and URL segments, so nothing that could be a path. */
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** True for a name that a model or a group may have. */
export function isModelName(name: string): boolean {
  return namePattern.test(name);
}

const positiveInt = (max: number) => z.int().min(1).max(max);
const tensorName = z.string().min(1).max(256);

const imageSchema = z.strictObject({
  tensor: tensorName.describe("The model's input tensor that the pictures fill"),
  width: positiveInt(16_384).describe("Width in pixels that the model takes"),
  height: positiveInt(16_384).describe("Height in pixels that the model takes"),
  channels: z
    .union([z.literal(1), z.literal(3)])
    .default(3)
    .describe("1 for grey, 3 for red, green, blue"),
  layout: z
    .enum(["HWC", "CHW"])
    .default("CHW")
    .describe(
      "Order of a picture's values: HWC keeps a pixel's channels together, CHW has one plane a channel",
    ),
  scale: z
    .number()
    .default(1)
    .describe("Each value of 0 to 255 is multiplied by this first; 0.00392156862745098 gives 0 to 1"),
  mean: z
    .array(z.number())
    .max(3)
    .default([])
    .describe("Subtracted after scaling, one a channel; empty: nothing"),
  std: z
    .array(z.number())
    .max(3)
    .default([])
    .describe("Divided by after subtracting the mean, one a channel; empty: 1"),
  fit: z
    .enum(["fill", "cover", "contain"])
    .default("fill")
    .describe(
      "When the proportions differ: fill stretches, cover crops the middle, contain adds black borders",
    ),
  maxPixels: positiveInt(1_000_000_000)
    .default(50_000_000)
    .describe("A picture with more pixels than this is refused before it is decoded"),
});

const inputSchema = z.strictObject({
  features: tensorName
    .optional()
    .describe("Input tensor that takes plain numbers; default: the only numeric input"),
  prompt: tensorName
    .optional()
    .describe("BYTES input tensor that takes a text; default: the only BYTES input"),
  image: imageSchema.optional().describe("How pictures become a tensor; adds a BYTES input named image"),
});

const batchingSchema = z.strictObject({
  maxBatch: positiveInt(65_536).optional().describe("Most rows in one call; measured at load when absent"),
  maxBytes: positiveInt(1_073_741_824)
    .default(1_048_576)
    .describe("Bytes of inputs that requests in one call may have in sum; a larger request is sent alone"),
  delayMs: z
    .number()
    .min(0)
    .max(10_000)
    .default(0)
    .describe("How long a batch that is not full waits for more rows"),
  timeoutMs: z
    .number()
    .min(1)
    .max(86_400_000)
    .default(10_000)
    .describe("How long one batch may take; past it the model's process is killed and replaced"),
});

const versionsSchema = z.strictObject({
  policy: z
    .enum(["latest", "all", "specific"])
    .default("latest")
    .describe("Which version folders are served"),
  count: positiveInt(100).default(1).describe("With policy latest: how many of the highest numbers"),
  list: z.array(z.int().min(0)).max(100).default([]).describe("With policy specific: the numbers"),
});

const onnxSchema = z.strictObject({
  intraOpThreads: positiveInt(256).default(1).describe("Threads inside one operator"),
  interOpThreads: positiveInt(256).default(1).describe("Threads over operators, with executionMode parallel"),
  executionMode: z
    .enum(["sequential", "parallel"])
    .default("sequential")
    .describe("Order of a graph's branches"),
  graphOptimization: z
    .enum(["disabled", "basic", "extended", "layout", "all"])
    .default("all")
    .describe("How far ONNX Runtime rewrites the graph at load"),
  allowSpinning: z
    .boolean()
    .default(false)
    .describe("Let idle threads of intraOpThreads above 1 burn a core for lower latency"),
  ownThread: z
    .enum(["auto", "always", "never"])
    .default("auto")
    .describe(
      "Run the model beside the thread that reads and writes: no pause between calls, 0.1 ms more for each; auto: from 8 MB on",
    ),
});

const mockSchema = z.strictObject({
  latencyMs: z
    .number()
    .min(0)
    .max(600_000)
    .default(0)
    .describe("Waiting time of a batch; the processor stays free"),
  jitterMs: z.number().min(0).max(600_000).default(0).describe("Up to this much is added to latencyMs"),
  busyMs: z.number().min(0).max(600_000).default(0).describe("Computing time of a batch; blocks the process"),
  classes: z.int().min(1).max(10_000).default(5).describe("Classes to choose from"),
  confidence: z
    .tuple([z.number().min(0).max(1), z.number().min(0).max(1)])
    .default([0.85, 0.99])
    .describe("Lowest and highest score of the chosen class"),
  failureRate: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe("Share of batches that are answered with an error"),
  crashRate: z.number().min(0).max(1).default(0).describe("Share of batches that kill the process"),
  crashOn: z
    .union([z.number(), z.string()])
    .optional()
    .describe("A feature value, or a whole prompt, that kills the process at once: a poison request"),
  growMb: z.number().min(0).max(1024).default(0).describe("Megabytes kept for ever with each row: a leak"),
  identity: z.boolean().default(false).describe("Answer output with what came in input"),
  width: z.int().min(-1).default(-1).describe("Values in a row; -1: any number"),
  seed: z.int().min(0).max(0xffff_ffff).default(1).describe("Start of the random answers"),
});

/** The schema of a whole `model.yaml`. Unknown keys are errors. */
export const modelConfigSchema = z
  .strictObject({
    description: z.string().max(10_000).optional().describe("For people"),
    engine: z
      .enum(engineKinds)
      .optional()
      .describe("Default: onnx where the version folder has a model.onnx"),
    task: z
      .enum(["classify", "count", "detect", "text"])
      .optional()
      .describe("What the outputs mean; absent: tensors in, tensors out"),
    labels: z.array(z.string().max(1_000)).max(100_000).default([]).describe("Name of class i at place i"),
    thresholds: z
      .record(z.string().min(1).max(64), z.number())
      .default({})
      .describe("Such as confidence: below it a class is not claimed"),
    outputs: z
      .partialRecord(z.enum(outputRoles), tensorName)
      .default({})
      .describe("Which output tensor carries the scores, boxes, classes, count or text"),
    input: inputSchema.prefault({}).describe("How features, prompts and pictures become tensors"),
    batching: batchingSchema.prefault({}).describe("How requests share a call"),
    instances: positiveInt(64).default(1).describe("Processes that serve the model side by side"),
    group: z
      .string()
      .regex(namePattern)
      .optional()
      .describe("Models with the same group share one process; absent: a process of its own"),
    versions: versionsSchema.prefault({}).describe("Which version folders are served"),
    warmup: z
      .strictObject({
        batchSizes: z
          .array(positiveInt(65_536))
          .max(16)
          .default([1])
          .describe("Batches run once before serving"),
      })
      .prefault({})
      .describe("Runs before the first request"),
    memoryLimitMb: z
      .int()
      .min(32)
      .max(1_048_576)
      .optional()
      .describe("A process that outgrows this is drained and replaced; absent: no limit"),
    onnx: onnxSchema.prefault({}).describe("Options of ONNX Runtime"),
    mock: mockSchema.prefault({}).describe("Behaviour of the mock engine"),
  })
  .superRefine(refine);

/** `model.yaml` with every default filled in. Plain JSON, so it can travel to a worker process. */
export type ModelConfig = z.infer<typeof modelConfigSchema>;

/** The part of `model.yaml` that says how pictures become a tensor. */
export type ImageConfig = z.infer<typeof imageSchema>;

/** The part of `model.yaml` that says how the mock behaves. */
export type MockConfig = ModelConfig["mock"];

/** The part of `model.yaml` that says how ONNX Runtime runs. */
export type OnnxConfig = ModelConfig["onnx"];

/** What a model without a `model.yaml` has. */
export function defaultModelConfig(): ModelConfig {
  return modelConfigSchema.parse({});
}

/** Checks that hold between keys. */
function refine(config: ModelConfig, context: z.RefinementCtx): void {
  const issue = (path: (string | number)[], message: string) =>
    context.addIssue({ code: "custom", path, message, input: undefined });
  const [low, high] = config.mock.confidence;
  if (low > high) issue(["mock", "confidence"], `expected the lower number first, got [${low}, ${high}]`);
  if (config.versions.policy === "specific" && config.versions.list.length === 0)
    issue(["versions", "list"], "expected at least one version number with policy specific");
  const image = config.input.image;
  for (const key of ["mean", "std"] as const) {
    const values = image?.[key] ?? [];
    if (image !== undefined && values.length !== 0 && values.length !== image.channels)
      issue(
        ["input", "image", key],
        `expected ${image.channels} numbers, one a channel, got ${values.length}`,
      );
  }
  image?.std.forEach((value, index) => {
    if (value === 0) issue(["input", "image", "std", index], "expected a number other than 0");
  });
}
