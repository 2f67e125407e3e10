/** Packages from servers that cut, stall, lie and serve what is no package; nothing of a bad one is ever published. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import {
  noise,
  packageOf,
  sha256Of,
  tarOf,
  type PackageEntry,
} from "../../../../../test/harness/model-package.ts";
import { startPackageServer, type PackageServer } from "../../../../../test/harness/package-server.ts";
import { until } from "../../../../../test/harness/until.ts";
import { systemClock, type Clock } from "../../core/clock.ts";
import { installPackage, type Installed, type InstallJob } from "./install-package.ts";
import type { TransferFailure } from "./transfer-failure.ts";

const onnx = noise(300_000);
const yaml = "task: classify\n";
const good = packageOf(onnx, yaml);

/** Pauses between attempts are short. */
const quick: Clock = { ...systemClock, after: (delayMs, action) => systemClock.after(delayMs / 50, action) };

interface Setup {
  readonly repository: string;
  readonly server: PackageServer;
  readonly install: (job?: Partial<InstallJob>, signal?: AbortSignal) => Promise<Installed | TransferFailure>;
  /** Everything in the repository but the downloads. */
  readonly published: () => string[];
}

async function setup(test: TestContext): Promise<Setup> {
  const repository = mkdtempSync(join(tmpdir(), "spillway-install-"));
  test.after(() => rmSync(repository, { recursive: true, force: true }));
  const server = await startPackageServer(test);
  server.files.set("/good.tar.gz", { bytes: good });
  const install: Setup["install"] = (job, signal = new AbortController().signal) =>
    installPackage(
      {
        repository,
        model: "m",
        version: "1",
        url: `${server.url}/good.tar.gz?Signature=secret`,
        contentId: "c1",
        sha256: sha256Of(good),
        bytes: undefined,
        maxBytes: 2 ** 20,
        stallMs: 2_000,
        ca: undefined,
        session: "s1",
        ...job,
      },
      { clock: quick, signal, onProgress() {} },
    );
  const published = (): string[] =>
    readdirSync(repository, { recursive: true, encoding: "utf8" })
      .filter((path) => !path.startsWith("."))
      .sort();
  return { repository, server, install, published };
}

function assertInstalled({ repository }: Setup, answer: Installed | TransferFailure): void {
  assert.deepEqual(answer, {
    sha256: sha256Of(good),
    bytes: good.length,
    unpackedBytes: onnx.length + yaml.length,
  });
  assert.deepEqual(readFileSync(join(repository, "m/1/model.onnx")), onnx);
  assert.equal(readFileSync(join(repository, "m/1/model.yaml"), "utf8"), yaml);
  assert.deepEqual(readdirSync(join(repository, ".parts")), [], "no download is left");
  assert.deepEqual(readdirSync(join(repository, ".staging")), []);
}

function assertRefused(rig: Setup, answer: Installed | TransferFailure, reason: RegExp): void {
  assert.ok("failed" in answer, "it was installed");
  assert.match(answer.reason, reason);
  assert.doesNotMatch(answer.reason, /secret/);
  assert.deepEqual(
    rig.published().filter((path) => path !== "m"),
    [],
  );
}

