/** What `spillway doctor` says of the edge endpoint, over real sockets and folders. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { startCloud } from "@spillway/simulator";
import type { EdgeCloudOptions } from "../contracts/edge-options.ts";
import { Secret } from "../core/secret.ts";
import { checkCloud, checkDataFolder } from "./doctor-edge.ts";

const folder = mkdtempSync(join(tmpdir(), "spillway-doctor-"));
after(() => rmSync(folder, { recursive: true }));

const token = "api_device_token_000001";
const options = (origin: string, given: string | undefined): EdgeCloudOptions => {
  const secret = given === undefined ? undefined : Secret.of(given);
  return { origin, token: secret, ca: undefined, connectTimeoutMs: 1_000, timeoutMs: 5_000 };
};

test("a cloud that answers, one that does not take the token, and one that is away", async () => {
  const cloud = await startCloud({ tokens: [token] });
  const origin = cloud.url;
  try {
    const answers = await checkCloud(options(origin, token));
    assert.deepEqual(
      [answers.status, answers.message.startsWith(`${origin} answers, the token is that of `)],
      ["ok", true],
    );
    assert.equal((await checkCloud(options(origin, undefined))).status, "ok");
    const refused = await checkCloud(options(origin, "api_of_somebody_else_01"));
    assert.equal(refused.status, "fail");
    assert.match(refused.message, /does not take the token: /);
  } finally {
    await cloud.close();
  }
  const away = await checkCloud(options(origin, token));
  assert.equal(away.status, "warn");
  assert.match(away.message, /^http:[^ ]+: The cloud cannot be reached: connect ECONNREFUSED/);
  assert.match(away.advice ?? "", /edge\.cloud\.origin/);
  assert.equal(
    (await checkCloud({ ...options(origin, token), ca: join(folder, "none.pem") })).status,
    "fail",
  );
});

test("the data folder", async () => {
  assert.match((await checkDataFolder(folder)).message, /can be written$/);
  assert.match((await checkDataFolder(join(folder, "a", "b"))).message, /is made when/);
  writeFileSync(join(folder, "file"), "");
  const within = await checkDataFolder(join(folder, "file", "data"));
  assert.equal(within.status, "fail");
  assert.match(within.advice ?? "", /SPILLWAY_DATA/);
});
