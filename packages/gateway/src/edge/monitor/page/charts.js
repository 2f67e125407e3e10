// @ts-check
// Charts in SVG: stacked columns and lines over slots, with values at the pointer or the arrow keys.
import { h, s, show } from "./elements.js";

const height = 190;
const margin = { top: 10, right: 6, bottom: 24, left: 54 };
const minTickWidth = 64;
const widest = 72;

/**
 * @typedef {object} Series
 * @property {string} name
 * @property {string} color name of a colour of the style sheet: the class `c-<color>`
 * @property {readonly (number | null)[]} values one a slot; null where there is none
 */

/**
 * @typedef {object} ChartData
 * @property {"columns" | "lines"} kind
 * @property {readonly string[]} slots names, for the value box
 * @property {readonly string[]} ticks names, for the axis
 * @property {readonly Series[]} series
 * @property {(value: number) => string} format
 * @property {number | undefined} [most] top of the axis; else as the values need it
 * @property {number | undefined} [least] bottom of the axis of lines; default 0
 * @property {{ at: number, name: string } | undefined} [mark] an upright line; `at` in slots
 * @property {boolean} [edges] ticks name the end of their slot, not its middle
 * @property {string} empty what to say where there is nothing
 * @property {boolean} [total] the sum of all series is told too
 */

/**
 * A figure that draws itself anew when its width or data change.
 * @param {string} title
 * @param {string} note
 */
export function createChart(title, note) {
  const legend = h("ul", { class: "legend" });
  const plot = h("div", { class: "plot", tabindex: "0", role: "group", "aria-roledescription": "chart" });
  const tip = h("div", { class: "tip", role: "status", hidden: true });
  const box = h("div", { class: "plot-box" }, plot, tip);
  const caption = h("figcaption", {}, h("h3", {}, title), h("p", { class: "note" }, note), legend);
  const figure = h("figure", { class: "chart" }, caption, box);
  /** @type {ChartData | undefined} */
  let data;
  let width = 0;
  /** @type {number | undefined} */
  let chosen;

  function draw() {
    if (data === undefined || width === 0) return;
    show(legend, ...legendOf(data));
    plot.setAttribute("aria-label", `${title}. ${summaryOf(data)}`);
    show(plot, isEmpty(data) ? h("p", { class: "empty" }, data.empty) : drawing(data, width, chosen));
    tell();
  }

  function tell() {
    const known = data !== undefined && chosen !== undefined && !isEmpty(data);
    tip.hidden = !known;
    if (!known || data === undefined || chosen === undefined) return;
    show(tip, ...valuesAt(data, chosen));
    const middle = middleOf(chosen, data.slots.length, width);
    const left = middle + 14 + tip.offsetWidth > width ? middle - 14 - tip.offsetWidth : middle + 14;
    tip.style.left = `${Math.max(0, left)}px`;
  }

  /** @param {number | undefined} slot */
  function choose(slot) {
    if (slot === chosen) return;
    chosen = slot;
    draw();
  }

  plot.addEventListener("pointermove", ({ clientX }) => {
    if (data !== undefined)
      choose(slotAt(clientX - plot.getBoundingClientRect().left, data.slots.length, width));
  });
  plot.addEventListener("pointerleave", () => choose(undefined));
  plot.addEventListener("blur", () => choose(undefined));
  plot.addEventListener("keydown", (event) => {
    const next = data === undefined ? undefined : slotAfter(event.key, chosen, data.slots.length);
    if (next === undefined) return;
    event.preventDefault();
    choose(next < 0 ? undefined : next);
  });
  new ResizeObserver(([entry]) => {
    width = Math.floor(entry?.contentRect.width ?? 0);
    draw();
  }).observe(plot);

  return {
    figure,
    /** @param {ChartData} next */
    update(next) {
      data = next;
      if (chosen !== undefined && chosen >= next.slots.length) chosen = undefined;
      draw();
    },
  };
}

/**
 * The slot that a key leads to; -1 for none, undefined for a key that means nothing here.
 * @param {string} key
 * @param {number | undefined} chosen
 * @param {number} slots
 */
function slotAfter(key, chosen, slots) {
  const last = slots - 1;
  if (key === "ArrowLeft") return Math.max(0, (chosen ?? slots) - 1);
  if (key === "ArrowRight") return Math.min(last, (chosen ?? last - 1) + 1);
  if (key === "Home") return 0;
  if (key === "End") return last;
  return key === "Escape" ? -1 : undefined;
}

