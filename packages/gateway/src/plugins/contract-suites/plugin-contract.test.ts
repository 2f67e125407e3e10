/** Every plugin that is built in keeps the contract of its kinds; plugins that break a promise are found out. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as z from "zod";
import type { PluginDefinition, PluginKind } from "../../contracts/plugins/plugin.ts";
import type { Candidates, Scorer } from "../../contracts/plugins/scheduling.ts";
import { definePlugin } from "../define-plugin.ts";
import { builtInPlugins } from "../index.ts";
import { ContractViolation, type ContractOptions } from "./contract-check.ts";
import { pluginContract } from "./plugin-contract.ts";

/** What plugins are tried with that do nothing, or cannot be made, without. */
const options: Readonly<Record<string, ContractOptions>> = {
  match: { parameters: { cases: [{ do: { model: "other" } }] } },
  "http-guard": { parameters: { url: "http://guard.example/check" } },
  retrieval: { parameters: { url: "http://search.example/query" } },
  "system-prompt": { parameters: { text: "Answer briefly." } },
  "priority-holdback-policy": { parameters: { minCeiling: 0.5 } },
  "by-label": { parameters: { label: "llm-d.ai/role", validValues: ["decode"] } },
  "utilization-filter": { parameters: { conditions: [{ metric: "waiting-queue", maxValue: 5 }] } },
  "header-label-affinity-scorer": {
    parameters: { headerName: "x-zone", labelKey: "topology.kubernetes.io/zone" },
  },
  "header-profile-handler": {
    profiles: ["decode", "prefill"],
    requests: [{ headers: { "epp-profile": "prefill" } }, { headers: { "epp-profile": "none" } }],
  },
  "file-discovery": { parameters: { path: "endpoints.yaml" } },
};

for (const definition of builtInPlugins) {
  describe(definition.type, () => {
    for (const check of pluginContract(definition, options[definition.type]))
      test(check.name, () => check.run());
  });
}

function broken(kind: PluginKind, plugin: unknown, more: Partial<PluginDefinition> = {}): PluginDefinition {
  return definePlugin({
    type: "broken",
    kinds: [kind],
    summary: "Breaks a promise",
    parameters: z.strictObject({}),
    create: () => plugin,
    ...more,
  });
}

async function failures(definition: PluginDefinition): Promise<readonly string[]> {
  const messages: string[] = [];
  for (const check of pluginContract(definition)) {
    try {
      await check.run();
    } catch (error) {
      assert.ok(error instanceof Error);
      messages.push(error instanceof ContractViolation ? error.message : `${error.name}: ${error.message}`);
    }
  }
  return messages;
}

const scorer = (score: Scorer["score"]): PluginDefinition => broken("scorer", { score } satisfies Scorer);

const all = (candidates: Candidates, write: (index: number) => void): void => {
  for (let index = 0; index < candidates.count; index++) write(index);
};

describe("who breaks a promise is found out", () => {
  const cases: readonly (readonly [what: string, definition: PluginDefinition, message: RegExp])[] = [
    [
      "a score above 1",
      scorer((c, _, s) => all(c, (i) => (s[i] = i))),
      /the score of candidate 2 of \d+ is 2; expected 0 to 1/,
    ],
    [
      "a score that is left out",
      scorer((c, _, s) => all(c, (i) => i % 2 === 0 && (s[i] = 1))),
      /is NaN; expected 0 to 1/,
    ],
    [
      "a score where metrics are missing",
      scorer((c, _, s) => all(c, (i) => (s[i] = 1 - (c.endpoints[i]?.signals.kvUsage ?? 0)))),
      /is NaN/,
    ],
    [
      "a score too many",
      scorer((_c, _, s) => s.fill(0.5)),
      /it wrote a score at 0, and there are 0 candidates/,
    ],
    [
      "chance that does not repeat",
      scorer((c, _, s) => all(c, (i) => (s[i] = Math.random()))),
      /two runs with the same seed differ/,
    ],
    [
      "writing to an endpoint",
      scorer((c, _, s) =>
        all(c, (i) => {
          s[i] = 0;
          Object.assign(c.endpoints[i]?.load ?? {}, { requests: 1 });
        }),
      ),
      /read only|Cannot assign/,
    ],
    [
      "writing to the request",
      scorer((c, r, s) =>
        all(c, (i) => {
          s[i] = 0;
          Object.assign(r, { model: "x" });
        }),
      ),
      /read only|Cannot assign/,
    ],
    [
      "changing the candidates",
      scorer((c, _, s) => {
        all(c, (i) => (s[i] = 0));
        c.positions[0] = 5;
      }),
      /changed the candidates/,
    ],
    [
      "slowness",
      scorer((c, _, s) =>
        all(c, (i) => {
          s[i] = 0;
          const end = performance.now() + 0.01;
          while (performance.now() < end);
        }),
      ),
      /took .* ms at best/,
    ],
    [
      "letting an endpoint in",
      broken("filter", {
        filter: (c: Candidates) => {
          if (c.count > 1) {
            c.positions[0] = 999_999;
            c.keep(1);
          }
        },
      }),
      /which was no candidate/,
    ],
    [
      "turning the order round",
      broken("filter", { filter: (c: Candidates) => void c.positions.subarray(0, c.count).reverse() }),
      /ascending order/,
    ],
    ["choosing nobody", broken("picker", { pick: () => 0 }), /it chose 0 of 1/],
    [
      "choosing one twice",
      broken("picker", {
        pick: (c: Candidates, _: unknown, picked: Int32Array) => {
          picked.fill(c.positions[0] ?? 0);
          return Math.min(2, c.count);
        },
      }),
      /it chose one twice/,
    ],
    [
      "a handler without end",
      broken("profile-handler", { next: () => ["default"], primary: () => "default" }),
      /after 20 rounds/,
    ],
    [
      "a producer that writes nothing",
      broken(
        "producer",
        { produce() {} },
        { needs: { produces: [{ name: "a", defaultProducer: "broken" }] } },
      ),
      /declares 1 keys and writes 0 values/,
    ],
    [
      "a fairness policy that names nobody",
      broken("fairness", { next: () => undefined }),
      /it named no flow although some wait/,
    ],
    ["a rank that is none", broken("ordering", { rank: () => Number.NaN }), /the rank of a request is NaN/],
    [
      "an empty pool that is idle",
      broken("saturation", { saturation: () => 0, endpointSaturation: () => 0 }),
      /without servers it is 0; expected 1/,
    ],
    [
      "ceilings upside down",
      broken("usage-limit", {
        ceilings: (_: number, p: readonly number[], c: Float64Array) => p.forEach((__, i) => (c[i] = i)),
      }),
      /above that of a higher one/,
    ],
    [
      "an order with a contradiction",
      broken("eviction", { mayEvict: () => true, compare: () => 1 }),
      /goes before/,
    ],
    [
      "any parameter",
      broken("scorer", {}, { parameters: z.object({}) }),
      /takes a parameter that it does not know/,
    ],
  ];
  for (const [what, definition, message] of cases) {
    test(what, async () => assert.match((await failures(definition)).join("\n"), message));
  }
});
