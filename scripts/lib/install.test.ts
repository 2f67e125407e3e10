import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { nodeBinary, whyInstall } from "./install.mjs";
import { missingOptional } from "./lockfile.ts";
import type { LockPackages } from "./lockfile.ts";
import { root } from "./paths.ts";

const wanted: LockPackages = {
  "": { version: "0.1.0" },
  "packages/own": { version: "0.1.0" },
  "node_modules/plain": { version: "1.0.0", integrity: "sha512-a" },
  "node_modules/plain-darwin-arm64": { version: "1.0.0", optional: true },
};

/** A folder as an installation of `wanted` leaves it. */
function installedFolder(t: TestContext): {
  folder: string;
  write: (name: string, content: unknown) => void;
} {
  const folder = mkdtempSync(path.join(tmpdir(), "spillway install "));
  t.after(() => rmSync(folder, { recursive: true }));
  const write = (name: string, content: unknown): void => {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), JSON.stringify(content));
  };
  write("package-lock.json", { packages: wanted });
  write("node_modules/.package-lock.json", {
    packages: { "node_modules/plain": wanted["node_modules/plain"] },
  });
  write("node_modules/plain/package.json", {});
  write(path.relative(folder, nodeBinary(folder)), "");
  return { folder, write };
}

test("a finished installation of the lockfile needs nothing", (t) => {
  assert.equal(whyInstall(installedFolder(t).folder), undefined);
});

test("a missing node_modules is a first start, one without npm's last file an unfinished one", (t) => {
  const { folder } = installedFolder(t);
  rmSync(path.join(folder, "node_modules/.package-lock.json"));
  assert.equal(whyInstall(folder), "unfinished");
  rmSync(path.join(folder, "node_modules"), { recursive: true });
  assert.equal(whyInstall(folder), "first start");
});

test("a changed or added entry of the lockfile is noticed", (t) => {
  const { folder, write } = installedFolder(t);
  write("package-lock.json", { packages: { ...wanted, "node_modules/plain": { version: "1.0.1" } } });
  assert.equal(whyInstall(folder), "package-lock.json changed");
  write("package-lock.json", { packages: { ...wanted, "node_modules/added": { version: "1.0.0" } } });
  assert.equal(whyInstall(folder), "package-lock.json changed");
});

test("a deleted package and a deleted Node 24 are noticed", (t) => {
  const { folder } = installedFolder(t);
  rmSync(nodeBinary(folder));
  assert.equal(whyInstall(folder), "Node 24 is missing");
  rmSync(path.join(folder, "node_modules/plain"), { recursive: true });
  assert.equal(whyInstall(folder), "node_modules/plain is missing");
});

test("package-lock.json has every platform's packages (else: npm run lockfile)", () => {
  const lock = JSON.parse(readFileSync(path.join(root, "package-lock.json"), "utf8")) as {
    packages: LockPackages;
  };
  assert.deepEqual(missingOptional(lock.packages), []);
});
