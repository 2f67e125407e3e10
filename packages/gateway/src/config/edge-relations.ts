/** What has to hold between the keys of `edge`. */
import { presetPolicies } from "./compile-edge.ts";
import type { DefaultedConfig } from "./schema.ts";
import type { Problem } from "./source.ts";

type Edge = Exclude<DefaultedConfig["edge"], false | undefined>;
type EdgeDetector = NonNullable<Edge["detectors"]>[number];

/** Contradictions between keys; each alone is valid. */
export function findEdgeContradictions(edge: DefaultedConfig["edge"]): Problem[] {
  if (edge === undefined || edge === false) return [];
  const problems: Problem[] = [];
  for (const [name, policy] of Object.entries(edge.policies)) {
    if (!policy.disableCloudEscalation || policy.alwaysReturnEdgePrediction) continue;
    const message = "only with alwaysReturnEdgePrediction: unsure answers would go nowhere";
    problems.push({ path: ["edge", "policies", name, "disableCloudEscalation"], message });
  }
  const policies = new Set([...presetPolicies, ...Object.keys(edge.policies)]);
  const unknownPolicy = (policy: string | undefined, path: readonly PropertyKey[]): void => {
    if (policy === undefined || policies.has(policy)) return;
    const message = `expected one of ${[...policies].join(", ")}, got ${JSON.stringify(policy)}`;
    problems.push({ path: [...path, "policy"], message });
  };
  unknownPolicy(edge.defaults.policy, ["edge", "defaults"]);
  const seen = new Set<string>();
  for (const [index, detector] of (edge.detectors ?? []).entries()) {
    const path = ["edge", "detectors", index];
    unknownPolicy(detector.policy, path);
    if (seen.has(detector.id.toLowerCase()))
      problems.push({ path: [...path, "id"], message: `${detector.id} is listed already` });
    seen.add(detector.id.toLowerCase());
    problems.push(...checkQuestion(detector, path));
    if (detector.query === undefined && edge.cloud === undefined) {
      const message = "missing: expected the question, which no cloud is there to tell";
      problems.push({ path: [...path, "query"], at: "key", message });
    }
  }
  return problems;
}

const questionKeys = [
  "name",
  "mode",
  "classNames",
  "className",
  "maxCount",
  "maxNumBboxes",
  "valueMaxLength",
  "confidenceThreshold",
  "patienceTime",
] as const;

/** Which keys a mode has a use for. */
const keysOfMode: Readonly<Record<string, readonly string[]>> = {
  BINARY: [],
  MULTI_CLASS: ["classNames"],
  COUNT: ["className", "maxCount"],
  BOUNDING_BOX: ["className", "maxNumBboxes"],
  TEXT: ["valueMaxLength"],
};

const modeKeys = ["classNames", "className", "maxCount", "maxNumBboxes", "valueMaxLength"] as const;

function checkQuestion(detector: EdgeDetector, path: readonly PropertyKey[]): Problem[] {
  if (detector.query === undefined) {
    return questionKeys
      .filter((key) => detector[key] !== undefined)
      .map((key) => ({ path: [...path, key], message: "only with the detector's query" }));
  }
  const { mode = "BINARY" } = detector;
  const problems: Problem[] = modeKeys
    .filter((key) => detector[key] !== undefined && keysOfMode[mode]?.includes(key) !== true)
    .map((key) => ({ path: [...path, key], message: `is not for the mode ${mode}` }));
  if (mode === "MULTI_CLASS" && detector.classNames === undefined) {
    const message = "missing: expected the names of the classes, in the model's order";
    problems.push({ path: [...path, "classNames"], at: "key", message });
  }
  return problems;
}
