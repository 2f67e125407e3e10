// Every situation there is, against rules said another way; and Groundlight's own table.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decide,
  decideAfterFailure,
  type LocalOutcome,
  type PolicyFlags,
  type Situation,
  type Verdict,
} from "./decide.ts";

const switches = [false, true] as const;
const locals: readonly LocalOutcome[] = [
  { kind: "answer", confidence: 0.95 },
  { kind: "answer", confidence: 0.5 },
  { kind: "none" },
  { kind: "failed" },
  { kind: "timeout" },
  { kind: "bad_picture" },
  { kind: "not_asked" },
];
const thresholds = [0, 0.5, 0.9, 1] as const;

/** All flags that a configuration can have: without escalation only where the edge always answers. */
const policies: readonly PolicyFlags[] = switches.flatMap((enabled) =>
  [
    [false, false],
    [true, false],
    [true, true],
  ].map(([always = false, disable = false]) => ({
    enabled,
    alwaysReturnEdgePrediction: always,
    disableCloudEscalation: disable,
  })),
);

function* situations(): Generator<Situation> {
  for (const policy of policies)
    for (const local of locals) {
      // The local model is asked exactly where the policy lets it be.
      if (policy.enabled === (local.kind === "not_asked")) continue;
      for (const threshold of thresholds)
        for (const cloud of ["none", "reachable", "unreachable"] as const)
          for (const humanReview of ["DEFAULT", "ALWAYS", "NEVER"] as const)
            for (const wantAsync of switches)
              for (const cooledDown of switches)
                for (const withinBudget of switches)
                  for (const drawnForAudit of switches)
                    yield {
                      policy,
                      local,
                      threshold,
                      cloud,
                      humanReview,
                      wantAsync,
                      cooledDown,
                      withinBudget,
                      drawnForAudit,
                    };
    }
}

/** What must hold of a verdict in a situation; each named after what it promises. */
const rules: Readonly<Record<string, (s: Situation, v: Verdict) => boolean>> = {
  "a picture that nobody can read goes nowhere": (s, v) =>
    s.local.kind !== "bad_picture" || v.kind === "refuse",
  "without a cloud nothing is asked and nothing queued": (s, v) =>
    s.cloud !== "none" || v.kind === "refuse" || (v.kind === "answer" && v.queue === undefined && v.done),
  "a policy without escalation sends nothing": (s, v) =>
    !s.policy.disableCloudEscalation || v.kind === "refuse" || (v.kind === "answer" && v.queue === undefined),
  "beyond the budget nothing is sent": (s, v) =>
    s.withinBudget || v.kind === "refuse" || (v.kind === "answer" && v.queue === undefined),
  "an answer of the edge is never refused, save where a person is demanded in vain": (s, v) =>
    s.local.kind !== "answer" || v.kind !== "refuse" || s.humanReview === "ALWAYS",
  "a sure answer is given at once, unless a person is demanded": (s, v) =>
    s.local.kind !== "answer" ||
    s.local.confidence < s.threshold ||
    s.humanReview === "ALWAYS" ||
    (v.kind === "answer" && v.done),
  "audits are of sure answers that were drawn": (s, v) =>
    v.kind !== "answer" ||
    v.queue !== "audit" ||
    (s.drawnForAudit && s.local.kind === "answer" && s.local.confidence >= s.threshold),
  "a drawn sure answer is audited where it may be": (s, v) =>
    !s.drawnForAudit ||
    s.local.kind !== "answer" ||
    s.local.confidence < s.threshold ||
    s.humanReview === "ALWAYS" ||
    s.cloud === "none" ||
    s.policy.disableCloudEscalation ||
    !s.withinBudget ||
    (v.kind === "answer" && v.queue === "audit"),
  "nobody waits for the cloud where nobody waits": (s, v) => !s.wantAsync || v.kind !== "ask",
  "nobody waits for a cloud that is away when there is an answer": (s, v) =>
    s.cloud !== "unreachable" || s.local.kind !== "answer" || v.kind !== "ask",
  "where the edge always answers nobody waits for a second opinion": (s, v) =>
    !s.policy.alwaysReturnEdgePrediction || s.local.kind !== "answer" || v.kind !== "ask",
  "an answer that is not done is in the queue, and one in the queue is not done unless it is an audit": (
    _s,
    v,
  ) => v.kind !== "answer" || v.done === (v.queue === undefined || v.queue === "audit"),
  "in the pause nothing unsure goes behind an answer of a policy that always answers": (s, v) =>
    s.cooledDown ||
    !s.policy.alwaysReturnEdgePrediction ||
    v.kind !== "answer" ||
    v.queue === undefined ||
    v.queue === "audit",
  "what stays here although it is unsure says why": (s, v) =>
    v.kind !== "answer" ||
    s.local.kind !== "answer" ||
    s.local.confidence >= s.threshold ||
    v.queue !== undefined ||
    s.policy.disableCloudEscalation ||
    v.withheld !== undefined,
  "the reason is the local model's state": (s, v) =>
    v.kind !== "ask" && v.kind !== "queue"
      ? true
      : s.humanReview === "ALWAYS"
        ? v.reason === "human_review"
        : v.reason ===
          {
            answer: "unsure",
            none: "no_local_model",
            failed: "local_failure",
            timeout: "local_timeout",
            bad_picture: "",
            not_asked: "disabled",
          }[s.local.kind],
  "what may go and has no answer goes, save where an answer of the edge is demanded": (s, v) =>
    s.local.kind === "answer" ||
    s.local.kind === "bad_picture" ||
    s.cloud === "none" ||
    s.policy.disableCloudEscalation ||
    !s.withinBudget ||
    (s.policy.enabled &&
      s.policy.alwaysReturnEdgePrediction &&
      (s.local.kind === "none" || s.humanReview === "ALWAYS")) ||
    v.kind === (s.wantAsync ? "queue" : "ask"),
  "an unsure answer is checked where all is well": (s, v) =>
    s.local.kind !== "answer" ||
    s.local.confidence >= s.threshold ||
    s.cloud === "none" ||
    s.policy.disableCloudEscalation ||
    !s.withinBudget ||
    !s.cooledDown ||
    s.humanReview === "ALWAYS" ||
    v.kind === "ask" ||
    (v.kind === "answer" && v.queue === "unsure"),
};

