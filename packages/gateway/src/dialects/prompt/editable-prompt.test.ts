import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure, type Failure } from "../../core/errors.ts";
import type { PromptEdit } from "../../core/forward.ts";
import { EditablePrompt } from "./editable-prompt.ts";
import { promptShapes } from "./prompt-shape.ts";

type Shape = keyof typeof promptShapes;

function promptOf(shape: Shape, body: string | object): EditablePrompt {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return new EditablePrompt(Buffer.from(text), promptShapes[shape]);
}

/** The text of the body after the edits, one after the other. */
function editedText(shape: Shape, body: string | object, ...edits: readonly PromptEdit[]): string | Failure {
  let prompt = promptOf(shape, body);
  void prompt.read();
  for (const edit of edits) {
    const next = prompt.edited(edit);
    if (isFailure(next)) return next;
    prompt = next;
  }
  const { body: first, rest = [] } = prompt.body;
  return Buffer.concat([first, ...rest]).toString();
}

function edited(shape: Shape, body: string | object, ...edits: readonly PromptEdit[]): unknown {
  const text = editedText(shape, body, ...edits);
  return typeof text === "string" ? JSON.parse(text) : text;
}

const before = (text: string): PromptEdit => ({ system: { text, place: "before" } });
const after = (text: string): PromptEdit => ({ system: { text, place: "after" } });
const replace = (text: string): PromptEdit => ({ system: { text, place: "replace" } });
const context = (text: string): PromptEdit => ({ context: text });

const user = { role: "user", content: "Hi" };
const system = (content: unknown): object => ({ role: "system", content });

test("chat: instructions go before, behind or instead of the caller's", () => {
  const cases: readonly (readonly [readonly unknown[], PromptEdit, readonly unknown[]])[] = [
    [[], before("S"), [system("S")]],
    [[], replace("S"), [system("S")]],
    [[user], before("S"), [system("S"), user]],
    [[user], after("S"), [system("S"), user]],
    [[user], replace("S"), [system("S"), user]],
    [[system("old"), user], before("S"), [system("S\n\nold"), user]],
    [[system("old"), user], after("S"), [system("old\n\nS"), user]],
    [[system("old"), user], replace("S"), [system("S"), user]],
    [[system(""), user], before("S"), [system("S"), user]],
    [[system(null), user], after("S"), [system("S"), user]],
    [[{ role: "system" }, user], after("S"), [{ content: "S", role: "system" }, user]],
    [
      [{ role: "developer", content: [{ type: "text", text: "old" }] }, user],
      before("S"),
      [
        {
          role: "developer",
          content: [
            { type: "text", text: "S" },
            { type: "text", text: "old" },
          ],
        },
        user,
      ],
    ],
    [[system([]), user], after("S"), [system([{ type: "text", text: "S" }]), user]],
    [[system("a"), system("b"), user], after("S"), [system("a"), system("b\n\nS"), user]],
    [[system("a"), system("b"), user], replace("S"), [system("S"), user]],
    [[user, system("late"), user, system("last")], replace("S"), [system("S"), user, user]],
    [[user, system("late")], before("S"), [system("S"), user, system("late")]],
  ];
  for (const [messages, edit, wanted] of cases) {
    const found = edited("openaiChat", { model: "m", messages }, edit);
    assert.deepEqual(found, { model: "m", messages: wanted }, JSON.stringify([messages, edit]));
    assert.deepEqual(edited("ollamaChat", { model: "m", messages }, edit), found);
  }
});

test("chat without a list of messages gets one; what is none is the caller's mistake", () => {
  for (const body of ['{"model":"m"}', '{"model":"m","messages":null}']) {
    assert.deepEqual(edited("openaiChat", body, before("S")), { messages: [system("S")], model: "m" });
  }
  for (const messages of ["text", 5, {}, [1], [user, "x"]]) {
    assert.equal(
      (edited("openaiChat", { model: "m", messages }, before("S")) as Failure).code,
      "bad_request",
    );
  }
});

test("context stands before the text of the caller's last message", () => {
  const picture = { type: "image_url", image_url: { url: "data:x" } };
  const cases: readonly (readonly [readonly unknown[], readonly unknown[]])[] = [
    [[user], [{ role: "user", content: "C\n\nHi" }]],
    [[{ role: "user", content: "" }], [{ role: "user", content: "C" }]],
    [
      [user, { role: "assistant", content: "Yes?" }, user],
      [user, { role: "assistant", content: "Yes?" }, { role: "user", content: "C\n\nHi" }],
    ],
    [
      [{ role: "user", content: [picture, { type: "text", text: "Hi" }] }],
      [{ role: "user", content: [picture, { type: "text", text: "C" }, { type: "text", text: "Hi" }] }],
    ],
    [[system("S")], [system("S"), { role: "user", content: "C" }]],
    [[], [{ role: "user", content: "C" }]],
  ];
  for (const [messages, wanted] of cases) {
    const found = edited("openaiChat", { model: "m", messages }, context("C"));
    assert.deepEqual(found, { model: "m", messages: wanted }, JSON.stringify(messages));
  }
});

