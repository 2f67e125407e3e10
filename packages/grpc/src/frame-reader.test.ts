/** The frame reader gives the same events however its input is cut, and bears any input. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameReader } from "./frame-reader.ts";
import { ConnectionError, connectionPreface, frameFlag } from "./http2-codes.ts";
import { frame, seededRandom } from "../test/harness.ts";

const limits = { maxFrameBytes: 65_536, maxControlBytes: 16_384, expectPreface: true };

/** Reads chunks and gives the events, DATA pieces joined, as comparable text. */
function events(chunks: readonly Buffer[]): string[] {
  const seen: string[] = [];
  let data: Buffer[] = [];
  const reader = new FrameReader(
    {
      beginData: (streamId, length) => {
        data = [];
        seen.push(`begin ${streamId} ${length}`);
      },
      data: (_id, bytes) => void data.push(Buffer.from(bytes)),
      endData: (streamId, end) => seen.push(`end ${streamId} ${end} ${Buffer.concat(data).toString("hex")}`),
      frame: (type, flags, streamId, payload) =>
        seen.push(`${type} ${flags} ${streamId} ${payload.toString("hex")}`),
    },
    limits,
  );
  for (const chunk of chunks) reader.read(chunk);
  return seen;
}

function randomBytes(random: () => number, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
}

function randomFrame(random: () => number): Buffer {
  const streamId = 1 + Math.floor(random() * 5);
  const body = randomBytes(random, Math.floor(random() ** 3 * 3_000));
  if (random() < 0.5) return frame(1 + Math.floor(random() * 12), Math.floor(random() * 256), streamId, body);
  const end = random() < 0.3 ? frameFlag.endStream : 0;
  if (random() < 0.5) return frame(0, end, streamId, body);
  const padding = Math.floor(random() * 20);
  return frame(
    0,
    end | frameFlag.padded,
    streamId,
    Buffer.concat([Buffer.from([padding]), body, Buffer.alloc(padding)]),
  );
}

function cut(bytes: Buffer, random: () => number): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = 1 + Math.floor(random() ** 4 * 5_000);
    chunks.push(bytes.subarray(at, at + length));
    at += length;
  }
  return chunks;
}

test("chunk borders do not matter", () => {
  const random = seededRandom(11);
  for (let round = 0; round < 150; round++) {
    const frames = Array.from({ length: 1 + Math.floor(random() * 30) }, () => randomFrame(random));
    const bytes = Buffer.concat([Buffer.from(connectionPreface), ...frames]);
    const whole = events([bytes]);
    assert.ok(whole.length >= frames.length);
    assert.deepEqual(events(cut(bytes, random)), whole);
    if (round < 10) assert.deepEqual(events([...bytes].map((byte) => Buffer.from([byte]))), whole);
  }
});

test("garbage is refused by ConnectionError alone", () => {
  const random = seededRandom(12);
  for (let round = 0; round < 2_000; round++) {
    const prefix = random() < 0.9 ? connectionPreface : "";
    const bytes = Buffer.concat([Buffer.from(prefix), randomBytes(random, 300)]);
    try {
      events(cut(bytes, random));
    } catch (error) {
      assert.ok(error instanceof ConnectionError, String(error));
    }
  }
});
