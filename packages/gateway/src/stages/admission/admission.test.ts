import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isFailure } from "../../core/errors.ts";
import type { RequestHead } from "../../core/request.ts";
import type { AccessOptions } from "../../contracts/options.ts";
import { createManualClock } from "../../testing.ts";
import { createMetrics } from "../../telemetry/index.ts";
import { createAdmission } from "./admission.ts";
import { KeyRing } from "./key-ring.ts";
import { hostName, isLoopbackAddress, isLoopbackHost } from "./loopback.ts";

interface Ask {
  readonly from?: string;
  readonly host?: string;
  readonly origin?: string;
  readonly scope?: RequestHead["scope"];
}

function ring(): KeyRing {
  return new KeyRing({ clock: createManualClock(), metrics: createMetrics() });
}

/** `local`, `anonymous`, or the code and text of the refusal. */
function admit(access: Partial<AccessOptions>, { from = "127.0.0.1", scope = "infer", ...headers }: Ask) {
  const admission = createAdmission({ mode: "loopback", hosts: [], origins: [], ...access }, ring());
  const head = {
    door: "http",
    method: "POST",
    path: "/predict",
    headers,
    remoteAddress: from,
    scope,
  } as const;
  const first = admission(head);
  // What was kept of the first time must not change the second.
  assert.deepEqual(admission(head), first);
  return isFailure(first) ? `${first.code}: ${first.message}` : first.id;
}

describe("a gateway without credentials", () => {
  it("lets in programs of its own machine, and gives them all scopes", () => {
    for (const from of ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"]) {
      assert.equal(admit({}, { from, host: "localhost:30080", scope: "admin" }), "local", from);
    }
    assert.equal(admit({}, {}), "local");
  });

  it("refuses every other address and says how to allow it", () => {
    for (const from of [
      "10.0.0.7",
      "::ffff:10.0.0.7",
      "fe80::1",
      "1270.0.0.1",
      "127.0.0.1.evil",
      "unix",
      "",
    ]) {
      const refused = admit({}, { from, host: "localhost" });
      assert.match(refused, /^forbidden: .*"auth: none"/, from);
      assert.ok(refused.includes(from));
    }
  });

  it("refuses a Host that another name was resolved for", () => {
    for (const host of [
      "evil.example",
      "evil.example:30080",
      "localhost.evil.example",
      "10.0.0.7",
      "127.0.0.1.evil.example",
      "[::2]:80",
      "[::1",
      "",
    ]) {
      assert.match(admit({}, { host }), /^forbidden: Host .*hosts/, host);
    }
  });

  it("takes every name of loopback as Host, and listed ones", () => {
    for (const host of [
      "localhost",
      "LocalHost:1",
      "localhost.",
      "a.localhost:30080",
      "127.0.0.1",
      "127.1.2.3:30080",
      "[::1]",
      "[::1]:30080",
    ]) {
      assert.equal(admit({}, { host }), "local", host);
    }
    const hosts = ["gateway.corp", "10.0.0.7"];
    for (const host of ["gateway.corp", "Gateway.Corp:30080", "10.0.0.7:30080", "gateway.corp."]) {
      assert.equal(admit({ hosts }, { host }), "local", host);
    }
    assert.match(admit({ hosts }, { host: "x.gateway.corp" }), /^forbidden/);
  });

  it("refuses web pages of other origins, except listed ones", () => {
    const host = "localhost:30080";
    assert.equal(admit({}, { host, origin: "http://localhost:30080" }), "local");
    for (const origin of [
      "https://evil.example",
      "http://localhost:3000",
      "null",
      "http://localhost:30080.evil.example",
    ]) {
      assert.match(admit({}, { host, origin }), /^forbidden: Web pages of .*cors\.origins/, origin);
    }
    assert.equal(
      admit({ origins: ["http://localhost:3000"] }, { host, origin: "http://localhost:3000" }),
      "local",
    );
    // A page whose name was made to resolve to this machine is of the same origin, but its Host tells.
    const rebound = { host: "evil.example:30080", origin: "http://evil.example:30080" };
    assert.match(admit({}, rebound), /^forbidden: Host/);
  });

  it("keeps a bounded memory of what was good", () => {
    const admission = createAdmission({ mode: "loopback", hosts: [], origins: [] }, ring());
    for (let i = 0; i < 5_000; i++) {
      const head = {
        door: "http",
        method: "GET",
        path: "/",
        headers: { host: `a${i}.localhost` },
        remoteAddress: "::1",
        scope: "infer",
      } as const;
      assert.ok(!isFailure(admission(head)));
    }
  });
});

describe("auth: none", () => {
  it("lets everyone infer and see the status", () => {
    for (const scope of ["infer", "status"] as const) {
      assert.equal(
        admit(
          { mode: "none" },
          { from: "10.0.0.7", host: "any.example", origin: "https://x.example", scope },
        ),
        "anonymous",
      );
    }
  });

  it("lets nobody administer, this machine included", () => {
    for (const from of ["10.0.0.7", "127.0.0.1"]) {
      assert.match(
        admit({ mode: "none" }, { from, host: "localhost", scope: "admin" }),
        /^forbidden: .*scope admin/,
      );
    }
  });
});

describe("loopback", () => {
  it("is told by whole addresses and names only", () => {
    for (const address of [
      "127.0.0.256",
      "127.0.0",
      "127.0.0.1:80",
      "::ffff:127.0.0",
      "0.0.0.0",
      "::",
      "::ffff:::1",
    ]) {
      assert.equal(isLoopbackAddress(address), false, address);
    }
    for (const host of ["127.0.0.1:80:80", "::1", "localhost:x", "[127.0.0.1]x", "2130706433"]) {
      assert.equal(isLoopbackHost(host), false, host);
    }
    assert.equal(hostName("Example.COM:80"), "example.com");
    assert.equal(hostName("[::1]:80"), "[::1]");
    assert.equal(hostName("::1"), "::1");
  });
});
