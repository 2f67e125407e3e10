/** `pools` and `routes` of `spillway.yaml`: servers that run elsewhere. */
import * as z from "zod";
import {
  choice,
  duration,
  expectations,
  falseOr,
  filePath,
  grpcAddress,
  headerName,
  hostName,
  httpAddress,
  name,
  pooledModel,
  secret,
  share,
  whole,
} from "./values.ts";
import { escalateSchema } from "./escalate-schema.ts";
import { discoverySchema, poolFlowSchema, poolMetricsSchema, schedulingSchema } from "./plugin-schema.ts";

const grpcPoolSchema = z.strictObject({
  dialect: choice("kserve-grpc", "model-inference")
    .default("kserve-grpc")
    .describe(
      "What the servers speak: `kserve-grpc` is the Open Inference Protocol v2 (Spillway's worker, Triton, MLServer), `model-inference` only `inference.ModelInference/Predict`, one request a call",
    ),
  endpoints: z
    .array(grpcAddress)
    .min(1)
    .max(256)
    .describe(
      "Servers that serve the same models: `grpc://host:port`, or `grpcs://` with TLS. Every address of a name is an instance",
    ),
  models: z
    .array(name)
    .max(1_000)
    .default([])
    .describe(
      "Models to serve from here. Empty: all that the servers list; `model-inference` servers list none",
    ),
  maxBatch: whole(1, 65_536).default(1).describe("Rows in one call, for servers that do not say themselves"),
  concurrency: whole(1, 1_024)
    .default(1)
    .describe(
      "Calls of one model that a server works on at once. More than 1 for servers that have threads or batch by themselves",
    ),
  timeout: duration("1ms", "1h").default("30s").describe("How long one call may take"),
  ca: filePath
    .optional()
    .describe("PEM file of the certificate authority for `grpcs`. Default: those that Node trusts"),
});

const timeoutsSchema = z.strictObject({
  connect: duration("1ms", "5m").default("5s").describe("To make a connection, TLS included"),
  firstToken: duration("1ms", "24h")
    .default("300s")
    .describe("From sending to the first content. A server that first has to load the model needs it"),
  idle: duration("1ms", "24h").default("60s").describe("Between two pieces of a streamed answer"),
  total: duration("1ms", "24h").default("30m").describe("From sending to the last byte"),
});

const retriesSchema = z.strictObject({
  max: whole(0, 10)
    .default(2)
    .describe("Further attempts of one request at most, as long as nothing of an answer was passed on"),
  backoff: duration("1ms", "1m")
    .default("100ms")
    .describe(
      "Pause before the second further attempt, of which a random part is waited; each is twice the one before",
    ),
});

const hedgingSchema = z.strictObject({
  maxShare: share(0.5)
    .default(0.05)
    .describe("Part of the pool's requests that may get a second attempt beside a slow first"),
});

const healthSchema = z.strictObject({
  interval: duration("100ms", "1h")
    .default("10s")
    .describe("How often each server is asked what it serves, which costs no tokens"),
  timeout: duration("10ms", "5m").default("5s").describe("How long it may take to answer that"),
  failures: whole(1, 100)
    .default(5)
    .describe(
      "Failed requests in a row after which a server is left alone; fewer where it cannot be reached at all",
    ),
  backoff: z
    .strictObject({
      initial: duration("10ms", "1h").default("1s").describe("The first time that it is left alone"),
      max: duration("10ms", "24h").default("60s").describe("The longest; each is twice the one before"),
    })
    .prefault({})
    .describe("How long a server that fails is left alone before it is tried with one request"),
});

/** Addresses that a server may have besides those of its own dialect. */
const operations = ["chat", "completions", "embeddings", "responses", "messages", "count_tokens"] as const;

