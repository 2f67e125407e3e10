/** What each engine can be told. The configuration's schema is checked against these types. */
import type { ChatDialect, Operation } from "../core/forward.ts";
import type { Secret } from "../core/secret.ts";
import type { EscalateOptions } from "./escalation.ts";
import type { ForwardTimeouts, RetryOptions } from "./http-endpoint.ts";
import type { DataSpec } from "./plugins/data.ts";
import type { FlowSpec } from "./plugins/flow.ts";
import type { SchedulingSpec } from "./plugins/scheduling.ts";

import type { RouteScope, Scope } from "../core/request.ts";

/** The line in front of an endpoint. */
export interface FlowOptions {
  /** Requests waiting at one endpoint; beyond it `queue_full`. */
  readonly maxQueue: number;
  /** How long a request without a deadline of its own may take, ms. */
  readonly requestTimeoutMs: number;
}

/** Worker processes. */
export interface WorkerOptions {
  /** Resident memory above which a worker is replaced, bytes. */
  readonly memoryLimitBytes: number;
  /** How long a worker may take to load its models, ms. */
  readonly startTimeoutMs: number;
  /** How long a worker that is replaced may finish its work, ms. */
  readonly drainTimeoutMs: number;
  /** First and longest pause between restarts after repeated crashes, ms. */
  readonly backoffMs: { readonly initial: number; readonly max: number };
}

/** The model repository on disk. */
export interface RepositoryOptions {
  readonly directory: string;
  /** How often the folder is looked at, ms; 0 for never. */
  readonly pollMs: number;
  /** Instances by model name, over what `model.yaml` says. */
  readonly instances: Readonly<Record<string, number>>;
  /** `all`: what is there is loaded. `explicit`: only what is loaded through the API. */
  readonly control: "all" | "explicit";
}

/** A pool of model servers that speak gRPC. */
export interface GrpcPoolOptions {
  readonly name: string;
  readonly dialect: "kserve-grpc" | "model-inference";
  /** `grpc://host:port` or `grpcs://host:port`; every address of a DNS name is an instance. */
  readonly endpoints: readonly string[];
  /** Models asked for; empty: what the server's index lists. */
  readonly models: readonly string[];
  /** Rows in one call for servers that do not say; default 1. */
  readonly maxBatch: number;
  /** Calls of one model that a server works on at once; one more is sent ahead when it is full. Default 1. */
  readonly concurrency: number;
  readonly timeoutMs: number;
  /** PEM file of the certificate authority for `grpcs`. */
  readonly ca: string | undefined;
}

/** How the health of a pool's HTTP servers is judged. */
export interface HealthOptions {
  /** How often each server is asked what it serves, ms; a random tenth more or less. */
  readonly intervalMs: number;
  /** How long it may take to answer, ms. */
  readonly timeoutMs: number;
  /** Failed attempts in a row after which a server is left alone for a while; half as many where it cannot be reached. */
  readonly failures: number;
  /** First and longest time that it is left alone, ms; each time is twice the one before. */
  readonly backoffMs: { readonly initial: number; readonly max: number };
}

