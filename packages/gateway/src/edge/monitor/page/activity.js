// @ts-check
// The charts of the page, from `status/activity.json`.
/** @import { StatusActivity } from "../status-data.ts" */
/** @import { ChartData, Series } from "./charts.js" */
import { createChart } from "./charts.js";
import { count, duration, percent, plain, slotName, tickName } from "./format.js";

/** Colours keep their meaning when others are absent. */
const reasons = /** @type {const} */ ([
  ["unsure", "blue"],
  ["audit", "aqua"],
  ["human_review", "violet"],
  ["no_local_model", "yellow"],
  ["local_failure", "red"],
  ["local_timeout", "orange"],
  ["disabled", "magenta"],
]);

const kinds = /** @type {const} */ ([
  ["audit", "sure answers (audits)", "aqua"],
  ["escalation", "unsure answers", "orange"],
  ["label", "labelled by people", "violet"],
]);

/**
 * The charts, put into `host`.
 * @param {HTMLElement} host
 */
export function createCharts(host) {
  const queries = createChart("Queries", "by who answered");
  const escalations = createChart("Sent to the cloud", "by reason");
  const latency = createChart("Latency", "from receipt to answer");
  const agreement = createChart("Agreement", "of the cloud, or of people, with the edge");
  const confidence = createChart("Confidence", "of local answers, in steps of 5 %");
  const classes = createChart("Classes", "of local answers");
  const all = [queries, escalations, latency, agreement, confidence, classes];
  host.append(...all.map(({ figure }) => figure));
  return {
    /** @param {StatusActivity} activity */
    update(activity) {
      queries.update(queriesOf(activity));
      escalations.update(escalationsOf(activity));
      latency.update(latencyOf(activity));
      agreement.update(agreementOf(activity));
      confidence.update(confidenceOf(activity));
      classes.update(classesOf(activity));
    },
  };
}

/** @param {StatusActivity} activity */
function slotsOf({ slots, span }) {
  return {
    slots: slots.map(({ start }) => slotName(start, span)),
    ticks: slots.map(({ start }) => tickName(start, span)),
  };
}

/**
 * @param {StatusActivity} activity
 * @returns {ChartData}
 */
function queriesOf(activity) {
  const answerers = /** @type {const} */ ([
    ["edge", "edge", "blue"],
    ["cloud", "cloud", "orange"],
    ["later", "promised for later", "violet"],
    ["none", "error", "red"],
  ]);
  return {
    ...slotsOf(activity),
    kind: "columns",
    format: count,
    total: true,
    empty: "No queries in this time.",
    series: present(
      answerers.map(([key, name, color]) => ({
        name,
        color,
        values: activity.slots.map(({ answered }) => answered[key]),
      })),
      2,
    ),
  };
}

/**
 * @param {StatusActivity} activity
 * @returns {ChartData}
 */
function escalationsOf(activity) {
  return {
    ...slotsOf(activity),
    kind: "columns",
    format: count,
    total: true,
    empty: "Nothing was sent to the cloud in this time.",
    series: present(
      reasons.map(([key, color]) => ({
        name: plain(key),
        color,
        values: activity.slots.map(({ escalations }) => escalations[key] ?? 0),
      })),
      0,
    ),
  };
}

/**
 * Series in which there is something, and always the first ones.
 * @param {readonly Series[]} series
 * @param {number} always
 */
function present(series, always) {
  return series.filter(
    ({ values }, index) => index < always || values.some((value) => value !== null && value > 0),
  );
}

/**
 * @param {StatusActivity} activity
 * @returns {ChartData}
 */
function latencyOf(activity) {
  return {
    ...slotsOf(activity),
    kind: "lines",
    format: duration,
    empty: "No queries in this time.",
    series: [
      { name: "median", color: "blue", values: activity.slots.map(({ latency }) => latency.p50) },
      { name: "95 % are faster", color: "orange", values: activity.slots.map(({ latency }) => latency.p95) },
    ],
  };
}

/**
 * @param {StatusActivity} activity
 * @returns {ChartData}
 */
function agreementOf(activity) {
  const series = kinds.map(([kind, name, color]) => ({
    name,
    color,
    values: activity.slots.map(({ agreement }) => {
      const { agreed, compared } = agreement[kind];
      return compared === 0 ? null : agreed / compared;
    }),
  }));
  const lowest = Math.min(1, ...series.flatMap(({ values }) => values.flatMap((value) => value ?? [])));
  return {
    ...slotsOf(activity),
    kind: "lines",
    format: (share) => percent(share, share > 0.99 && share < 1 ? 1 : 0),
    most: 1,
    least: lowest < 0.5 ? 0 : lowest < 0.85 ? 0.5 : 0.8,
    empty: "Nothing was compared in this time.",
    series: present(series, 0),
  };
}

/**
 * @param {StatusActivity} activity
 * @returns {ChartData}
 */
function confidenceOf({ confidence, threshold }) {
  const { length } = confidence;
  const step = 100 / length;
  return {
    kind: "columns",
    slots: confidence.map((_, bucket) => `${bucket * step} to ${(bucket + 1) * step} %`),
    ticks: confidence.map((_, bucket) => (bucket % 4 === 3 ? `${(bucket + 1) * step} %` : "")),
    edges: true,
    format: count,
    mark:
      threshold === null ? undefined : { at: threshold * length, name: `threshold ${percent(threshold)}` },
    empty: "No local answers in this time.",
    series: [{ name: "answers", color: "blue", values: confidence }],
  };
}

/**
 * @param {StatusActivity} activity
 * @returns {ChartData}
 */
function classesOf({ classes, detectorId }) {
  return {
    kind: "columns",
    slots: classes.map(({ name }) => name),
    ticks: classes.map(({ name }) => (name.length > 9 ? `${name.slice(0, 8)}…` : name)),
    format: count,
    empty: detectorId === null ? "Choose a detector to see its classes." : "No local answers in this time.",
    series: [{ name: "answers", color: "aqua", values: classes.map(({ count: answers }) => answers) }],
  };
}
