/** An image query as an answer, with headers that say who answered it and why it did or did not go to the cloud. */
import type { EscalationReason, ImageQuery, LocalAnswer, WithheldReason } from "../core/detector.ts";
import type { WireAnswer } from "../core/wire-answer.ts";
import { writeImageQuery } from "../dialects/groundlight/image-query.ts";
import { jsonAnswer } from "../dialects/json-answer.ts";

/** What the headers say. */
export interface QueryAnswer {
  /** `later`: there is no result yet. */
  readonly answeredBy: "edge" | "cloud" | "later";
  readonly escalation: EscalationReason | undefined;
  readonly withheld: WithheldReason | undefined;
  readonly local: LocalAnswer | undefined;
  /** From asking the local model to its answer. */
  readonly localMs: number;
}

/** 200, as the edge endpoint of Groundlight answers; its cloud answers 201. */
export function writeQueryAnswer(query: ImageQuery, told: QueryAnswer): WireAnswer {
  const answer = jsonAnswer(200, writeImageQuery(query));
  const headers: [name: string, value: string][] = [["x-spillway-answered-by", told.answeredBy]];
  if (told.escalation !== undefined) headers.push(["x-spillway-escalation", told.escalation]);
  if (told.withheld !== undefined) headers.push(["x-spillway-withheld", told.withheld]);
  const { local } = told;
  if (local !== undefined) {
    headers.push(
      ["x-spillway-model", encodeURI(local.model.name)],
      ["x-spillway-version", encodeURI(local.model.version)],
    );
    headers.push(["server-timing", `local;dur=${Math.round(told.localMs * 1_000) / 1_000}`]);
  }
  return { ...answer, headers: [...answer.headers, ...headers] };
}