test("every rule holds in every situation", () => {
  let count = 0;
  for (const situation of situations()) {
    count++;
    const verdict = decide(situation);
    for (const [name, holds] of Object.entries(rules))
      assert.ok(holds(situation, verdict), `${name}: ${JSON.stringify({ situation, verdict })}`);
  }
  // 3 enabled policies × 6 outcomes and 3 disabled × 1, × 4 thresholds × 3 clouds × 3 reviews × 2⁴ switches.
  assert.equal(count, (3 * 6 + 3) * 4 * 3 * 3 * 16);
});

const usual: Situation = {
  policy: { enabled: true, alwaysReturnEdgePrediction: false, disableCloudEscalation: false },
  local: { kind: "answer", confidence: 0.95 },
  threshold: 0.9,
  cloud: "reachable",
  humanReview: "DEFAULT",
  wantAsync: false,
  cooledDown: true,
  withinBudget: true,
  drawnForAudit: false,
};
const unsure = { local: { kind: "answer", confidence: 0.5 } } as const;
const noModel = { local: { kind: "none" } } as const;
const edge = { ...usual.policy, alwaysReturnEdgePrediction: true };
const noCloud = { ...edge, disableCloudEscalation: true };
const disabled = { ...usual.policy, enabled: false };
const given = { kind: "answer", queue: undefined, done: true, withheld: undefined };

