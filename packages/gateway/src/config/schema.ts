/** `spillway.yaml`: every key with its meaning, default and range. The reference page and the JSON Schema come from here. */
import * as z from "zod";
import { logLevels } from "../contracts/telemetry.ts";
import {
  bindAddress,
  choice,
  duration,
  expectations,
  falseOr,
  filePath,
  hostName,
  name,
  origin,
  port,
  size,
  whole,
} from "./values.ts";
import { poolSchema, routeSchema } from "./pool-schema.ts";

const loopback = "127.0.0.1";

const listenSchema = z.strictObject({
  port: port.default(30_080).describe("TCP port; 0 takes any that is free"),
  host: bindAddress
    .default(loopback)
    .describe("Address to bind. `0.0.0.0` and `::` are all of the machine's"),
});

const grpcSchema = z.strictObject({
  port: port.default(50_051).describe("TCP port; 0 takes any that is free"),
  host: bindAddress.default(loopback).describe("Address to bind"),
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
    .prefault([{}])
    .describe("Where HTTP is answered; all listeners serve the same"),
  grpc: falseOr("a mapping with port and host", grpcSchema)
    .prefault({})
    .describe("Where gRPC is answered; `false`: nowhere"),
  auth: choice("none")
    .optional()
    .describe(
      "Absent: only callers on this machine are answered. `none`: everybody may infer and see the status, nobody may administer",
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
  routes: z
    .array(routeSchema)
    .max(1_000)
    .default([])
    .describe(
      "Where requests for a model go. Without a route: to the first pool in the file that has the model",
    ),
  discovery: z
    .boolean()
    .register(expectations, { expected: "true or false" })
    .optional()
    .describe(
      "Look for Ollama, vLLM, llama.cpp and LM Studio at their usual ports of this machine. Default: only where there are no `pools`",
    ),
  predict: predictSchema
    .prefault({})
    .describe("What `/predict` takes when a request names no model; `false`: it has to name one"),
  flow: flowSchema.prefault({}).describe("The line that requests wait in"),
  workers: workersSchema.prefault({}).describe("Processes of local models"),
  limits: limitsSchema.prefault({}).describe("Bounds of what callers may send"),
  log: logSchema.prefault({}).describe("What is logged, and how"),
});

/** What a `spillway.yaml` may say. */
export type RawConfig = z.input<typeof configSchema>;

/** A `spillway.yaml` with every default filled in; durations and sizes still as written. */
export type DefaultedConfig = z.output<typeof configSchema>;
