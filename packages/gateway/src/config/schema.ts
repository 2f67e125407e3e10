/** `spillway.yaml`: every key with its meaning, default and range. The reference page and the JSON Schema come from here. */
import * as z from "zod";
import { edgeSchema } from "./edge-schema.ts";
import { extProcSchema } from "./extproc-schema.ts";
import { llamaSchema } from "./llama-schema.ts";
import { logLevels } from "../contracts/telemetry.ts";
import {
  bindAddress,
  choice,
  duration,
  falseOr,
  filePath,
  hostName,
  keyId,
  modelPattern,
  moment,
  name,
  origin,
  port,
  secretDigest,
  serverOrigin,
  size,
  whole,
  wordOr,
  yesNo,
} from "./values.ts";
import { escalateModelSchema } from "./escalate-schema.ts";
import { tlsSchema } from "./tls-schema.ts";
import { poolSchema, routeSchema } from "./pool-schema.ts";
import { requestsSchema, ruleSchema } from "./rules-schema.ts";

const loopback = "127.0.0.1";

const listenSchema = z.strictObject({
  port: port.default(30_080).describe("TCP port; 0 takes any that is free"),
  host: bindAddress
    .default(loopback)
    .describe("Address to bind. `0.0.0.0` and `::` are all of the machine's"),
  tls: tlsSchema.optional().describe("Certificate for HTTPS, TLS 1.2 or later. Absent: plain HTTP"),
  edge: yesNo
    .default(false)
    .describe(
      "For cameras: what is not served here goes to the Groundlight cloud of `edge`. Elsewhere only what begins with `/device-api/` does",
    ),
});

const grpcSchema = z.strictObject({
  port: port.default(50_051).describe("TCP port; 0 takes any that is free"),
  host: bindAddress.default(loopback).describe("Address to bind"),
  tls: tlsSchema.optional().describe("Certificate for gRPC over TLS. Absent: plain text"),
});

const keyLimitsSchema = z.strictObject({
  requestsPerMinute: whole(1, 1_000_000_000)
    .optional()
    .describe("Requests of any kind, health aside; more are refused with 429 and `Retry-After`"),
  burst: whole(1, 1_000_000_000)
    .optional()
    .describe("Requests at once after a pause. Default: `requestsPerMinute`"),
  tokensPerMinute: whole(1, 1_000_000_000)
    .optional()
    .describe(
      "Prompt and completion tokens. A request reserves what it may use at most, and is charged what it used",
    ),
  concurrency: whole(1, 1_000_000)
    .optional()
    .describe("Inference requests under way at once, those in line included"),
});

const keySchema = z.strictObject({
  id: keyId.describe("Names the key in logs and metrics; the key itself begins with `spw_<id>_`"),
  secret: secretDigest.describe(
    "SHA-256 of the secret, as `spillway keys create` writes it. The secret itself is nowhere",
  ),
  scopes: z
    .array(choice("infer", "status", "admin"))
    .min(1)
    .max(3)
    .default(["infer"])
    .describe(
      "What the key may: `infer` asks models, `status` sees models and metrics, `admin` loads and unloads",
    ),
  limits: keyLimitsSchema.prefault({}).describe("What it may use; what is absent is not limited"),
  expires: moment.optional().describe("From when on the key is refused. Absent: never"),
  models: z
    .array(modelPattern)
    .min(1)
    .max(1_000)
    .optional()
    .describe("Models it may ask: names, or beginnings of names that end in `*`. Absent: all"),
});

const keysSchema = z.array(keySchema).max(10_000).default([]);

/** The schema of a file of keys. */
export const keysFileSchema = z.strictObject({ keys: keysSchema.describe("Keys") });

const authSchema = z.strictObject({
  keys: keysSchema.describe("Keys that this file itself holds"),
  keysFile: falseOr("a path", filePath)
    .default("keys.yaml")
    .describe(
      "File of further keys, relative to this one, that `spillway keys` writes. It is watched: a revoked key is refused within 2 seconds. `false`: none",
    ),
});

const corsSchema = z.strictObject({
  origins: z
    .array(origin)
    .max(100)
    .default([])
    .describe("Origins of web pages that may call, as browsers send them. Others are refused"),
});

const modelsSchema = z.strictObject({
  repository: filePath
    .optional()
    .describe(
      "Folder of models, relative to this file. Default: `models` beside this file, or the models that come with Spillway where there is no such folder",
    ),
  instances: z
    .record(name, whole(1, 64))
    .default({})
    .describe("Processes side by side, by model name, over what the model's `model.yaml` says"),
  poll: duration("100ms", "1h", { zero: "for never" })
    .default("2s")
    .describe("How often the folder is looked at for changes"),
  control: choice("all", "explicit")
    .default("all")
    .describe(
      "`all`: what is in the folder is loaded. `explicit`: only what is loaded through the repository API",
    ),
});

const predictSchema = z.strictObject({
  features: falseOr("a model's name", name).default("iris").describe("Model for requests with features"),
  prompt: falseOr("a model's name", name).default("sentiment").describe("Model for requests with a prompt"),
});

const flowSchema = z.strictObject({
  maxQueue: whole(1, 1_000_000)
    .default(1_024)
    .describe("Requests that wait for one model version; more are refused with 503"),
  requestTimeout: duration("1ms", "1h")
    .default("60s")
    .describe("How long a request may take that does not say itself"),
});

const backoffSchema = z.strictObject({
  initial: duration("1ms", "1h").default("250ms").describe("Pause after the second failure"),
  max: duration("1ms", "1h").default("30s").describe("Longest pause; each is twice the one before"),
});

