/** What the edge store has promised is there after kill -9 at any point, in copies taken between any two writes, and on a full disk. */
import assert from "node:assert/strict";
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { EdgeStore } from "../../packages/gateway/src/contracts/edge-store.ts";
import { systemClock } from "../../packages/gateway/src/core/clock.ts";
import { isFailure } from "../../packages/gateway/src/core/errors.ts";
import { openEdgeStore } from "../../packages/gateway/src/store/open-edge-store.ts";
import { until } from "../harness/until.ts";

const writer = path.join(import.meta.dirname, "../harness/store-writer.ts");
const pictureBytes = 3_000;

function newFolder(test: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), "sps-"));
  test.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The same numbers in [0, 1) for the same seed (a linear congruential generator, constants of Numerical Recipes). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Writer {
  readonly child: ChildProcess;
  readonly lines: string[];
  /** After the end of the process, with all it printed. */
  readonly ended: Promise<unknown>;
}

async function startWriter(
  test: TestContext,
  folder: string,
  first: number,
  wrapper: string[] = [],
): Promise<Writer> {
  const command = [
    ...wrapper,
    process.execPath,
    "--conditions=source",
    writer,
    folder,
    String(first),
    String(pictureBytes),
  ];
  const child = spawn(command[0]!, command.slice(1), { stdio: ["ignore", "pipe", "inherit"] });
  test.after(() => child.kill("SIGKILL"));
  const lines: string[] = [];
  createInterface(child.stdout).on("line", (line) => lines.push(line));
  const ended = once(child, "close");
  await until("the writer has opened the store", () => lines[0] === "open");
  return { child, lines, ended };
}

const idsOf = (lines: readonly string[], word: string): string[] =>
  lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.split(" ")[1]!);

/** Waits for so many more acknowledged escalations, then for a moment: how far the writer is does not hang on the machine. */
async function writesOn(running: Writer, more: number, restMs: number): Promise<void> {
  const wanted = idsOf(running.lines, "queued").length + more;
  await until("the writer goes on", () => idsOf(running.lines, "queued").length >= wanted);
  await delay(restMs);
}

async function openStore(folder: string): Promise<{ store: EdgeStore; said: string[] }> {
  const said: string[] = [];
  const say = (event: string, fields?: object): void => void said.push(`${event} ${JSON.stringify(fields)}`);
  const log = { error: say, warn: say, info: say, debug: say };
  const store = await openEdgeStore({ folder, clock: systemClock, log });
  if (isFailure(store)) throw new Error(store.message);
  return { store, said };
}

/** Everything the lines promise is in the directory, each id once, with the whole picture; returns what the outbox held, in order. */
async function holdsAll(folder: string, lines: readonly string[]): Promise<string[]> {
  const { store, said } = await openStore(folder);
  try {
    assert.deepEqual(said, [], "opens without a word");
    const sent: string[] = [];
    for (;;) {
      const claim = await store.outbox.claim(64);
      assert.ok(!isFailure(claim), JSON.stringify(claim));
      if (claim.items.length === 0) break;
      for (const { id, picture } of claim.items) {
        const n = Number(id.slice(3));
        assert.ok(
          picture?.bytes.byteLength === pictureBytes && picture.bytes.every((byte) => byte === n % 251),
          id,
        );
        sent.push(id);
        void store.outbox.acknowledge(id);
      }
    }
    assert.equal(new Set(sent).size, sent.length, "each id once");
    const held = new Set(sent);
    assert.deepEqual(
      idsOf(lines, "queued").filter((id) => !held.has(id)),
      [],
      "nothing promised is lost",
    );
    for (const label of idsOf(lines, "label")) {
      const found = await store.labels(`iq_${label.slice(3)}`);
      assert.ok(Array.isArray(found) && found.length === 1, label);
    }
    return sent;
  } finally {
    await store.close();
  }
}