const table: readonly [what: string, change: Partial<Situation>, expected: object][] = [
  ["default, sure", {}, given],
  ["default, sure, drawn", { drawnForAudit: true }, { ...given, queue: "audit" }],
  [
    "default, sure, drawn, no budget",
    { drawnForAudit: true, withinBudget: false },
    { ...given, withheld: "budget" },
  ],
  ["default, unsure", unsure, { kind: "ask", reason: "unsure" }],
  ["default, unsure, a query of its own threshold", { ...unsure, threshold: 0.4 }, given],
  ["default, exactly at the threshold", { threshold: 0.95 }, given],
  ["default, threshold 0", { ...unsure, threshold: 0 }, given],
  ["default, no model", noModel, { kind: "ask", reason: "no_local_model" }],
  ["default, local model fails", { local: { kind: "failed" } }, { kind: "ask", reason: "local_failure" }],
  ["default, local model too slow", { local: { kind: "timeout" } }, { kind: "ask", reason: "local_timeout" }],
  [
    "default, unsure, cloud away",
    { ...unsure, cloud: "unreachable" },
    { kind: "answer", queue: "unsure", done: false, withheld: "cloud_unreachable" },
  ],
  ["default, unsure, no cloud", { ...unsure, cloud: "none" }, { ...given, withheld: "no_cloud" }],
  ["default, unsure, no budget", { ...unsure, withinBudget: false }, { ...given, withheld: "budget" }],
  [
    "default, unsure, in the pause: it is for escalations behind answers",
    { ...unsure, cooledDown: false },
    { kind: "ask", reason: "unsure" },
  ],
  ["default, no model, no cloud", { ...noModel, cloud: "none" }, { kind: "refuse", why: "local" }],
  [
    "default, no model, cloud away: health may be stale",
    { ...noModel, cloud: "unreachable" },
    { kind: "ask", reason: "no_local_model" },
  ],
  ["default, no model, no budget", { ...noModel, withinBudget: false }, { kind: "refuse", why: "budget" }],
  ["edge answers, sure", { policy: edge }, given],
  [
    "edge answers, unsure",
    { ...unsure, policy: edge },
    { kind: "answer", queue: "unsure", done: false, withheld: undefined },
  ],
  [
    "edge answers, unsure, in the pause",
    { ...unsure, policy: edge, cooledDown: false },
    { ...given, withheld: "cooldown" },
  ],
  ["edge answers, no model", { ...noModel, policy: edge }, { kind: "refuse", why: "edge_answer_required" }],
  [
    "edge answers, local model too slow",
    { local: { kind: "timeout" }, policy: edge },
    { kind: "ask", reason: "local_timeout" },
  ],
  ["no cloud, unsure", { ...unsure, policy: noCloud }, given],
  ["no cloud, sure, drawn", { policy: noCloud, drawnForAudit: true }, given],
  ["no cloud, no model", { ...noModel, policy: noCloud }, { kind: "refuse", why: "edge_answer_required" }],
  [
    "no cloud, local model fails",
    { local: { kind: "failed" }, policy: noCloud },
    { kind: "refuse", why: "local" },
  ],
  ["disabled", { policy: disabled, local: { kind: "not_asked" } }, { kind: "ask", reason: "disabled" }],
  [
    "disabled, later",
    { policy: disabled, local: { kind: "not_asked" }, wantAsync: true },
    { kind: "queue", reason: "disabled" },
  ],
  ["later, sure", { wantAsync: true }, given],
  [
    "later, unsure",
    { ...unsure, wantAsync: true },
    { kind: "answer", queue: "unsure", done: false, withheld: undefined },
  ],
  ["a person, default", { humanReview: "ALWAYS" }, { kind: "ask", reason: "human_review" }],
  [
    "a person, cloud away",
    { humanReview: "ALWAYS", cloud: "unreachable" },
    { kind: "answer", queue: "human_review", done: false, withheld: "cloud_unreachable" },
  ],
  [
    "a person, edge answers",
    { humanReview: "ALWAYS", policy: edge },
    { kind: "refuse", why: "review_of_edge_answers" },
  ],
  [
    "a person, no cloud at all",
    { humanReview: "ALWAYS", cloud: "none" },
    { kind: "refuse", why: "review_without_cloud" },
  ],
  ["a person, no budget", { humanReview: "ALWAYS", withinBudget: false }, { ...given, withheld: "budget" }],
  ["no person, unsure", { ...unsure, humanReview: "NEVER" }, { kind: "ask", reason: "unsure" }],
  ["no picture", { local: { kind: "bad_picture" } }, { kind: "refuse", why: "local" }],
];

for (const [what, change, expected] of table) {
  test(`${what}: ${JSON.stringify(expected)}`, () => {
    assert.deepEqual(decide({ ...usual, ...change }), expected);
  });
}

test("after a failed call: an answer of the edge beats the error, what may succeed later is queued", () => {
  const after = (hasAnswer: boolean, isTemporary: boolean, isUnreachable: boolean) =>
    decideAfterFailure({ hasAnswer, isTemporary, isUnreachable });
  assert.deepEqual(after(true, true, true), { kind: "answer", queue: true, withheld: "cloud_unreachable" });
  assert.deepEqual(after(true, true, false), { kind: "answer", queue: true, withheld: "cloud_failed" });
  assert.deepEqual(after(true, false, false), { kind: "answer", queue: false, withheld: "cloud_failed" });
  assert.deepEqual(after(false, true, true), { kind: "queue" });
  assert.deepEqual(after(false, true, false), { kind: "queue" });
  assert.deepEqual(after(false, false, false), { kind: "relay" });
});
