import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startDoor } from "../../../test/support/http-door.ts";

const listed = "https://app.example";

describe("cross-origin calls", () => {
  it("are answered for listed origins, and only they may read", async (t) => {
    const { connect } = await startDoor(t, { origins: [listed] });
    const client = await connect();
    const ask = async (origin: string | undefined) => {
      client.send("POST", "/echo", { body: "x", headers: origin === undefined ? {} : { origin } });
      return (await client.answer()).headers;
    };
    const allowed = await ask(listed);
    assert.equal(allowed["access-control-allow-origin"], listed);
    assert.equal(allowed.vary, "origin");
    for (const origin of ["https://evil.example", "null", `${listed}.evil.example`, undefined]) {
      const headers = await ask(origin);
      assert.equal(headers["access-control-allow-origin"], undefined);
      assert.equal(headers.vary, "origin");
    }
  });

  it("may ask first", async (t) => {
    const { connect, heads } = await startDoor(t, { origins: [listed] });
    const client = await connect();
    const preflight = async (origin: string, more: Record<string, string> = {}) => {
      const headers = { origin, "access-control-request-method": "POST", ...more };
      client.send("OPTIONS", "/echo", { headers });
      return client.answer();
    };
    const allowed = await preflight(listed, {
      "access-control-request-headers": "content-type, authorization",
      "access-control-request-private-network": "true",
    });
    assert.equal(allowed.status, 204);
    assert.equal(allowed.headers["content-length"], undefined);
    assert.equal(allowed.headers["access-control-allow-origin"], listed);
    assert.match(allowed.headers["access-control-allow-methods"] ?? "", /POST/);
    assert.equal(allowed.headers["access-control-allow-headers"], "content-type, authorization");
    assert.equal(allowed.headers["access-control-allow-private-network"], "true");
    assert.ok(Number(allowed.headers["access-control-max-age"]) > 0);
    const strange = await preflight(listed, { "access-control-request-headers": "a<b>" });
    assert.equal(strange.headers["access-control-allow-headers"], undefined);
    const foreign = await preflight("https://evil.example");
    assert.equal(foreign.status, 403);
    assert.equal(foreign.headers["access-control-allow-origin"], undefined);
    assert.equal(heads.length, 0);
  });

  it("are not spoken of by a door without listed origins", async (t) => {
    const { connect } = await startDoor(t);
    const client = await connect();
    client.send("POST", "/echo", { body: "x", headers: { origin: listed } });
    const { headers } = await client.answer();
    assert.equal(headers.vary, undefined);
    assert.equal(headers["access-control-allow-origin"], undefined);
    client.send("OPTIONS", "/echo");
    assert.equal((await client.answer()).status, 405);
  });
});
