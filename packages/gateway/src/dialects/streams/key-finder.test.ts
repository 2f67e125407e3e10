/** Names are found where they are names, and nowhere else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { endOfString, KeyFinder, readCount } from "./key-finder.ts";

const names = ["usage", "error", "content", "cached_tokens"];

function find(text: string): [string | undefined, string][] {
  const bytes = Buffer.from(text);
  const finder = new KeyFinder(names);
  finder.begin(bytes, 0, bytes.length);
  const found: [string | undefined, string][] = [];
  for (let key = finder.next(); key >= 0; key = finder.next()) {
    found.push([names[key], bytes.toString("utf8", finder.valueAt, finder.valueAt + 4)]);
  }
  return found;
}

test("names at any depth, with blanks around the colon", () => {
  assert.deepEqual(find('{"usage" :\n {"cached_tokens":12},"error":null}'), [
    ["usage", '{"ca'],
    ["cached_tokens", "12},"],
    ["error", "null"],
  ]);
});

test("what stands inside of strings is no name", () => {
  for (const value of ['"usage":{', '{"usage":1}', 'say "error": x', '\\"usage\\":', "usage"]) {
    assert.deepEqual(find(JSON.stringify({ text: value, [`x"usage`]: 1 })), [], value);
  }
});

test("values, longer names and names cut off are no names", () => {
  assert.deepEqual(find('{"x":"usage","usages":1,"usag":2,"contents":[],"usage'), []);
  assert.deepEqual(find('{"usage":'), []);
});

test("the end of a string, whatever is escaped in it", () => {
  for (const text of [
    "",
    "a",
    '"',
    "\\",
    '\\"',
    'x\\"y"',
    "\\".repeat(47),
    `${"a".repeat(47)}"b`,
    '"'.repeat(90),
  ]) {
    for (const pad of ["", "p".repeat(46), "p".repeat(47), "p".repeat(200)]) {
      const bytes = Buffer.from(`${JSON.stringify(pad + text)},"next"`);
      assert.equal(bytes[endOfString(bytes, 1, bytes.length)], 0x22);
      assert.equal(endOfString(bytes, 1, bytes.length), JSON.stringify(pad + text).length - 1, pad + text);
    }
  }
  assert.equal(endOfString(Buffer.from('"abc'), 1, 4), 4);
});

test("counts", () => {
  assert.equal(readCount(Buffer.from("1205,"), 0), 1205);
  assert.equal(readCount(Buffer.from("null"), 0), 0);
});
