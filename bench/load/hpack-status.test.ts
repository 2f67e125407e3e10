import assert from "node:assert/strict";
import { test } from "node:test";
import { HpackStatusReader } from "./hpack-status.ts";
import type { BlockStatus } from "./hpack-status.ts";

function read(hex: string): BlockStatus | "unreadable" {
  const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
  const into = { httpStatus: -1, grpcStatus: -1 };
  return new HpackStatusReader().read(bytes, 0, bytes.length, into) ? into : "unreadable";
}

const GRPC_STATUS = "0b 677270632d737461747573";

test("statuses of the static table, as literals and in Huffman code (RFC 7541 C.6)", () => {
  assert.deepEqual(read("88"), { httpStatus: 200, grpcStatus: -1 });
  assert.deepEqual(read("8d"), { httpStatus: 404, grpcStatus: -1 });
  assert.deepEqual(read("48 03 333032"), { httpStatus: 302, grpcStatus: -1 });
  assert.deepEqual(read("48 82 6402"), { httpStatus: 302, grpcStatus: -1 });
  assert.deepEqual(read("48 83 640eff"), { httpStatus: 307, grpcStatus: -1 });
});

test("grpc-status with a plain and a Huffman name, indexed or not, after a table size update", () => {
  assert.deepEqual(read(`00 ${GRPC_STATUS} 01 30`), { httpStatus: -1, grpcStatus: 0 });
  assert.deepEqual(read(`20 40 ${GRPC_STATUS} 02 3134`), { httpStatus: -1, grpcStatus: 14 });
  assert.deepEqual(read("10 88 9acac8b21234da8f 01 37"), { httpStatus: -1, grpcStatus: 7 });
});

test("other fields are passed over", () => {
  const other = "5f 05 68656c6c6f 00 03 616263 02 6465 0f 10 01 78";
  assert.deepEqual(read(`88 ${other} 00 ${GRPC_STATUS} 01 35`), { httpStatus: 200, grpcStatus: 5 });
});

test("dynamic table entries, cut strings and statuses that are no numbers are unreadable", () => {
  for (const block of [
    "be",
    "80",
    "48 03 33",
    "00 03 6162",
    `00 ${GRPC_STATUS} 01 78`,
    `00 ${GRPC_STATUS} 00`,
    "7f ff",
  ]) {
    assert.equal(read(block), "unreadable", block);
  }
});
