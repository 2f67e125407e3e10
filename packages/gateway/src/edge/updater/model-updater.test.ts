/** Updates from a real HTTP index to the swap, and back. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { packageOf, sha256Of } from "../../../../../test/harness/model-package.ts";
import { until } from "../../../../../test/harness/until.ts";
import type { Cloud, CloudFailure, CloudModelInfo } from "../../contracts/cloud.ts";
import type { EdgeStore } from "../../contracts/edge-store.ts";
import { failure } from "../../core/errors.ts";
import { createCloudSource } from "./cloud-source.ts";
import { createIndexSource } from "./index-source.ts";
import {
  detectorOf,
  observe,
  quick,
  refreshMs,
  rigOver,
  startRig,
} from "../../../../../test/harness/updater-rig.ts";

describe("updates from an index", () => {
  it("serves the newest version, swaps to a newer one, and keeps two on the disk", async (test) => {
    const rig = await startRig(test);
    // On a busy machine the first look may be given up before the server answers.
    const missing = `the index of models cannot be read: ${new URL(rig.server.url).host} answered 404`;
    await until("it is told", () => rig.row("det_A").reason === missing);
    rig.offer("det_a", "one");
    await rig.until("det_A", "serving", "one");
    assert.deepEqual(rig.served.get("det_A"), {
      name: "det_a",
      version: "1",
      outOfDomain: undefined,
      labels: {},
    });
    rig.offer("det_a", "one", "two", "three");
    await rig.until("det_A", "serving", "three");
    await until("only the new one is loaded", () => rig.choices.get("det_a")?.versions.join() === "3");
    assert.equal(rig.choices.get("det_a")?.preferred, "3");
    rig.offer("det_a", "one", "two", "three", "four");
    await rig.until("det_A", "serving", "four");
    const versions = (): string => readdirSync(join(rig.folder, "det_a")).join();
    await until("two are left", () => versions() === "3,4");
    const { serving, previous } = rig.row("det_A");
    assert.deepEqual(
      { ...(serving as object), since: 0 },
      { version: "4", offered: "4", source: "index", since: 0 },
    );
    assert.equal(previous, "3");
  });

  it("goes back to an earlier version when the index does", async (test) => {
    const rig = await startRig(test);
    rig.offer("det_A", "one", "two");
    await rig.until("det_A", "serving", "two");
    rig.offer("det_A", "one");
    await rig.until("det_A", "serving", "one");
    rig.offer("other", "one");
    rig.server.files.set("/index.json", { bytes: Buffer.from('{"models":{}}'), etag: '"x"' });
    await until("it is told", () => rig.row("det_A").reason === "the index has no model of this detector");
    assert.equal(rig.answering("det_A"), "one", "a model that is no longer offered goes on");
  });

  it("asks for the index only when it has changed, and once for all detectors", async (test) => {
    const detectors = Array.from({ length: 20 }, (_, index) => detectorOf(`det_${index}`, "shared"));
    const rig = await startRig(test, { detectors });
    rig.offer("shared", "one");
    for (const { id } of detectors) await rig.until(id, "serving", "one");
    const before = rig.server.asked.length;
    await until("it is looked at again", () => rig.server.asked.length > before + 3);
    const again = rig.server.asked.slice(before);
    assert.ok(again.every(({ path, ifNoneMatch }) => path === "/index.json" && ifNoneMatch !== undefined));
  });

  it("reads an index that is a file, with packages beside it", async (test) => {
    const rig = await startRig(test, {
      sources: () => [],
    });
    const folder = mkdtempSync(join(tmpdir(), "spillway-index-"));
    test.after(() => rmSync(folder, { recursive: true, force: true }));
    const bytes = packageOf("from a file", "");
    writeFileSync(join(folder, "p.tar.gz"), bytes);
    const index = {
      models: { DET_a: [{ version: 7, url: "p.tar.gz", sha256: sha256Of(bytes), labels: { yes: ["7"] } }] },
    };
    writeFileSync(join(folder, "index.json"), JSON.stringify(index));
    await rig.updater.close();
    const url = pathToFileURL(join(folder, "index.json")).href;
    const second = await rigOver(test, rig.folder, rig.server, {
      detectors: [detectorOf("det_A")],
      sources: () => [createIndexSource({ url, ca: undefined, clock: quick })],
    });
    await second.until("det_A", "serving", "from a file");
    assert.deepEqual(second.served.get("det_A"), {
      name: "det_a",
      version: "7",
      outOfDomain: undefined,
      labels: { yes: ["7"] },
    });
  });

  const wrong: readonly [name: string, bytes: Buffer, reason: RegExp][] = [
    ["no JSON", Buffer.from("<html>"), /not JSON/],
    ["no models", Buffer.from("[1]"), /no object with "models"/],
    ["too large", Buffer.alloc(300_000, 32), /more than 262144 bytes/],
    [
      "a bad entry",
      Buffer.from('{"models":{"det_A":[{"version":"new","url":"x","sha256":"y"}]}}'),
      /wrong at models\.det_A\.0/,
    ],
    [
      "an address on the disk",
      Buffer.from(
        JSON.stringify({
          models: { det_A: [{ version: 1, url: "file:///etc/passwd", sha256: "0".repeat(64) }] },
        }),
      ),
      /cannot be fetched/,
    ],
    ["an empty list", Buffer.from('{"models":{"det_A":[]}}'), /lists no version/],
  ];
  for (const [name, bytes, reason] of wrong)
    it(`tells of an index that is ${name}`, async (test) => {
      const rig = await startRig(test);
      rig.server.files.set("/index.json", { bytes, etag: "" });
      await until("it is told", () => reason.test(rig.row("det_A").reason));
    });
});

describe("an index that does not answer", () => {
  it("is told of by the time it was given", async (test) => {
    const silent = createServer().listen(0, "127.0.0.1");
    await once(silent, "listening");
    test.after(() => void silent.close());
    const { port } = silent.address() as AddressInfo;
    const url = `http://127.0.0.1:${port}/index.json`;
    const rig = await startRig(test, {
      sources: () => [createIndexSource({ url, ca: undefined, clock: quick })],
    });
    const { reason } = await rig.until("det_A", "failed");
    assert.equal(reason, "the index of models cannot be read: no answer within 10000 ms");
  });
});

describe("bad versions", () => {
  for (const [kind, reason] of [
    ["broken", /version 2 cannot be loaded: it is no model/],
    ["wrong", /version 2 failed its test on a plain grey picture: its shape is another/],
    ["nan", /its confidence is NaN/],
  ] as const)
    it(`never serve: ${kind}; the old one goes on, and it is not fetched again, over restarts`, async (test) => {
      const rig = await startRig(test);
      rig.offer("det_A", "one");
      await rig.until("det_A", "serving", "one");
      rig.offer("det_A", "one", `${kind} two`);
      const failed = await until("it is remembered", () => {
        const row = rig.row("det_A");
        return (row["bad"] as unknown[]).length === 1 && row;
      });
      assert.match((failed["bad"] as [{ reason: string }])[0].reason, reason);
      assert.equal(rig.answering("det_A"), "one");
      const downloads = (): number =>
        rig.server.asked.filter(({ path }) => path === "/det_A-2.tar.gz").length;
      assert.equal(downloads(), 1, "a second try needs no second download");
      const again = await rig.restart();
      await again.until("det_A", "serving", "one");
      await until("it was looked at", () => rig.server.asked.length > 6);
      assert.equal(downloads(), 1);
      assert.equal(again.offer("det_A", "one", `${kind} two`, "three").length, 64);
      await again.until("det_A", "serving", "three");
    });

  it("that are no packages are remembered at once, and wrong checksums are tried again", async (test) => {
    const rig = await startRig(test);
    const bytes = Buffer.from("no package".repeat(100));
    rig.server.files.set("/p", { bytes });
    const index = (sha256: string) =>
      Buffer.from(JSON.stringify({ models: { det_A: [{ version: 1, url: "/p", sha256 }] } }));
    rig.server.files.set("/index.json", { bytes: index("0".repeat(64)), etag: "" });
    assert.match((await rig.until("det_A", "failed")).reason, /SHA-256/);
    const asked = rig.server.asked.filter(({ path }) => path === "/p").length;
    await until(
      "it is fetched again",
      () => rig.server.asked.filter(({ path }) => path === "/p").length > asked,
    );
    assert.deepEqual(rig.row("det_A")["bad"], []);
    rig.server.files.set("/index.json", { bytes: index(sha256Of(bytes)), etag: "" });
    await until("it is remembered", () => (rig.row("det_A")["bad"] as unknown[]).length === 1);
    await until("it is told", () => /neither a tar archive/.test(rig.row("det_A").reason));
    assert.equal(rig.served.get("det_A"), undefined);
  });
});

describe("smoke tests", () => {
  it("use recent pictures that the store still has, and skip what is no picture", async (test) => {
    const pictures = new Map([
      ["a", 10],
      ["b", 1],
      ["c", 0],
      ["d", 30],
    ]);
    const store = {
      queries: async ({ detectorId }: { detectorId?: string }) => {
        const queries = detectorId === "det_A" ? [...pictures.keys()].map((id) => ({ id })) : [];
        return { queries, total: queries.length };
      },
      picture: async (id: string) => {
        const bytes = pictures.get(id) ?? 0;
        if (bytes === 0) return id === "c" ? undefined : failure("storage_unavailable");
        return { bytes: new Uint8Array(bytes), mediaType: "image/jpeg" };
      },
    } as unknown as EdgeStore;
    const rig = await startRig(test, { store });
    rig.offer("det_A", "one");
    await rig.until("det_A", "serving", "one");
    assert.deepEqual(
      rig.tried.map(({ bytes }) => bytes),
      [10, 1, 30],
    );
  });
});

describe("rollback", () => {
  for (const [what, good, fault] of [
    [
      "disagreed",
      "agreed",
      /^version 2 was taken back: audits agree with \d+ % of its last \d+ sure answers \(before: 100 % of 60\)$/,
    ],
    [
      "failed",
      "answered",
      /^version 2 was taken back: it fails on \d+ % of the last \d+ pictures \(before: 0 %\)$/,
    ],
  ] as const)
    it(`happens when pictures are ${what}; the version is not fetched again, over restarts`, async (test) => {
      const rig = await startRig(test);
      rig.offer("det_A", "one");
      await rig.until("det_A", "serving", "one");
      observe(rig, "det_A", 60, good);
      rig.offer("det_A", "one", "two");
      await rig.until("det_A", "serving", "two");
      observe(rig, "det_A", 10, good);
      assert.equal(rig.row("det_A").state, "serving");
      rig.updater.observer.compared({
        queryId: "q",
        detectorId: "det_A",
        at: 0,
        kind: "audit",
        agreed: false,
        edge: {
          finding: { mode: "TEXT", text: "", truncated: false },
          rawConfidence: 1,
          confidence: 1,
          model: { name: "det_a", version: "1" },
        },
        cloud: { finding: { mode: "TEXT", text: "", truncated: false }, confidence: 1 },
      });
      for (let count = 0; count < 60 && rig.row("det_A").state === "serving"; count++) {
        observe(rig, "det_A", 10, what);
        await new Promise((resolve) => setImmediate(resolve));
      }
      const { reason } = await rig.until("det_A", "rolled_back", "one");
      assert.match(reason, fault);
      const looks = rig.server.asked.length;
      await until("it was looked at again", () => rig.server.asked.length > looks + 3);
      await rig.until("det_A", "rolled_back", "one");
      await until("it is gone from the disk", () => readdirSync(join(rig.folder, "det_a")).join() === "1");
      const again = await rig.restart();
      await again.until("det_A", "serving", "one");
      assert.equal(rig.server.asked.filter(({ path }) => path === "/det_A-2.tar.gz").length, 1);
      again.offer("det_A", "one", "two", "three");
      await again.until("det_A", "serving", "three");
    });

  it("holds against a check that was on its way meanwhile", async (test) => {
    let gate: Promise<void> | undefined;
    let held = 0;
    const rig = await startRig(test, {
      sources: (server) => {
        const index = createIndexSource({ url: `${server.url}/index.json`, ca: undefined, clock: quick });
        return [
          {
            async latest(...asked) {
              const offer = await index.latest(...asked);
              if (gate !== undefined) held++;
              await gate;
              return offer;
            },
          },
        ];
      },
    });
    rig.offer("det_A", "one");
    await rig.until("det_A", "serving", "one");
    rig.offer("det_A", "one", "two");
    await rig.until("det_A", "serving", "two");
    const { promise, resolve } = Promise.withResolvers<void>();
    gate = promise;
    await until("a check is on its way", () => held > 0);
    observe(rig, "det_A", 60, "failed");
    await until("the old one answers", () => rig.answering("det_A") === "one");
    gate = undefined;
    resolve();
    await rig.until("det_A", "rolled_back", "one");
    const looks = rig.server.asked.length;
    await until("it was looked at again", () => rig.server.asked.length > looks + 2);
    await rig.until("det_A", "rolled_back", "one");
  });

  it("does not happen where there is nothing to go back to", async (test) => {
    const rig = await startRig(test);
    rig.offer("det_A", "one");
    await rig.until("det_A", "serving", "one");
    observe(rig, "det_A", 200, "failed");
    assert.equal(rig.row("det_A").state, "serving");
  });
});

describe("restarts", () => {
  it("serve what is on the disk with no source in reach, and the one before where that is damaged", async (test) => {
    const rig = await startRig(test);
    rig.offer("det_A", "one", "two");
    rig.offer("det_A", "one");
    await rig.until("det_A", "serving", "one");
    rig.offer("det_A", "one", "two");
    await rig.until("det_A", "serving", "two");
    rig.server.files.clear();
    const second = await rig.restart();
    await until("it serves", () => second.answering("det_A") === "two");
    writeFileSync(join(rig.folder, "det_a/2/model.onnx"), "broken by a power cut");
    const third = await second.restart();
    await until("the one before serves", () => third.answering("det_A") === "one");
    third.offer("det_A", "one", "two");
    await third.until("det_A", "serving", "two");
  });
});

describe("many detectors", () => {
  it("are not held up by one whose download stalls, and are looked after four at a time", async (test) => {
    const detectors = Array.from({ length: 9 }, (_, index) => detectorOf(`det_${index}`));
    const rig = await startRig(test, { detectors, limits: { stallMs: 60_000 } });
    for (const { id } of detectors) rig.offer(id, `model of ${id}`);
    rig.server.files.set("/det_3-1.tar.gz", { bytes: Buffer.alloc(500), stallAfter: 100 });
    rig.offer("det_0", "model of det_0");
    rig.server.files.set("/det_3-1.tar.gz", {
      bytes: packageOf("model of det_3", "task: classify\n"),
      stallAfter: 100,
    });
    let most = 0;
    for (const { id } of detectors) {
      if (id !== "det_3") await rig.until(id, "serving", `model of ${id}`);
      const busy = detectors.filter(
        (each) => !["idle", "serving", "unknown"].includes(rig.row(each.id).state),
      );
      most = Math.max(most, busy.length);
    }
    assert.ok(most <= 4, `${most} at once`);
    const { state, progress } = rig.row("det_3");
    assert.equal(state, "downloading");
    assert.equal((progress as { received: number }).received, 100);
  });

  it("wait longer after each failure, and one in trouble does not slow the others", async (test) => {
    const rig = await startRig(test, { detectors: [detectorOf("det_A"), detectorOf("det_B")] });
    rig.offer("det_B", "one");
    rig.offer("det_A", "one");
    rig.server.files.set("/det_A-1.tar.gz", { bytes: Buffer.from("x"), status: 500 });
    await rig.until("det_B", "serving", "one");
    const pauses = new Set<number>();
    await until("it failed four times", () => {
      const row = rig.row("det_A");
      if (row.state === "failed")
        pauses.add(Math.round(Math.log2((Number(row["nextCheckMs"]) + 1) / refreshMs)));
      return Number(row["failures"]) >= 4;
    });
    assert.ok(rig.server.asked.filter(({ path }) => path === "/det_A-1.tar.gz").length < 6);
  });

  it("that are gone end their processes, and their files go after a while", async (test) => {
    const unusedMs = 86_400_000;
    const rig = await startRig(test, { limits: { unusedMs } });
    rig.offer("det_A", "one");
    await rig.until("det_A", "serving", "one");
    rig.inUse.length = 0;
    await until("it is unloaded", () => rig.choices.get("det_a")?.versions.length === 0);
    assert.deepEqual(
      [rig.served.get("det_A"), existsSync(join(rig.folder, "det_a/1/model.onnx"))],
      [undefined, true],
    );
    rig.inUse.push(detectorOf("det_A"));
    await rig.until("det_A", "serving", "one");
    assert.equal(
      rig.server.asked.filter(({ path }) => path !== "/index.json").length,
      1,
      "it is still there",
    );
    rig.inUse.length = 0;
    await until("it is unloaded again", () => rig.choices.get("det_a")?.versions.length === 0);
    assert.ok(existsSync(join(rig.folder, "det_a/1/model.onnx")));
    rig.skip(unusedMs + 1);
    await until("its files are gone", () => !existsSync(join(rig.folder, "det_a")));
  });

  it("share a bounded disk: what only a rollback needs goes first, then there is no room", async (test) => {
    const size = packageOf("x", "task: classify\n").byteLength;
    const limits = { diskBytes: 31 + size, graceMs: 100 };
    const rig = await startRig(test, { detectors: [detectorOf("det_A"), detectorOf("det_B")], limits });
    rig.offer("det_A", "1");
    await rig.until("det_A", "serving", "1");
    rig.offer("det_A", "1", "2");
    await rig.until("det_A", "serving", "2");
    rig.offer("det_B", "3");
    await rig.until("det_B", "serving", "3");
    await until("the one before is gone", () => readdirSync(join(rig.folder, "det_a")).join() === "2");
    rig.offer("det_B", "3", "y".repeat(100));
    await until("there is no room", () => /disk may hold/.test(rig.row("det_B").reason));
    assert.equal(rig.answering("det_B"), "3");
  });
});

describe("the cloud as a source", () => {
  function cloudOf(answer: () => CloudModelInfo | CloudFailure): Cloud {
    return { modelInfo: async () => answer() } as unknown as Cloud;
  }
  const info = (pipelineConfig: string, url?: string): CloudModelInfo => ({
    pipelineConfig,
    predictorMetadata: "{}",
    binary: url === undefined ? undefined : { id: "mlbin_1", url },
    oodd: undefined,
  });

  it("tells of a model that cannot run here, and takes one that can", async (test) => {
    let answer: CloudModelInfo | CloudFailure = info(
      "generic-cached-timm-efficientnet_b0_knn\n",
      "http://x/",
    );
    const rig = await startRig(test, { sources: () => [createCloudSource(cloudOf(() => answer))] });
    assert.match(
      (await rig.until("det_A", "unsupported")).reason,
      /efficientnet.*only in Groundlight's inference server/,
    );
    answer = info("spillway: { package: tflite }");
    await until("it is told", () => /spillway\.package/.test(rig.row("det_A").reason));
    answer = { failed: true, kind: "refused", status: 404, detail: "", retryAfterMs: undefined };
    await rig.until("det_A", "idle");
    answer = { failed: true, kind: "unavailable", status: 503, detail: "busy", retryAfterMs: 1_000 };
    assert.match((await rig.until("det_A", "failed")).reason, /busy/);
    const bytes = packageOf("ours", "task: classify\n");
    rig.server.files.set("/signed", { bytes });
    answer = info(
      `spillway: { package: onnx, sha256: ${sha256Of(bytes).toUpperCase()}, labels: { yes: [a] } }`,
      `${rig.server.url}/signed?sig=1`,
    );
    await rig.until("det_A", "serving", "ours");
    assert.deepEqual(rig.served.get("det_A")?.labels, { yes: ["a"] });
    assert.equal((rig.row("det_A")["serving"] as { source: string }).source, "cloud");
  });

  it("comes after an index that has nothing", async (test) => {
    const bytes = packageOf("from the cloud", "task: classify\n");
    const rig = await startRig(test, {
      sources: (server) => [
        createIndexSource({ url: `${server.url}/index.json`, ca: undefined, clock: quick }),
        createCloudSource(cloudOf(() => info("spillway: { package: onnx }", `${server.url}/p`))),
      ],
    });
    rig.server.files.set("/p", { bytes });
    await rig.until("det_A", "serving", "from the cloud");
    rig.offer("det_A", "from the index");
    await rig.until("det_A", "serving", "from the index");
  });
});
