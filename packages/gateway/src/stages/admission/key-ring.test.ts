import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { KeyOptions } from "../../contracts/options.ts";
import { createSecret, digestSecret, formatKey, isKeyId, parseKey } from "../../core/api-key.ts";
import { isFailure } from "../../core/errors.ts";
import type { HeaderMap } from "../../core/headers.ts";
import type { RouteScope } from "../../core/request.ts";
import { createMetrics } from "../../telemetry/index.ts";
import { createManualClock } from "../../testing.ts";
import { createAdmission } from "./admission.ts";
import { KeyRing } from "./key-ring.ts";

const unlimited = {
  requestsPerMinute: undefined,
  burst: undefined,
  tokensPerMinute: undefined,
  concurrency: undefined,
};

/** A key and what the gateway keeps of it. */
function makeKey(id: string, more: Partial<KeyOptions> = {}) {
  const secret = createSecret();
  const options: KeyOptions = {
    id,
    secretSha256: digestSecret(secret),
    scopes: ["infer"],
    limits: unlimited,
    expiresAtMs: undefined,
    models: undefined,
    ...more,
  };
  return { secret, key: formatKey(id, secret), options };
}

function openRing(keys: readonly KeyOptions[]) {
  const clock = createManualClock();
  const metrics = createMetrics();
  const ring = new KeyRing({ clock, metrics });
  ring.replace(keys);
  const admit = createAdmission({ mode: "keys", hosts: [], origins: [] }, ring);
  const ask = (headers: HeaderMap, scope: RouteScope = "infer", remoteAddress = "127.0.0.1") =>
    admit({ door: "http", method: "POST", path: "/predict", headers, remoteAddress, scope });
  /** The caller's id, or code and text of the refusal. */
  const who = (...call: Parameters<typeof ask>): string => {
    const verdict = ask(...call);
    return isFailure(verdict) ? `${verdict.code}: ${verdict.message}` : verdict.id;
  };
  return { ring, clock, metrics, ask, who };
}

describe("the form of a key", () => {
  it("is taken apart into what it was made of, whatever the secret holds", () => {
    for (let i = 0; i < 200; i++) {
      const secret = createSecret();
      assert.deepEqual(parseKey(formatKey("a_b-c.d", secret)), { id: "a_b-c.d", secret });
    }
  });

  it("is refused for anything else, at the same cost however long it is", () => {
    const { secret } = makeKey("a");
    const wrong = [
      "",
      "spw_",
      `spw_${secret}`,
      `spw__${secret}`,
      `spx_a_${secret}`,
      `spw_a_${secret.slice(1)}`,
    ];
    for (const text of [
      ...wrong,
      `spw_${"a".repeat(65)}_${secret}`,
      `spw_a_${secret}${"x".repeat(1_000_000)}`,
    ]) {
      assert.equal(parseKey(text), undefined, text.slice(0, 100));
    }
  });

  it("has ids that are words in logs and metrics", () => {
    for (const id of ["line-3", "a", "A.b_c", "0"]) assert.ok(isKeyId(id), id);
    for (const id of ["", "-a", "local", "unknown", "a b", "ä", "a".repeat(65), "a\n"]) {
      assert.ok(!isKeyId(id), id);
    }
  });
});