describe("the edge store", () => {
  it(
    "loses nothing it promised when its process is killed 50 times at random points",
    { timeout: 120_000 },
    async (test) => {
      const folder = newFolder(test);
      const random = seeded(4);
      const lines: string[] = [];
      for (let run = 0; run < 50; run += 1) {
        const running = await startWriter(test, folder, run * 100_000);
        // Every fifth as soon as it is open.
        if (run % 5 === 0) await delay(random() * 20);
        else await writesOn(running, 15 + Math.floor(random() * 60), random() * 20);
        running.child.kill("SIGKILL");
        await running.ended;
        lines.push(...running.lines);
      }
      assert.ok(idsOf(lines, "queued").length > 500, `only ${idsOf(lines, "queued").length} were written`);
      await holdsAll(folder, lines);
      assert.deepEqual(
        readdirSync(folder).filter((name) => name.includes("damaged")),
        [],
      );
    },
  );

  it(
    "opens from a copy taken at any moment with everything promised by then",
    { timeout: 120_000 },
    async (test) => {
      const folder = newFolder(test);
      const running = await startWriter(test, folder, 0);
      const random = seeded(7);
      const copies: { copy: string; promised: string[] }[] = [];
      for (let n = 0; n < 25; n += 1) {
        await writesOn(running, 5 + Math.floor(random() * 20), random() * 10);
        running.child.kill("SIGSTOP");
        // Every thread stands between two system calls; a line on its way here may be missed, never one too many seen.
        await until("the writer has stopped", () => stateOf(running.child.pid!) === "T");
        const promised = [...running.lines];
        const copy = newFolder(test);
        cpSync(folder, copy, { recursive: true });
        running.child.kill("SIGCONT");
        copies.push({ copy, promised });
      }
      running.child.kill("SIGKILL");
      await running.ended;
      for (const { copy, promised } of copies) await holdsAll(copy, promised);
      assert.ok(idsOf(copies.at(-1)!.promised, "queued").length > 100);
    },
  );
});

/** A letter for the state of a process, of /proc/PID/stat. */
function stateOf(pid: number): string | undefined {
  return readFileSync(`/proc/${pid}/stat`, "latin1").match(/\) (\w)/)?.[1];
}

const mountAndRun = 'mount -t tmpfs -o size="$1" spillway "$2" && shift 2 && exec "$@"';

function noMounts(): string | false {
  const folder = mkdtempSync(path.join(tmpdir(), "sps-"));
  const tried = spawnSync("unshare", ["-rm", "sh", "-c", mountAndRun, "sh", "1m", folder, "true"]);
  rmSync(folder, { recursive: true });
  if (tried.status === 0) return false;
  return "needs unshare and mount of a tmpfs, as on Linux with user namespaces or as root";
}

describe("a full disk", { skip: noMounts() }, () => {
  it("is a refusal, not an end: what was promised stays, and writing goes on once there is room", async (test) => {
    const mounted = newFolder(test);
    const wrapper = ["unshare", "-rm", "sh", "-c", mountAndRun, "sh", "2m", mounted];
    const { child, lines, ended } = await startWriter(test, path.join(mounted, "data"), 0, wrapper);
    await until("the disk is full", () => idsOf(lines, "refused").length > 20);
    assert.ok(idsOf(lines, "queued").length > 50);
    assert.deepEqual([...new Set(idsOf(lines, "refused"))], ["storage_unavailable"]);
    child.kill("SIGSTOP");
    await until("the writer has stopped", () => stateOf(child.pid!) === "T");
    const promised = [...lines];
    const copy = newFolder(test);
    cpSync(`/proc/${child.pid}/root${mounted}/data`, copy, { recursive: true });
    spawnSync("nsenter", [
      "-t",
      String(child.pid),
      "-U",
      "-m",
      "--preserve-credentials",
      "mount",
      "-o",
      "remount,size=64m",
      mounted,
    ]);
    child.kill("SIGCONT");
    await until(
      "writing goes on",
      () => idsOf(lines, "queued").length > idsOf(promised, "queued").length + 50,
    );
    child.kill("SIGKILL");
    await ended;
    await holdsAll(copy, promised);
  });
});
