import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { root } from "./paths.ts";
import { UsageError, longestFirst, testEnvironment, planOf } from "./steps.ts";

const names = (plan: ReturnType<typeof planOf>): string[] => plan!.checks.map((check) => check.name);

test("without arguments everything is planned", () => {
  const plan = planOf([]);
  assert.deepEqual(names(plan).slice(0, 3), ["format", "lint", "types"]);
  for (const file of ["scripts/lib/steps.test.ts", "test/harness/requires.test.ts"]) {
    assert.ok(plan!.files.includes(file), file);
  }
  assert.ok(!plan!.files.some((file) => file.includes("node_modules")));
});

test("what takes longest is begun first, and each file once", () => {
  const { files } = planOf([])!;
  assert.deepEqual(files.slice(0, longestFirst.length), longestFirst);
  assert.equal(new Set(files).size, files.length);
});

test("--only takes a list of steps", () => {
  const plan = planOf(["--only", "unit,lint"]);
  assert.deepEqual(names(plan), ["lint"]);
  assert.ok(plan!.files.every((file) => /^(packages|engines)\//.test(file)));
});

test("files and folders are run without the checks, whatever folder the command is in", () => {
  const file = import.meta.filename;
  const plan = planOf([path.relative(process.cwd(), file), path.join(root, "test/harness"), "--name", "x"]);
  assert.deepEqual(plan!.checks, []);
  assert.equal(plan!.files[0], file);
  assert.ok(plan!.files.includes(path.join(root, "test/harness/requires.test.ts")));
  assert.equal(plan!.namePattern, "x");
});

test("a name pattern alone leaves the checks out", () => {
  const plan = planOf(["--name", "x"]);
  assert.deepEqual(plan!.checks, []);
  assert.ok(plan!.files.length > 1);
});

test("mistakes are told", () => {
  const mistakes = [["--only", "lnit"], ["--nope"], ["no/such.test.ts"], [path.join(root, "config")]];
  for (const args of mistakes) assert.throws(() => planOf(args), UsageError, args.join(" "));
  assert.equal(planOf(["--help"]), undefined);
});

test("a proxy of the machine is not asked for the machine itself", () => {
  const environment = { HTTPS_PROXY: "http://proxy.test:3128", NO_PROXY: "inner.test" };
  const direct = "inner.test,localhost,127.0.0.1,::1";
  assert.deepEqual(testEnvironment(environment), { ...environment, NO_PROXY: direct, no_proxy: direct });
  assert.equal(testEnvironment({})["no_proxy"], "localhost,127.0.0.1,::1");
});

test("a temporary folder whose name is too long for sockets is not used", () => {
  assert.equal(testEnvironment({ TMPDIR: "/var/tmp/mine" })["TMPDIR"], "/var/tmp/mine");
  assert.equal(testEnvironment({ TMPDIR: `/home/${"x".repeat(60)}` })["TMPDIR"], "/tmp");
  assert.ok(!("TMPDIR" in testEnvironment({})));
});
