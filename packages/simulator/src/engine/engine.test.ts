import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createVirtualClock } from "../clock.ts";
import type { VirtualClock } from "../clock.ts";
import { Engine } from "./engine.ts";
import { quickEngine } from "./options.ts";
import type { EngineOptions } from "./options.ts";
import { promptOfSegments, promptOfText, splitTokens, tokenId } from "./prompt.ts";
import type { Sequence, SequenceListener, SequenceRequest } from "./sequence.ts";

const BASE: EngineOptions = { ...quickEngine, stepMs: 10, prefillMsPerToken: 0.1 };

function engineOf(options: Partial<EngineOptions> = {}): { clock: VirtualClock; engine: Engine } {
  const clock = createVirtualClock();
  return { clock, engine: new Engine({ ...BASE, ...options }, clock) };
}

const silent: SequenceListener = { token: () => undefined, finished: () => undefined };

function ask(id: string, { tokens = 100, output = 10, ...more }: Partial<Ask> = {}): SequenceRequest {
  return { prompt: promptOfSegments([{ id, tokens }], 16), outputTokens: output, listener: silent, ...more };
}

interface Ask extends SequenceRequest {
  tokens: number;
  output: number;
}

function submitted(engine: Engine, request: SequenceRequest): Sequence {
  const sequence = engine.submit(request);
  assert.ok(sequence);
  return sequence;
}

