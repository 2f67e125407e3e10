import assert from "node:assert/strict";
import { test } from "node:test";
import type { ForwardRecord } from "../contracts/request-record.ts";
import { forwardRequest, PlainPool } from "../../test/support/forward-fixture.ts";
import { RecentRequests } from "./recent-requests.ts";

const pool = new PlainPool([]);

function record(id: string, more: Partial<ForwardRecord> = {}): ForwardRecord {
  return {
    request: { ...forwardRequest({ model: "asked" }), id },
    route: { pool, model: "there" },
    endpoint: "chat/0",
    outcome: "ok",
    attempts: 1,
    queueMs: 0.5,
    durationMs: 20,
    firstTokenMs: 5,
    usage: { promptTokens: 10, cachedTokens: 4, completionTokens: 7, estimated: false },
    escalation: undefined,
    ...more,
  };
}

test("a request is told as it ended", () => {
  const recent = new RecentRequests(4);
  recent.add(record("a"));
  recent.add(
    record("b", { outcome: "upstream_timeout", attempts: 3, firstTokenMs: undefined, usage: undefined }),
  );
  assert.deepEqual(recent.find("a"), {
    id: "a",
    caller: "local",
    model: "asked",
    pool: "chat",
    endpoint: "chat/0",
    outcome: "ok",
    attempts: 1,
    queueMs: 0.5,
    durationMs: 20,
    firstTokenMs: 5,
    usage: { promptTokens: 10, cachedTokens: 4, completionTokens: 7, estimated: false },
    escalation: undefined,
    rules: undefined,
  });
  const failed = recent.find("b");
  assert.deepEqual(
    [failed?.outcome, failed?.attempts, failed?.firstTokenMs, failed?.usage],
    ["upstream_timeout", 3, undefined, undefined],
  );
});

test("the eldest make room, and of one id the last is told", () => {
  const recent = new RecentRequests(3);
  for (const id of ["a", "b", "c", "d"]) recent.add(record(id));
  assert.equal(recent.find("a"), undefined);
  assert.equal(recent.find("b")?.id, "b");
  recent.add(record("d", { attempts: 2 }));
  assert.equal(recent.find("d")?.attempts, 2);
  assert.equal(recent.find(""), undefined);
});
