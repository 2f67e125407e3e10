// @ts-check
// The parts of the page that are text: tiles, detectors, recent queries, cloud, device.
/** @import { StatusData, StatusDetector, StatusQuery, StatusSummary } from "../status-data.ts" */
import { sparkline } from "./charts.js";
import { h } from "./elements.js";
import { age, ago, capital, count, duration, moment, percent, plain, size, time } from "./format.js";

/**
 * The row of figures at the top.
 * @param {StatusData} data
 */
export function tiles(data) {
  const { totals, outbox, cloud, now } = data;
  const { lastDay, lastHour, agreement, latency } = totals;
  const local = lastDay.queries - lastDay.escalations - lastDay.failures;
  const { agreed, compared } = agreement.audit;
  return [
    tile(
      "Queries, last hour",
      count(lastHour.queries),
      `${count(lastDay.queries)} in 24 h`,
      sparkline(totals.minutes, `Queries by minute over the last hour, ${lastHour.queries} in all`),
    ),
    tile(
      "Answered here, 24 h",
      lastDay.queries === 0 ? "–" : percent(Math.max(0, local) / lastDay.queries, 1),
      lastDay.failures === 0 ? "no failures" : `${count(lastDay.failures)} failed`,
    ),
    tile(
      "Escalated, 24 h",
      count(lastDay.escalations),
      `${count(lastDay.audits)} audits, ${count(lastDay.withheld)} withheld`,
    ),
    tile(
      "Audits agreed, 7 days",
      compared === 0 ? "–" : percent(agreed / compared, 1),
      compared === 0 ? "nothing compared yet" : `${count(agreed)} of ${count(compared)}`,
    ),
    tile("Latency, 24 h", duration(latency.p50), `95 % under ${duration(latency.p95)}`),
    tile(
      "Waiting for the cloud",
      outbox === null ? "–" : count(outbox.waiting),
      outbox === null || outbox.oldestAt === null
        ? "nothing waits"
        : `oldest for ${age(now - outbox.oldestAt)}, ${size(outbox.bytes)}`,
    ),
    tile(
      "Cloud",
      cloud === null ? "none" : capital(cloud.state),
      cloud === null ? "everything is answered here" : `for ${age(now - cloud.since)}`,
      badgeDot(cloud === null ? "off" : cloudLevel(cloud.state)),
    ),
  ];
}

/**
 * @param {string} name
 * @param {string} value
 * @param {string} note
 * @param {Element | null} [extra]
 */
function tile(name, value, note, extra = null) {
  return h(
    "div",
    { class: "tile", key: name },
    h("p", { class: "tile-name" }, name),
    h("p", { class: "tile-value" }, value, extra),
    h("p", { class: "tile-note" }, note),
  );
}

/** @param {string} level */
function badgeDot(level) {
  return h("span", { class: `dot-mark l-${level}`, "aria-hidden": "true" });
}

/** @param {"unknown" | "reachable" | "unreachable"} state */
function cloudLevel(state) {
  return state === "reachable" ? "good" : state === "unreachable" ? "bad" : "off";
}

/**
 * @param {string} text
 * @param {"good" | "warn" | "bad" | "off" | "info"} level
 * @param {string} [title]
 */
function badge(text, level, title) {
  return h("span", { class: `badge l-${level}`, title }, text);
}

/**
 * The table of detectors.
 * @param {StatusData} data
 * @param {string} chosen id of the one that the charts show
 */
export function detectorTable({ detectors, now }, chosen) {
  if (detectors.length === 0) {
    return h(
      "p",
      { class: "empty big" },
      "No detectors yet. One appears here with its first image query, or when the configuration names it.",
    );
  }
  const names = [
    "Detector",
    "State",
    "Model",
    "Policy",
    "Last hour",
    "24 hours",
    "Agreement",
    "Latency",
    "Last",
  ];
  const head = names.map((name) => h("th", { scope: "col", class: numeric.has(name) ? "num" : null }, name));
  return h(
    "table",
    { class: "detectors" },
    h("thead", {}, h("tr", {}, ...head)),
    h("tbody", {}, ...detectors.map((each) => detectorRow(each, now, chosen === each.id))),
  );
}

const numeric = new Set(["Last hour", "24 hours", "Agreement", "Latency"]);

