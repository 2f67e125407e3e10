/** What each engine can be told. The configuration's schema is checked against these types. */

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
export interface PoolOptions {
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
}

/** Who may call. */
export interface AccessOptions {
  /** `loopback`: local callers only. `none`: anyone may infer and see the status, nobody may administer. */
  readonly mode: "loopback" | "none";
  /** Names besides loopback ones that `Host` may say. */
  readonly hosts: readonly string[];
  /** Origins of web pages that may call. */
  readonly origins: readonly string[];
}