test("a result of a call stays the first part of Anthropic's message", () => {
  const result = { role: "user", content: [{ type: "tool_result", tool_use_id: "t", content: "42" }] };
  const mixed = { role: "user", content: [...result.content, { type: "text", text: "So?" }] };
  assert.deepEqual(edited("anthropicMessages", { messages: [user, result] }, context("C")), {
    messages: [{ role: "user", content: "C\n\nHi" }, result],
  });
  assert.deepEqual(edited("anthropicMessages", { messages: [mixed] }, context("C")), {
    messages: [
      {
        role: "user",
        content: [...result.content, { type: "text", text: "C" }, { type: "text", text: "So?" }],
      },
    ],
  });
});

test("instructions in a member of their own", () => {
  const messages = [user];
  const parts = [{ type: "text", text: "old", cache_control: { type: "ephemeral" } }];
  const cases: readonly (readonly [Shape, object, PromptEdit, object])[] = [
    ["anthropicMessages", { messages }, before("S"), { system: "S", messages }],
    ["anthropicMessages", { system: "old", messages }, before("S"), { system: "S\n\nold", messages }],
    ["anthropicMessages", { system: parts, messages }, replace("S"), { system: "S", messages }],
    [
      "anthropicMessages",
      { system: parts, messages },
      after("S"),
      { system: [...parts, { type: "text", text: "S" }], messages },
    ],
    ["openaiResponses", { input: "Hi" }, after("S"), { instructions: "S", input: "Hi" }],
    ["openaiResponses", { instructions: null, input: "Hi" }, after("S"), { instructions: "S", input: "Hi" }],
    [
      "openaiResponses",
      { instructions: "old", input: [system("a"), user, { type: "function_call_output" }] },
      replace("S"),
      { instructions: "S", input: [user, { type: "function_call_output" }] },
    ],
    ["openaiResponses", { input: [system("a")] }, replace("S"), { instructions: "S", input: [] }],
    ["ollamaGenerate", { prompt: "Hi" }, before("S"), { system: "S", prompt: "Hi" }],
    ["ollamaGenerate", { system: "old", prompt: "Hi" }, after("S"), { system: "old\n\nS", prompt: "Hi" }],
    ["openaiResponses", { input: "Hi" }, context("C"), { input: "C\n\nHi" }],
    ["ollamaGenerate", { prompt: "Hi" }, context("C"), { prompt: "C\n\nHi" }],
    ["openaiCompletions", { prompt: "Hi" }, context("C"), { prompt: "C\n\nHi" }],
    [
      "openaiResponses",
      { input: [{ role: "user", content: [{ type: "input_text", text: "Hi" }] }] },
      context("C"),
      {
        input: [
          {
            role: "user",
            content: [
              { type: "input_text", text: "C" },
              { type: "input_text", text: "Hi" },
            ],
          },
        ],
      },
    ],
  ];
  for (const [shape, body, edit, wanted] of cases) {
    assert.deepEqual(edited(shape, { model: "m", ...body }, edit), { model: "m", ...wanted });
  }
  const emptied = edited("openaiResponses", { model: "m", input: [system("a")] }, replace("S"), context("C"));
  assert.deepEqual(emptied, { model: "m", instructions: "S", input: [{ role: "user", content: "C" }] });
});

test("a call without a place for a change is refused", () => {
  const refused: readonly (readonly [Shape, object, PromptEdit])[] = [
    ["openaiCompletions", { prompt: "Hi" }, before("S")],
    ["openaiCompletions", { prompt: ["Hi"] }, context("C")],
    ["ollamaGenerate", { prompt: "Hi", raw: true }, before("S")],
  ];
  for (const [shape, body, edit] of refused) {
    assert.equal((edited(shape, { model: "m", ...body }, edit) as Failure).code, "bad_request", shape);
  }
});

test("several changes add up in their order; a replacement takes those before it along", () => {
  const body = { messages: [system("old"), user] };
  const all = edited(
    "openaiChat",
    body,
    before("1"),
    before("0"),
    after("2"),
    after("3"),
    context("C"),
    context("D"),
  );
  assert.deepEqual(all, {
    messages: [system("0\n\n1\n\nold\n\n2\n\n3"), { role: "user", content: "C\n\nD\n\nHi" }],
  });
  const replaced = edited("openaiChat", body, before("1"), replace("R"), after("2"));
  assert.deepEqual(replaced, { messages: [system("R\n\n2"), user] });
});

test("every other byte stays as it came: blanks, escapes, numbers, order, members twice escaped", () => {
  const text = `{ "temperature" : 1.50, "messages" : [ {"content":"caf\\u00e9 \\ud83d\\ude00","role":"user"} ] ,"x":{"messages":[]}, "model":"m" }\n`;
  const wanted = text
    .replace('[ {"content', '[ {"role":"system","content":"Sé\\n\\"😀\\""},{"content')
    .replace('"caf', '"C\\n\\ncaf');
  assert.equal(editedText("openaiChat", text, before('Sé\n"😀"'), context("C")), wanted);
});

