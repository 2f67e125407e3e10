/** JSON of callers: bounds hold before anything is built, and errors say what was wrong. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isFailure } from "../../core/errors.ts";
import { parseJson, parseJsonExactly } from "./parse-json.ts";
import { defaultJsonLimits, scanJson } from "./scan-json.ts";

function refusal(text: string | Uint8Array): string {
  const parsed = parseJson(typeof text === "string" ? Buffer.from(text) : text, defaultJsonLimits);
  assert.ok(isFailure(parsed));
  assert.equal(parsed.code, "invalid_json");
  assert.ok(parsed.message.length < 300, parsed.message);
  return parsed.message;
}

test("200,000 levels are refused, closed or not", () => {
  const levels = 200_000;
  const deep = "The JSON nests deeper than 64 levels";
  assert.equal(refusal("[".repeat(levels)), deep);
  assert.equal(refusal("[".repeat(levels) + "]".repeat(levels)), deep);
  assert.equal(refusal('{"a":'.repeat(levels)), deep);
  assert.equal(refusal(`{"inputs":[{"data":${"[ ".repeat(levels)}`), deep);
});

test("the depth is counted outside of strings only", () => {
  const scan = (value: unknown, maxDepth: number) =>
    scanJson(Buffer.from(typeof value === "string" ? value : JSON.stringify(value)), {
      maxDepth,
      maxValues: 1000,
    });
  assert.equal(scan(["[[[[", '"[[[[\\', { "{{{": 1 }], 2), undefined);
  assert.equal(scan([[[]], [[]], [[]]], 3), undefined);
  assert.equal(scan([[[]]], 2), "maxDepth");
  assert.equal(scan('["unterminated [[[[', 2), undefined);
});

test("a text that would take far more memory than it has bytes is refused unparsed", () => {
  const limits = { maxDepth: 64, maxValues: 10_000 };
  for (const text of ["[],", "{},", "1,", '"",', '{"a":1},']) {
    const parsed = parseJson(Buffer.from(`[${text.repeat(50_000)}0]`), limits);
    assert.ok(isFailure(parsed), text);
    assert.equal(parsed.code, "body_too_large");
    assert.match(parsed.message, /more than 10000 values; send tensors as binary data/);
  }
  assert.ok(!isFailure(parseJson(Buffer.from(`[${"0.12345,".repeat(9_000)}0]`), limits)));
});

test("NaN and infinities are named, with a way out", () => {
  for (const text of ['{"data":[1,NaN]}', '{"data":[Infinity]}', '{"data":[0, -Infinity, 1]}', '{"x": NaN}'])
    assert.match(
      refusal(text),
      /NaN and Infinity are no JSON numbers, send such tensors as binary data/,
      text,
    );
  assert.doesNotMatch(refusal('{"a":"NaN","b"}'), /no JSON numbers/);
});

test("syntax errors, an empty body and other encodings are told apart", () => {
  assert.equal(refusal(""), "The body is empty; expected JSON");
  const form = '--b\r\nContent-Disposition: form-data; name="features"\r\n\r\n1\r\n--b--\r\n';
  assert.match(refusal(form), /^The body is a form \(multipart\/form-data\); expected JSON/);
  assert.match(refusal('{"a":1'), /not valid JSON: Expected/);
  assert.match(refusal("nonsense"), /not valid JSON: Unexpected token/);
  assert.equal(refusal(Buffer.from([0x22, 0xff, 0x22])), "The body is not UTF-8 text");
  assert.equal(refusal(Buffer.from('{"a":1}', "utf16le").fill(0xd8, 1, 2)), "The body is not UTF-8 text");
});

test("exact parsing keeps the digits of 64-bit integers and nothing else", () => {
  const text =
    '[9007199254740993,-9223372036854775808,1,1.5,1e300,12345678901234567890123,"9007199254740993"]';
  assert.deepEqual(parseJsonExactly(Buffer.from(text)), [
    9_007_199_254_740_993n,
    -(2n ** 63n),
    1,
    1.5,
    1e300,
    Number("12345678901234567890123"),
    "9007199254740993",
  ]);
});
