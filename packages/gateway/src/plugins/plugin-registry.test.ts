import assert from "node:assert/strict";
import { test } from "node:test";
import * as z from "zod";
import type { PluginKind } from "../contracts/plugins/plugin.ts";
import { definePlugin } from "./define-plugin.ts";
import { PluginRegistry } from "./plugin-registry.ts";

const define = (
  type: string,
  kinds: readonly [PluginKind, ...PluginKind[]],
  aliases: readonly string[] = [],
) =>
  definePlugin({
    type,
    kinds,
    aliases,
    summary: type,
    parameters: z.strictObject({}),
    create: () => ({ type }),
  });

test("definitions are found by type and by older names", () => {
  const registry = new PluginRegistry([
    define("queue-scorer", ["scorer"], ["queue"]),
    define("session-affinity", ["filter", "scorer"]),
  ]);
  assert.equal(registry.find("queue-scorer")?.type, "queue-scorer");
  assert.equal(registry.find("queue")?.type, "queue-scorer");
  assert.equal(registry.isAlias("queue"), true);
  assert.equal(registry.isAlias("queue-scorer"), false);
  assert.equal(registry.find("constructor"), undefined);
  assert.deepEqual(
    registry.list("scorer").map(({ type }) => type),
    ["queue-scorer", "session-affinity"],
  );
  assert.deepEqual(
    registry.list("filter").map(({ type }) => type),
    ["session-affinity"],
  );
  assert.equal(registry.list().length, 2);
});

test("who comes second with a name is left out and told", () => {
  const registry = new PluginRegistry([
    define("queue-scorer", ["scorer"], ["queue"]),
    define("queue-scorer", ["filter"]),
    define("other", ["filter"], ["queue"]),
  ]);
  assert.deepEqual(registry.find("queue-scorer")?.kinds, ["scorer"]);
  assert.equal(registry.find("other"), undefined);
  assert.deepEqual(
    registry.conflicts.map(({ type }) => type),
    ["queue-scorer", "other"],
  );
});