test("estimates follow what was added", () => {
  const prompt = promptOf("openaiChat", { messages: [user] });
  void prompt.read();
  const more = prompt.edited(context("C".repeat(4_000)));
  assert.ok(!isFailure(more));
  const { promptTokens } = more.estimate({ promptTokens: 10, maxCompletionTokens: 5 });
  assert.ok(promptTokens >= 1_010 && promptTokens < 1_020, String(promptTokens));
});

test("a large body is read in turns, and shared, not copied", async () => {
  const messages = Array.from({ length: 3_000 }, (_, index) => ({
    role: index % 2 === 0 ? "user" : "assistant",
    content: `${index} `.repeat(200),
  }));
  const body = Buffer.from(JSON.stringify({ model: "m", messages }));
  const prompt = new EditablePrompt(body, promptShapes.openaiChat);
  const reading = prompt.read();
  assert.ok(reading instanceof Promise);
  assert.equal((prompt.edited(before("S")) as Failure).code, "internal");
  const outline = await reading;
  assert.ok(!isFailure(outline));
  assert.equal(outline.messages, 3_000);
  assert.equal(prompt.read(), outline);
  const changed = prompt.edited(before("S"));
  assert.ok(!isFailure(changed));
  const { body: first, rest = [] } = changed.body;
  assert.equal(first.buffer, body.buffer);
  const parsed = JSON.parse(Buffer.concat([first, ...rest]).toString()) as { messages: unknown[] };
  assert.deepEqual(parsed.messages, [system("S"), ...messages]);
});

test("what rules read: texts with their roles, the caller's last words, cut between characters", () => {
  const prompt = promptOf("anthropicMessages", {
    system: [{ type: "text", text: "Be kind" }],
    messages: [
      { role: "user", content: "Eins 😀" },
      {
        role: "assistant",
        content: [
          { type: "text", text: "Zwei" },
          { type: "tool_use", input: { text: "no" } },
        ],
      },
      {
        role: "user",
        content: [
          { type: "image", source: {} },
          { type: "text", text: "Drei" },
          { type: "text", text: "Vier" },
        ],
      },
      { role: "user", content: [{ type: "tool_result", content: "no" }] },
    ],
  }).read();
  assert.ok(!isFailure(prompt) && !(prompt instanceof Promise));
  assert.equal(prompt.messages, 4);
  const told = (role: string, text: string): object => ({ role, text });
  assert.deepEqual(prompt.texts(1_000), {
    texts: [
      told("system", "Be kind"),
      told("user", "Eins 😀"),
      told("assistant", "Zwei"),
      told("user", "Drei"),
      told("user", "Vier"),
    ],
    isCut: false,
  });
  assert.deepEqual(prompt.lastUserText(1_000), { text: "Drei\nVier", isCut: false });
  assert.deepEqual(prompt.lastUserText(8), { text: "Drei\nVier", isCut: false });
  assert.deepEqual(prompt.lastUserText(4), { text: "Drei\n", isCut: true });
  assert.deepEqual(prompt.lastUserText(3), { text: "Dre", isCut: true });
  // The bytes of the smiley are left out as one.
  for (const [bytes, text] of [
    [13, "Eins "],
    [15, "Eins "],
    [16, "Eins 😀"],
  ] as const) {
    assert.deepEqual(prompt.texts(bytes).texts[1], told("user", text));
    assert.equal(prompt.texts(bytes).isCut, true);
  }
});

test("escapes are not cut in two, and broken texts are shown as they stand", () => {
  const escaped = promptOf(
    "openaiChat",
    String.raw`{"messages":[{"role":"user","content":"a\u00e9\ud83d\ude00b"}]}`,
  ).read();
  assert.ok(!isFailure(escaped) && !(escaped instanceof Promise));
  const cuts = [1, 3, 6, 7, 8, 13, 18, 19].map((bytes) => escaped.lastUserText(bytes)?.text);
  assert.deepEqual(cuts, ["a", "a", "a", "aé", "aé", "aé", "aé", "aé😀"]);
  const raw = promptOf("openaiChat", '{"messages":[{"role":"user","content":"new\nline \\ud800 x"}]}').read();
  assert.ok(!isFailure(raw) && !(raw instanceof Promise));
  assert.equal(raw.lastUserText(100)?.text, "new\nline \\ud800 x");
});

test("a message that says a thing twice is refused: readers differ in which counts", () => {
  const twice = '{"messages":[{"role":"user","content":"good","content":"bad"}]}';
  assert.equal((promptOf("openaiChat", twice).read() as Failure).code, "bad_request");
  const part = '{"messages":[{"role":"user","content":[{"type":"text","text":"good","text":"bad"}]}]}';
  const read = promptOf("openaiChat", part).read();
  assert.ok(!isFailure(read) && !(read instanceof Promise));
  assert.match(read.lastUserText(100)?.text ?? "", /good.*bad/);
});
