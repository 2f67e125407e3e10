import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { figures } from "./index.ts";

/** Every figure runs for a fraction of a second: its numbers say nothing, its counts of what must not happen do. */
for (const figure of figures) {
  test(`${figure.id} can be measured`, async (context) => {
    const directory = await mkdtemp(join(tmpdir(), `figure-${figure.id}-`));
    context.after(() => rm(directory, { recursive: true }));
    const log = (line: string): void => context.diagnostic(line);
    const { rows, details, data } = await figure.run({ scale: "smoke", pairs: 1, directory, log });
    assert.ok(JSON.stringify(data).length > 100);
    for (const row of rows) {
      assert.doesNotMatch(row.measured, /NaN|Infinity/, row.what);
      if (row.target === "≤ 0") assert.equal(row.verdict, "met", `${row.what}: ${row.measured}`);
    }
    assert.deepEqual(
      details?.filter((line) => /NaN|Infinity|: \d+ requests failed$/.test(line)),
      [],
    );
  });
}

test("every file of the folder is in the list, under its own name", async () => {
  const files = (await readdir(import.meta.dirname)).filter((file) => !/^index\.ts$|\.test\.ts$/.test(file));
  assert.deepEqual(figures.map(({ id }) => `${id}.ts`).toSorted(), files.toSorted());
});