const workersSchema = z.strictObject({
  memoryLimit: size("32MiB", "1024GiB")
    .default("1GiB")
    .describe("Resident memory above which a process is drained and replaced"),
  startTimeout: duration("1s", "1h")
    .default("60s")
    .describe("How long a process may take to load its models"),
  drainTimeout: duration("1ms", "1h")
    .default("30s")
    .describe("How long a process that is replaced may finish its work"),
  backoff: backoffSchema
    .prefault({})
    .describe("Pauses before a process is started again that died repeatedly without an answer"),
});

const limitsSchema = z.strictObject({
  maxBody: size("1KiB", "4GiB").default("64MiB").describe("Largest body of a request or message"),
  maxTotalBody: size("1KiB", "1024GiB")
    .default("256MiB")
    .describe("Bodies held at once over all requests; beyond it 503 with `Retry-After`"),
  receiveTimeout: duration("100ms", "1h")
    .default("60s")
    .describe("Time in which a request's headers and body have to arrive"),
  maxConnections: whole(1, 1_000_000).default(10_000).describe("Open connections of one listener"),
});

const monitoringSchema = z.strictObject({
  grafana: serverOrigin
    .optional()
    .describe("Grafana that is shown at `/grafana/`; it has to serve from that sub-path itself"),
  prometheus: serverOrigin
    .optional()
    .describe("Prometheus that is shown at `/prometheus/`; it has to serve from that sub-path itself"),
});

const logSchema = z.strictObject({
  level: choice(...logLevels)
    .optional()
    .describe("The quietest level written. Default: `info` with format `json`, else `warn`"),
  format: choice("auto", "json", "pretty")
    .default("auto")
    .describe(
      "`json`: one object a line on stderr, and nothing else is printed. `pretty`: for people. `auto`: pretty on a terminal, else JSON",
    ),
});

/** The schema of a whole `spillway.yaml`. Unknown keys are errors. */
export const configSchema = z.strictObject({
  listen: z
    .array(listenSchema)
    .min(1)
    .max(16)
    .optional()
    .describe(
      "Where HTTP is answered; all listeners serve the same. Default: port 30080, and with `edge` 30101 for cameras where that is free",
    ),
  grpc: falseOr("a mapping with port and host", grpcSchema)
    .prefault({})
    .describe("Where gRPC is answered; `false`: nowhere"),
  extProc: falseOr("a mapping of settings", extProcSchema)
    .optional()
    .describe(
      "Where Envoy and gateways built on it ask which server takes a request (ext_proc). Absent or `false`: nowhere",
    ),
  auth: wordOr("none", "a mapping with keys", authSchema)
    .optional()
    .describe(
      "Absent: only callers on this machine are answered. `none`: everybody may infer and see the status, nobody may administer. A mapping, which may be empty (`{}`): whoever has a key, and nobody without",
    ),
  hosts: z
    .array(hostName)
    .max(100)
    .default([])
    .describe("Names besides loopback ones that a request's `Host` may say"),
  cors: corsSchema.prefault({}).describe("Web pages that may call"),
  models: falseOr("a mapping of keys to values", modelsSchema)
    .prefault({})
    .describe("Models served by processes of this gateway; `false`: none"),
  pools: z
    .record(name, poolSchema)
    .default({})
    .describe("Model servers that run elsewhere, by a name of your choice"),
  plugins: z
    .array(filePath)
    .max(100)
    .default([])
    .describe(
      "Files of plugins of your own, JavaScript or TypeScript, relative to this one. They run in this process",
    ),
  routes: z
    .array(routeSchema)
    .max(1_000)
    .default([])
    .describe(
      "Where requests for a model go. Without a route: to the first pool in the file that has the model",
    ),
  escalate: z
    .array(escalateModelSchema)
    .max(1_000)
    .default([])
    .describe(
      "Models that take features, prompts or tensors: when requests go to another model. For chats see `routes[].escalate`",
    ),
  requests: requestsSchema
    .prefault({})
    .describe("What requests may say of themselves in headers, and who is believed"),
  rules: z
    .array(ruleSchema)
    .max(100)
    .default([])
    .describe(
      "What requests for models of HTTP servers pass before they are routed, in this order: rewrites, checks, additions",
    ),
  discovery: yesNo
    .optional()
    .describe(
      "Look for Ollama, vLLM, llama.cpp and LM Studio at their usual ports of this machine. Default: only where there are no `pools`",
    ),
  predict: predictSchema
    .prefault({})
    .describe("What `/predict` takes when a request names no model; `false`: it has to name one"),
  flow: flowSchema.prefault({}).describe("The line that requests wait in"),
  workers: workersSchema.prefault({}).describe("Processes of local models"),
  edge: falseOr("a mapping of settings", edgeSchema)
    .optional()
    .describe(
      "Groundlight's edge endpoint: detectors answered here, the cloud when they are unsure. Absent or `false`: none. Without a configuration file there is one, without a cloud",
    ),
  llama: falseOr("a mapping of settings", llamaSchema)
    .prefault({})
    .describe(
      "The engine for GGUF files in the model folder, where it is installed (`spillway engines add llama`); `false`: none",
    ),
  limits: limitsSchema.prefault({}).describe("Bounds of what callers may send"),
  monitoring: monitoringSchema
    .prefault({})
    .describe("Dashboards and metrics servers that are shown through the gateway's port"),
  log: logSchema.prefault({}).describe("What is logged, and how"),
});

/** What a `spillway.yaml` may say. */
export type RawConfig = z.input<typeof configSchema>;

/** A key with every default filled in. */
export type DefaultedKey = z.output<typeof keySchema>;

/** A `spillway.yaml` with every default filled in; durations and sizes still as written. */
export type DefaultedConfig = z.output<typeof configSchema>;
