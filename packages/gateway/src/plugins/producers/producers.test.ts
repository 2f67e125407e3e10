// What producers tell of requests, and what the guess of prefix caches learns of how they end.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { makePlugin } from "../../../test/support/plugin-fixture.ts";
import { plainServer, scheduledRequest } from "../../../test/support/scheduling-fixture.ts";
import {
  inflightTokensKey,
  prefixMatchKey,
  sessionIdKey,
  tokenCountKey,
} from "../../contracts/plugins/data-keys.ts";
import type { InflightTokens } from "../../contracts/plugins/data-keys.ts";
import type {
  PrefixMatch,
  Producer,
  SchedulableEndpoint,
  ScheduledRequest,
  ServedEnd,
} from "../../contracts/plugins/scheduling.ts";

const ok: ServedEnd = {
  ok: true,
  prefilled: true,
  usage: { promptTokens: 1, cachedTokens: 0, completionTokens: 200, estimated: false },
  firstTokenMs: 1,
  durationMs: 2,
};
const failed: ServedEnd = { ...ok, ok: false, prefilled: false, usage: undefined };
const left: ServedEnd = { ...failed, prefilled: true };

/** So many blocks of 256 bytes, which differ by the letter. */
function blocks(...letters: string[]): string {
  return letters.map((letter) => letter.repeat(256)).join("");
}

