/** The status page in a real browser, over a real store: what it shows, that it is live, and that it loads nothing else. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { failure } from "../../packages/gateway/src/core/errors.ts";
import { startBrowser, type Page } from "../harness/browser.ts";
import {
  lineDetectors,
  startEdgeDevice,
  tellQuery,
  writePast,
  type EdgeDevice,
} from "../harness/edge-device.ts";

/** A page of a device that has worked for a month. */
async function openPage(t: TestContext): Promise<{ device: EdgeDevice; page: Page } | undefined> {
  const browser = await startBrowser(t);
  if (browser === undefined) return undefined;
  const detectors = lineDetectors();
  const now = Date.now();
  const device = await startEdgeDevice(t, { detectors, past: (store) => writePast(store, detectors, now) });
  for (let n = 0; n < 30; n += 1) await tellQuery(device, n, now - (30 - n) * 1_000);
  const page = await browser.newPage();
  await page.resize(1280, 900);
  await page.open(`${device.url}/status`);
  await page.waitFor(
    "the table of detectors",
    `document.querySelectorAll(".detectors tbody tr").length === 3`,
  );
  return { device, page };
}

const text = (selector: string): string => `document.querySelector(${JSON.stringify(selector)}).textContent`;

/** Bars and lines of each chart that has any. */
const drawn = `[...document.querySelectorAll(".chart")].map((chart) =>
  chart.querySelectorAll("svg rect:not(.band), svg path").length)`;

