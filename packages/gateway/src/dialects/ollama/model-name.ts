/** Names of models as Ollama compares them. */

const latest = ":latest";

/** The name with its tag: `name` means `name:latest`. */
export function withTag(name: string): string {
  return name.includes(":", name.lastIndexOf("/") + 1) ? name : name + latest;
}

/** True for two names of one model. */
export function isSameModel(one: string, other: string): boolean {
  return one === other || withTag(one) === withTag(other);
}
