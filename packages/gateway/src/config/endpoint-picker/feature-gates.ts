/** Switches of an `EndpointPickerConfig`. */
import { nearestWord } from "@spillway/worker/repository";
import type { Problem } from "../source.ts";

/** What can be switched, and how it stands where nothing is said. */
const defaults = { flowControl: false, haPopulateNonLeaderDatastore: true } as const;

/** Names of what was once optional. */
const always: readonly string[] = ["dataLayer", "prepareDataPlugins"];

/** How everything that can be switched stands. */
export type FeatureGates = Readonly<Record<keyof typeof defaults, boolean>>;

/** Reads `name`, `name=true` and `name=false`; the last of a name counts. */
export function readFeatureGates(
  written: readonly string[],
  told: { readonly problems: Problem[]; readonly warnings: Problem[] },
): FeatureGates {
  const gates: Record<keyof typeof defaults, boolean> = { ...defaults };
  for (const [index, text] of written.entries()) {
    const path = ["featureGates", index];
    const [name = "", value = "true"] = text.split("=", 2);
    if (always.includes(name)) {
      told.warnings.push({ path, message: `${name} is always on today` });
    } else if (!isGate(name)) {
      const known = Object.keys(defaults);
      const nearest = nearestWord(name, known);
      const hint =
        nearest === undefined ? `; there are: ${known.join(", ")}` : `; did you mean "${nearest}"?`;
      told.problems.push({ path, message: `there is no feature "${name}"${hint}` });
    } else if (value !== "true" && value !== "false") {
      told.problems.push({ path, message: `expected ${name}=true or ${name}=false, got "${text}"` });
    } else gates[name] = value === "true";
  }
  return gates;
}

function isGate(name: string): name is keyof typeof defaults {
  return Object.hasOwn(defaults, name);
}