/** A pool of model servers that speak HTTP. */
export interface HttpPoolOptions {
  readonly name: string;
  /** `auto`: each server is asked. */
  readonly dialect: ChatDialect | "auto";
  /** `http://host:port/base`, `https://…`, `unix:/path`; every address of a DNS name is an endpoint. */
  readonly endpoints: readonly string[];
  /** File with further endpoints, read again when it changes. */
  readonly endpointsFile: string | undefined;
  readonly credentials: Secret | undefined;
  /** Header that carries the credentials; undefined: what the dialect has for it. */
  readonly credentialsHeader: string | undefined;
  /** Sent with every request, names in lower case. */
  readonly headers: readonly (readonly [name: string, value: Secret])[];
  /** PEM file of the certificate authority for `https`. */
  readonly ca: string | undefined;
  /** Name that certificates have to carry; undefined: the endpoint's host. */
  readonly serverName: string | undefined;
  /** Models served from here; empty: all that the servers list. */
  readonly models: readonly string[];
  /** Addresses of other dialects that the servers have; undefined: found out. */
  readonly serves: readonly Operation[] | undefined;
  /**
   * True: the servers are not asked what they serve. Requests for any of `models`, or for whatever model where that is
   * empty, may go to each of them; how they are follows from their pages of metrics, and from attempts. Default false.
   */
  readonly passthrough?: boolean;
  /** Attempts at one server at once. */
  readonly concurrency: number;
  readonly connectTimeoutMs: number;
  readonly timeouts: ForwardTimeouts;
  readonly retry: RetryOptions;
  readonly health: HealthOptions;
  /** Which server takes a request; absent: the default profile. */
  readonly scheduling?: SchedulingSpec;
  /** Who waits, and for how long; absent: one band a priority, first come first served. */
  readonly flow?: FlowSpec;
  /** Where endpoints and their metrics come from; absent: `endpoints`, and no metrics are read. */
  readonly data?: DataSpec;
}

/** A pool of servers that run elsewhere; `dialect` tells which kind. */
export type PoolOptions = GrpcPoolOptions | HttpPoolOptions;

/** True for a pool whose servers speak gRPC. */
export function isGrpcPool(pool: PoolOptions): pool is GrpcPoolOptions {
  return pool.dialect === "kserve-grpc" || pool.dialect === "model-inference";
}

/** True for a pool whose servers speak HTTP. */
export function isHttpPool(pool: PoolOptions): pool is HttpPoolOptions {
  return !isGrpcPool(pool);
}

/** One place that requests for a model may go to. */
export interface RouteTarget {
  readonly pool: string;
  /** The model's name in that pool. */
  readonly model: string;
  /** Its share among the targets of the route. */
  readonly weight: number;
}

/** Where requests that name a model go. */
export interface RouteOptions {
  readonly model: string;
  readonly targets: readonly [RouteTarget, ...RouteTarget[]];
  /** Where they go when the targets cannot answer well; undefined: nowhere else. */
  readonly escalate?: EscalateOptions;
}

/** What is taken from the headers by which requests say something of themselves. */
export interface TraitsOptions {
  /** Priorities by the name of an objective; others are not known and give 0. */
  readonly objectives: ReadonlyMap<string, number>;
  /** Whose a request is that names nobody: `header`: the default flow's; `caller`: its caller's. */
  readonly fairness: "header" | "caller";
  /** Where the session stands: the first of the headers that is there (lower case), else the cookie. */
  readonly session: { readonly headers: readonly string[]; readonly cookie: string | undefined };
  /**
   * Callers, by id, that may say whose a request is and how urgent, beside those with the scope `admin`. Others are
   * not heard on the first, and on the second where it would put them before others.
   */
  readonly trust: "everyone" | ReadonlySet<string>;
}

/** Servers of dashboards and metrics that are shown at `/grafana/` and `/prometheus/`: origins without a path. */
export interface MonitoringOptions {
  readonly grafana: string | undefined;
  readonly prometheus: string | undefined;
}

/** Which model `/predict` takes when the caller names none. */
export interface PredictOptions {
  readonly featuresModel: string | undefined;
  readonly promptModel: string | undefined;
}

/** Bounds and access rules of a listening door. */
export interface DoorOptions {
  /** Address to bind; loopback by default. */
  readonly host: string;
  readonly port: number;
  /** Largest body of one request, bytes. */
  readonly maxBodyBytes: number;
  /** Bodies held at once over all requests, bytes. */
  readonly maxTotalBodyBytes: number;
  /** Time in which a request's headers and body have to arrive, ms. */
  readonly receiveTimeoutMs: number;
  readonly maxConnections: number;
  /** PEM files of the certificate, its intermediates behind it, and of its key; undefined: plain text. */
  readonly tls: TlsFiles | undefined;
  /** HTTP: what is not served here goes to the edge endpoint's cloud. Default false. */
  readonly edge?: boolean;
  /** HTTP: only addresses of these scopes are answered. Absent: all. */
  readonly scopes?: readonly RouteScope[];
  /** HTTP: where the address cannot be had, this door stays shut and the others open. Default false. */
  readonly optional?: boolean;
}