describe("approx-prefix-cache-producer", () => {
  const servers = [0, 1, 2].map((index) => plainServer(index));
  const [a, b, c] = servers as [SchedulableEndpoint, SchedulableEndpoint, SchedulableEndpoint];

  function setUp(parameters: Record<string, unknown> = {}) {
    const producer = makePlugin<Required<Producer>>("approx-prefix-cache-producer", {
      parameters,
      keys: [prefixMatchKey],
    });
    const ask = (prompt: string, model = "m"): ScheduledRequest => {
      const request = scheduledRequest({ prompt, model, dataSize: 1 });
      producer.produce(request, servers);
      return request;
    };
    const matchOf = (request: ScheduledRequest): PrefixMatch => request.data[0] as PrefixMatch;
    /** Blocks that each server has of a prompt. */
    const matched = (prompt: string, model = "m"): number[] => [
      ...matchOf(ask(prompt, model)).matched.subarray(0, 3),
    ];
    const serve = (prompt: string, server: SchedulableEndpoint, end: ServedEnd = ok, model = "m"): void => {
      const request = ask(prompt, model);
      producer.dispatched(request, server);
      producer.ended(request, server, end);
    };
    return { producer, ask, matchOf, matched, serve };
  }

  test("counts blocks of 64 tokens, the last of them partial", () => {
    const { ask, matchOf } = setUp();
    const total = (bytes: number) => matchOf(ask("x".repeat(bytes))).total;
    assert.deepEqual([0, 1, 255, 256, 257, 512].map(total), [0, 1, 1, 1, 2, 2]);
    assert.equal(matchOf(ask("x")).blockTokens, 64);
    const { matchOf: matchOfLarge, ask: askLarge } = setUp({ blockSizeTokens: 128 });
    assert.equal(matchOfLarge(askLarge("x".repeat(1_024))).total, 2);
  });

  test("takes for there what is on its way", () => {
    const { producer, ask, matched } = setUp();
    producer.dispatched(ask(blocks("a", "b", "c")), b);
    assert.deepEqual(matched(blocks("a", "b", "c")), [0, 3, 0]);
    assert.deepEqual(matched(blocks("a", "b", "x", "c")), [0, 2, 0]);
    assert.deepEqual(matched(blocks("x", "b", "c")), [0, 0, 0]);
  });

  test("takes it back where the request fails, and keeps it where the caller left after the first token", () => {
    const { serve, matched } = setUp();
    serve(blocks("a", "b"), a, failed);
    assert.deepEqual(matched(blocks("a", "b")), [0, 0, 0]);
    serve(blocks("a", "b"), b, left);
    assert.deepEqual(matched(blocks("a", "b")), [0, 2, 0]);
  });

  test("keeps what another request under way, or one that was answered, vouches for", () => {
    const { producer, ask, serve, matched } = setUp();
    const [first, second] = [ask(blocks("a", "b")), ask(blocks("a", "b", "c"))];
    producer.dispatched(first, a);
    producer.dispatched(second, a);
    producer.ended(first, a, failed);
    assert.deepEqual(matched(blocks("a", "b", "c")), [3, 0, 0]);
    producer.ended(second, a, failed);
    assert.deepEqual(matched(blocks("a", "b", "c")), [0, 0, 0]);
    serve(blocks("a", "b"), a, left);
    serve(blocks("a", "b", "c"), a, failed);
    assert.deepEqual(matched(blocks("a", "b", "c")), [2, 0, 0]);
  });

  test("tells models apart", () => {
    const { serve, matched } = setUp();
    serve(blocks("a"), a, ok, "m");
    assert.deepEqual(matched(blocks("a"), "adapter"), [0, 0, 0]);
  });

  test("counts the answer to a conversation that goes on, at the server that gave it", () => {
    const { serve, matched } = setUp();
    // 2 whole blocks and 100 bytes; 200 tokens of answer: (612 / 4 + 200) / 64 = 5.5 blocks.
    const first = blocks("a", "b") + "c".repeat(100);
    serve(first, c);
    const next = `${first},${"d".repeat(1_400)}`;
    assert.deepEqual(matched(next), [0, 0, 5]);
    // No further than the prompt goes.
    assert.deepEqual(matched(`${first},d`), [0, 0, 3]);
    // Another end, or an earlier one, is another conversation.
    assert.deepEqual(matched(blocks("a", "b") + "c".repeat(99) + "x" + "d".repeat(1_400)), [0, 0, 2]);
    assert.deepEqual(matched(blocks("a", "b") + "c".repeat(50)), [0, 0, 2]);
  });

  test("has all of a prompt that comes again, also of one that is no whole block", () => {
    const { serve, matched } = setUp();
    serve("short", a);
    assert.deepEqual(matched("short"), [1, 0, 0]);
    assert.deepEqual(matched("shirt"), [0, 0, 0]);
    serve(blocks("a") + "end", b);
    assert.deepEqual(matched(blocks("a") + "end"), [0, 2, 0]);
  });

  test("holds each server to what its own cache has", () => {
    const { serve, matched } = setUp();
    const capacities = [{ blocks: 16, blockTokens: 16 }, { blocks: 32, blockTokens: 16 }, {}];
    const sized = capacities.map((signals, index) => plainServer(index, { signals }));
    const prompt = blocks(..."abcdefghij".split(""));
    for (const server of sized) serve(prompt, server, left);
    assert.deepEqual(matched(prompt), [4, 8, 10]);
    const plain = setUp({ autoTune: false, lruCapacityPerServer: 6 });
    for (const server of sized) plain.serve(prompt, server, left);
    assert.deepEqual(plain.matched(prompt), [6, 6, 6]);
  });

  test("looks at the beginning of long prompts only", () => {
    const { serve, matched, matchOf, ask } = setUp({ maxPrefixBlocksToMatch: 3 });
    serve(blocks("a", "b", "c", "d"), a, left);
    assert.deepEqual(matched(blocks("a", "b", "c", "x")), [3, 0, 0]);
    assert.equal(matchOf(ask(blocks("a", "b", "c", "d"))).total, 3);
    const both = setUp({ maxPrefixBlocksToMatch: 3, maxPrefixTokensToMatch: 128 });
    assert.equal(both.matchOf(both.ask(blocks("a", "b", "c", "d"))).total, 2);
  });

  test("forgets servers that are gone", () => {
    const { producer, serve, matched } = setUp();
    serve(blocks("a") + "end", a);
    producer.forgotten(a);
    assert.deepEqual(matched(blocks("a") + "end"), [0, 0, 0]);
  });

  test("hashes prompts of megabytes in turns", async () => {
    const { producer, matchOf } = setUp({ maxPrefixTokensToMatch: 2 ** 20 });
    const request = scheduledRequest({ prompt: "x".repeat(3_000_000), dataSize: 1 });
    const waiting = producer.prepare(request);
    assert.ok(waiting !== undefined);
    let turns = 0;
    const count = (): void => {
      turns++;
      if (matchOf(request) === undefined) setImmediate(count);
    };
    setImmediate(count);
    await waiting;
    assert.ok(turns >= 4, String(turns));
    const { total } = matchOf(request);
    producer.produce(request, servers);
    assert.equal(matchOf(request).total, total);
    assert.equal(total, Math.ceil(3_000_000 / 256));
    const small = scheduledRequest({ prompt: "x".repeat(300_000), dataSize: 1 });
    assert.equal(producer.prepare(small), undefined);
  });
});

