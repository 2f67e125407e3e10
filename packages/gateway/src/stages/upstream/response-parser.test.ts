// Answers of HTTP/1.1 servers, however their bytes are cut, and what is no answer.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { maxHeadBytes, ResponseParser } from "./response-parser.ts";
import type { ResponseHead } from "./response-head.ts";

interface Seen {
  head: ResponseHead | undefined;
  body: string;
  /** Undefined while the answer is not complete. */
  isClean: boolean | undefined;
  problem: string | undefined;
}

/** Reads the pieces as the answer to one request. */
function read(
  pieces: readonly string[],
  how: { readonly isHeadOnly?: boolean; readonly closes?: boolean } = {},
): Seen {
  const seen: Seen = { head: undefined, body: "", isClean: undefined, problem: undefined };
  const parser = new ResponseParser({
    onHead: (head) => void (seen.head = head),
    onBody: (piece) => void (seen.body += piece.toString("latin1")),
    onEnd: (isClean) => void (seen.isClean = isClean),
  });
  parser.begin(how.isHeadOnly ?? false);
  for (const piece of pieces) {
    if (piece === "" || parser.isEnded) continue;
    seen.problem = parser.push(Buffer.from(piece, "latin1"));
    if (seen.problem !== undefined) return seen;
  }
  if (how.closes === true) parser.close();
  return seen;
}

const counted = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
const chunked =
  "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nX-A: 1\r\nx-a:\t2 \r\n\r\n" +
  "5\r\nhello\r\n00c;name=value\r\n, all of you\r\n1 \r\n!\r\n0\r\nx-sum: 1\r\nx-more: 2\r\n\r\n";

test("heads that come again and again are told apart by every character", () => {
  for (let round = 0; round < 3; round++) {
    for (let length = 0; length < 20; length++) {
      const body = "x".repeat(length);
      const seen = read([`HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\nx-n: ${length}\r\n\r\n${body}`]);
      assert.equal(seen.head?.framing, length);
      assert.equal(seen.head.headers["x-n"], String(length));
      assert.deepEqual([seen.body, seen.isClean], [body, true]);
    }
  }
});

describe("the last piece of a body", () => {
  const pieces = (text: string): readonly (readonly [string, boolean])[] => {
    const seen: (readonly [string, boolean])[] = [];
    const parser = new ResponseParser({
      onHead: () => undefined,
      onBody: (piece, isLast) => seen.push([piece.toString("latin1"), isLast]),
      onEnd: () => undefined,
    });
    parser.begin(false);
    for (const piece of text.split("|")) parser.push(Buffer.from(piece, "latin1"));
    return seen;
  };

  test("is called so where the end comes with it", () => {
    const head = "HTTP/1.1 200 OK\r\n";
    const inChunks = `${head}transfer-encoding: chunked\r\n\r\n`;
    assert.deepEqual(pieces(`${inChunks}1\r\na\r\n|1\r\nb\r\n0\r\n\r\n`), [
      ["a", false],
      ["b", true],
    ]);
    assert.deepEqual(pieces(`${inChunks}1\r\na\r\n0\r\n|\r\n`), [["a", false]]);
    assert.deepEqual(pieces(`${head}content-length: 2\r\n\r\n|a|b`), [
      ["a", false],
      ["b", true],
    ]);
    assert.deepEqual(pieces(`${head}\r\na|b`), [
      ["a", false],
      ["b", false],
    ]);
  });
});

