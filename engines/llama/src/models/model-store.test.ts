import assert from "node:assert/strict";
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import type { Runtime, RuntimeModel } from "../port.ts";
import { Refusal } from "../refusal.ts";
import { ModelStore } from "./model-store.ts";

const facts = {
  architecture: "none",
  parameters: 0,
  quantization: "",
  trainContextSize: 1,
  embeddingLength: 1,
  chatTemplate: undefined,
};
const signal = new AbortController().signal;
const ask = { keepAliveMs: undefined, signal };

/** A store over files of 10 bytes, whose models take 10 bytes; `log` tells of loads and ends. */
function storeOf(t: TestContext, names: readonly string[], memoryBytes: number) {
  const folder = mkdtempSync(path.join(tmpdir(), "spw-store-"));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const name of names) writeFileSync(path.join(folder, `${name}.gguf`), "0123456789");
  const log: string[] = [];
  let open = (): void => {};
  let gate: Promise<void> | undefined;
  const runtime: Runtime = {
    describe: () => Promise.resolve(facts),
    async load(file): Promise<RuntimeModel> {
      await gate;
      const name = path.basename(file, ".gguf");
      if (name === "broken") throw new Refusal("model_broken", "broken");
      log.push(`+${name}`);
      const close = (): Promise<void> => {
        log.push(`-${name}`);
        return Promise.resolve();
      };
      const unused = (): never => assert.fail();
      const model = { facts, contextSize: 1, chatFormat: "", memoryBytes: 10, slots: [], close };
      return { ...model, prepare: unused, embed: unused };
    },
  };
  const store = new ModelStore({
    folders: [folder],
    runtime,
    log: () => {},
    memoryBytes,
    keepAliveMs: Infinity,
    now: () => performance.now(),
  });
  const halt = (): void => {
    const { promise, resolve } = Promise.withResolvers<void>();
    [gate, open] = [promise, resolve];
  };
  return { store, log, folder, halt, goOn: () => open() };
}

test("requests for one model share one load", async (t) => {
  const { store, log } = storeOf(t, ["a"], 100);
  const leases = await Promise.all([store.acquire("a", ask), store.acquire("a:latest", ask)]);
  assert.deepEqual(log, ["+a"]);
  assert.equal(leases[0].model, leases[1].model);
});

test("what is in use is not unloaded: the next model waits for the first release", async (t) => {
  const { store, log } = storeOf(t, ["a", "b", "c"], 20);
  const a = await store.acquire("a", ask);
  const b = await store.acquire("b", ask);
  let loaded = false;
  const c = store.acquire("c", ask).then((lease) => {
    loaded = true;
    return lease;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(loaded, false);
  b.release();
  b.release();
  (await c).release();
  assert.deepEqual(log, ["+a", "+b", "-b", "+c"]);
  a.release();
});

test("a waiter that leaves gives way; a load whose caller left is kept", async (t) => {
  const { store, log, halt, goOn } = storeOf(t, ["a", "b"], 10);
  const a = await store.acquire("a", ask);
  const leaving = new AbortController();
  const waiting = store.acquire("b", { keepAliveMs: undefined, signal: leaving.signal });
  await new Promise((resolve) => setTimeout(resolve, 10));
  leaving.abort(new Error("left"));
  await assert.rejects(waiting, /left/);
  a.release();
  halt();
  const left = new AbortController();
  const load = store.acquire("b", { keepAliveMs: undefined, signal: left.signal });
  await new Promise((resolve) => setTimeout(resolve, 10));
  left.abort(new Error("left"));
  goOn();
  await assert.rejects(load, /left/);
  (await store.acquire("b", ask)).release();
  assert.deepEqual(log, ["+a", "-a", "+b"]);
});

test("a file that changed is loaded again once it is idle", async (t) => {
  const { store, log, folder } = storeOf(t, ["a"], 100);
  const first = await store.acquire("a", ask);
  utimesSync(path.join(folder, "a.gguf"), 1, 1);
  (await store.acquire("a", ask)).release();
  assert.deepEqual(log, ["+a"]);
  first.release();
  (await store.acquire("a", ask)).release();
  assert.deepEqual(log, ["+a", "-a", "+a"]);
});

test("unknown, broken and too large models are refused, and the next one is served", async (t) => {
  const { store } = storeOf(t, ["a", "broken", "large"], 15);
  const { store: small } = storeOf(t, ["a"], 5);
  const code = (wanted: string) => (error: unknown) => error instanceof Refusal && error.code === wanted;
  await assert.rejects(store.acquire("nobody", ask), code("model_not_found"));
  await assert.rejects(store.acquire("broken", ask), code("model_broken"));
  await assert.rejects(small.acquire("a", ask), code("model_too_large"));
  (await store.acquire("a", ask)).release();
});

test("closing unloads what is idle at once and what is in use at its release", async (t) => {
  const { store, log } = storeOf(t, ["a", "b"], 100);
  (await store.acquire("a", ask)).release();
  const b = await store.acquire("b", ask);
  await store.close();
  assert.deepEqual(log, ["+a", "+b", "-a"]);
  b.release();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(log, ["+a", "+b", "-a", "-b"]);
});