/** @param {ChartData} data */
function isEmpty({ series }) {
  return series.every(({ values }) => values.every((value) => value === null || value === 0));
}

/** @param {ChartData} data */
function legendOf({ series }) {
  if (series.length < 2) return [];
  return series.map(({ name, color }) => h("li", {}, h("span", { class: `swatch b-${color}` }), name));
}

/**
 * What the chart says, in a sentence, for whoever does not see it.
 * @param {ChartData} data
 */
function summaryOf(data) {
  if (isEmpty(data)) return data.empty;
  const parts = data.series.map(({ name, values }) => {
    const known = values.filter((value) => value !== null);
    if (known.length === 0) return `${name}: none`;
    if (data.kind === "lines") return `${name}: last ${data.format(known.at(-1) ?? 0)}`;
    return `${name}: ${data.format(known.reduce((sum, value) => sum + value, 0))} in all`;
  });
  return `${parts.join(", ")}. Arrow keys tell single values.`;
}

/**
 * @param {ChartData} data
 * @param {number} slot
 */
function valuesAt({ slots, series, format, kind, total }, slot) {
  const rows = series
    .map(({ name, color, values }) => ({ name, color, value: values[slot] ?? null }))
    .filter(({ value }) => series.length === 1 || (value !== null && (kind === "lines" || value > 0)));
  const sum = rows.reduce((all, { value }) => all + (value ?? 0), 0);
  return [
    h("p", { class: "tip-title" }, slots[slot] ?? ""),
    rows.length === 0 ? h("p", {}, "nothing") : null,
    ...rows.map(({ name, color, value }) =>
      h(
        "p",
        { class: "tip-row" },
        h("span", { class: `swatch b-${color}` }),
        h("span", {}, name),
        h("b", {}, value === null ? "–" : format(value)),
      ),
    ),
    total === true && rows.length > 1
      ? h("p", { class: "tip-row sum" }, h("span"), h("span", {}, "together"), h("b", {}, format(sum)))
      : null,
  ];
}

/**
 * @param {number} slot
 * @param {number} slots
 * @param {number} width
 */
function middleOf(slot, slots, width) {
  return margin.left + ((slot + 0.5) * (width - margin.left - margin.right)) / slots;
}

/**
 * @param {number} x
 * @param {number} slots
 * @param {number} width
 */
function slotAt(x, slots, width) {
  const inner = width - margin.left - margin.right;
  const slot = Math.floor(((x - margin.left) / inner) * slots);
  return slot < 0 || slot >= slots ? undefined : slot;
}

/**
 * @param {ChartData} data
 * @param {number} width
 * @param {number | undefined} chosen
 */
function drawing(data, width, chosen) {
  const { slots } = data;
  const scale = scaleOf(data);
  const step = (width - margin.left - margin.right) / slots.length;
  const bottom = height - margin.bottom;
  /** @param {number} value */
  const y = (value) => bottom - ((value - scale.least) / (scale.most - scale.least)) * (bottom - margin.top);
  const band =
    chosen === undefined
      ? null
      : s("rect", {
          class: "band",
          x: margin.left + chosen * step,
          y: margin.top,
          width: step,
          height: bottom - margin.top,
        });
  return s(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" },
    ...scale.ticks.map((value) => yTick(y(value), width, data.format(value))),
    band,
    ...(data.kind === "columns" ? columns(data, step, y) : lines(data, step, y, chosen)),
    ...xTicks(data, step),
    ...markOf(data, step),
  );
}

/**
 * @param {number} at
 * @param {number} width
 * @param {string} name
 */
function yTick(at, width, name) {
  return s(
    "g",
    {},
    s("line", { class: "grid", x1: margin.left, x2: width - margin.right, y1: at, y2: at }),
    s("text", { class: "tick", x: margin.left - 8, y: at + 4, "text-anchor": "end" }, name),
  );
}

/**
 * @param {ChartData} data
 * @param {number} step
 */
function xTicks({ ticks, edges }, step) {
  const every = edges === true ? 1 : Math.max(1, Math.ceil(minTickWidth / step));
  // Whole divisors look even: every 1, 2, 3, 6, 12 slots.
  const even = [1, 2, 3, 4, 5, 6, 8, 10, 12, 24].find((each) => each >= every) ?? every;
  return ticks.flatMap((name, slot) => {
    if (name === "" || (ticks.length - 1 - slot) % even !== 0) return [];
    const x = margin.left + (slot + (edges === true ? 1 : 0.5)) * step;
    const anchor = slot === ticks.length - 1 && step < minTickWidth ? "end" : "middle";
    return s(
      "text",
      {
        class: "tick",
        x: anchor === "end" ? margin.left + (slot + 1) * step : x,
        y: height - 7,
        "text-anchor": anchor,
      },
      name,
    );
  });
}

