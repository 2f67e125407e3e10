// Whose token goes to the cloud: the device's for its detectors and for who administers, callers' own for the rest, a key of this gateway never.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startCloud } from "@spillway/simulator";
import { digit, startEdgeGateway, whichDigit } from "../harness/edge-gateway.ts";
import { makeKey } from "../harness/key-options.ts";

const deviceToken = "api_device_token_0001";
const callersToken = "api_callers_token_001";
const png = { "content-type": "image/png" };
const account = "/device-api/v1/month-to-date-account-info";

test("with keys: cameras are answered with the device's token, but cannot use it for anything else", async (t) => {
  const simulator = await startCloud({
    tokens: [deviceToken],
    detectors: [{ id: whichDigit, name: "which-digit", query: "Which digit is this?" }],
  });
  t.after(() => simulator.close());
  const camera = makeKey("camera");
  const boss = makeKey("boss", { scopes: ["infer", "status", "admin"] });
  const gateway = await startEdgeGateway(t, {
    edge: {
      cloud: { origin: simulator.url, token: deviceToken },
      detectors: [{ id: whichDigit, query: "Is it a digit?" }],
    },
    config: {
      access: {
        mode: "keys",
        hosts: [],
        origins: [],
        keys: [camera.options, boss.options],
        keysFile: undefined,
      },
    },
  });
  const as = ({ key }: { readonly key: string }) => ({ "x-api-token": key });
  const asked = await gateway.ask(whichDigit, digit(7), { headers: { ...png, ...as(camera) } });
  assert.equal(asked.headers.get("x-spillway-answered-by"), "cloud");
  const refused = await gateway.call("GET", account, undefined, as(camera));
  assert.equal(refused.status, 401);
  assert.match(String(refused.body["detail"]), /token/);
  const made = { name: "cat", query: "Is there a cat?" };
  assert.equal((await gateway.call("POST", "/device-api/v1/detectors", made, as(camera))).status, 401);
  assert.equal((await gateway.call("GET", account, undefined, as(boss))).status, 200);
  assert.equal((await gateway.call("GET", "/device-api/v1/me", undefined, as(camera))).status, 200);
  assert.equal(simulator.cloud.queries().length, 1);
  assert.equal(simulator.cloud.detectors().length, 1);
});

test("without a token of the device callers' own are used, and wrong ones are the cloud's to refuse", async (t) => {
  const simulator = await startCloud({
    tokens: [callersToken],
    detectors: [{ id: whichDigit, name: "which-digit", query: "Which digit is this?" }],
  });
  t.after(() => simulator.close());
  const gateway = await startEdgeGateway(t, { edge: { cloud: { origin: simulator.url }, detectors: [] } });
  const own = { "x-api-token": callersToken };
  const asked = await gateway.ask(whichDigit, digit(7), { headers: { ...png, ...own } });
  assert.equal(asked.headers.get("x-spillway-answered-by"), "cloud");
  assert.equal((await gateway.call("GET", account, undefined, own)).status, 200);
  assert.equal(
    (await gateway.call("GET", account, undefined, { "x-api-token": "api_nobody_0000000001" })).status,
    401,
  );
  assert.equal((await gateway.call("GET", "/device-api/v1/me", undefined, own)).body["is_superuser"], false);
  assert.equal(
    (await gateway.call("GET", "/device-api/v1/me", undefined, { "x-api-token": "api_nobody_0000000001" }))
      .status,
    401,
  );
});
