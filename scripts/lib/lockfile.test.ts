import assert from "node:assert/strict";
import { test } from "node:test";
import { completePackages, missingOptional } from "./lockfile.ts";
import type { LockPackages } from "./lockfile.ts";

const names = [
  "tool-darwin-arm64",
  "tool-linux-x64-gnu",
  "tool-linux-x64-musl",
  "tool-linux-armv7",
  "tool-win32-ia32-msvc",
];

const incomplete: LockPackages = {
  "": { version: "1.0.0" },
  "node_modules/@s/tool": {
    version: "1.2.3",
    dev: true,
    optionalDependencies: Object.fromEntries(names.map((name) => [`@s/${name}`, "1.2.3"])),
  },
  "node_modules/@s/tool-linux-x64-gnu": { version: "1.2.3", integrity: "sha512-a", optional: true },
};

test("adds what is missing with its platform and keeps what is there", () => {
  const complete = completePackages(incomplete);
  assert.deepEqual(missingOptional(complete), []);
  assert.deepEqual(
    complete["node_modules/@s/tool-linux-x64-gnu"],
    incomplete["node_modules/@s/tool-linux-x64-gnu"],
  );
  const entry = (name: string) => complete[`node_modules/@s/${name}`];
  const common = { version: "1.2.3", dev: true, optional: true };
  assert.deepEqual(entry("tool-darwin-arm64"), { ...common, os: ["darwin"], cpu: ["arm64"] });
  assert.deepEqual(entry("tool-linux-x64-musl"), { ...common, os: ["linux"], cpu: ["x64"], libc: ["musl"] });
  assert.deepEqual(entry("tool-linux-armv7"), { ...common, os: ["linux"], cpu: ["arm"] });
  assert.deepEqual(entry("tool-win32-ia32-msvc"), { ...common, os: ["win32"], cpu: ["ia32"] });
});

test("a nested copy satisfies its owner", () => {
  const nested: LockPackages = {
    "node_modules/a": { optionalDependencies: { b: "1.0.0" } },
    "node_modules/a/node_modules/b": { version: "1.0.0" },
  };
  assert.deepEqual(missingOptional(nested), []);
});

test("a range or a name without a platform is refused", () => {
  const withOptional = (name: string, version: string): LockPackages => ({
    "node_modules/a": { optionalDependencies: { [name]: version } },
  });
  assert.throws(() => completePackages(withOptional("b-linux-x64", "^1.0.0")), /exact version/);
  assert.throws(() => completePackages(withOptional("fsevents", "2.3.3")), /tells no platform/);
});
