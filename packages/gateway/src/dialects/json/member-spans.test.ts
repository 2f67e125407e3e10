/** Members of the outermost object are found as JSON.parse finds them; what is ambiguous or broken is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../../core/errors.ts";
import { MemberFinder, type MemberSpans } from "./member-spans.ts";

const names = ["model", "stream", "messages", "max_tokens"];
const finder = new MemberFinder(names);

function find(text: string): MemberSpans {
  const spans = finder.find(Buffer.from(text));
  assert.ok(!isFailure(spans), `${text}: ${isFailure(spans) ? spans.message : ""}`);
  return spans;
}

function refusal(text: string): string {
  const spans = finder.find(Buffer.from(text));
  assert.ok(isFailure(spans), text);
  return `${spans.code} ${spans.message}`;
}

test("values are what the parser finds", () => {
  const bodies: object[] = [
    {},
    { model: "a" },
    { x: { model: "no", stream: [true] }, model: 'q"uo\\te', stream: true, max_tokens: -1.5e3 },
    { messages: [{ content: '"model":"x"}' }, { content: "}]\\" }], model: "東🙂", n: null, stream: false },
    { model: "", y: "x".repeat(100), z: `${"\\".repeat(50)}"` },
  ];
  for (const body of bodies) {
    for (const text of [
      JSON.stringify(body),
      JSON.stringify(body, null, 2),
      ` \n${JSON.stringify(body)}\r\n`,
    ]) {
      const spans = find(text);
      for (const [index, name] of names.entries()) {
        assert.deepEqual(spans.value(index), (body as Record<string, unknown>)[name], `${name} of ${text}`);
      }
    }
  }
});

test("literals are compared byte for byte", () => {
  const spans = find('{"stream":true,"max_tokens":null}');
  assert.equal(spans.is(1, "true"), true);
  assert.equal(spans.is(1, "false"), false);
  assert.equal(spans.is(3, "null"), true);
  assert.equal(spans.is(0, "null"), false);
});

test("a name that stands there twice is refused, however it is written", () => {
  for (const other of ["model", "Model", "MODEL", "mod\\u0065l", "\\u004dodel"]) {
    const text = `{"model":"a","${other}":"b"}`;
    assert.equal(refusal(text), "bad_request The body has the field model twice", text);
  }
  assert.equal(find('{"models":"a","\\\\model":"b","mod\\"el":1,"model":"c"}').value(0), "c");
});

test("a broken outline is no JSON, and every cut of a body is broken", () => {
  const broken = [
    "",
    "[]",
    "null",
    '"x"',
    "{",
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    "{a:1}",
    '{"a":1}x',
    '{"a" 1}',
    '{"a":1 "b":2}',
  ];
  for (const text of broken) assert.match(refusal(text), /^invalid_json /, text);
  const whole = '{"model":"a\\"","messages":[{"content":"x"}],"stream":true}';
  for (let at = 0; at < whole.length; at++)
    assert.match(refusal(whole.slice(0, at)), /^invalid_json /, String(at));
});