test("token-producer tells the estimate", () => {
  const producer = makePlugin<Producer>("token-producer", { keys: [tokenCountKey] });
  const request = scheduledRequest({ promptTokens: 77, dataSize: 1 });
  producer.produce(request, []);
  assert.deepEqual(request.data, [{ promptTokens: 77 }]);
});

describe("inflight-load-producer", () => {
  const servers = [
    plainServer(0, { load: { promptTokens: 100, outputTokens: 30 } }),
    plainServer(1),
    plainServer(2, { load: { promptTokens: 5 } }),
  ];
  const told = (parameters: Record<string, unknown>, maxOutputTokens?: number) => {
    const keys = [inflightTokensKey, prefixMatchKey, tokenCountKey];
    const producer = makePlugin<Producer>("inflight-load-producer", { parameters, keys });
    const request = scheduledRequest({
      dataSize: 3,
      promptTokens: 1_000,
      ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }),
    });
    const match: PrefixMatch = { matched: Int32Array.of(0, 8, 3), longest: 8, total: 16, blockTokens: 64 };
    request.data[1] = match;
    request.data[2] = { promptTokens: 2_000 };
    producer.produce(request, servers);
    const { underWay, own, outputTokens } = request.data[0] as InflightTokens;
    return { underWay: [...underWay.subarray(0, 3)], own: [...own.subarray(0, 3)], outputTokens };
  };

  test("tells tokens under way and the request's own that are not cached", () => {
    assert.deepEqual(told({}), { underWay: [100, 0, 5], own: [2_000, 1_000, 1_625], outputTokens: 3_000 });
  });

  test("adds what answers are expected to have where it is told to, within bounds", () => {
    assert.deepEqual(told({ addEstimatedOutputTokens: true }).underWay, [130, 0, 5]);
    assert.equal(told({}, 50).outputTokens, 50);
    assert.equal(told({ maxEstimatedOutputTokens: 40 }, 50).outputTokens, 40);
    assert.equal(told({ outputRatio: 0.5 }).outputTokens, 1_000);
  });
});

test("session-id-producer reads a header, a cookie, or what routing has read", () => {
  const read = (parameters: Record<string, unknown>, headers: Record<string, string>, sessionId?: string) => {
    const producer = makePlugin<Producer>("session-id-producer", { parameters, keys: [sessionIdKey] });
    const request = scheduledRequest({ dataSize: 1, headers, traits: { sessionId } });
    producer.produce(request, []);
    return request.data[0];
  };
  assert.equal(read({}, { "x-session-id": "s1" }), "s1");
  assert.equal(read({}, { "x-session-id": "s1" }, "s2"), "s2");
  assert.equal(read({ headerName: "X-Chat" }, { "x-chat": "s3", "x-session-id": "s1" }), "s3");
  assert.equal(read({ cookieName: "sid" }, { cookie: "a=b; sid=s4; c=d" }), "s4");
  assert.equal(read({ cookieName: "sid" }, { cookie: "asid=s4" }), undefined);
  assert.equal(read({}, {}), undefined);
  assert.equal(read({}, { "x-session-id": "" }), undefined);
  assert.throws(() => read({ cookieName: "a", headerName: "b" }, {}), /cookieName/);
});