/** A pool of servers that speak HTTP. */
export const httpPoolSchema = z.strictObject({
  dialect: choice("openai", "ollama", "anthropic", "auto").describe(
    "What the servers speak: `openai` is every OpenAI-compatible server (vLLM, SGLang, llama.cpp, LM Studio, OpenAI), `auto` asks each server",
  ),
  endpoints: z
    .array(httpAddress)
    .max(256)
    .default([])
    .describe(
      "Servers that serve models alike: `http://host:port`, `https://host`, with a path where the API is not at the top, or `unix:/path`. Every address of a name is an endpoint",
    ),
  endpointsFile: filePath
    .optional()
    .describe("YAML or JSON file with a list of further endpoints, read again when it changes"),
  credentials: secret
    .optional()
    .describe(
      "Key for the servers: `${NAME}` of the environment or `file:` and a path. Sent as `Authorization: Bearer`, to Anthropic as `x-api-key`",
    ),
  credentialsHeader: headerName
    .optional()
    .describe("Header that carries the key, as it is, where it is another"),
  headers: z
    .record(headerName, secret)
    .default({})
    .describe("Further headers of every request to the servers; values as in `credentials`"),
  ca: filePath
    .optional()
    .describe("PEM file of the certificate authority for `https`. Default: those that Node trusts"),
  serverName: hostName
    .optional()
    .describe("Name that the servers' certificates have to carry. Default: the endpoint's host"),
  models: z
    .array(pooledModel)
    .max(1_000)
    .default([])
    .describe("Models to serve from here. Empty: all that the servers list"),
  passthrough: z
    .boolean()
    .default(false)
    .describe(
      "The servers are not asked what they serve: requests for any of `models`, or for whatever model where that is empty, may go to each of them. How they are follows from their metrics and from requests",
    ),
  serves: z
    .array(choice(...operations))
    .max(operations.length)
    .optional()
    .describe("Addresses of other dialects that the servers have, where it cannot be found out by asking"),
  concurrency: whole(1, 65_536)
    .optional()
    .describe(
      "Requests at one server at once; further ones wait here. Default: 256, for Ollama 16, where metrics are read 1,024",
    ),
  timeouts: timeoutsSchema.prefault({}).describe("How long requests to the servers may take"),
  retries: retriesSchema.prefault({}).describe("When a request is tried again elsewhere"),
  hedging: falseOr("a mapping with maxShare", hedgingSchema)
    .default(false)
    .describe("A second attempt at another server beside one that is slow to begin; `false`: none"),
  health: healthSchema.prefault({}).describe("How it is judged which servers are well"),
  scheduling: schedulingSchema
    .optional()
    .describe("Which server takes a request. Default: Spillway's own profile"),
  flow: poolFlowSchema
    .optional()
    .describe(
      "Who waits for the servers, and for how long. Default: one line by priority, first come first served",
    ),
  metrics: poolMetricsSchema
    .optional()
    .describe("What is read of the servers' metrics: `vllm`, `sglang` … or a mapping. Absent: nothing"),
  discovery: discoverySchema
    .optional()
    .describe(
      "Where further endpoints come from: `{ type: file-discovery, parameters: { path: endpoints.yaml } }`, a file with labels in the router's format, is built in",
    ),
  pickerConfig: filePath
    .optional()
    .describe(
      "`EndpointPickerConfig` file of the llm-d router, in the place of `scheduling`, `flow`, `metrics` and `discovery`; relative to this file",
    ),
});

/** A pool: which keys it takes depends on `dialect`. */
export const poolSchema = z
  .union([grpcPoolSchema, httpPoolSchema])
  .register(expectations, { expected: "a mapping of keys to values", tag: "dialect" });

/** A pool of either kind as it was written, with its defaults. */
export type DefaultedPool = z.output<typeof poolSchema>;

/** A pool of servers that speak HTTP, with its defaults. */
export type DefaultedHttpPool = z.output<typeof httpPoolSchema>;

/** Tells the kinds of pools apart. */
export function isHttpDefaulted(pool: DefaultedPool): pool is DefaultedHttpPool {
  return pool.dialect !== "kserve-grpc" && pool.dialect !== "model-inference";
}

const targetSchema = z.strictObject({
  pool: name.describe("Name of the pool"),
  model: pooledModel.optional().describe("Name of the model there. Default: the route's"),
  weight: whole(0, 1_000_000).default(1).describe("Share of the requests, beside the other targets'"),
});

/** Where requests for a model go. */
export const routeSchema = z.strictObject({
  model: pooledModel.describe("Name of the model in requests"),
  targets: z.array(targetSchema).min(1).max(64).describe("Where they go: one of these, at random by weight"),
  escalate: escalateSchema
    .optional()
    .describe("Where chats and completions go when the targets cannot answer well. Absent: nowhere else"),
});