/** The door for Envoy, which asks where requests go. */
export interface ExtProcOptions {
  /** Address to bind, of both ports. */
  readonly host: string;
  readonly port: number;
  /** Port of `grpc.health.v1`, which the door itself answers too; undefined: none of its own. */
  readonly healthPort: number | undefined;
  /** `self-signed`: a certificate made at the start. `none`: plain text. Else PEM files, which are watched. */
  readonly tls: TlsFiles | "self-signed" | "none";
  /** How long streams may go on when the door closes, ms. */
  readonly drainMs: number;
  /** Streams of one connection at once. */
  readonly maxStreams: number;
  readonly maxConnections: number;
  /** Headers of one request, or of its answer. */
  readonly maxHeaders: number;
  /** Largest body of one request, bytes. */
  readonly maxBodyBytes: number;
  /** Bodies held at once over all requests, bytes. */
  readonly maxTotalBodyBytes: number;
  /** Envoy's list of endpoints that may be chosen counts. */
  readonly subsets: boolean;
  /** Tell Envoy what the endpoints scored. */
  readonly scores: boolean;
}

/** A certificate, its intermediates behind it, and its key, as PEM texts. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** Files of a listener's certificate, as absolute paths. They are watched. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

/** What one key may use. Each limit is kept by this process alone, in memory. */
export interface KeyLimits {
  /** Requests a minute over time; undefined: no limit. */
  readonly requestsPerMinute: number | undefined;
  /** Requests at once after a pause; undefined: as many as a minute allows. */
  readonly burst: number | undefined;
  /** Prompt and completion tokens a minute over time; undefined: no limit. */
  readonly tokensPerMinute: number | undefined;
  /** Inference requests under way at once, those in line included; undefined: no limit. */
  readonly concurrency: number | undefined;
}

/** An API key, as far as the gateway knows it: never its secret. */
export interface KeyOptions {
  readonly id: string;
  /** SHA-256 of the secret's 43 characters, 64 digits of lower-case hex. */
  readonly secretSha256: string;
  readonly scopes: readonly Scope[];
  readonly limits: KeyLimits;
  /** Milliseconds since the Unix epoch from which the key is refused; undefined: never. */
  readonly expiresAtMs: number | undefined;
  /** Models it may use: names, or beginnings of names that end in `*`; undefined: all. */
  readonly models: readonly string[] | undefined;
}

/** Who may call. */
export interface AccessOptions {
  /**
   * `loopback`: local callers only. `none`: anyone may infer and see the status, nobody may
   * administer. `keys`: whoever has a key, wherever from.
   */
  readonly mode: "loopback" | "none" | "keys";
  /** Names besides loopback ones that `Host` may say. */
  readonly hosts: readonly string[];
  /** Origins of web pages that may call. */
  readonly origins: readonly string[];
  /** Keys that the configuration itself holds. */
  readonly keys: readonly KeyOptions[];
  /** Absolute path of the file of further keys, which is watched; undefined: none. */
  readonly keysFile: string | undefined;
}

/** The built-in engine for GGUF files. What is undefined the engine chooses by the machine. */
export interface LlamaOptions {
  /** Folders with GGUF files, absolute; of two models with one name that of the first is served. */
  readonly folders: readonly string[];
  /** Threads that compute. */
  readonly threads: number | undefined;
  /** Requests of one model that are computed at once. */
  readonly sequences: number;
  /** Most tokens of a request and its answer. */
  readonly contextSize: number | undefined;
  /** Memory of all loaded models together, bytes. */
  readonly memoryBytes: number | undefined;
  /** How long a model stays loaded without requests, ms. */
  readonly keepAliveMs: number | undefined;
}
