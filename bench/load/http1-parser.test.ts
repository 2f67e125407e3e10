import assert from "node:assert/strict";
import { test } from "node:test";
import { Http1ResponseParser } from "./http1-parser.ts";
import type { ParseState } from "./http1-parser.ts";

interface Outcome {
  state: ParseState;
  status: number;
  keepAlive: boolean;
  body: string;
}

/** Feeds the text in pieces of `size` bytes, each in a buffer that is overwritten afterwards. */
function parse(text: string, size: number, options: { bodiless?: boolean; ends?: "after" } = {}): Outcome {
  const parser = new Http1ResponseParser();
  parser.start({ bodiless: options.bodiless ?? false, keepBody: true });
  const bytes = Buffer.from(text, "latin1");
  let state: ParseState = "partial";
  for (let at = 0; at < bytes.length && state === "partial"; at += size) {
    const piece = Buffer.concat([Buffer.from("??"), bytes.subarray(at, at + size), Buffer.from("\r\n\r\n")]);
    state = parser.read(piece, 2, piece.length - 4);
    piece.fill(0);
  }
  if (options.ends === "after") state = parser.end();
  return { state, status: parser.status, keepAlive: parser.keepAlive, body: parser.body.toString("latin1") };
}

const whole = (body: string, status = 200): Outcome => ({ state: "complete", status, keepAlive: true, body });
const SIZES = [1, 2, 3, 7, 10_000];

test("a length-framed body, in any pieces", () => {
  const text = "HTTP/1.1 200 OK\r\nDate: x\r\nCONTENT-LENGTH: 5\r\nConnection: keep-alive\r\n\r\nhello";
  for (const size of SIZES) assert.deepEqual(parse(text, size), whole("hello"));
});

test("a chunked body with extensions, many chunks and trailers, in any pieces", () => {
  const text =
    "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n" +
    "5\r\nhello\r\nA;x=ff\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n";
  for (const size of SIZES) assert.deepEqual(parse(text, size), whole("hello0123456789", 503));
});

test("chunked framing wins over a length, in either order", () => {
  for (const headers of [
    "Content-Length: 99\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 99",
  ]) {
    assert.deepEqual(parse(`HTTP/1.1 200 OK\r\n${headers}\r\n\r\n1\r\na\r\n0\r\n\r\n`, 4), whole("a"));
  }
});

test("no body: length 0, 204, 304 and HEAD", () => {
  assert.deepEqual(parse("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 5), whole(""));
  assert.deepEqual(parse("HTTP/1.1 204 No\r\n\r\n", 5), whole("", 204));
  assert.deepEqual(parse("HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n", 5), whole("", 304));
  assert.deepEqual(parse("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 5, { bodiless: true }), whole(""));
});

test("informational answers are skipped", () => {
  const text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  for (const size of SIZES) assert.deepEqual(parse(text, size), whole("ok"));
});

test("a body without framing ends with the connection", () => {
  const text = "HTTP/1.1 200 OK\r\nServer: x\r\n\r\nuntil the end";
  assert.deepEqual(parse(text, 6, { ends: "after" }), { ...whole("until the end"), keepAlive: false });
});

test("a connection that ends inside a framed answer leaves it partial", () => {
  assert.equal(
    parse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", 9, { ends: "after" }).state,
    "partial",
  );
  assert.equal(parse("HTTP/1.1 200 O", 9, { ends: "after" }).state, "partial");
});

test("connection: close and HTTP/1.0 end keep-alive", () => {
  assert.equal(
    parse("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n", 99).keepAlive,
    false,
  );
  assert.equal(parse("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 99).keepAlive, false);
});

test("names that only begin like a framing header mean nothing", () => {
  const text =
    "HTTP/1.1 200 OK\r\nContent-Length-Hint: 3\r\nConnection-Id: close\r\nContent-Length: 1\r\n\r\nx";
  assert.deepEqual(parse(text, 99), whole("x"));
});

test("what breaks the protocol is malformed", () => {
  const malformed = [
    "SSH-2.0-OpenSSH\r\n\r\n",
    "HTTP/1.1 abc\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
    `HTTP/1.1 200 OK\r\n${"x".repeat(70_000)}`,
  ];
  for (const text of malformed) assert.equal(parse(text, 100_000).state, "malformed", text.slice(0, 60));
});
