/** The parts of a request that a server computes, where prompts and answers are computed by different servers. */

/** Label with a server's role, as the llm-d router reads it. */
export const roleLabel = "llm-d.ai/role";

/** Roles that compute prompts, and those that compute answers. Servers that only encode, or have another role, are neither. */
const prefills = new Set(["prefill", "prefill-decode", "encode-prefill", "encode-prefill-decode", "both"]);
const decodes = new Set(["decode", "prefill-decode", "encode-prefill-decode", "both"]);

interface Labelled {
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * The servers of each stage that a request goes through: first prompts, then answers. One list of all where no server computes
 * prompts alone or none computes answers. A server without a role computes answers.
 */
export function servingStages<E extends Labelled>(endpoints: readonly E[]): readonly (readonly E[])[] {
  const roles = endpoints.map(({ labels }) => labels[roleLabel]);
  if (roles.every((role) => role === undefined || (prefills.has(role) && decodes.has(role))))
    return [endpoints];
  const prefill = endpoints.filter((_, index) => prefills.has(roles[index] ?? ""));
  const decode = endpoints.filter((_, index) => decodes.has(roles[index] ?? "decode"));
  const stages = [prefill, decode].filter(({ length }) => length > 0);
  return stages.length === 0 ? [endpoints] : stages;
}
