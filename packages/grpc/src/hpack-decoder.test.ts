/** Header compression against RFC 7541's own examples, and its bounds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { HpackDecoder } from "./hpack-decoder.ts";
import { encodeHeaders } from "./hpack-encoder.ts";
import { ConnectionError } from "./http2-codes.ts";
import { seededRandom } from "../test/harness.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

const malformed = (error: unknown): boolean => error instanceof ConnectionError && error.code === 9;

test("RFC 7541 C.4: three requests with Huffman coding and a dynamic table", () => {
  const decoder = new HpackDecoder(4096);
  const base = [":method", "GET", ":scheme", "http", ":path", "/", ":authority", "www.example.com"];
  assert.deepEqual(decoder.decode(hex("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff")).fields, base);
  assert.deepEqual(decoder.decode(hex("8286 84be 5886 a8eb 1064 9cbf")).fields, [
    ...base,
    "cache-control",
    "no-cache",
  ]);
  assert.deepEqual(
    decoder.decode(hex("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf")).fields,
    [":method", "GET", ":scheme", "https", ":path", "/index.html", ":authority", "www.example.com"].concat([
      "custom-key",
      "custom-value",
    ]),
  );
});

test("a table of the smallest size keeps nothing and stays in step", () => {
  const decoder = new HpackDecoder(4096);
  // Size 0, then a literal with indexing: it must not become entry 62.
  decoder.decode(hex("20 40 01 61 01 62"));
  assert.throws(() => decoder.decode(hex("be")), malformed);
});

test("old entries leave when the table is full", () => {
  const decoder = new HpackDecoder(1_000_000);
  const add = (name: string, value: string): Buffer =>
    Buffer.concat([
      Buffer.from([0x40, name.length]),
      Buffer.from(name),
      Buffer.from([127, value.length - 127]),
      Buffer.from(value),
    ]);
  const value = "v".repeat(200);
  for (let index = 0; index < 50; index++) decoder.decode(add(`n${String(index).padStart(2, "0")}`, value));
  // 4,096 bytes hold 17 entries of 3 + 200 + 32; the newest is 62.
  assert.deepEqual(decoder.decode(Buffer.from([0x80 | 62])).fields, ["n49", value]);
  assert.deepEqual(decoder.decode(Buffer.from([0x80 | 78])).fields, ["n33", value]);
  assert.throws(() => decoder.decode(Buffer.from([0x80 | 79])), malformed);
});

test("what the encoder writes comes back", () => {
  const random = seededRandom(7);
  const decoder = new HpackDecoder(1_000_000);
  for (let round = 0; round < 200; round++) {
    const fields = Array.from({ length: 1 + Math.floor(random() * 8) }, (): [string, string] => {
      const name = [":status", "x-key", "grpc-status", "content-type"][Math.floor(random() * 4)] ?? "";
      return [name, "ä".repeat(Math.floor(random() * 300))];
    });
    assert.deepEqual(decoder.decode(encodeHeaders(fields)).fields, fields.flat());
  }
});

test("equal blocks give the same object, and a block of the dynamic table does not", () => {
  const decoder = new HpackDecoder(4096);
  const block = encodeHeaders([["grpc-status", "0"]]);
  assert.equal(decoder.decode(block), decoder.decode(Buffer.from(block)));
  decoder.decode(hex("40 01 61 01 62"));
  const first = decoder.decode(hex("be"));
  decoder.decode(hex("40 01 63 01 64"));
  assert.deepEqual(
    [first.fields, decoder.decode(hex("be")).fields],
    [
      ["a", "b"],
      ["c", "d"],
    ],
  );
});

test("a list beyond the bound is flagged, not kept, and the table stays in step", () => {
  const decoder = new HpackDecoder(100);
  const block = decoder.decode(
    Buffer.concat([encodeHeaders([["x", "y".repeat(200)]]), hex("40 01 61 01 62")]),
  );
  assert.deepEqual([block.tooLarge, block.fields], [true, []]);
  assert.deepEqual(decoder.decode(hex("be")).fields, ["a", "b"]);
});

test("malformed blocks are compression errors", () => {
  const bad = [
    "80",
    "ff ff ff ff ff 0f",
    "40",
    "40 05 61",
    "00 01",
    "3f e2 1f",
    "40 82 00 00",
    "41 84 ff ff ff ff",
    "82 20",
  ];
  for (const block of bad) assert.throws(() => new HpackDecoder(4096).decode(hex(block)), malformed, block);
});
