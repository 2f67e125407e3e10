import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "./read-config.ts";

function read(text: string): ReturnType<typeof parseConfig> {
  return parseConfig(text, { directory: "/", environment: { TOKEN: "t0ken" } });
}

/** Everything that is wrong, without the file's name. */
function errors(text: string): string {
  const result = read(text);
  return "errors" in result ? result.errors.join("\n") : "";
}

test("rules are read with their parameters as written, secrets of the environment included", () => {
  const result = read(`rules:
  - { type: match, models: ["gpt-*"], onFailure: open, timeout: 250ms, parameters: { cases: [{ do: { priority: 1 } }] } }
  - { type: http-guard, name: guard, parameters: { url: "http://g:1/x", headers: { authorization: "Bearer \${TOKEN}" } } }
requests: { objectives: { fast: 5 }, fairness: caller, trust: [team-a], session: { headers: [X-Sid], cookie: sid } }
`);
  assert.ok("config" in result, JSON.stringify(result));
  const { rules, traits } = result.config;
  assert.deepEqual(rules, [
    {
      plugin: { name: "match", type: "match", parameters: { cases: [{ do: { priority: 1 } }] } },
      models: ["gpt-*"],
      onFailure: "open",
      timeoutMs: 250,
    },
    {
      plugin: {
        name: "guard",
        type: "http-guard",
        parameters: { url: "http://g:1/x", headers: { authorization: "Bearer t0ken" } },
      },
      models: undefined,
      onFailure: undefined,
      timeoutMs: undefined,
    },
  ]);
  assert.deepEqual(traits, {
    objectives: new Map([["fast", 5]]),
    fairness: "caller",
    trust: new Set(["team-a"]),
    session: { headers: ["x-sid"], cookie: "sid" },
  });
});

test("mistakes in rules are told where they stand", () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ["rules: [{ type: validat }]", /rules\[0\]\.type: .*did you mean "validate"\?/],
    ["rules: [{ type: max-score-picker }]", /no rule of type max-score-picker; .*known are/],
    ["rules: [{ type: validate }, { type: validate }]", /rules\[1\]: there is a rule validate already/],
    ["rules: [{ type: validate, parameters: { maxByte: 1 } }]", /rules\[0\]\.parameters.*maxByte/],
    [
      "rules: [{ type: validate, parameters: { deny: ['(a)\\1'] } }]",
      /parameters\.deny\[0\]: validate: .*refers back/,
    ],
    [
      "rules: [{ type: validate, parameters: { deny: [{ pattern: '(?=a)' }] } }]",
      /parameters\.deny\[0\]\.pattern: validate: .*looks around/,
    ],
    [
      "rules: [{ type: model-rewrite, parameters: { rules: [{ targets: [{ modelRewrite: a, weight: 1 }, { modelRewrite: b }] }] } }]",
      /rules\[0\]\.parameters\.rules\[0\]\.targets: model-rewrite: either all targets have a weight or none/,
    ],
    [
      "rules: [{ type: http-guard, parameters: { url: 'ftp://x' } }]",
      /parameters\.url: http-guard: .*such as http/,
    ],
    ["rules: [{ type: retrieval, parameters: {} }]", /parameters\.url/],
    ["rules: [{ type: validate, timeout: soon }]", /rules\[0\]\.timeout: expected a duration/],
    ["rules: [{ typ: validate }]", /unknown key; did you mean "type"/],
    ["requests: { trust: nobody }", /requests\.trust: expected the word everyone, or a list of key ids/],
    ["requests: { objectives: { a: high } }", /requests\.objectives\.a: expected a whole number/],
  ];
  for (const [text, told] of cases) assert.match(errors(text), told, text);
});