/**
 * @param {StatusDetector} detector
 * @param {number} now
 * @param {boolean} isChosen
 */
function detectorRow(detector, now, isChosen) {
  const { id, name, query, mode, last } = detector;
  return h(
    "tr",
    { key: id, class: isChosen ? "chosen" : null },
    h(
      "th",
      { scope: "row" },
      h(
        "button",
        {
          type: "button",
          class: "name",
          "data-detector": id,
          "aria-pressed": String(isChosen),
          title: "Show its charts",
        },
        name,
      ),
      mode === "" ? null : h("span", { class: "mode" }, plain(mode)),
      query === "" ? null : h("span", { class: "query" }, query),
      h("span", { class: "id" }, id),
    ),
    cell("State", stateOf(detector)),
    cell("Model", ...modelOf(detector, now)),
    cell("Policy", ...policyOf(detector)),
    cell("Last hour", ...countsOf(detector.lastHour, detector.minutes)),
    cell("24 hours", ...countsOf(detector.lastDay, undefined)),
    cell("Agreement", ...agreementOf(detector)),
    cell(
      "Latency",
      h("b", {}, duration(detector.latency.p50)),
      h("small", {}, `p95 ${duration(detector.latency.p95)}`),
    ),
    cell(
      "Last",
      h("span", { title: last.query === null ? null : moment(last.query) }, ago(last.query, now)),
      h("small", {}, lastNote(last, now)),
    ),
  );
}

/**
 * @param {string} name
 * @param {...(Node | string | null)} children
 */
function cell(name, ...children) {
  return h("td", { "data-name": name, class: numeric.has(name) ? "num" : null }, h("div", {}, ...children));
}

/** @param {StatusDetector} detector */
function stateOf({ ready, reason, policy, model }) {
  if (policy !== null && !policy.enabled) return badge("cloud only", "off", "Answers of the edge are off");
  if (ready) return badge("ready", "good");
  return h(
    "span",
    { class: "state" },
    badge(model === null ? "no model" : "not ready", model === null ? "warn" : "bad"),
    reason === "" ? null : h("small", {}, reason),
  );
}

/**
 * @param {StatusDetector} detector
 * @param {number} now
 */
function modelOf({ model, updater, calibration }, now) {
  const served = model === null ? "–" : `${model.name}${model.version === null ? "" : ` v${model.version}`}`;
  /** @type {(Node | null)[]} */
  const notes = [h("span", {}, served)];
  if (updater !== null) {
    const wanted = updater.wanted === null ? "" : ` v${updater.wanted}`;
    const since = updater.since === null ? "" : `, ${ago(updater.since, now)}`;
    const isBad = updater.reason !== "";
    notes.push(
      h(
        "small",
        { class: isBad ? "bad-text" : null },
        `${plain(updater.state)}${wanted}${since}${isBad ? `: ${updater.reason}` : ""}`,
      ),
    );
  }
  if (calibration !== null) notes.push(h("small", {}, `calibration ${calibration}`));
  return notes;
}

/** @param {StatusDetector} detector */
function policyOf({ policy, threshold }) {
  return [
    h("span", {}, policy === null ? "–" : plain(policy.name)),
    threshold === null ? null : h("small", {}, `threshold ${percent(threshold)}`),
  ];
}

/**
 * @param {StatusSummary["lastHour"]} counts
 * @param {readonly number[] | undefined} minutes
 */
function countsOf({ queries, escalations, audits, failures }, minutes) {
  return [
    h("b", {}, count(queries)),
    h("small", {}, `${count(escalations)} escalated`),
    h("small", {}, `${count(audits)} ${audits === 1 ? "audit" : "audits"}`),
    failures === 0 ? null : h("small", { class: "bad-text" }, `${count(failures)} failed`),
    minutes === undefined ? null : sparkline(minutes, `Queries by minute, ${queries} in the last hour`),
  ];
}

/** @param {StatusDetector} detector */
function agreementOf({ agreement: { audit, escalation } }) {
  const all = `${count(audit.agreed)} of ${count(audit.compared)} audits`;
  return [
    h("b", {}, audit.compared === 0 ? "–" : percent(audit.agreed / audit.compared, 1)),
    h("small", {}, audit.compared === 0 ? "no audits" : all),
    escalation.compared === 0
      ? null
      : h("small", {}, `${percent(escalation.agreed / escalation.compared)} of escalated`),
  ];
}

