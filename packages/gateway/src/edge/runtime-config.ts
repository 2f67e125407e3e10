/** The part of the configuration that `PUT /edge-config` changes while the gateway runs: policies, which detector has which, rates. */
import type { EdgeOptions, EdgePolicy } from "../contracts/edge-options.ts";
import type { Logger } from "../contracts/telemetry.ts";
import { failure, isFailure, type Failure } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";
import {
  presetConfigs,
  readEdgeConfig,
  writeEdgeConfig,
  type EdgeConfig,
  type EdgeInferenceConfig,
} from "../dialects/groundlight/edge-config.ts";
import type { JsonObject } from "../core/detector.ts";
import type { DetectorRegistry } from "./detectors/registry.ts";
import type { EdgeSettings } from "./query-deps.ts";

/** A document as it lies in the data directory. */
export interface SavedConfig {
  readonly document: JsonObject;
  /** Tokens that the document brought, by the name of their policy. */
  readonly tokens: Readonly<Record<string, string>>;
}

/** What it needs. */
export interface RuntimeConfigParts {
  readonly options: EdgeOptions;
  readonly registry: DetectorRegistry;
  readonly settings: EdgeSettings;
  readonly logger: Logger;
  /** Writes it durably; the failure where it cannot. */
  readonly save: (config: SavedConfig) => Promise<Failure | undefined>;
}

/** Holds what is in force. */
export class RuntimeConfig {
  readonly #parts: RuntimeConfigParts;
  #policies: readonly EdgePolicy[];
  /** By the name of the policy that has it. */
  #tokens: Readonly<Record<string, string>> = {};

  constructor(parts: RuntimeConfigParts) {
    this.#parts = parts;
    this.#policies = parts.options.policies;
  }

  /** What is in force, without tokens. */
  document(): JsonObject {
    const { registry, settings } = this.#parts;
    return writeEdgeConfig({
      refreshRateSeconds: settings.refreshMs / 1_000,
      confidentAuditRate: settings.auditRate,
      inferenceConfigs: this.#policies.map(configOf),
      detectors: registry
        .all()
        .filter(({ isConfigured }) => isConfigured)
        .map(({ id, policy }) => ({ detectorId: id, inferenceConfig: policy.name })),
    });
  }

  /** Takes a document of a caller: checked whole, saved, then in force. What is wrong changes nothing. */
  async change(body: unknown): Promise<Failure | undefined> {
    const config = readEdgeConfig(body);
    if (isFailure(config)) return config;
    const tokens = { ...this.#tokens };
    for (const { name, apiToken } of config.inferenceConfigs)
      if (apiToken !== undefined) tokens[name] = apiToken.reveal(() => "");
    const refused = await this.#parts.save({ document: writeEdgeConfig(config), tokens });
    if (refused !== undefined) return refused;
    this.#apply(config, tokens);
    return undefined;
  }

  /** Puts what was saved before this start in force. */
  restore({ document, tokens }: SavedConfig): Failure | undefined {
    const config = readEdgeConfig(document);
    if (isFailure(config)) return failure("storage_unavailable", config.message);
    this.#apply(config, tokens);
    return undefined;
  }

  #apply(config: EdgeConfig, tokens: Readonly<Record<string, string>>): void {
    const { registry, settings, logger } = this.#parts;
    const named = new Set(config.inferenceConfigs.map(({ name }) => name));
    const presets = presetConfigs.filter(({ name }) => !named.has(name));
    const policies = [...presets, ...config.inferenceConfigs].map((each) => this.#policyOf(each, tokens));
    const byName = new Map(policies.map((policy) => [policy.name, policy]));
    this.#policies = policies;
    this.#tokens = tokens;
    settings.auditRate = config.confidentAuditRate;
    settings.refreshMs = config.refreshRateSeconds * 1_000;
    registry.configure(
      config.detectors.flatMap(({ detectorId, inferenceConfig }) => {
        const policy = byName.get(inferenceConfig);
        return policy === undefined ? [] : [{ id: detectorId, policy }];
      }),
    );
    logger.info("edge_config_applied", { policies: policies.length, detectors: config.detectors.length });
  }

  /** A document that names no token keeps the one that is there. */
  #policyOf(config: EdgeInferenceConfig, tokens: Readonly<Record<string, string>>): EdgePolicy {
    const { name } = config;
    const saved = tokens[name];
    const configured = this.#parts.options.policies.find((policy) => policy.name === name)?.apiToken;
    return {
      name,
      enabled: config.enabled,
      alwaysReturnEdgePrediction: config.alwaysReturnEdgePrediction,
      disableCloudEscalation: config.disableCloudEscalation,
      minTimeBetweenEscalationsMs: config.minTimeBetweenEscalationsSeconds * 1_000,
      apiToken: saved === undefined ? configured : Secret.of(saved),
    };
  }
}

function configOf(policy: EdgePolicy): EdgeInferenceConfig {
  return {
    name: policy.name,
    enabled: policy.enabled,
    apiToken: undefined,
    alwaysReturnEdgePrediction: policy.alwaysReturnEdgePrediction,
    disableCloudEscalation: policy.disableCloudEscalation,
    minTimeBetweenEscalationsSeconds: policy.minTimeBetweenEscalationsMs / 1_000,
  };
}