describe("the status page", { timeout: 120_000 }, () => {
  it("shows detectors, charts, recent queries with pictures, and loads nothing from elsewhere", async (t) => {
    const opened = await openPage(t);
    if (opened === undefined) return;
    const { page, device } = opened;
    const rows = await page.evaluate<string[]>(
      `[...document.querySelectorAll(".detectors tbody tr")].map((row) => row.innerText)`,
    );
    assert.match(rows[0] ?? "", /Seated[^]*ready[^]*seated v3[^]*threshold 90 %[^]*audits/);
    assert.match(rows[1] ?? "", /Screws in the tray[^]*downloading v13/);
    assert.match(
      rows[2] ?? "",
      /Label reads PASS[^]*no model[^]*runs only in Groundlight's inference server/,
    );
    const bars = await page.waitFor<number[]>(
      "charts",
      `(${drawn}).filter((n) => n > 0).length >= 5 && (${drawn})`,
    );
    assert.ok(
      bars.slice(0, 2).every((count) => count > 48),
      `${bars.join(" ")}`,
    );
    await page.evaluate(`document.querySelector("#recent-body").scrollIntoView()`);
    await page.waitFor(
      "pictures",
      `((images) => images.length > 5 && images.every(({ naturalWidth }) => naturalWidth > 0))
        ([...document.querySelectorAll(".thumb img")])`,
    );
    assert.match(await page.evaluate(text("#recent-body")), /picked at random to be checked: it is queued/);
    const elsewhere = page.requests.filter(
      (url) => !/^(blob:|data:)/.test(url) && !url.startsWith(device.url),
    );
    assert.deepEqual(elsewhere, []);
    assert.deepEqual(page.complaints, []);
  });

  it("is live, keeps the focus, says when the gateway is gone, and pauses when nobody looks", async (t) => {
    const opened = await openPage(t);
    if (opened === undefined) return;
    const { page, device } = opened;
    await page.evaluate(`document.querySelector("[data-detector]").focus()`);
    const before = await page.evaluate<string>(text("#recent-body li .id"));
    await tellQuery(device, 99, Date.now());
    device.world.cloud = { state: "unreachable", since: Date.now(), reason: "connect ECONNREFUSED" };
    await page.waitFor("the new query", `${text("#recent-body li .id")} !== ${JSON.stringify(before)}`);
    await page.waitFor("the cloud's state", `${text("#tiles")}.includes("Unreachable")`);
    assert.match(await page.evaluate(text("#cloud-body")), /connect ECONNREFUSED/);
    const focused = await page.evaluate<boolean>(`document.activeElement.matches("[data-detector]")`);
    assert.ok(focused, "an update took the focus away");
    await page.evaluate(`Object.defineProperty(document, "hidden", { get: () => true, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"))`);
    await page.waitFor("a pause", `${text("#live")} === "Paused"`);
    const asked = page.requests.length;
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    assert.ok(page.requests.length <= asked + 2, "a hidden page goes on reading");
    await page.send("Network.emulateNetworkConditions", {
      offline: true,
      latency: 0,
      downloadThroughput: -1,
      uploadThroughput: -1,
    });
    await page.evaluate(`delete document.hidden; document.dispatchEvent(new Event("visibilitychange"))`);
    await page.waitFor("the gateway is missed", `${text("#live")} === "Not connected"`);
    assert.match(await page.evaluate(text("#notices")), /does not answer\. What is shown is from before/);
  });

  it("can be used from the keyboard, and tells charts to who does not see them", async (t) => {
    const opened = await openPage(t);
    if (opened === undefined) return;
    const { page } = opened;
    const seen = new Set<string>();
    for (let n = 0; n < 30; n += 1) {
      await page.press("Tab");
      seen.add(
        await page.evaluate(`(({ id, className, dataset }) => id || Object.keys(dataset)[0] || className)
          (document.activeElement)`),
      );
    }
    for (const each of ["skip", "detector", "chart-detector", "span", "plot", "filter"])
      assert.ok(seen.has(each), `${each} is not reached: ${[...seen].join(", ")}`);
    await page.evaluate(`document.querySelector("[data-detector]").focus()`);
    await page.press("Enter");
    await page.waitFor("the detector's charts", `document.querySelector("#chart-detector").value !== ""`);
    await page.waitFor("its threshold", `document.querySelector(".mark-name") !== null`);
    await page.evaluate(`document.querySelector(".plot").focus()`);
    await page.press("ArrowLeft");
    await page.press("ArrowLeft");
    const told = await page.evaluate<string>(text(".tip"));
    assert.match(told, /edge[\d,]+/);
    await page.press("Escape");
    assert.equal(await page.evaluate(`document.querySelector(".tip").hidden`), true);
    const names = await page.evaluate<string[]>(
      `[...document.querySelectorAll(".plot")].map((plot) => plot.getAttribute("aria-label"))`,
    );
    assert.match(names[0] ?? "", /^Queries\. edge: [\d,]+ in all, cloud: [\d,]+ in all/);
    const nameless = await page.evaluate<number>(`[...document.querySelectorAll("button, select, a, meter")]
      .filter((each) => !(each.textContent || each.getAttribute("aria-label")).trim()).length`);
    assert.equal(nameless, 0);
    assert.deepEqual(page.complaints, []);
  });

  it("fits narrow screens, in both schemes, and says what to expect while there is nothing", async (t) => {
    const browser = await startBrowser(t);
    if (browser === undefined) return;
    const { url } = await startEdgeDevice(t);
    const page = await browser.newPage();
    for (const [width, scheme] of [
      [360, "light"],
      [768, "dark"],
    ] as const) {
      await page.resize(width, 800);
      await page.useScheme(scheme);
      await page.open(`${url}/status`);
      await page.waitFor("the page", `document.querySelectorAll(".tile").length === 7`);
      assert.match(await page.evaluate(text("#detectors-body")), /No detectors yet/);
      assert.match(await page.evaluate(text("#recent-body")), /No image queries yet/);
      const wide = await page.evaluate<number>(`document.documentElement.scrollWidth`);
      assert.ok(wide <= width, `${wide} px on a screen of ${width}`);
      const ground = await page.evaluate<string>(`getComputedStyle(document.body).backgroundColor`);
      assert.equal(ground === "rgb(16, 18, 22)", scheme === "dark");
    }
    assert.deepEqual(page.complaints, []);
  });

  it("asks for a key where the gateway does, and shows nothing before", async (t) => {
    const browser = await startBrowser(t);
    if (browser === undefined) return;
    const { url } = await startEdgeDevice(t, {
      detectors: lineDetectors(),
      admit: ({ scope, headers }) =>
        scope === "open" || headers["authorization"] === "Bearer spw_key"
          ? { id: "key", scopes: ["status"] }
          : failure("unauthorized", "A key is needed"),
    });
    const page = await browser.newPage();
    await page.open(`${url}/status`);
    await page.waitFor("the question", `document.querySelector("#key-dialog").open`);
    assert.equal(await page.evaluate(`document.querySelectorAll(".detectors tr").length`), 0);
    await page.evaluate(`document.querySelector("#key-input").focus()`);
    await page.send("Input.insertText", { text: "spw_key" });
    await page.press("Enter");
    await page.waitFor("detectors", `document.querySelectorAll(".detectors tbody tr").length === 3`);
  });
});