/**
 * @param {StatusDetector["last"]} last
 * @param {number} now
 */
function lastNote({ escalation, audit }, now) {
  if (escalation !== null) return `escalated ${ago(escalation, now)}`;
  return audit === null ? "never escalated" : `audited ${ago(audit, now)}`;
}

/** @typedef {"all" | "escalated" | "withheld" | "errors" | "differed"} Filter */

/** @type {Readonly<Record<Filter, (query: StatusQuery) => boolean>>} */
const filters = {
  all: () => true,
  escalated: ({ escalation }) => escalation !== null,
  withheld: ({ withheld }) => withheld !== null,
  errors: ({ failure }) => failure !== null,
  differed: ({ comparison }) => comparison !== null && !comparison.agreed,
};

/**
 * The list of recent queries.
 * @param {StatusData} data
 * @param {{ filter: Filter, detector: string }} shown `detector`: empty for all
 */
export function recentList({ recent, detectors, now }, { filter, detector }) {
  const found = recent.filter(
    (query) => filters[filter](query) && (detector === "" || query.detectorId === detector),
  );
  if (found.length === 0) {
    const text =
      recent.length === 0
        ? "No image queries yet. The last 200 appear here, each with why it was or was not sent to the cloud."
        : "None of the recent queries is of this kind.";
    return h("p", { class: "empty big" }, text);
  }
  const names = new Map(detectors.map(({ id, name }) => [id, name]));
  return h(
    "ul",
    { class: "queries" },
    ...found.map((query) => queryItem(query, names.get(query.detectorId) ?? query.detectorId, now)),
  );
}

/**
 * @param {StatusQuery} query
 * @param {string} name of its detector
 * @param {number} now
 */
function queryItem(query, name, now) {
  const { id, at, why, model, localMs, latencyMs } = query;
  const details = [
    latencyMs === null ? null : `${duration(latencyMs)} in all`,
    localMs === null ? null : `${duration(localMs)} model`,
    model === null ? null : `${model.name} v${model.version}`,
    id,
  ];
  return h(
    "li",
    { key: id },
    h("div", { class: "thumb", "data-own": true, "data-picture": id }),
    h(
      "div",
      { class: "query-main" },
      h(
        "p",
        { class: "query-head" },
        h("b", {}, answerOf(query)),
        ...marksOf(query),
        h("span", { class: "query-detector" }, name),
        h(
          "time",
          { datetime: new Date(at).toISOString(), title: moment(at) },
          time(at),
          ` · ${ago(at, now)}`,
        ),
      ),
      h("p", { class: "why" }, why),
      h("p", { class: "id" }, details.filter((each) => each !== null).join(" · ")),
    ),
    h("div", { class: "query-confidence" }, ...confidenceOf(query)),
  );
}

/** @param {StatusQuery} query */
function answerOf({ answer, answeredBy }) {
  if (answer !== null) return answer;
  if (answeredBy === "none") return "No answer";
  return answeredBy === "cloud" ? "Answered by the cloud" : "Not answered here";
}

/** @param {StatusQuery} query */
function marksOf({ escalation, withheld, failure, comparison }) {
  const isAudit = escalation?.reason === "audit";
  return [
    escalation === null ? null : badge(isAudit ? "audit" : `escalated: ${plain(escalation.reason)}`, "info"),
    withheld === null ? null : badge(plain(withheld), "warn"),
    failure === null ? null : badge(plain(failure), "bad"),
    comparison === null
      ? null
      : badge(
          comparison.agreed ? "cloud agreed" : `cloud said ${comparison.answer}`,
          comparison.agreed ? "good" : "bad",
        ),
  ];
}

/** @param {StatusQuery} query */
function confidenceOf({ confidence, threshold }) {
  if (confidence === null) return [h("span", { class: "note" }, "no local answer")];
  return [
    h("b", { class: confidence >= threshold ? null : "below" }, percent(confidence, 1)),
    h("meter", {
      min: "0",
      max: "1",
      low: threshold,
      high: threshold,
      optimum: "1",
      value: confidence,
      "aria-label": `Confidence ${percent(confidence, 1)}, threshold ${percent(threshold)}`,
    }),
    h("small", {}, `threshold ${percent(threshold)}`),
  ];
}

