// A scheduling layer is made of what a configuration says, and what is wrong with it is said by name.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { z } from "zod";
import { wireProfiles } from "../../test/support/scheduling-fixture.ts";
import type { DataKey, PluginDefinition, PluginNeeds } from "../contracts/plugins/plugin.ts";
import { definePlugin } from "./define-plugin.ts";
import type { SchedulingSpec } from "../contracts/plugins/scheduling.ts";
import { GatewayError } from "../core/errors.ts";
import { leastWorkScheduling, plainPlugins } from "./default-scheduling.ts";
import { builtInPlugins } from "./index.ts";

const noParameters = z.strictObject({});

function specOf(change: Partial<SchedulingSpec>): SchedulingSpec {
  return { ...leastWorkScheduling, ...change };
}

/** A plugin that writes or reads and does nothing else. */
function dataPlugin(type: string, kind: "producer" | "scorer", needs: PluginNeeds): PluginDefinition {
  return definePlugin({
    type,
    kinds: [kind],
    summary: type,
    parameters: noParameters,
    needs,
    create: () => ({ produce: () => undefined, score: () => undefined }),
  });
}

function messageOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof GatewayError);
    assert.equal(error.code, "bad_request");
    return error.message;
  }
  return assert.fail("nothing was thrown");
}

describe("what is wrong is said with the name of who is at fault", () => {
  const [first] = leastWorkScheduling.profiles;
  const cases: [what: string, spec: SchedulingSpec, message: RegExp][] = [
    [
      "a type that there is not",
      specOf({ plugins: [{ name: "mine", type: "latency-scorer", parameters: {} }] }),
      /^Plugin mine: there is no plugin of the type latency-scorer$/,
    ],
    [
      "a parameter that there is not",
      specOf({ plugins: [{ name: "best", type: "max-score-picker", parameters: { max: 3 } }] }),
      /^Plugin best \(max-score-picker\): there is no parameter max$/,
    ],
    [
      "a parameter out of bounds",
      specOf({
        plugins: [
          { name: "max-score-picker", type: "max-score-picker", parameters: { maxNumOfEndpoints: 0 } },
        ],
      }),
      /^Plugin max-score-picker: parameter maxNumOfEndpoints: .+1/,
    ],
    [
      "two plugins with one name",
      specOf({ plugins: plainPlugins("max-score-picker", "max-score-picker") }),
      /^Two plugins have the name max-score-picker$/,
    ],
    [
      "a profile's plugin that is not there",
      specOf({ profiles: [{ ...first, filters: ["none-such"] }] }),
      /^There is no plugin none-such, which profile default names$/,
    ],
    [
      "a plugin in a slot that it does not fit",
      specOf({ profiles: [{ ...first, picker: "loaded-model-filter" }] }),
      /^Plugin loaded-model-filter \(loaded-model-filter\) is no picker: it is filter$/,
    ],
    [
      "a handler that cannot work with the profiles",
      specOf({ profiles: [first, { ...first, name: "other" }] }),
      /^Plugin single-profile-handler .+ there are 2: default, other$/,
    ],
  ];
  for (const [what, spec, message] of cases) {
    test(what, () =>
      assert.match(
        messageOf(() => wireProfiles(spec)),
        message,
      ),
    );
  }
});

test("a plugin that misspells what its kind has to do is refused by what it lacks", () => {
  const misspelt = definePlugin({
    type: "cost-scorer",
    kinds: ["scorer"],
    summary: "scores",
    parameters: noParameters,
    create: () => ({ scor: () => undefined }),
  });
  const [profile] = leastWorkScheduling.profiles;
  const spec = specOf({
    plugins: [...leastWorkScheduling.plugins, ...plainPlugins("cost-scorer")],
    profiles: [{ ...profile, scorers: [{ plugin: "cost-scorer", weight: 1 }] }],
  });
  const message = messageOf(() => wireProfiles(spec, { definitions: [...builtInPlugins, misspelt] }));
  assert.equal(message, "Plugin cost-scorer: what its create gives has no score(), which a scorer needs");
});