describe("a gateway with keys", () => {
  it("knows a key in each of the headers, wherever the caller is", () => {
    const { key, options } = makeKey("line-3");
    const { who } = openRing([options]);
    for (const headers of [
      { authorization: `Bearer ${key}` },
      { authorization: `bearer ${key}` },
      { "x-api-key": key },
      { "api-key": key },
      { "x-api-token": key },
      { "x-api-key": [key, "other"] },
      { authorization: "Bearer for-the-cloud", "x-api-token": key },
      { authorization: `Bearer ${key}`, host: "gateway.example", origin: "https://evil.example" },
    ]) {
      assert.equal(who(headers, "infer", "10.0.0.7"), "line-3", JSON.stringify(headers));
    }
  });

  it("refuses callers without a key, those of its own machine too, and asks for one", () => {
    const { ask, who } = openRing([makeKey("a").options]);
    assert.match(who({ host: "localhost" }), /^unauthorized: This gateway needs a key/);
    const refusal = ask({});
    assert.ok(isFailure(refusal));
    assert.deepEqual(refusal.headers, [["www-authenticate", 'Bearer realm="spillway"']]);
  });

  it("answers health without one", () => {
    const { who } = openRing([]);
    assert.equal(who({}, "open", "10.0.0.7"), "anonymous");
  });

  it("says the same of every wrong key", () => {
    const { key, secret, options } = makeKey("a");
    const { who, ask, metrics } = openRing([options, makeKey("b").options]);
    const wrong = [
      "x",
      "",
      "Bearer",
      formatKey("b", secret),
      formatKey("nobody", secret),
      formatKey("a", createSecret()),
      `${key}x`,
      key.slice(0, -1),
      key.replace("spw_", "SPW_"),
      ` ${"\0".repeat(200)}${key}`,
      "spw_a_".concat("\0".repeat(43)),
      `spw_a_${"\u{e9}".repeat(43)}`,
      "spw_".repeat(8_000),
      `spw___proto___${secret}`,
      `spw_constructor_${secret}`,
    ];
    for (const each of wrong) {
      for (const headers of [{ authorization: `Bearer ${each}` }, { "x-api-key": each }]) {
        assert.equal(who(headers), "unauthorized: The key is not valid", each.slice(0, 60));
      }
    }
    const refusal = ask({ "x-api-key": "x" });
    assert.ok(isFailure(refusal));
    assert.match(JSON.stringify(refusal.headers), /invalid_token/);
    assert.match(
      metrics.render(),
      /spillway_key_requests_refused_total\{key="unknown",reason="credentials"\} 31\n/,
    );
  });

  it("asks for the route's scope and names it", () => {
    const { key, options } = makeKey("a", { scopes: ["infer", "status"] });
    const { who, metrics } = openRing([options]);
    assert.equal(who({ "x-api-key": key }, "status"), "a");
    assert.equal(
      who({ "x-api-key": key }, "admin"),
      "forbidden: This call needs the scope admin; the key a has infer and status",
    );
    assert.match(metrics.render(), /refused_total\{key="a",reason="scope"\} 1\n/);
  });

  it("refuses a key from the moment it expires, and says so to its holder only", () => {
    const { key, options } = makeKey("a", { expiresAtMs: Date.UTC(2026, 0, 1) + 1_000 });
    const { clock, who } = openRing([options]);
    assert.equal(who({ "x-api-key": key }), "a");
    clock.advance(999);
    assert.equal(who({ "x-api-key": key }), "a");
    clock.advance(1);
    assert.equal(who({ "x-api-key": key }), "unauthorized: The key a has expired");
    assert.equal(who({ "x-api-key": formatKey("a", createSecret()) }), "unauthorized: The key is not valid");
  });

  it("forgets a revoked key and takes a new one, and what goes on counts on", () => {
    const limits = { ...unlimited, requestsPerMinute: 2 };
    const [a, b, c] = [makeKey("a", { limits }), makeKey("b"), makeKey("c")];
    const { ring, who, metrics } = openRing([a.options, b.options]);
    assert.equal(who({ "x-api-key": a.key }), "a");
    assert.equal(who({ "x-api-key": b.key }), "b");
    ring.replace([a.options, c.options]);
    assert.match(who({ "x-api-key": b.key }), /^unauthorized/);
    assert.equal(who({ "x-api-key": c.key }), "c");
    assert.equal(who({ "x-api-key": a.key }), "a");
    assert.match(who({ "x-api-key": a.key }), /^rate_limited/);
    assert.doesNotMatch(metrics.render(), /key="b"/);
  });

  it("tells its limits with every refusal", () => {
    const { key, options } = makeKey("a", { limits: { ...unlimited, requestsPerMinute: 60 } });
    const { ask } = openRing([options]);
    const refusal = ask({ "x-api-key": key }, "admin");
    assert.ok(isFailure(refusal));
    assert.deepEqual(refusal.headers, [
      ["x-ratelimit-limit-requests", "60"],
      ["x-ratelimit-remaining-requests", "59"],
      ["x-ratelimit-reset-requests", "1s"],
    ]);
  });

  it("keeps nothing of wrong keys", () => {
    const { ring, who, metrics } = openRing([makeKey("a").options]);
    const before = metrics.render().length;
    for (let i = 0; i < 5_000; i++) who({ "x-api-key": formatKey(`id-${i}`, createSecret()) });
    assert.equal(ring.size, 1);
    assert.ok(metrics.render().length < before + 10);
  });
});
