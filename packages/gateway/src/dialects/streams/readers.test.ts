/** Frames come out alike however the bytes are cut: every split in two, and one byte at a time. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LineReader } from "./line-reader.ts";
import { SseReader, type SseFrame } from "./sse-reader.ts";
import type { Frame, FrameReader } from "./frame.ts";

interface Told {
  readonly data: string | undefined;
  readonly event?: string;
  readonly id?: string;
  readonly isTail?: true;
}

/** A reader's frames as text, and all bytes it told of, which must be those it was given. */
class Listener {
  readonly told: Told[] = [];
  readonly raw: Uint8Array[] = [];
  tooLongAt: number | undefined;

  frame(frame: Frame): void {
    this.raw.push(frame.bytes.slice(frame.start, frame.end));
    const { event = "", id = "" } = frame as Partial<SseFrame>;
    const data =
      frame.dataEnd === 0
        ? undefined
        : Buffer.from(frame.data).toString("utf8", frame.dataStart, frame.dataEnd);
    this.told.push({
      data,
      ...(event === "" ? {} : { event }),
      ...(id === "" ? {} : { id }),
      ...(frame.isTail ? { isTail: true } : {}),
    });
  }

  tooLong(maxBytes: number): void {
    this.tooLongAt = maxBytes;
  }
}

type Make = (listener: Listener, maxBytes?: number) => FrameReader;
const sse: Make = (listener, maxBytes) => new SseReader(listener, maxBytes);
const lines: Make = (listener, maxBytes) => new LineReader(listener, maxBytes);

function read(make: Make, chunks: readonly Uint8Array[]): Listener {
  const listener = new Listener();
  const reader = make(listener);
  for (const chunk of chunks) reader.push(chunk);
  reader.end();
  return listener;
}

function everySplit(make: Make, bytes: Uint8Array, expected: readonly Told[]): void {
  const splits = Array.from({ length: bytes.length + 1 }, (_, at) => [bytes.slice(0, at), bytes.slice(at)]);
  const single = Array.from(bytes, (byte) => Uint8Array.of(byte));
  for (const chunks of [...splits, single, [bytes]]) {
    const { told, raw } = read(make, chunks);
    const cut = chunks.map((chunk) => chunk.length).join("+");
    assert.deepEqual(
      told.filter(({ data }) => data !== undefined),
      expected,
      `cut ${cut}`,
    );
    assert.deepEqual(Buffer.concat(raw), Buffer.from(bytes), `bytes, cut ${cut}`);
  }
}

const situations: [name: string, text: string, expected: Told[]][] = [
  ["plain events", 'data: {"a":1}\n\ndata: [DONE]\n\n', [{ data: '{"a":1}' }, { data: "[DONE]" }]],
  ["no space after the colon", "data:x\n\ndata:  y\n\n", [{ data: "x" }, { data: " y" }]],
  ["CRLF", "event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n", [{ data: "1", event: "a" }, { data: "2" }]],
  ["CR alone", "data: 1\r\rdata: 2\r\r", [{ data: "1" }, { data: "2" }]],
  [
    "mixed line ends",
    "data: 1\r\n\ndata: 2\n\r\ndata: 3\r\r\n",
    [{ data: "1" }, { data: "2" }, { data: "3" }],
  ],
  ["comments", ": ping\n\n:\n\ndata: 1\n: in between\n\n: last\n\n", [{ data: "1" }]],
  ["several data lines", "data: a\ndata: b\ndata:\nevent: e\n\n", [{ data: "a\nb\n", event: "e" }]],
  ["id and retry", "id: 7\nretry: 3000\ndata: x\n\n", [{ data: "x", id: "7" }]],
  ["a byte order mark", "\uFEFFdata: 1\n\n", [{ data: "1" }]],
  ["characters of many bytes", 'data: {"t":"Grüße 東京 🙂"}\n\n', [{ data: '{"t":"Grüße 東京 🙂"}' }]],
  ["no last blank line", "data: 1\n\ndata: [DONE]\n", [{ data: "1" }, { data: "[DONE]", isTail: true }]],
  ["no last line end", "data: 1\n\ndata: [DONE]", [{ data: "1" }, { data: "[DONE]", isTail: true }]],
  ["blank lines between", "\n\n\ndata: 1\n\n\n\ndata: 2\n\n\n", [{ data: "1" }, { data: "2" }]],
  ["other fields", "datax: 1\ndat: 2\ndata 3\neventual: x\nidea: y\ndata: 4\n\n", [{ data: "4" }]],
  ["an event without data", "event: ping\n\ndata: 1\n\n", [{ data: "1" }]],
];

describe("server-sent events, cut everywhere", () => {
  for (const [name, text, expected] of situations) {
    test(name, () => everySplit(sse, Buffer.from(text), expected));
  }

  test("an event of many chunks costs each byte once", () => {
    const listener = new Listener();
    const reader = new SseReader(listener);
    const piece = Buffer.alloc(64, "x");
    reader.push(Buffer.from("data: "));
    for (let i = 0; i < 30_000; i++) reader.push(piece);
    reader.push(Buffer.from("\n\n"));
    assert.equal(listener.told[0]?.data?.length, 30_000 * 64);
  });

  test("an event beyond the bound is refused once", () => {
    const listener = new Listener();
    const reader = new SseReader(listener, 100);
    reader.push(Buffer.from(`data: ${"x".repeat(60)}\n\ndata: `));
    assert.equal(listener.tooLongAt, undefined);
    reader.push(Buffer.alloc(101, "x"));
    assert.equal(listener.tooLongAt, 100);
    reader.push(Buffer.from("\n\ndata: 1\n\n"));
    reader.end();
    assert.equal(listener.told.length, 1);
  });

  test("a reader that is stopped tells no more, not even of the same chunk", () => {
    const told: number[] = [];
    const reader: SseReader = new SseReader({
      frame: () => {
        told.push(1);
        reader.stop();
      },
      tooLong: () => assert.fail(),
    });
    reader.push(Buffer.from("data: 1\n\ndata: 2\n\n"));
    reader.push(Buffer.from("data: 3\n\n"));
    reader.end();
    assert.equal(told.length, 1);
  });
});

const lineSituations: [name: string, text: string, expected: Told[]][] = [
  ["plain lines", '{"a":1}\n{"b":2}\n', [{ data: '{"a":1}' }, { data: '{"b":2}' }]],
  ["CRLF and blanks", ' {"a":1} \r\n\r\n\n{"b":2}\r\n', [{ data: '{"a":1}' }, { data: '{"b":2}' }]],
  ["no last line feed", '{"a":1}\n{"b":2}', [{ data: '{"a":1}' }, { data: '{"b":2}', isTail: true }]],
  ["characters of many bytes", '{"t":"東🙂"}\n', [{ data: '{"t":"東🙂"}' }]],
  ["a byte order mark", '\uFEFF{"a":1}\n', [{ data: '{"a":1}' }]],
  ["nothing", "", []],
];

describe("lines of JSON, cut everywhere", () => {
  for (const [name, text, expected] of lineSituations) {
    test(name, () => everySplit(lines, Buffer.from(text), expected));
  }

  test("a line beyond the bound is refused", () => {
    const listener = new Listener();
    const reader = new LineReader(listener, 10);
    reader.push(Buffer.alloc(11, "x"));
    assert.equal(listener.tooLongAt, 10);
  });
});