/**
 * @param {ChartData} data
 * @param {number} step
 */
function markOf({ mark }, step) {
  if (mark === undefined) return [];
  const x = margin.left + mark.at * step;
  return [
    s("line", { class: "mark-line", x1: x, x2: x, y1: margin.top, y2: height - margin.bottom }),
    s("text", { class: "mark-name", x: x - 5, y: margin.top + 9, "text-anchor": "end" }, mark.name),
  ];
}

/**
 * @param {ChartData} data
 * @param {number} step
 * @param {(value: number) => number} y
 */
function columns({ slots, series }, step, y) {
  const gap = step > 6 ? Math.max(Math.min(3, step * 0.2), step - widest) : 0.5;
  return slots.flatMap((_, slot) => {
    let below = 0;
    return series.flatMap(({ color, values }) => {
      const value = values[slot] ?? 0;
      if (value <= 0) return [];
      const top = y(below + value);
      const tall = y(below) - top;
      below += value;
      return s("rect", {
        class: `f-${color}`,
        x: margin.left + slot * step + gap / 2,
        y: top,
        width: Math.max(1, step - gap),
        // A hairline keeps stacked parts apart.
        height: Math.max(1, tall > 3 && below > value ? tall - 1 : tall),
        rx: step > 8 ? 1.5 : 0,
      });
    });
  });
}

/**
 * @param {ChartData} data
 * @param {number} step
 * @param {(value: number) => number} y
 * @param {number | undefined} chosen
 */
function lines({ series }, step, y, chosen) {
  return series.flatMap(({ color, values }) => {
    /** @param {number} slot */
    const x = (slot) => margin.left + (slot + 0.5) * step;
    let path = "";
    const dots = values.flatMap((value, slot) => {
      if (value === null) return [];
      const joined = slot > 0 && values[slot - 1] !== null;
      path += `${joined ? "L" : "M"}${x(slot).toFixed(1)} ${y(value).toFixed(1)}`;
      const alone = !joined && (values[slot + 1] ?? null) === null;
      if (!alone && slot !== chosen) return [];
      return s("circle", {
        class: `f-${color} dot`,
        cx: x(slot),
        cy: y(value),
        r: slot === chosen ? 4 : 2.5,
      });
    });
    return [s("path", { class: `line s-${color}`, d: path }), ...dots];
  });
}

/**
 * Bottom, top and ticks of the upright axis, on round numbers.
 * @param {ChartData} data
 */
function scaleOf({ kind, slots, series, most, least = 0 }) {
  const sums = slots.map((_, slot) => series.reduce((sum, { values }) => sum + (values[slot] ?? 0), 0));
  const all = kind === "columns" ? sums : series.flatMap(({ values }) => values.map((value) => value ?? 0));
  const highest = most ?? Math.max(...all, Number.MIN_VALUE);
  const step = most === undefined ? roundStep((highest - least) / 3) : (most - least) / 2;
  const top = most ?? Math.ceil((highest - least) / step - 1e-9) * step + least;
  const ticks = [];
  for (let value = least; value <= top + step * 1e-6; value += step) ticks.push(value);
  return { least, most: top, ticks };
}

/** @param {number} wanted */
function roundStep(wanted) {
  const power = 10 ** Math.floor(Math.log10(wanted));
  return ([1, 2, 2.5, 5, 10].find((each) => each * power >= wanted) ?? 10) * power;
}

/**
 * A line without axes, for a row of a table, of counts by minute.
 * @param {readonly number[]} values
 * @param {string} label
 */
export function sparkline(values, label) {
  const width = 96;
  const tall = 22;
  // The last minute is not over.
  const whole = values.slice(0, -1);
  const most = Math.max(1, ...whole);
  const points = whole.map((value, index) => {
    const x = (index / Math.max(1, whole.length - 1)) * (width - 2) + 1;
    return `${x.toFixed(1)},${(tall - 2 - (value / most) * (tall - 4)).toFixed(1)}`;
  });
  return s(
    "svg",
    {
      class: "spark",
      viewBox: `0 0 ${width} ${tall}`,
      width,
      height: tall,
      role: "img",
      "aria-label": label,
    },
    s("polygon", { points: `1,${tall - 2} ${points.join(" ")} ${width - 1},${tall - 2}` }),
    s("polyline", { points: points.join(" ") }),
  );
}
