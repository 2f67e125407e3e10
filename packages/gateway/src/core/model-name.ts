/** Names of models as Ollama compares them: a name without a tag is the one tagged `latest`. */
import type { AttemptTarget } from "./forward.ts";

const latest = ":latest";

/** The name with its tag. A colon before the last slash belongs to a registry's port. */
export function withTag(name: string): string {
  return hasTag(name) ? name : name + latest;
}

/** True for two names of one model. */
export function isSameModel(one: string, other: string): boolean {
  return one === other || withTag(one) === withTag(other);
}

/** The other name of the same model: `llama3` of `llama3:latest` and the reverse; undefined under another tag. */
export function otherName(name: string): string | undefined {
  if (name.endsWith(latest)) return name.slice(0, -latest.length);
  return hasTag(name) ? undefined : name + latest;
}

/** The name under which a server is asked: the caller's own where the server means the same by it. */
export function nameAt({ dialect, model }: Pick<AttemptTarget, "dialect" | "model">, asked: string): string {
  return dialect === "ollama" && isSameModel(model, asked) ? asked : model;
}

function hasTag(name: string): boolean {
  return name.includes(":", name.lastIndexOf("/") + 1);
}
