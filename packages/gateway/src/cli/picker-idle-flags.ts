/** Flags of the llm-d router that `spillway picker` takes, since scripts and charts give them, and that do nothing here. */

/** One flag. */
export interface IdleFlag {
  readonly flags: string;
  /** Why it is of no consequence, or what to do instead: behind the flag's name a sentence. */
  readonly reason: string;
  /** True: given as true (or at all, for those with a value) the command refuses. */
  readonly isRefused?: boolean;
  /** What is different where it is given as `false`. Absent: nothing. */
  readonly whenFalse?: string;
}

const kubernetes = "is for Kubernetes, which Spillway does not talk to";
const mapping =
  "is withdrawn by the router as well: name metrics in the configuration (core-metrics-extractor, engineConfigs)";
const level = "--log-level says what is logged";
const format = "--log-format says how it is logged";

/** All of them, in the order of the reference page. */
export const idleFlags: readonly IdleFlag[] = [
  { flags: "--pool-namespace <name>", reason: kubernetes },
  { flags: "--pool-group <name>", reason: kubernetes },
  { flags: "--kubeconfig <file>", reason: kubernetes },
  {
    flags: "--endpoint-selector <labels>",
    reason: `selects pods, and ${kubernetes}: name a file of endpoints (file-discovery), or servers with --endpoints`,
    isRefused: true,
  },
  {
    flags: "--endpoint-target-ports <ports>",
    reason: `belongs to --endpoint-selector, which ${kubernetes}`,
    isRefused: true,
  },
  {
    flags: "--ha-enable-leader-election [bool]",
    reason: `elects a leader among pods, and ${kubernetes}: every picker answers`,
    isRefused: true,
  },
  {
    flags: "--refresh-prometheus-metrics-interval <duration>",
    reason: "metrics are as they are when asked for",
  },
  {
    flags: "--health-checking [bool]",
    reason: "health is always answered",
    whenFalse: "health is answered all the same",
  },
  {
    flags: "--enable-cert-reload [bool]",
    reason: "certificates are always watched",
    whenFalse: "certificates are watched all the same",
  },
  {
    flags: "--metrics-cert-dir <folder>",
    reason:
      "metrics are served without TLS: keep the port to networks that you trust, or put a proxy before it",
    isRefused: true,
  },
  {
    flags: "--metrics-client-ca-file <file>",
    reason: "metrics are served without TLS, and clients have no certificates",
    isRefused: true,
  },
  { flags: "--tracing [bool]", reason: "traces are not built in Spillway" },
  { flags: "--enable-pprof [bool]", reason: "profiles are taken with Node's own flags, such as --cpu-prof" },
  { flags: "--grpc-max-recv-msg-size <bytes>", reason: "messages of 64 MiB pass" },
  { flags: "--grpc-max-send-msg-size <bytes>", reason: "slices of 62,000 bytes are sent" },
  { flags: "--enable-grpc-stream-metrics [bool]", reason: "they are always counted" },
  { flags: "--allow-experimental-plugins [bool]", reason: "every plugin that is built in may be used" },
  { flags: "--total-queued-requests-metric <metric>", reason: mapping, isRefused: true },
  { flags: "--total-running-requests-metric <metric>", reason: mapping, isRefused: true },
  { flags: "--kv-cache-usage-percentage-metric <metric>", reason: mapping, isRefused: true },
  { flags: "--lora-info-metric <metric>", reason: mapping, isRefused: true },
  { flags: "--cache-info-metric <metric>", reason: mapping, isRefused: true },
  { flags: "-v, --v <level>", reason: level },
  { flags: "--zap-log-level <level>", reason: level },
  { flags: "--zap-stacktrace-level <level>", reason: level },
  { flags: "--zap-encoder <name>", reason: format },
  { flags: "--zap-time-encoding <name>", reason: format },
  { flags: "--zap-devel [bool]", reason: format },
];
