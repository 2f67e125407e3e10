/**
 * A model updater over a real HTTP index, for tests. The models are texts: one that starts with `broken` does not load, one
 * that starts with `wrong` loads and fails on every picture.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext } from "node:test";
import { packageOf, sha256Of } from "./model-package.ts";
import { startPackageServer, type PackageServer } from "./package-server.ts";
import { until } from "./until.ts";
import type { EdgeStore } from "../../packages/gateway/src/contracts/edge-store.ts";
import type { LocalInference, LocalModel } from "../../packages/gateway/src/contracts/local-inference.ts";
import type { ManagedModels, VersionChoice } from "../../packages/gateway/src/contracts/managed-models.ts";
import { systemClock, type Clock } from "../../packages/gateway/src/core/clock.ts";
import type { Detector } from "../../packages/gateway/src/core/detector.ts";
import { failure } from "../../packages/gateway/src/core/errors.ts";
import { createSystemRandom } from "../../packages/gateway/src/core/random.ts";
import { createIndexSource } from "../../packages/gateway/src/edge/updater/index-source.ts";
import {
  defaultUpdaterLimits,
  ModelUpdater,
  type UpdaterLimits,
} from "../../packages/gateway/src/edge/updater/model-updater.ts";
import type { ModelSource } from "../../packages/gateway/src/edge/updater/model-source.ts";
import { createDetector } from "../../packages/gateway/test/support/detectors.ts";

/** A second is ten milliseconds. */
export const quick: Clock = {
  now: () => systemClock.now() * 100,
  wallNow: () => systemClock.wallNow() + systemClock.now() * 99,
  after: (delayMs, action) => systemClock.after(delayMs / 100, action),
};
/** How often sources are asked, ms of that clock. */
export const refreshMs = 5_000;
const quiet = { error() {}, warn() {}, info() {}, debug() {} };

/** A BINARY detector that the cloud knows. */
export function detectorOf(id: string, name = id): Detector {
  return createDetector({ id, name, origin: "cloud" });
}

/** Loads texts. */
function createTextModels(directory: string) {
  const choices = new Map<string, VersionChoice>();
  const log: string[] = [];
  const contentOf = (model: string, version: string): string | undefined => {
    const file = join(directory, model, version, "model.onnx");
    return existsSync(file) ? readFileSync(file, "utf8") : undefined;
  };
  const models: ManagedModels = {
    directory,
    async choose(model, choice) {
      log.push(`${model} ${choice.versions.join("+")} ${choice.preferred}`);
      choices.set(model, choice);
    },
    state(model, version) {
      const content = contentOf(model, version);
      if (content === undefined || choices.get(model)?.versions.includes(version) !== true)
        return { ready: false, reason: "it is not there", version: undefined };
      if (content.startsWith("broken")) return { ready: false, reason: "it is no model", version: undefined };
      return { ready: true, reason: "", version };
    },
  };
  return { models, choices, log, contentOf };
}

/** A running updater. */
export interface Rig {
  readonly server: PackageServer;
  readonly folder: string;
  readonly updater: ModelUpdater;
  readonly choices: ReadonlyMap<string, VersionChoice>;
  /** What answers each detector. */
  readonly served: Map<string, LocalModel | undefined>;
  readonly inUse: Detector[];
  /** Pictures that new versions were tried on. */
  readonly tried: { readonly model: string; readonly version: string | undefined; readonly bytes: number }[];
  /** Publishes versions of a detector in the index; gives the checksum of the last. */
  offer(key: string, ...contents: readonly string[]): string;
  row(id: string): Row;
  /** What the model that answers says. */
  answering(id: string): string | undefined;
  /** Resolves once the detector is so. */
  until(id: string, state: string, content?: string): Promise<Row>;
  restart(): Promise<Rig>;
  /** Makes the updater's clock jump ahead; its timers fire when they would have. */
  skip(ms: number): void;
}

/** A detector of `inspect()`. */
export type Row = Record<string, unknown> & { readonly state: string; readonly reason: string };

/** What a test may set. */
export interface RigOptions {
  readonly detectors?: readonly Detector[];
  readonly limits?: Partial<UpdaterLimits>;
  readonly sources?: (server: PackageServer) => readonly ModelSource[];
  readonly store?: EdgeStore;
}

const emptyStore = { queries: async () => ({ queries: [], total: 0 }) } as unknown as EdgeStore;

/** Starts one over a folder of its own; ends with the test. Default: the detector `det_A`. */
export async function startRig(test: TestContext, options: RigOptions = {}): Promise<Rig> {
  const folder = mkdtempSync(join(tmpdir(), "spillway-updater-"));
  test.after(() => rmSync(folder, { recursive: true, force: true }));
  const server = await startPackageServer(test);
  return rigOver(test, folder, server, { detectors: [detectorOf("det_A")], ...options });
}

