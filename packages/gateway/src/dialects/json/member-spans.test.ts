/** Members of the outermost object are found as JSON.parse finds them; what is ambiguous or broken is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../../core/errors.ts";
import { createDraw } from "../../../test/support/random-chats.ts";
import { endOfValue, MemberFinder, type MemberSpans } from "./member-spans.ts";
import { ValueBytes } from "./value-bytes.ts";
import { ValueEnd } from "./value-end.ts";

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

/** Runs work to its end; the number of turns it took, and its result. */
function run<Result>(work: Generator<void, Result>): readonly [turns: number, result: Result] {
  for (let turns = 1; ; turns++) {
    const { done, value } = work.next();
    if (done === true) return [turns, value];
  }
}

test("the end of a value is the same wherever the search pauses", () => {
  const texts = [
    '{"a":[1,{"b":"]}\\"x\\\\"}],"c":"\\\\\\""} ',
    '"\\"\\"\\\\" ',
    "-12.5e7,",
    '["never ends',
    '"never \\"',
    "[[]",
    "",
    "}",
    "123",
  ];
  const draw = createDraw(7);
  for (let i = 0; i < 200; i++) {
    texts.push(
      Array.from({ length: 1 + draw.int(30) }, () =>
        draw.pick(['"', "\\", "[", "]", "{", "}", "1", "a"]),
      ).join(""),
    );
  }
  // Long enough to be searched rather than looked at byte by byte.
  const slashes = [61, 64, 65, 130].map((count) => "\\".repeat(count));
  const long = ['"', "[", "]", '\\"', "\\\\", "x".repeat(200), ...slashes] as const;
  for (let i = 0; i < 200; i++) {
    texts.push(`["${Array.from({ length: 1 + draw.int(8) }, () => draw.pick(long)).join("")}`);
  }
  for (const text of texts) {
    const bytes = Buffer.from(text);
    const expected = endOfValue(bytes, 0, bytes.length);
    const stride = bytes.length < 100 ? 1 : 37;
    for (let step = 1; step <= bytes.length + 1; step += stride) {
      const search = new ValueEnd(bytes);
      search.begin(0);
      let end = -1;
      for (let limit = step; end < 0; limit += step) end = search.find(limit);
      assert.equal(end, expected, `${text} by ${step}`);
    }
  }
});

test("a large body is found in turns as it is at once, whatever makes it large", () => {
  const quotes = '\\"'.repeat(1_000_000);
  const bodies = [
    { model: "m", messages: Array.from({ length: 60_000 }, () => ({ content: "x" })), stream: true },
    Object.fromEntries([...Array.from({ length: 200_000 }, (_, i) => [`k${i}`, 1]), ["model", "late"]]),
    { messages: [{ content: "x".repeat(3_000_000), images: ["y".repeat(2_000_000)] }], max_tokens: 5 },
    { messages: Array.from({ length: 1_000_000 }, () => 1), stream: false },
  ].map((body) => JSON.stringify(body));
  bodies.push(`{"stream":true,"x":"${quotes}","model":"m"}`, `{"${quotes}":1,"model":"m"}`);
  const images = new ValueBytes({ images: "" });
  for (const text of bodies) {
    const whole = Buffer.from(text);
    for (const bytes of [
      whole,
      whole.subarray(0, -1),
      whole.subarray(0, 1_500_000),
      Buffer.from(`${text}x`),
    ]) {
      const expected = finder.find(bytes);
      const [turns, found] = run(finder.findInTurns(bytes));
      if (isFailure(expected)) assert.deepEqual(found, expected);
      else {
        assert.ok(!isFailure(found));
        for (const index of names.keys())
          assert.deepEqual(
            [found.start(index), found.end(index)],
            [expected.start(index), expected.end(index)],
          );
      }
      const isOneString = text.includes("yyy");
      assert.ok(isOneString || turns > 1, `${turns} turns for ${text.slice(0, 40)}`);
      assert.deepEqual(run(images.inTurns(bytes))[1], images.of(bytes));
    }
  }
});

test("attachments are counted one by one, by their names and beginnings", () => {
  const urls = new ValueBytes({ url: "data:", image_url: "data:", images: "" });
  const bytesOf = (body: unknown): [number, number] => {
    const { count, bytes } = urls.of(Buffer.from(JSON.stringify(body)));
    assert.deepEqual(
      run(urls.inTurns(Buffer.from(JSON.stringify(body))))[1],
      urls.of(Buffer.from(JSON.stringify(body))),
    );
    return [count, bytes];
  };
  assert.deepEqual(bytesOf({ image_url: { url: "data:x" }, text: '"url":"data:y"' }), [1, 8]);
  assert.deepEqual(bytesOf([{ image_url: "data:x" }, { image_url: "https://a/b" }, { url: 1 }]), [1, 8]);
  assert.deepEqual(bytesOf({ url: "dat", images: [], type: "image_url" }), [0, 0]);
  assert.deepEqual(bytesOf({ images: ["ab", "c", 7, "d"], role: "user", url: "data:" }), [3, 14]);
  for (const cut of ['{"images":["a', '{"images":["a",', '{"images":', '{"images":["a"'])
    assert.deepEqual(urls.of(Buffer.from(cut)).count, cut.includes('a"') ? 1 : 0, cut);
});
