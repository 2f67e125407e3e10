/** `@spillway/worker/repository`: reads model folders and their `model.yaml`. No native code, nothing of the worker. */
export { scanRepository, maxModels, maxVersions } from "./scan.ts";
export { readModelConfig } from "./read-config.ts";
export { loadVersionConfig } from "./version-config.ts";
export { compareVersions, isVersionName, selectVersions } from "./versions.ts";
export {
  defaultModelConfig,
  engineKinds,
  isModelName,
  modelConfigSchema,
  outputRoles,
} from "./model-config.ts";
export { describeIssues } from "./config-issues.ts";
export { nearestWord } from "./suggest.ts";
export type { RepositorySnapshot, ScanOptions, ScannedModel, ScannedVersion } from "./scan.ts";
export type { ConfigResult, ConfigSource } from "./read-config.ts";
export type { VersionConfig } from "./version-config.ts";
export type { FoundFile } from "./fingerprint.ts";
export type {
  EngineKind,
  ImageConfig,
  MockConfig,
  ModelConfig,
  OnnxConfig,
  OutputRole,
} from "./model-config.ts";