describe("downloads", () => {
  it("publishes a package with and without a checksum, over HTTP and from a file", async (test) => {
    const rig = await setup(test);
    assertInstalled(rig, await rig.install());
    const file = join(rig.repository, "package.tar");
    writeFileSync(
      file,
      tarOf([
        { path: "./", type: "Directory" },
        { path: "./model.onnx", content: onnx },
        { path: "./model.yaml", content: yaml },
        { path: "./._model.yaml", content: "x" },
      ]),
    );
    const local = await rig.install({ version: "2", url: pathToFileURL(file).href, sha256: undefined });
    assert.ok("sha256" in local);
    assert.deepEqual(readdirSync(join(rig.repository, "m/2")).sort(), ["model.onnx", "model.yaml"]);
    assertRefusedOnly(await rig.install(), /already/);
    assertRefusedOnly(await rig.install({ version: "3", url: "ftp://host/x" }), /http, https or file/);
    assertRefusedOnly(await rig.install({ version: "3", url: pathToFileURL(`${file}.none`).href }), /ENOENT/);
  });

  it("goes on after every cut by range, as long as each answer brings something", async (test) => {
    const rig = await setup(test);
    rig.server.files.set("/good.tar.gz", { bytes: good, cutAfter: Math.ceil(good.length / 5) });
    assertInstalled(rig, await rig.install());
    const ranges = rig.server.asked.map(({ range }) => range);
    assert.equal(ranges[0], undefined);
    assert.ok(ranges.length >= 5 && ranges.slice(1).every((range) => /^bytes=[1-9]\d*-$/.test(range ?? "")));
    assert.ok(rig.server.asked.slice(1).every(({ ifRange }) => ifRange === `"${good.length}"`));
  });

  it("takes the whole again from a server that knows no ranges, and gives up when nothing new comes", async (test) => {
    const rig = await setup(test);
    const file = { bytes: good, noRanges: true, cutAfter: 1_000 };
    rig.server.files.set("/good.tar.gz", file);
    assertRefused(rig, await rig.install(), /breaks off/);
    rig.server.files.set("/good.tar.gz", { bytes: good, noRanges: true });
    assertInstalled(rig, await rig.install());
  });

  it("starts anew when the content behind the address has changed", async (test) => {
    const rig = await setup(test);
    rig.server.files.set("/good.tar.gz", {
      bytes: Buffer.alloc(good.length, 1),
      etag: '"old"',
      cutAfter: 5_000,
    });
    const first = rig.install();
    await until("the first part is there", () => rig.server.asked.length > 0);
    rig.server.files.set("/good.tar.gz", { bytes: good, etag: '"new"' });
    assertInstalled(rig, await first);
  });

  it("uses what an earlier process has fetched only where a checksum can tell that it fits", async (test) => {
    const rig = await setup(test);
    const interrupted = async (session: string, sha256: string | undefined): Promise<string | undefined> => {
      rig.server.files.set("/good.tar.gz", { bytes: good, stallAfter: good.length >> 1 });
      const controller = new AbortController();
      const running = rig.install({ session, sha256, stallMs: 20_000 }, controller.signal);
      const part = join(rig.repository, ".parts/m");
      await until(
        "half of it is there",
        () => existsSync(part) && readFileSync(part).length >= good.length >> 1,
      );
      controller.abort();
      assertRefused(rig, await running, /called off/);
      rig.server.files.set("/good.tar.gz", { bytes: good });
      rig.server.asked.length = 0;
      const answer = await rig.install({ session: "later", sha256 });
      assertInstalled(rig, answer);
      rmSync(join(rig.repository, "m"), { recursive: true });
      return rig.server.asked[0]?.range;
    };
    assert.equal(await interrupted("s1", sha256Of(good)), `bytes=${good.length >> 1}-`);
    assert.equal(await interrupted("s1", undefined), undefined);
    assert.match((await interrupted("later", undefined)) ?? "", /^bytes=/);
  });

  it("gives up a server that stalls, and one that closes without a word", async (test) => {
    const rig = await setup(test);
    rig.server.files.set("/good.tar.gz", { bytes: good, stallAfter: 0 });
    assertRefused(rig, await rig.install({ stallMs: 50 }), /breaks off: no byte came|breaks off: aborted/);
    assert.equal(rig.server.open(), 0);
    rig.server.files.set("/good.tar.gz", { bytes: good, cutAfter: 0 });
    assertRefused(rig, await rig.install({ url: "http://127.0.0.1:1/x" }), /breaks off/);
  });

  it("keeps nothing of a part that turns out to be something else", async (test) => {
    const rig = await setup(test);
    rig.server.files.set("/good.tar.gz", { bytes: good, stallAfter: 4_000 });
    const controller = new AbortController();
    const running = rig.install({ stallMs: 20_000 }, controller.signal);
    const part = join(rig.repository, ".parts/m");
    await until("a part of it is there", () => existsSync(part) && readFileSync(part).length === 4_000);
    controller.abort();
    assertRefused(rig, await running, /called off/);
    // As after a power cut: the length is there, the content is not.
    writeFileSync(part, Buffer.alloc(4_000));
    rig.server.files.set("/good.tar.gz", { bytes: good });
    assertRefused(rig, await rig.install(), /SHA-256/);
    assertInstalled(rig, await rig.install());
  });
});

it("takes out of model.yaml what is not a version's to say, and leaves the rest", async (test) => {
  const rig = await setup(test);
  const text = "# by hand\ngroup: small\nlabels: [a, b] # two\nversions: { policy: latest, count: 1 }\n";
  rig.server.files.set("/good.tar.gz", { bytes: packageOf("x", text) });
  assert.ok("sha256" in (await rig.install({ sha256: undefined })));
  const kept = readFileSync(join(rig.repository, "m/1/model.yaml"), "utf8");
  assert.equal(kept.trim(), "labels: [ a, b ] # two");
  rig.server.files.set("/good.tar.gz", { bytes: packageOf("x", "labels: [") });
  assert.ok("sha256" in (await rig.install({ sha256: undefined, version: "2" })));
  assert.equal(readFileSync(join(rig.repository, "m/2/model.yaml"), "utf8"), "labels: [");
});

