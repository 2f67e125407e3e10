/** What has to hold between the keys of a list. */
import type { DefaultedKey } from "./schema.ts";
import type { Problem } from "./source.ts";

/** Ids that are there twice, or in the configuration as well (`taken`); bursts without a rate. */
export function findKeyContradictions(
  keys: readonly DefaultedKey[],
  { path, taken }: { readonly path: readonly PropertyKey[]; readonly taken: ReadonlySet<string> },
): Problem[] {
  const problems: Problem[] = [];
  const seen = new Set<string>();
  for (const [index, { id, limits }] of keys.entries()) {
    const at = [...path, index];
    if (taken.has(id)) {
      problems.push({ path: [...at, "id"], message: `the configuration itself has a key ${id}` });
    } else if (seen.has(id)) problems.push({ path: [...at, "id"], message: `there are two keys ${id}` });
    seen.add(id);
    if (limits.burst !== undefined && limits.requestsPerMinute === undefined) {
      problems.push({
        path: [...at, "limits", "burst"],
        at: "key",
        message: "says how many requests may come at once, but there is no requestsPerMinute",
      });
    }
  }
  return problems;
}
