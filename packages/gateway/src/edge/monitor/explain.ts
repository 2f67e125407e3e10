/** Why an image query was or was not sent to the cloud, in a sentence for people. */
import type { QueryObservation } from "../../contracts/edge-observer.ts";
import type { EscalationReason, WithheldReason } from "../../core/detector.ts";

/** What speaks for the cloud. */
const reasons: Readonly<Record<EscalationReason, (observation: QueryObservation) => string>> = {
  unsure: ({ local, threshold }) =>
    local === undefined
      ? "The answer was below the threshold"
      : `The model was ${percent(local.confidence)} sure, below the threshold of ${percent(threshold)}`,
  audit: ({ local, threshold }) =>
    local === undefined
      ? "A sure answer, picked at random to be checked"
      : `Sure enough (${percent(local.confidence)}, threshold ${percent(threshold)}), picked at random to be checked`,
  human_review: () => "The caller asked for a person to look",
  no_local_model: () => "No model here can answer this detector",
  local_failure: ({ failure }) => `The model here failed${failure === undefined ? "" : ` (${failure})`}`,
  local_timeout: () => "The model here did not answer in time",
  disabled: () => "Answers of the edge are turned off for this detector",
};

/** What kept it here. */
const obstacles: Readonly<Record<WithheldReason, string>> = {
  cooldown: "the last escalation was too short a time ago",
  budget: "the budget for escalations is used up",
  no_cloud: "there is no cloud that this detector may ask",
  cloud_unreachable: "the cloud cannot be reached",
  cloud_failed: "the cloud gave no good answer",
  queue_full: "the queue for the cloud is full",
};

/** One or two sentences. */
export function explain(observation: QueryObservation): string {
  const { escalation, withheld, answeredBy, failure } = observation;
  const sentences = [
    escalation === undefined ? whyNot(observation) : whySent(observation, escalation, withheld),
  ];
  if (answeredBy === "none")
    sentences.push(`The caller got an error${failure === undefined ? "" : ` (${failure})`}.`);
  if (answeredBy === "later") sentences.push("The caller asked for the answer later.");
  return sentences.join(" ");
}

function whySent(
  observation: QueryObservation,
  { reason, how }: NonNullable<QueryObservation["escalation"]>,
  withheld: WithheldReason | undefined,
): string {
  const why = reasons[reason](observation);
  const but = withheld === undefined ? "" : `; ${obstacles[withheld]}`;
  if (how === "asked") return `${why}${but}: the cloud was asked.`;
  return `${why}${but}: it is queued for the cloud.`;
}

function whyNot({ local, threshold, withheld, failure }: QueryObservation): string {
  if (withheld !== undefined) {
    const why =
      local === undefined || local.confidence >= threshold ? undefined : shortfall(local, threshold);
    return why === undefined
      ? `Not sent: ${obstacles[withheld]}.`
      : `${why}, but ${obstacles[withheld]}: not sent.`;
  }
  if (local === undefined)
    return failure === undefined ? "No model here was asked, and nothing was sent." : "Not sent.";
  if (local.confidence < threshold)
    return `${shortfall(local, threshold)}; this detector keeps its own answer.`;
  return `The model was ${percent(local.confidence)} sure, at or above the threshold of ${percent(threshold)}: answered here.`;
}

function shortfall({ confidence }: { readonly confidence: number }, threshold: number): string {
  return `The model was ${percent(confidence)} sure, below the threshold of ${percent(threshold)}`;
}

/** Rounded down, so that 89.96 % does not read like the 90 % it was refused for. */
function percent(share: number): string {
  return `${Math.floor(share * 1_000 + 1e-6) / 10} %`;
}
