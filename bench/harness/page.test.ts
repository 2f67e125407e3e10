import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { isSame } from "../../scripts/lib/generated-files.ts";
import { figures } from "../figures/index.ts";
import type { FigureRow } from "./figure.ts";
import { benchmarksPage, benchmarksPath, fillReadme, readTold, README_MARKERS } from "./page.ts";
import type { Told } from "./page.ts";

const [BEGIN, END] = README_MARKERS;

const row: FigureRow = { what: "rate", target: "≥ 1", measured: "2 (1–3)", median: "2", verdict: "met" };

function told(rows: readonly FigureRow[] = [row], commit = "0123456789abcdef"): Told {
  const machine = { cpu: "CPU", cores: 2, memoryBytes: 2 ** 34, node: "v24.0.0", system: "Linux" };
  const about = {
    figure: "fast",
    title: "how fast",
    target: "faster than 1",
    scale: "full",
    pairs: 7,
  } as const;
  return {
    figure: { id: about.figure, title: about.title, target: about.target },
    result: {
      ...about,
      startedAt: "2026-01-02T03:04:05.678Z",
      commit,
      changed: false,
      machine,
      rows,
      details: ["a line below"],
      data: null,
    },
  };
}

test("docs/benchmarks.md is what the committed results give", async () => {
  const page = await readFile(benchmarksPath, "utf8");
  assert.ok(isSame(page, benchmarksPage(await readTold(figures))), "run: npm run bench -- --pages");
});

test("the page has a row for each row of a figure, and for a figure that was not measured", () => {
  const page = benchmarksPage([told(), { figure: { ...told().figure, id: "new" }, result: null }]);
  assert.match(page, /^\| fast +\| rate +\| ≥ 1 +\| 2 \(1–3\) +\| met +\|$/m);
  assert.match(page, /^\| new +\| how fast +\| faster than 1 +\| – +\| not measured +\|$/m);
  assert.match(
    page,
    /^Measured on CPU, 2 cores, 16 GB, Node v24\.0\.0, Linux; commit 0123456789ab, 2026-01-02\./m,
  );
  assert.match(page, /^## fast\n\nhow fast\. Target: faster than 1\.\n\n```text\na line below\n```$/m);
});

test("results of different commits are told apart", () => {
  assert.match(
    benchmarksPage([told(), told([row], "fedcba9876543210")]),
    /commit 0123[^]*; and on [^]*commit fedc/,
  );
});

test("the README's table is replaced between its markers, and nothing else is", () => {
  const readme = `before\n${BEGIN}\nold\n${END}\nafter\n`;
  const filled = fillReadme(readme, [told()]) ?? "";
  assert.match(
    filled,
    /^before\n<!-- bench:begin -->\n\n\| what [^]*how fast: rate \| ≥ 1 [^]*\n\n<!-- bench:end -->\nafter\n$/,
  );
  assert.doesNotMatch(filled, /old/);
  assert.equal(fillReadme(filled, [told()]), filled);
  assert.equal(fillReadme("no markers", [told()]), null);
  assert.match(fillReadme(readme, [{ ...told(), result: null }]) ?? "", /Not measured yet\./);
});