/**
 * The cloud, the outbox, reports.
 * @param {StatusData} data
 */
export function cloudPanel({ cloud, outbox, reports, store, now }) {
  /** @type {[string, Node | string][]} */
  const facts = [];
  if (cloud === null) facts.push(["Cloud", "none is configured"]);
  else {
    facts.push(
      ["Address", h("a", { href: cloud.dashboard, rel: "noreferrer" }, cloud.address)],
      ["State", h("span", {}, badge(cloud.state, cloudLevel(cloud.state)), ` for ${age(now - cloud.since)}`)],
    );
    if (cloud.reason !== "") facts.push(["Last failure", cloud.reason]);
  }
  if (outbox !== null) {
    facts.push(
      ["Waiting", outbox.waiting === 0 ? "nothing" : `${count(outbox.waiting)}, ${size(outbox.bytes)}`],
      [
        "Oldest",
        outbox.oldestAt === null ? "–" : `${age(now - outbox.oldestAt)}, since ${moment(outbox.oldestAt)}`,
      ],
      ["Room used", fill(outbox.bytes, outbox.capacityBytes)],
      ["Given up", count(outbox.rejected)],
    );
  }
  if (reports !== null) facts.push(["Hourly reports", reportsOf(reports, now)]);
  if (store.lostRecords > 0)
    facts.push(["Records lost", h("span", { class: "bad-text" }, count(store.lostRecords))]);
  if (store.skippedPictures > 0) facts.push(["Pictures not kept", count(store.skippedPictures)]);
  return [factList(facts), ...rejectedList(outbox, now)];
}

/**
 * @param {number} used
 * @param {number} room
 */
function fill(used, room) {
  const share = room === 0 ? 0 : used / room;
  return h(
    "span",
    { class: "fill" },
    h("progress", { max: "1", value: share, "aria-label": "Room of the outbox that is used" }),
    `${percent(share, 1)} of ${size(room)}`,
  );
}

/**
 * @param {NonNullable<StatusData["reports"]>} reports
 * @param {number} now
 */
function reportsOf({ lastSentAt, nextAt, pending, failure }, now) {
  const sent = lastSentAt === null ? "none sent since the start" : `sent ${ago(lastSentAt, now)}`;
  const next = nextAt === null ? "" : `, next in ${age(nextAt - now)}`;
  if (failure === null) return `${sent}${next}`;
  const left = `${count(pending)} ${pending === 1 ? "hour" : "hours"} not sent${next}`;
  return h("span", {}, left, h("small", { class: "bad-text" }, failure));
}

/**
 * @param {StatusData["outbox"]} outbox
 * @param {number} now
 */
function rejectedList(outbox, now) {
  if (outbox === null || outbox.lastRejected.length === 0) return [];
  return [
    h("h3", {}, "Last given up"),
    h(
      "ul",
      { class: "rejected" },
      ...outbox.lastRejected.map(({ id, kind, reason, attempts, rejectedAt }) =>
        h(
          "li",
          { key: id },
          h("p", {}, reason),
          h(
            "p",
            { class: "id" },
            `${kind} · ${count(attempts + 1)} ${attempts === 0 ? "attempt" : "attempts"} · ${ago(rejectedAt, now)} · ${id}`,
          ),
        ),
      ),
    ),
  ];
}

/**
 * This machine.
 * @param {StatusData} data
 */
export function devicePanel({ device, now }) {
  const memory = `${size(device.memoryUsedBytes)} of ${size(device.memoryTotalBytes)}`;
  return [
    factList([
      ["Name", device.name],
      ["Id", h("span", { class: "id" }, device.id)],
      ["Spillway", device.version],
      ["Running", h("span", { title: moment(device.startedAt) }, age(now - device.startedAt))],
      ["Processor", `${percent(device.cpuShare)} of ${count(device.cpuCores)} cores`],
      ["Memory", memory],
      ["Gateway", `${size(device.gatewayBytes)} resident`],
    ]),
  ];
}

/** @param {readonly (readonly [string, Node | string])[]} facts */
function factList(facts) {
  return h(
    "dl",
    { class: "facts" },
    ...facts.map(([name, value]) => h("div", { key: name }, h("dt", {}, name), h("dd", {}, value))),
  );
}
