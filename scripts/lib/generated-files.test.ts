import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { metricDefinitions } from "../../packages/gateway/src/app/metric-definitions.ts";
import { configJsonSchema } from "../../packages/gateway/src/config/json-schema.ts";
import { errorTable } from "../../packages/gateway/src/core/errors.ts";
import { generatedFiles, isSame, modelJsonSchema } from "./generated-files.ts";
import { definedProgram, listCommands } from "./pages/cli-page.ts";
import { keysOf } from "./pages/schema-page.ts";
import { listFiles, root } from "./paths.ts";

function committed(file: string): string {
  return readFileSync(path.join(root, file), "utf8");
}

/** First cells of a page's tables that are one word in backquotes. */
function firstCells(page: string): string[] {
  return [...page.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name = ""]) => name);
}

function assertSameNames(page: readonly string[], sources: readonly string[]): void {
  assert.ok(sources.length > 0);
  assert.deepEqual(page.toSorted(), sources.toSorted());
}

describe("the committed files are those the sources give", () => {
  for (const [file, text] of generatedFiles()) {
    test(file, () => assert.ok(isSame(committed(file), text), "run npm run generate"));
  }
});

describe("the pages name everything there is, and nothing else", () => {
  test("errors", () => {
    assertSameNames(firstCells(committed("docs/reference/errors.md")), Object.keys(errorTable));
  });

  for (const [page, schema] of [
    ["configuration", configJsonSchema()],
    ["model-yaml", modelJsonSchema()],
  ] as const) {
    test(`keys of ${page}`, () => {
      const text = committed(`docs/reference/${page}.md`);
      const sections = [...text.matchAll(/^## `([^`]+)`/gm)].map(([, name = ""]) => name);
      const keys = keysOf(schema).map(({ key }) => key);
      assertSameNames([...firstCells(text), ...sections], keys);
    });
  }

  test("commands and their options", () => {
    const text = committed("docs/reference/cli.md");
    const commands = listCommands(definedProgram());
    const sections = text.split(/^## /m).slice(1);
    assertSameNames(
      sections.map((section) => /^`spillway ([^`]+)`/.exec(section)?.[1] ?? ""),
      commands.map(({ name }) => name),
    );
    for (const [index, { command }] of commands.entries()) {
      const options = firstCells(sections[index] ?? "").filter((name) => name.startsWith("-"));
      assert.deepEqual(
        options,
        command.options.map(({ flags }) => flags),
      );
    }
  });

  test("metrics", () => {
    const names = metricDefinitions.map(({ name }) => name);
    assert.equal(new Set(names).size, names.length, "a name comes twice");
    const histograms = metricDefinitions.filter(({ buckets }) => buckets !== undefined);
    assertSameNames(firstCells(committed("docs/reference/metrics.md")), [
      ...names,
      ...histograms.map(({ name }) => name),
    ]);
  });
});

describe("metric families are defined where the list finds them", () => {
  const sources = listFiles(["packages/gateway/src/**/*.ts"])
    .filter((file) => !file.endsWith(".test.ts"))
    .map((file) => ({ file, text: committed(file) }));

  test("every name in the sources is listed", () => {
    const listed = new Set(
      metricDefinitions.flatMap(({ name, aliases = [] }) => [name, ...aliases.map((alias) => alias.name)]),
    );
    const found = sources.flatMap(({ file, text }) =>
      [...text.matchAll(/\bname: "((?:spillway|process|nodejs|llm_d_epp)_[a-z0-9_]+)"/g)].map(
        ([, name = ""]) => ({
          file,
          name,
        }),
      ),
    );
    assert.ok(found.length > 0);
    assert.deepEqual(
      found.filter(({ name }) => !listed.has(name)),
      [],
      "add it to app/metric-definitions.ts",
    );
  });

  test("none is made from a definition on the spot", () => {
    const inline = sources.filter(({ text }) => /\.(counter|gauge|histogram|summary)\(\s*\{/.test(text));
    assert.deepEqual(
      inline.map(({ file }) => file),
      [],
    );
  });
});

test("a table's spaces and dashes do not count, its words do", () => {
  assert.ok(isSame("| a | b |\n| --- | --- |\n", "| a   | b |\n| ----- | - |\n".replace("- |\n", "-- |\n")));
  assert.ok(!isSame("| a | b |\n", "| a | c |\n"));
});