describe("engine", () => {
  it("takes a prefill and a step a token", () => {
    const { clock, engine } = engineOf();
    const one = submitted(engine, ask("a"));
    clock.run();
    assert.equal(one.state, "finished");
    assert.equal(one.firstTokenAt, 20); // a step of 10 ms and 100 tokens of 0.1 ms
    assert.equal(one.lastTokenAt, 110);
    assert.deepEqual([engine.counters.steps, engine.counters.generationTokens], [10, 10]);
    assert.equal(engine.cache.usage, 0);
  });

  it("runs sequences together and takes the next when a seat is free", () => {
    const { clock, engine } = engineOf({ maxSequences: 2 });
    const [first, second, third] = [ask("a", { output: 5 }), ask("b"), ask("c")].map((each) =>
      submitted(engine, each),
    );
    clock.advance(1);
    assert.deepEqual([engine.running, engine.waiting], [2, 1]);
    clock.run();
    assert.equal(first?.firstTokenAt, second?.firstTokenAt);
    assert.ok((third?.scheduledAt ?? 0) >= (first?.lastTokenAt ?? Infinity));
    assert.ok((third?.scheduledAt ?? Infinity) < (second?.lastTokenAt ?? 0));
  });

  it("reads long prompts in pieces beside running sequences, which go on", () => {
    const { clock, engine } = engineOf({ maxBatchedTokens: 128 });
    const short = submitted(engine, ask("a", { output: 40 }));
    clock.advance(25);
    const long = submitted(engine, ask("b", { tokens: 1000, output: 2 }));
    clock.run();
    // 127 tokens a step beside one that decodes: eight steps.
    assert.ok(long.firstTokenAt - long.scheduledAt > 8 * 10);
    assert.ok(short.produced === 40 && short.lastTokenAt > long.firstTokenAt);
  });

  it("spreads a batch over its decode time", () => {
    const times = [1, 8].map((count) => {
      const { clock, engine } = engineOf({ decodeMsPerSequence: 1, prefillMsPerToken: 0 });
      const all = Array.from({ length: count }, (_, at) => submitted(engine, ask(`s${at}`, { output: 11 })));
      clock.run();
      return (all[0]?.lastTokenAt ?? 0) - (all[0]?.firstTokenAt ?? 0);
    });
    assert.deepEqual(
      times.map((time) => Math.round(time ?? 0)),
      [10 * 11, 10 * 18],
    );
  });

  it("finds the blocks of a prompt that starts alike, in full ones only", () => {
    const { clock, engine } = engineOf();
    const shared = { id: "system", tokens: 100 };
    const first = promptOfSegments([shared, { id: "x", tokens: 20 }], 16);
    const second = promptOfSegments([shared, { id: "y", tokens: 20 }], 16);
    submitted(engine, { prompt: first, outputTokens: 4, listener: silent });
    clock.run();
    const again = submitted(engine, { prompt: second, outputTokens: 4, listener: silent });
    clock.run();
    assert.equal(again.cachedTokens, 96);
    assert.equal(Math.round((again.firstTokenAt - again.scheduledAt) * 10), 10 * 10 + 24);
    const same = submitted(engine, { prompt: second, outputTokens: 4, listener: silent });
    clock.run();
    assert.equal(same.cachedTokens, 112);
    assert.equal(engine.counters.prefixHits, 96 + 112);
  });

  it("finds what it said in the next turn of the conversation", () => {
    const { clock, engine } = engineOf();
    const said = Array.from({ length: 40 }, (_, at) => ` word${at}`);
    const listener = { ...silent, tokenId: (at: number) => tokenId(said[at] ?? "") };
    const turn = ["<|user|>", "tell me a story", "<|assistant|>"];
    submitted(engine, { prompt: promptOfText(turn, { blockTokens: 16 }), outputTokens: 40, listener });
    clock.run();
    const next = promptOfText([...turn, said.join(""), "<|user|>", "go on", "<|assistant|>"], {
      blockTokens: 16,
    });
    const answer = submitted(engine, { prompt: next, outputTokens: 1, listener: silent });
    clock.run();
    assert.equal(splitTokens(said.join("")).length, 40);
    assert.equal(answer.cachedTokens, 32);
  });

  it("throws out what was used least recently", () => {
    const { clock, engine } = engineOf({ kvBlocks: 16 });
    for (const id of ["a", "b", "a", "c"]) {
      submitted(engine, ask(id, { tokens: 96, output: 1 }));
      clock.run();
    }
    const [a, b] = ["a", "b"].map((id) => engine.cachedTokens(ask(id, { tokens: 96 })));
    assert.ok(Number(a) > Number(b), `${a} of a, ${b} of b`);
    assert.ok(engine.cache.evictions > 0);
  });

  it("sends the youngest back when memory runs out, and loses no token", () => {
    const { clock, engine } = engineOf({ kvBlocks: 16, prefixCache: false });
    const tokens: number[] = [];
    const listener = { ...silent, token: (each: Sequence) => void tokens.push(each.produced) };
    const old = submitted(engine, ask("a", { tokens: 100, output: 60 }));
    const young = submitted(engine, { ...ask("b", { tokens: 100, output: 60 }), listener });
    clock.run();
    assert.ok(engine.counters.preemptions > 0);
    assert.deepEqual([old.preemptions, old.produced, young.produced], [0, 60, 60]);
    assert.deepEqual(
      tokens,
      Array.from({ length: 60 }, (_, at) => at + 1),
    );
    assert.equal(engine.cache.available, 16);
  });

  it("refuses beyond its queue, and what can never fit", () => {
    const { engine } = engineOf({ maxWaiting: 2, kvBlocks: 100 });
    assert.equal(engine.submit(ask("big", { tokens: 1600 })), undefined);
    const taken = ["a", "b", "c"].map((id) => engine.submit(ask(id)) !== undefined);
    assert.deepEqual(taken, [true, true, false]);
    assert.equal(engine.counters.refused, 2);
  });

  it("gives everything back at once when a sequence is called off", () => {
    const { clock, engine } = engineOf({ maxSequences: 1 });
    const [running, waiting] = [ask("a", { output: 1000 }), ask("b")].map((each) => submitted(engine, each));
    assert.ok(running && waiting);
    clock.advance(55);
    engine.abort(waiting);
    engine.abort(running);
    engine.abort(running);
    assert.deepEqual(
      [engine.running, engine.waiting, engine.cache.usage, engine.counters.aborted],
      [0, 0, 0, 2],
    );
    assert.equal(running.produced, 4);
    assert.ok(clock.run() <= 1);
  });

  it("loads adapters, runs a few at once and keeps the last used", () => {
    const { clock, engine } = engineOf({ maxAdapters: 1, maxLoadedAdapters: 2, adapterLoadMs: 50 });
    const [x, y] = ["x", "y"].map((adapter) => submitted(engine, ask(adapter, { adapter })));
    const base = submitted(engine, ask("base"));
    clock.advance(1);
    assert.deepEqual([engine.adapters.running(), engine.waitingAdapters()], [["x"], ["y"]]);
    clock.run();
    assert.equal(x?.firstTokenAt, base.firstTokenAt);
    assert.ok((x?.firstTokenAt ?? 0) > 50);
    assert.ok((y?.scheduledAt ?? 0) >= (x?.lastTokenAt ?? Infinity));
    submitted(engine, ask("z", { adapter: "z" }));
    clock.run();
    assert.deepEqual([engine.adapters.loaded(), engine.adapters.loads], [["y", "z"], 3]);
  });

  it("is cheap: a million tokens in a few seconds", () => {
    const { clock, engine } = engineOf({ maxSequences: 256, kvBlocks: 100_000, maxWaiting: 2000 });
    for (let at = 0; at < 1000; at++) submitted(engine, ask(`p${at % 10}`, { tokens: 200, output: 1000 }));
    const start = performance.now();
    clock.run();
    assert.equal(engine.counters.generationTokens, 1_000_000);
    assert.ok(performance.now() - start < 10_000);
  });
});
