/** From what lies on disk to the worker processes that should run. Pure. */
import type { ModelConfig, RepositorySnapshot, ScannedModel } from "@spillway/worker/repository";
import type { VersionChoice } from "../contracts/managed-models.ts";
import type { RepositoryOptions } from "../contracts/options.ts";
import { memberId, type Member } from "./deployment.ts";

/** A set of models that belongs in one process, run `count` times. */
export interface DesiredDeployment {
  readonly key: string;
  readonly signature: string;
  readonly members: readonly Member[];
  readonly count: number;
  /** The largest limit that a member's model.yaml asks for; undefined: the gateway's default. */
  readonly memoryLimitBytes: number | undefined;
}

interface Group {
  readonly members: Member[];
  readonly fingerprints: string[];
  readonly limits: number[];
  count: number;
}

/** What should run, and what cannot. */
export interface DesiredState {
  readonly deployments: ReadonlyMap<string, DesiredDeployment>;
  /** Why a selected version cannot run, by `name/version`; by `name/` for a whole model. */
  readonly problems: ReadonlyMap<string, string>;
  /** Batching of every version that can run, by `name/version`. */
  readonly batching: ReadonlyMap<string, ModelConfig["batching"]>;
}

/** Plans one process a model version, or one for all that name the same `group`. */
export function planDeployments(
  snapshot: RepositorySnapshot,
  options: Pick<RepositoryOptions, "instances">,
  isWanted: (model: string) => boolean,
): DesiredState {
  const groups = new Map<string, Group>();
  const problems = new Map<string, string>();
  const batching = new Map<string, ModelConfig["batching"]>();
  for (const model of snapshot.models.values()) {
    if (!isWanted(model.name)) continue;
    if (model.error !== undefined) problems.set(`${model.name}/`, model.error);
    for (const version of selectedVersions(model)) {
      const id = memberId({ name: model.name, version: version.version });
      if (version.config === undefined) {
        problems.set(id, version.error ?? "its configuration cannot be read");
        continue;
      }
      const { config } = version;
      const key = config.group === undefined ? id : `group:${config.group}`;
      const group = groups.get(key) ?? { members: [], fingerprints: [], count: 1, limits: [] };
      const settings = { config, engine: version.engine };
      group.members.push({
        name: model.name,
        version: version.version,
        directory: version.directory,
        settings,
      });
      group.fingerprints.push(`${id}=${version.fingerprint}`);
      group.count = Math.max(group.count, options.instances[model.name] ?? config.instances);
      if (config.memoryLimitMb !== undefined) group.limits.push(config.memoryLimitMb * 2 ** 20);
      groups.set(key, group);
      batching.set(id, config.batching);
    }
  }
  const deployments = new Map<string, DesiredDeployment>();
  for (const [key, { members, fingerprints, count, limits }] of groups) {
    const memoryLimitBytes = limits.length === 0 ? undefined : Math.max(...limits);
    deployments.set(key, { key, signature: fingerprints.join("\n"), members, count, memoryLimitBytes });
  }
  return { deployments, problems, batching };
}

/** The version folders that the model's policy serves. */
export function selectedVersions(model: ScannedModel): ScannedModel["versions"] {
  return model.versions.filter((version) => model.selected.includes(version.version));
}

/** The snapshot with the versions selected that are chosen and there, whatever the policies say. */
export function selectChosen(
  snapshot: RepositorySnapshot,
  choiceOf: (model: string) => VersionChoice,
): RepositorySnapshot {
  const models = new Map<string, ScannedModel>();
  for (const [name, model] of snapshot.models) {
    const chosen = choiceOf(name).versions;
    const selected = model.versions.map(({ version }) => version).filter((one) => chosen.includes(one));
    models.set(name, { ...model, selected });
  }
  return { ...snapshot, models };
}
