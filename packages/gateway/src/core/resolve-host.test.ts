import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAddress, resolveHost } from "./resolve-host.ts";

test("addresses are written with brackets where they need them", () => {
  assert.equal(formatAddress("::1", 80), "[::1]:80");
  assert.equal(formatAddress("10.0.0.5", 80), "10.0.0.5:80");
});

test("the machine's resolver gives addresses of one family", async () => {
  const families = new Set((await resolveHost("localhost")).map((address) => address.includes(":")));
  assert.equal(families.size, 1);
  await assert.rejects(resolveHost("no-such-host.invalid"));
});
