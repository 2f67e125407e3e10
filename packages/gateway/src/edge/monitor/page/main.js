// @ts-check
// The status page: reads the gateway every few seconds while somebody looks, and shows what it says.
/** @import { StatusActivity, StatusData } from "../status-data.ts" */
/** @import { Filter } from "./sections.js" */
import { createCharts } from "./activity.js";
import { byId, h, show } from "./elements.js";
import { age } from "./format.js";
import { currentKey, keepKey, pictureOf, readJson, ReadingError } from "./reading.js";
import { cloudPanel, detectorTable, devicePanel, recentList, tiles } from "./sections.js";

const everyMs = 3_000;
const slowerMs = 10_000;
const recentAtFirst = 20;
const recentAtMost = 200;

/** What the visitor has chosen. */
const chosen = {
  detector: "",
  span: /** @type {"hours" | "days"} */ ("hours"),
  filter: /** @type {Filter} */ ("all"),
  recent: recentAtFirst,
};

const charts = createCharts(byId("charts"));
/** @type {StatusData | undefined} */
let data;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
let isReading = false;
let isAgain = false;
/** @type {string | undefined} */
let problem;
let readAt = 0;

/** Reads everything once, and plans the next time. */
async function read() {
  if (isReading) {
    isAgain = true;
    return;
  }
  isReading = true;
  clearTimeout(timer);
  try {
    const detector = chosen.detector === "" ? "" : `&detector=${encodeURIComponent(chosen.detector)}`;
    const [status, activity] = await Promise.all([
      readJson(`status/data.json?recent=${chosen.recent}`),
      readJson(`status/activity.json?span=${chosen.span}${detector}`),
    ]);
    data = /** @type {StatusData} */ (status);
    charts.update(/** @type {StatusActivity} */ (activity));
    problem = undefined;
    readAt = performance.now();
    showAll(data);
  } catch (error) {
    fail(error);
  } finally {
    isReading = false;
  }
  showLive();
  const now = isAgain;
  isAgain = false;
  if (now) void read();
  else if (!document.hidden) timer = setTimeout(read, problem === undefined ? everyMs : slowerMs);
}

/** @param {unknown} error */
function fail(error) {
  problem = error instanceof Error ? error.message : String(error);
  if (error instanceof ReadingError && (error.status === 401 || error.status === 403)) askForKey(problem);
  showNotices();
}

/** @param {StatusData} shown */
function showAll(shown) {
  byId("device-line").textContent = `${shown.device.name} · Spillway ${shown.device.version}`;
  document.title = `${shown.device.name} · Edge status`;
  show(byId("tiles"), ...tiles(shown));
  const { length } = shown.detectors;
  byId("detectors-note").textContent =
    length === 0 ? "" : `${length} ${length === 1 ? "detector" : "detectors"}`;
  show(byId("detectors-body"), detectorTable(shown, chosen.detector));
  show(byId("cloud-body"), ...cloudPanel(shown));
  show(byId("device-body"), ...devicePanel(shown));
  showChoices(shown);
  showRecent(shown);
  showNotices();
}

/** @param {StatusData} shown */
function showChoices({ detectors }) {
  const select = /** @type {HTMLSelectElement} */ (byId("chart-detector"));
  const options = detectors.map(({ id, name }) => h("option", { key: id, value: id }, name));
  show(select, h("option", { key: "", value: "" }, "All detectors"), ...options);
  select.value = chosen.detector;
  for (const button of document.querySelectorAll("[data-span]"))
    button.setAttribute("aria-pressed", String(button.getAttribute("data-span") === chosen.span));
  for (const button of document.querySelectorAll("[data-filter]"))
    button.setAttribute("aria-pressed", String(button.getAttribute("data-filter") === chosen.filter));
}

/** @param {StatusData} shown */
function showRecent(shown) {
  show(byId("recent-body"), recentList(shown, chosen));
  byId("recent-more").hidden = chosen.recent === recentAtMost || shown.recent.length < recentAtFirst;
  for (const place of document.querySelectorAll("[data-picture]:empty")) watcher.observe(place);
}

/** Reads a picture when it comes near what is seen. */
const watcher = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      watcher.unobserve(target);
      void showPicture(target);
    }
  },
  { rootMargin: "200px" },
);

/** @param {Element} place */
async function showPicture(place) {
  const address = await pictureOf(place.getAttribute("data-picture") ?? "");
  if (address === null) place.replaceChildren(h("span", { class: "no-picture" }, "no picture kept"));
  else place.replaceChildren(h("img", { src: address, alt: "Picture of this query" }));
}

function showNotices() {
  const notices = [];
  if (problem !== undefined) {
    const old = data === undefined ? "" : " What is shown is from before.";
    notices.push(h("p", { class: "notice bad", key: "problem" }, `${problem}.${old}`));
  }
  if (data?.restored === false)
    notices.push(
      h(
        "p",
        { class: "notice", key: "restoring" },
        "Counts from before the last start are still being read.",
      ),
    );
  show(byId("notices"), ...notices);
}

function showLive() {
  const live = byId("live");
  const level = problem !== undefined ? "bad" : document.hidden ? "off" : "good";
  const since = performance.now() - readAt;
  const text =
    problem !== undefined
      ? "Not connected"
      : document.hidden
        ? "Paused"
        : since < everyMs * 2
          ? "Live"
          : `${age(since)} old`;
  show(live, h("span", { class: `dot-mark l-${level}`, "aria-hidden": "true" }), text);
}

/** @param {string} why */
function askForKey(why) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("key-dialog"));
  if (dialog.open) return;
  if (currentKey() !== null) byId("key-note").textContent = `${why}.`;
  dialog.showModal();
}

byId("key-form").addEventListener("submit", () => {
  const input = /** @type {HTMLInputElement} */ (byId("key-input"));
  keepKey(input.value.trim());
  input.value = "";
  void read();
});

/** Shows at once what needs no reading, and reads the rest. */
function changed() {
  if (data !== undefined) {
    show(byId("detectors-body"), detectorTable(data, chosen.detector));
    showChoices(data);
    showRecent(data);
  }
  void read();
}

document.addEventListener("click", ({ target }) => {
  const button = target instanceof Element ? target.closest("button") : null;
  const { detector, span, filter } = button?.dataset ?? {};
  if (detector !== undefined) chosen.detector = chosen.detector === detector ? "" : detector;
  else if (span === "hours" || span === "days") chosen.span = span;
  else if (filter !== undefined) chosen.filter = /** @type {Filter} */ (filter);
  else if (button?.id === "recent-more") chosen.recent = recentAtMost;
  else return;
  changed();
});

byId("chart-detector").addEventListener("change", ({ target }) => {
  if (target instanceof HTMLSelectElement) chosen.detector = target.value;
  changed();
});

document.addEventListener("visibilitychange", () => {
  showLive();
  if (document.hidden) clearTimeout(timer);
  else void read();
});

setInterval(showLive, 1_000);
void read();
