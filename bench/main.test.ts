import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { test } from "node:test";

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));

function bench(...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--conditions=source", MAIN, ...args], {
    encoding: "utf8",
  });
  return { code: status, stdout, stderr };
}

test("every figure is listed with its target", () => {
  const { code, stdout } = bench("--list");
  assert.equal(code, 0);
  assert.match(stdout, /^generator: .+ — .+$/m);
});

test("wrong arguments are told with the usage, and nothing runs", () => {
  const wrong: [string[], RegExp][] = [
    [["nonsense"], /unknown figure nonsense; there are .*generator/],
    [["--pairs", "3"], /--pairs: at least 7, or --quick/],
    [["--quick", "--pairs", "x"], /--pairs: expected a whole number from 1, got x/],
    [["--fast"], /--fast/],
  ];
  for (const [args, message] of wrong) {
    const { code, stdout, stderr } = bench(...args);
    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.match(stderr, message);
    assert.match(stderr, /usage: npm run bench/);
  }
});