describe("producers", () => {
  const a: DataKey<number> = { name: "a", defaultProducer: "makes-a" };
  const b: DataKey<number> = { name: "b", defaultProducer: "makes-b" };
  const reader = dataPlugin("reads-b", "scorer", { reads: [b] });
  const [profile] = leastWorkScheduling.profiles;
  const spec = (...more: string[]): SchedulingSpec =>
    specOf({
      plugins: [...leastWorkScheduling.plugins, ...plainPlugins("reads-b", ...more)],
      profiles: [{ ...profile, scorers: [{ plugin: "reads-b", weight: 1 }] }],
    });
  const wire = (from: SchedulingSpec, ...definitions: PluginDefinition[]) =>
    wireProfiles(from, { definitions: [...builtInPlugins, reader, ...definitions] });

  test("that are missing are made, also those that they need, and run in order", () => {
    const makesB = dataPlugin("makes-b", "producer", { reads: [a], produces: [b] });
    const wired = wire(spec(), makesB, dataPlugin("makes-a", "producer", { produces: [a] }));
    assert.deepEqual(
      wired.producers.map(({ name }) => name),
      ["makes-a", "makes-b"],
    );
    assert.equal(wired.dataSize, 2);
  });

  test("that are configured are not made again", () => {
    const other = dataPlugin("other-b", "producer", { produces: [b] });
    const wired = wire(spec("other-b"), other);
    assert.deepEqual(
      wired.producers.map(({ name }) => name),
      ["other-b"],
    );
  });

  test("that do not exist are named", () => {
    assert.match(
      messageOf(() => wire(spec())),
      /^Plugin makes-b: there is no plugin of the type makes-b$/,
    );
  });

  test("that need each other are refused", () => {
    const makesB = dataPlugin("makes-b", "producer", { reads: [a], produces: [b] });
    const makesA = dataPlugin("makes-a", "producer", { reads: [b], produces: [a] });
    assert.match(
      messageOf(() => wire(spec(), makesB, makesA)),
      /^Plugins makes-b, makes-a read .+ in a circle$/,
    );
  });

  test("are chosen by name where there are several", () => {
    const chosen: number[] = [];
    const picky = definePlugin({
      type: "reads-b",
      kinds: ["scorer"],
      summary: "reads-b",
      parameters: noParameters,
      needs: { reads: [b] },
      create: (_parameters, host) => {
        chosen.push(host.dataIndex(b), host.dataIndex(b, "second"));
        assert.match(
          messageOf(() => host.dataIndex(b, "third")),
          /^Plugin reads-b reads b of plugin third, which does not produce it or is not there$/,
        );
        return { score: () => undefined };
      },
    });
    const one = dataPlugin("first", "producer", { produces: [b] });
    const two = dataPlugin("second", "producer", { produces: [b] });
    wireProfiles(spec("first", "second"), { definitions: [...builtInPlugins, picky, one, two] });
    assert.deepEqual(chosen, [0, 1]);
  });
});

test("an older name of a type is taken, with a warning", () => {
  const warnings: unknown[] = [];
  const logger = {
    error() {},
    info() {},
    debug() {},
    warn: (_: string, fields: unknown) => warnings.push(fields),
  };
  const aliased = builtInPlugins.map((definition) =>
    definition.type === "max-score-picker" ? { ...definition, aliases: ["old-picker"] } : definition,
  );
  const plugins = [
    ...leastWorkScheduling.plugins.filter(({ type }) => type !== "max-score-picker"),
    { name: "max-score-picker", type: "old-picker", parameters: {} },
  ];
  wireProfiles(specOf({ plugins }), { definitions: aliased, logger });
  assert.deepEqual(warnings, [
    { plugin: "max-score-picker", type: "old-picker", replacement: "max-score-picker" },
  ]);
});