/** Starts one over a folder that is there. */
export async function rigOver(
  test: TestContext,
  folder: string,
  server: PackageServer,
  options: RigOptions,
): Promise<Rig> {
  const { models, choices, contentOf } = createTextModels(folder);
  const served: Rig["served"] = new Map();
  const tried: Rig["tried"] = [];
  const inUse = [...(options.detectors ?? [])];
  const local: LocalInference = {
    state: ({ name, version }) => models.state(name, version ?? ""),
    async infer({ model, picture, detector }) {
      tried.push({ model: model.name, version: model.version, bytes: picture.byteLength });
      if (picture.byteLength === 1) return failure("invalid_image");
      const content = contentOf(model.name, model.version ?? "") ?? "";
      if (content.startsWith("wrong")) return failure("model_failed", "its shape is another");
      const name = { name: detector.id.toLowerCase(), version: model.version ?? "" };
      return {
        finding: { mode: "BINARY", label: "YES" },
        confidence: 0.9,
        rawConfidence: content.startsWith("nan") ? NaN : 0.9,
        outOfDomain: undefined,
        probabilities: undefined,
        rois: null,
        text: null,
        model: name,
        computeMs: undefined,
      };
    },
  };
  const url = `${server.url}/index.json`;
  let skippedMs = 0;
  const clock: Clock = {
    now: () => quick.now() + skippedMs,
    wallNow: () => quick.wallNow() + skippedMs,
    after: (delayMs, action) => quick.after(delayMs, action),
  };
  const updater = new ModelUpdater({
    clock,
    random: createSystemRandom(),
    logger: quiet,
    models,
    sources: options.sources?.(server) ?? [createIndexSource({ url, ca: undefined, clock: quick })],
    inUse: () => inUse.map((detector) => ({ detector, token: () => undefined })),
    serve: (id, model) => void served.set(id, model),
    refreshMs: () => refreshMs,
    ca: undefined,
    limits: { ...defaultUpdaterLimits, graceMs: 2_000, stallMs: 2_000, ...options.limits },
    store: options.store ?? emptyStore,
    local,
  });
  test.after(() => updater.close());
  await updater.start();
  const index: Record<string, object[]> = {};
  const row = (id: string): Row => {
    const { detectors } = updater.inspect() as unknown as {
      detectors: readonly (Row & { detectorId: string })[];
    };
    return detectors.find(({ detectorId }) => detectorId === id) ?? { state: "unknown", reason: "" };
  };
  const answering = (id: string): string | undefined => {
    const model = served.get(id);
    return model && contentOf(model.name, model.version ?? "");
  };
  return {
    server,
    folder,
    updater,
    choices,
    served,
    inUse,
    tried,
    row,
    answering,
    offer(key, ...contents) {
      const entries = contents.map((content, at) => {
        const bytes = packageOf(content, "task: classify\n");
        const path = `/${encodeURIComponent(key)}-${at + 1}.tar.gz`;
        if (server.files.get(path)?.bytes.byteLength !== 0) server.files.set(path, { bytes });
        return { version: at + 1, url: `.${path}`, sha256: sha256Of(bytes), bytes: bytes.byteLength };
      });
      index[key] = entries;
      const bytes = Buffer.from(JSON.stringify({ models: index }));
      server.files.set("/index.json", { bytes, etag: `"${sha256Of(bytes)}"` });
      return entries.at(-1)?.sha256 ?? "";
    },
    until: (id, state, content) =>
      until(`${id} is ${state} with ${content}`, () => {
        const found = row(id);
        return found.state === state && (content === undefined || answering(id) === content) && found;
      }).catch((error: unknown) => {
        throw new Error(`${String(error)}; it is ${JSON.stringify(row(id))} with ${answering(id)}`);
      }),
    async restart() {
      await updater.close();
      return rigOver(test, folder, server, options);
    },
    skip: (ms) => void (skippedMs += ms),
  };
}

/** Tells the updater of so many pictures, or comparisons, of the version that answers. */
export function observe(
  rig: Rig,
  id: string,
  count: number,
  what: "answered" | "failed" | "agreed" | "disagreed",
): void {
  const { name = "", version = "" } = rig.served.get(id) ?? {};
  const model = { name, version: version ?? "" };
  const finding = { mode: "BINARY", label: "YES" } as const;
  const shared = { queryId: "iq_1", detectorId: id.toUpperCase(), at: 0 };
  for (let index = 0; index < count; index++) {
    if (what === "agreed" || what === "disagreed") {
      const edge = { finding, rawConfidence: 0.95, confidence: 0.95, model };
      rig.updater.observer.compared({
        ...shared,
        kind: "audit",
        edge,
        cloud: { finding, confidence: 1 },
        agreed: what === "agreed",
      });
      continue;
    }
    const local = what === "failed" ? undefined : { finding, confidence: 0.95, model, latencyMs: 1 };
    const rest = { threshold: 0.9, escalation: undefined, withheld: undefined, latencyMs: 1 };
    const code = what === "failed" ? ("model_failed" as const) : undefined;
    rig.updater.observer.answered({ ...shared, answeredBy: "edge", failure: code, local, ...rest });
  }
}
