// What OpenAI's, Ollama's and Anthropic's own servers refuse of bodies that could be read.
import assert from "node:assert/strict";
import { it } from "node:test";
import { startSimulator } from "@spillway/simulator";

const user = { role: "user", content: "x" };
const parameters = { type: "object" };
const called = { id: "call_1", type: "function", function: { name: "f", arguments: "{}" } };
const result = { role: "tool", tool_call_id: "call_1", content: "x" };
const use = { type: "tool_use", id: "call_1", name: "f", input: {} };
const used = { type: "tool_result", tool_use_id: "call_1", content: "x" };
const said = (...content: object[]): object => ({ role: "assistant", content });
const asked = (...content: object[]): object => ({ role: "user", content });
const picture = (media: string): object => ({
  type: "image",
  source: { type: "base64", media_type: media, data: "AAAA" },
});

const cases = {
  openai: {
    path: "/v1/chat/completions",
    good: {
      messages: [user, { role: "assistant", content: null, tool_calls: [called] }, result],
      tools: [{ type: "function", function: { name: "f", parameters } }],
    },
    bad: [
      [{ top_k: 1 }, /Unrecognized request argument supplied: top_k/],
      [{ tools: [{ type: "function", function: { name: "f.g" } }] }, /tools\[0\]\.function\.name/],
      [{ response_format: { type: "json_schema", json_schema: {} } }, /json_schema\.name/],
      [
        {
          response_format: { type: "json_schema", json_schema: { name: "f", schema: {}, strict: true } },
        },
        /additionalProperties/,
      ],
      [{ messages: [user, result] }, /must be a response to a preceeding message/],
      [
        { messages: [{ role: "assistant", tool_calls: [called] }, user] },
        /must be followed by tool messages/,
      ],
      [
        { messages: [user, { role: "assistant", tool_calls: [called] }] },
        /must be followed by tool messages/,
      ],
      [{ messages: [{ role: "user", content: null }] }, /Invalid value for 'content'/],
    ],
  },
  ollama: {
    path: "/api/chat",
    good: {
      messages: [
        { ...user, images: ["AAAA"] },
        { role: "assistant", content: "", tool_calls: [{ function: { name: "f", arguments: {} } }] },
        { role: "tool", content: "x", tool_name: "f" },
      ],
      options: { temperature: 0.5, stop: ["x"], unknown: 1 },
      think: "low",
      format: {},
    },
    bad: [
      [{ think: "none" }, /invalid think value: "none"/],
      [{ format: "xml" }, /invalid format: "xml"/],
      [{ options: { top_k: "5" } }, /option "top_k" must be of type integer/],
      [{ options: { stop: "x" } }, /option "stop"/],
      [{ messages: [{ role: "user", content: [] }] }, /cannot unmarshal array .*messages\.content/],
      [{ messages: [{ ...user, images: ["data:image/png;base64,AAAA"] }] }, /illegal base64/],
      [
        { messages: [{ role: "assistant", tool_calls: [{ function: { name: "f", arguments: "{}" } }] }] },
        /cannot unmarshal string .*arguments/,
      ],
    ],
  },
  anthropic: {
    path: "/v1/messages",
    good: {
      messages: [user, said(use), asked(used, { type: "text", text: "x" }, picture("image/png"))],
      tools: [{ name: "f", input_schema: parameters }],
      thinking: { type: "enabled", budget_tokens: 1024 },
    },
    bad: [
      [{ seed: 1 }, /seed: Extra inputs are not permitted/],
      [{ temperature: 1.5 }, /temperature/],
      [{ max_tokens: 0 }, /max_tokens/],
      [{ thinking: { type: "enabled", budget_tokens: 5 } }, /budget_tokens/],
      [{ thinking: { type: "enabled", budget_tokens: 3000 } }, /greater than `thinking.budget_tokens`/],
      [{ temperature: 0.5 }, /may only be set to 1/],
      [{ tool_choice: { type: "any" } }, /forces tool use/],
      [{ tools: [{ name: "f.g", input_schema: parameters }] }, /tools\.0\.custom\.name/],
      [{ tools: [{ name: "f", input_schema: {} }] }, /input_schema\.type/],
      [{ messages: [{ role: "system", content: "x" }] }, /messages\.0\.role/],
      [{ messages: [asked({ type: "text", text: "" })] }, /must be non-empty/],
      [{ messages: [asked(picture("image/tiff"))] }, /media_type/],
      [{ messages: [asked(used)] }, /unexpected `tool_use_id`/],
      [{ messages: [user, said(use), user] }, /without `tool_result` blocks/],
      [{ messages: [user, said({ ...use, id: "a:0" }), asked(used)] }, /tool_use\.id/],
      [{ messages: [user, said({ ...use, input: "{}" }), asked(used)] }, /tool_use\.input/],
      [{ messages: [user, said({ type: "thinking", thinking: "x" })] }, /signature/],
    ],
  },
} as const;

for (const face of ["openai", "ollama", "anthropic"] as const) {
  it(`${face} refuses what it is known to refuse, and nothing else`, async (t) => {
    const simulator = await startSimulator({ face, models: ["m"] });
    t.after(() => simulator.close());
    const { path, good, bad } = cases[face];
    const ask = async (more: object): Promise<{ status: number; text: string }> => {
      const response = await fetch(simulator.url + path, {
        method: "POST",
        headers: { "anthropic-version": "2023-06-01" },
        body: JSON.stringify({ model: "m", max_tokens: 2000, ...good, ...more }),
      });
      return { status: response.status, text: await response.text() };
    };
    assert.equal((await ask({})).status, 200);
    for (const [more, words] of bad) {
      const { status, text } = await ask(more);
      assert.equal(status, 400, text);
      assert.match(text.replaceAll("\\", ""), words);
    }
  });
}