describe("an answer is read whole", () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ["by its length", counted, "hello"],
    ["in chunks, with extensions and trailers", chunked, "hello, all of you!"],
    [
      "behind interim answers",
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${counted}`,
      "hello",
    ],
    ["without a reason", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", "ok"],
    ["of no bytes", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""],
    ["that has no body by its status", "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", ""],
  ];
  for (const [name, text, body] of cases) {
    test(name, () => {
      for (let cut = 0; cut <= text.length; cut++) {
        const seen = read([text.slice(0, cut), text.slice(cut)]);
        assert.deepEqual([seen.problem, seen.body, seen.isClean], [undefined, body, true], `cut at ${cut}`);
      }
      assert.equal(read(text.split("")).body, body, "byte by byte");
    });
  }

  test("cut anywhere into any number of pieces", () => {
    let state = 7;
    const below = (limit: number): number => (state = (state * 48_271) % 2_147_483_647) % limit;
    for (let turn = 0; turn < 500; turn++) {
      const pieces: string[] = [];
      for (let at = 0; at < chunked.length;) {
        const length = 1 + below(40);
        pieces.push(chunked.slice(at, at + length));
        at += length;
      }
      assert.equal(read(pieces).body, "hello, all of you!", JSON.stringify(pieces));
    }
  });

  test("up to the end of the connection where it says no length", () => {
    const text = "HTTP/1.1 200 OK\r\n\r\nsome";
    assert.equal(read([text, " more"]).isClean, undefined);
    const seen = read([text, " more"], { closes: true });
    assert.deepEqual([seen.body, seen.isClean], ["some more", true]);
  });

  test("to a HEAD, without the body that its head tells of", () => {
    const seen = read([counted.slice(0, -5)], { isHeadOnly: true });
    assert.deepEqual([seen.body, seen.isClean], ["", true]);
  });

  test("with its headers in lower case, repeated ones as a list", () => {
    const { head } = read([chunked]);
    assert.equal(head?.status, 200);
    assert.deepEqual({ ...head?.headers }, { "transfer-encoding": "chunked", "x-a": ["1", "2"] });
    const odd = read([
      "HTTP/1.1 200 OK\r\n__proto__: a\r\n__proto__: b\r\nconstructor: c\r\ncontent-length: 0\r\n\r\n",
    ]);
    assert.deepEqual(odd.head?.headers["__proto__"], ["a", "b"]);
    assert.equal(odd.head?.headers["constructor"], "c");
  });

  test("and what stands behind it is told", () => {
    assert.equal(read([`${counted}HTTP/1.1 200 OK`]).isClean, false);
    assert.equal(read([`${chunked}x`]).isClean, false);
    assert.equal(read(["HTTP/1.1 204 No Content\r\n\r\nx"]).isClean, false);
  });
});

describe("a connection is kept", () => {
  const cases: readonly (readonly [string, boolean, number | undefined])[] = [
    ["HTTP/1.1 200 OK", true, undefined],
    ["HTTP/1.1 200 OK\r\nConnection: Close", false, undefined],
    ["HTTP/1.1 200 OK\r\nConnection: x, close", false, undefined],
    ["HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5, max=100", true, 5_000],
    ["HTTP/1.0 200 OK", false, undefined],
    ["HTTP/1.0 200 OK\r\nConnection: Keep-Alive", true, undefined],
  ];
  for (const [text, keepsAlive, keepAliveMs] of cases) {
    test(JSON.stringify(text), () => {
      const { head } = read([`${text}\r\ncontent-length: 0\r\n\r\n`]);
      assert.deepEqual([head?.keepsAlive, head?.keepAliveMs], [keepsAlive, keepAliveMs]);
    });
  }
});

describe("what is no answer is refused", () => {
  const ok = "HTTP/1.1 200 OK\r\n";
  const inChunks = `${ok}transfer-encoding: chunked\r\n\r\n`;
  const cases: readonly (readonly [string, string])[] = [
    ["another protocol", "SSH-2.0-OpenSSH\r\n"],
    ["HTTP/2", "HTTP/2 200 OK\r\n\r\n"],
    ["a status that is none", "HTTP/1.1 20 OK\r\n\r\n"],
    ["a line without a name", `${ok}: x\r\n\r\n`],
    ["a line without a colon", `${ok}x\r\n\r\n`],
    ["a folded line", `${ok}a: b\r\n c: d\r\n\r\n`],
    ["a name with a space", `${ok}content-length : 5\r\n\r\n`],
    ["a line that ends in a line feed alone", `${ok}a: b\nc: d\r\n\r\n`],
    ["a status line that ends in a line feed alone", "HTTP/1.1 200 OK\na: b\r\n\r\n"],
    ["a control character", `${ok}a: b\0c\r\n\r\n`],
    ["a length that is no number", `${ok}content-length: 5x\r\n\r\n`],
    ["a negative length", `${ok}content-length: -5\r\n\r\n`],
    ["a carriage return in a value", `${ok}x-a: b\rc\r\n\r\n`],
    ["a line feed alone behind a value", `${ok}x-a: b\nx-b: c\r\n\r\n`],
    ["a status of two digits", "HTTP/1.1 20  OK\r\ncontent-length: 5\r\n\r\nhello"],
    ["two lengths", `${ok}content-length: 5\r\ncontent-length: 6\r\n\r\n`],
    ["a length beside chunks", `${ok}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n`],
    ["an upgrade nobody asked for", "HTTP/1.1 101 Switching Protocols\r\n\r\n"],
    ["a chunk without a size", `${inChunks}\r\n`],
    ["a chunk whose size is no number", `${inChunks}xyz\r\n`],
    ["a chunk of impossible size", `${inChunks}fffffffffffff\r\n`],
    ["a chunk that is longer than it says", `${inChunks}2\r\nabc\r\n`],
    ["a chunk whose size ends in a line feed alone", `${inChunks}2\nab\r\n`],
    ["a chunk whose extension hides a line feed", `${inChunks}2;a\n\r\nab\r\n`],
    ["extensions without end", `${inChunks}2;${"a".repeat(40_000)}`],
    ["trailers without end", `${inChunks}0\r\n${"a: b\r\n".repeat(10_000)}`],
    ["interim answers without end", "HTTP/1.1 102 Processing\r\n\r\n".repeat(100)],
  ];
  for (const [name, text] of cases) {
    test(name, () => {
      assert.equal(typeof read([text]).problem, "string");
      const cut = read(text.match(/[^]{1,7}/g) ?? []);
      assert.equal(typeof cut.problem, "string", "in small pieces");
      assert.equal(cut.isClean, undefined);
    });
  }

  test("a head that does not end", () => {
    const pieces = Array.from({ length: 100 }, () => `x-${"a".repeat(1_000)}: b\r\n`);
    const { problem } = read([ok, ...pieces]);
    assert.match(problem ?? "", /too long/);
    assert.ok(maxHeadBytes < 100_000);
  });
});
