/** Version folders: their names, their order, and which of them a policy serves. */
import type { ModelConfig } from "./model-config.ts";

/** A whole number without sign or leading zeros; at most 15 digits, so that it is exact as a number. */
const versionPattern = /^(0|[1-9]\d{0,14})$/;

/** True for the name of a version folder. */
export function isVersionName(name: string): boolean {
  return versionPattern.test(name);
}

/** Orders version names by number, lowest first. */
export function compareVersions(a: string, b: string): number {
  return Number(a) - Number(b);
}

/** The versions that the policy serves, lowest number first. Numbers in `list` that are not there are left out. */
export function selectVersions(available: readonly string[], policy: ModelConfig["versions"]): string[] {
  const sorted = available.toSorted(compareVersions);
  switch (policy.policy) {
    case "all":
      return sorted;
    case "latest":
      return sorted.slice(-policy.count);
    case "specific":
      return sorted.filter((version) => policy.list.includes(Number(version)));
  }
}