describe("servers that lie", () => {
  const lies: readonly [
    name: string,
    Parameters<PackageServer["files"]["set"]>[1],
    Partial<InstallJob>,
    RegExp,
  ][] = [
    ["another length than announced", { bytes: good }, { bytes: good.length + 1 }, /were announced/],
    [
      "more than announced, in chunks",
      { bytes: good, chunked: true },
      { bytes: good.length - 1 },
      /sends more/,
    ],
    [
      "less than its own length",
      { bytes: good, announced: good.length + 10, noRanges: true, etag: "" },
      { stallMs: 50 },
      /breaks off/,
    ],
    ["more than is taken", { bytes: good }, { maxBytes: 1_000 }, /largest that is taken/],
    ["more than is taken, in chunks", { bytes: good, chunked: true }, { maxBytes: 1_000 }, /sends more/],
    ["another content", { bytes: packageOf("other", yaml) }, {}, /SHA-256/],
    ["a page of HTML", { bytes: Buffer.from("<html>"), type: "text/html; charset=utf-8" }, {}, /HTML/],
    [
      "a page of HTML under another type",
      { bytes: Buffer.from("<html>".repeat(100)) },
      { sha256: undefined },
      /neither a tar archive/,
    ],
    ["an error", { bytes: good, status: 503, headers: { "retry-after": "7" } }, {}, /answered 503/],
    [
      "a redirect to nowhere",
      { bytes: good, status: 302, headers: { location: "gopher://x/" } },
      {},
      /not followed/,
    ],
    [
      "redirects in a circle",
      { bytes: good, status: 302, headers: { location: "/good.tar.gz" } },
      {},
      /again and again/,
    ],
  ];
  for (const [name, file, job, reason] of lies)
    it(`refuses ${name}`, async (test) => {
      const rig = await setup(test);
      rig.server.files.set("/good.tar.gz", file);
      const answer = await rig.install(job);
      assertRefused(rig, answer, reason);
      if (name === "an error") assert.equal("failed" in answer && answer.retryAfterMs, 7_000);
    });

  it("follows a redirect, and takes a body without a length", async (test) => {
    const rig = await setup(test);
    rig.server.files.set("/moved", {
      bytes: good,
      status: 307,
      headers: { location: `${rig.server.url}/good.tar.gz` },
    });
    rig.server.files.set("/good.tar.gz", { bytes: good, chunked: true });
    assertInstalled(rig, await rig.install({ url: `${rig.server.url}/moved` }));
  });
});

describe("bad packages", () => {
  const model: PackageEntry = { path: "model.onnx", content: "x" };
  const config: PackageEntry = { path: "model.yaml", content: yaml };
  const bad: readonly [name: string, bytes: Buffer, RegExp][] = [
    ["a path upwards", tarOf([model, { path: "../../evil", content: "x" }]), /only plain files/],
    ["an absolute path", tarOf([{ path: "/tmp/spillway-evil", content: "x" }]), /only plain files/],
    ["a folder", tarOf([{ path: "deep/model.onnx", content: "x" }]), /only plain files/],
    [
      "a symbolic link",
      tarOf([model, { path: "model.yaml", type: "SymbolicLink", linkpath: "/etc/passwd" }]),
      /SymbolicLink/,
    ],
    ["a hard link", tarOf([model, { path: "model.yaml", type: "Link", linkpath: "model.onnx" }]), /Link/],
    ["a device", tarOf([{ path: "model.yaml", type: "CharacterDevice" }]), /CharacterDevice/],
    ["a hidden file", tarOf([{ path: ".bashrc", content: "x" }]), /only plain files/],
    ["a file twice", tarOf([model, config, model]), /twice/],
    ["no model.yaml", tarOf([model]), /lacks model.yaml/],
    ["nothing", tarOf([]), /neither|lacks|too short/],
    [
      "too many files",
      tarOf([model, config, ...Array.from({ length: 40 }, (_, i) => ({ path: `f${i}` }))]),
      /more than 32/,
    ],
    [
      "a zip bomb",
      gzipSync(Buffer.concat([tarOf([model, config]), Buffer.alloc(64 * 2 ** 20)])),
      /unpacks to more/,
    ],
    [
      "a bomb in an entry",
      gzipSync(tarOf([{ path: "model.onnx", content: Buffer.alloc(8 * 2 ** 20) }, config])),
      /unpacks to more/,
    ],
    [
      "a cut archive",
      gzipSync(tarOf([model, { path: "model.yaml", content: "y".repeat(2_000) }]).subarray(0, 2_000)),
      /archive|lacks/,
    ],
    ["a cut gzip file", good.subarray(0, good.length >> 1), /archive/],
    ["a damaged header", gzipSync(tarOf([model, config]).fill(7, 1_030, 1_040)), /archive|lacks/],
    ["a page of HTML", Buffer.from("<!doctype html>".repeat(100)), /neither/],
    ["an empty file", Buffer.alloc(0), /too short/],
  ];
  for (const [name, bytes, reason] of bad)
    it(`refuses ${name}, for good`, async (test) => {
      const rig = await setup(test);
      rig.server.files.set("/good.tar.gz", { bytes });
      const answer = await rig.install({ sha256: sha256Of(bytes) });
      assertRefused(rig, answer, reason);
      assert.equal("failed" in answer && answer.isFinal, true);
      assert.deepEqual(readdirSync(join(rig.repository, ".parts")), []);
      assert.deepEqual(readdirSync(join(rig.repository, ".staging")), []);
      assert.equal(existsSync("/tmp/spillway-evil"), false);
    });
});

function assertRefusedOnly(answer: Installed | TransferFailure, reason: RegExp): void {
  assert.ok("failed" in answer);
  assert.match(answer.reason, reason);
}
