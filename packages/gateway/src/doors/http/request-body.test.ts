import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { brotliCompressSync, constants, deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { BodyRequest } from "./body-request.ts";
import { wireAnswer } from "../../contracts/route.ts";
import { echoRoute, route, startDoor } from "../../../test/support/http-door.ts";
import type { RawAnswer } from "../../../test/support/raw-http-client.ts";

function codeOf({ body }: RawAnswer): string {
  return (JSON.parse(body.toString()) as { code: string }).code;
}

describe("a request body", () => {
  it("arrives whole, in one piece, in many, or chunked", async (t) => {
    const { connect } = await startDoor(t, {
      options: { maxBodyBytes: 8_000_000 * 2, maxTotalBodyBytes: 2e7 },
    });
    const client = await connect();
    for (const size of [0, 1, 1_000, 65_536, 700_000, 5_000_000]) {
      const body = Buffer.alloc(size, "0123456789abcdefghijklmnopqrstuvwxyz!");
      client.send("POST", "/echo", { body });
      assert.ok((await client.answer()).body.equals(body), `${size} bytes`);
    }
    client.write("POST /echo HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
    for (const piece of ["3\r\nabc\r\n", "2\r\n", "de\r\n", "0\r\n\r\n"]) {
      client.write(piece);
      await pause(2);
    }
    assert.equal((await client.answer()).body.toString(), "abcde");
    const large = Buffer.alloc(3_000_000, 7);
    client.write("POST /echo HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
    client.write(`${large.length.toString(16)}\r\n`);
    client.write(large);
    client.write("\r\n0\r\n\r\n");
    assert.ok((await client.answer()).body.equals(large));
  });

  it("keeps none of the memory it arrived in", async (t) => {
    const { connect } = await startDoor(t, { options: { maxBodyBytes: 1e8, maxTotalBodyBytes: 1e8 } });
    const client = await connect();
    const body = Buffer.alloc(20_000_000, "0123456789abcdefghijklmnopqrstuvwxyz!");
    const pieces = t.mock.method(BodyRequest.prototype, "push");
    client.send("POST", "/echo", { body });
    assert.ok((await client.answer()).body.equals(body));
    const given = pieces.mock.calls.map((call) => call.arguments[0]).filter((piece) => piece !== null);
    assert.ok(given.length > 100, `${given.length} pieces`);
    assert.ok(given.every((piece) => piece.length === 0));
  });

  it("announced too large is refused before it is read, so that the client can read why", async (t) => {
    const fixture = await startDoor(t);
    const client = await fixture.connect();
    const total = 100_000_000;
    client.write(`POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${total}\r\n\r\n`);
    const piece = Buffer.alloc(1_000_000);
    let sent = 0;
    const sending = (async () => {
      while (sent < total && client.socket.writable) {
        const accepted = client.socket.write(piece);
        sent += piece.length;
        if (!accepted) await Promise.race([new Promise((r) => client.socket.once("drain", r)), client.ended]);
      }
    })();
    const answer = await client.answer();
    assert.equal(answer.status, 413);
    assert.equal(codeOf(answer), "body_too_large");
    assert.match(answer.body.toString(), /1000000 bytes; this one has 100000000/);
    assert.equal(answer.headers.connection, "close");
    await client.ended;
    await sending;
    assert.ok(sent < 40_000_000, `${sent} bytes were taken`);
    assert.equal(fixture.heldBytes(), 0);
    const other = await fixture.connect();
    other.send("POST", "/echo", { body: "x" });
    assert.equal((await other.answer()).status, 200);
  });

  it("without a length is refused as soon as it is too large", async (t) => {
    const fixture = await startDoor(t);
    const client = await fixture.connect();
    client.write("POST /echo HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
    client.write(`${(1_500_000).toString(16)}\r\n`);
    client.write(Buffer.alloc(1_500_000));
    const answer = await client.answer();
    assert.equal(answer.status, 413);
    assert.equal(fixture.heldBytes(), 0);
    // The client sees the answer and stops: the door ends the connection.
    client.socket.end();
    await client.ended;
  });

  it("waits for a client that asks first", async (t) => {
    const { connect } = await startDoor(t, {
      admit: (head) => {
        const { forbid } = head.headers;
        return forbid === "yes" ? { code: "forbidden", message: "no" } : { id: "a", scopes: ["infer"] };
      },
    });
    const client = await connect();
    const head = "POST /echo HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n";
    client.write(`${head}content-length: 3\r\n\r\n`);
    assert.equal((await client.answer()).status, 100);
    client.write("abc");
    assert.equal((await client.answer()).body.toString(), "abc");
    for (const [more, status] of [
      ["content-length: 99000000\r\n\r\n", 413],
      ["content-length: 5\r\nforbid: yes\r\n\r\n", 403],
    ] as const) {
      const refused = await connect();
      refused.write(`${head}${more}`);
      const answer = await refused.answer();
      assert.equal(answer.status, status);
      assert.equal(answer.headers.connection, "close");
      refused.socket.end();
      await refused.ended;
    }
  });

  it("is bounded in sum over all requests", async (t) => {
    const fixture = await startDoor(t, {
      options: { maxBodyBytes: 1_000_000, maxTotalBodyBytes: 1_500_000 },
    });
    const first = await fixture.connect();
    first.write("POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n");
    first.write(Buffer.alloc(999_999));
    while (fixture.heldBytes() < 999_999) await pause(1);
    const second = await fixture.connect();
    second.send("POST", "/echo", { body: Buffer.alloc(900_000) });
    const refused = await second.answer();
    assert.equal(refused.status, 503);
    assert.equal(codeOf(refused), "overloaded");
    assert.equal(refused.headers["retry-after"], "1");
    assert.equal(fixture.heldBytes(), 999_999);
    first.write("x");
    assert.equal((await first.answer()).body.length, 1_000_000);
    first.socket.end();
    await first.ended;
    while (fixture.heldBytes() > 0) await pause(1);
  });

  it("may be compressed", async (t) => {
    const fixture = await startDoor(t);
    const client = await fixture.connect();
    const text = Buffer.from("hello ".repeat(50_000));
    for (const [name, body] of [
      ["gzip", gzipSync(text)],
      ["x-gzip", gzipSync(text)],
      ["deflate", deflateSync(text)],
      ["deflate", deflateRawSync(text)],
      ["br", brotliCompressSync(text)],
      ["identity", text],
    ] as const) {
      client.send("POST", "/echo", { body, headers: { "content-encoding": name } });
      const answer = await client.answer();
      assert.equal(answer.status, 200, name);
      assert.ok(answer.body.equals(text), name);
      assert.equal(fixture.heldBytes(), 0);
    }
    for (const [name, body, status] of [
      ["gzip", Buffer.from("no gzip"), 400],
      ["gzip", gzipSync(text).subarray(0, 100), 400],
      ["zstd", text, 415],
      ["gzip, gzip", text, 415],
    ] as const) {
      const other = await fixture.connect();
      other.send("POST", "/echo", { body, headers: { "content-encoding": name } });
      assert.equal((await other.answer()).status, status, name);
    }
  });

  it("cannot burst when it is decompressed", async (t) => {
    const fixture = await startDoor(t, { options: { maxTotalBodyBytes: 1_200_000 } });
    const bomb = gzipSync(Buffer.alloc(200_000_000));
    assert.ok(bomb.length < 250_000);
    for (const [body, encoding] of [
      [bomb, "gzip"],
      [
        brotliCompressSync(Buffer.alloc(50_000_000), { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
        "br",
      ],
    ] as const) {
      const client = await fixture.connect();
      client.send("POST", "/echo", { body, headers: { "content-encoding": encoding } });
      const answer = await client.answer();
      assert.equal(answer.status, 413);
      assert.match(answer.body.toString(), /decompressed/);
      assert.equal(fixture.heldBytes(), 0);
    }
    const small = await startDoor(t, { options: { maxTotalBodyBytes: 500_000 } });
    const client = await small.connect();
    client.send("POST", "/echo", { body: bomb, headers: { "content-encoding": "gzip" } });
    assert.equal((await client.answer()).status, 503);
    assert.equal(small.heldBytes(), 0);
  });

  it("that comes too slowly is answered 408 in the API's words, and ends the connection", async (t) => {
    const { connect } = await startDoor(t, { options: { receiveTimeoutMs: 150 } });
    const client = await connect();
    client.write("POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nabc");
    const answer = await client.answer();
    assert.equal(answer.status, 408);
    assert.equal(codeOf(answer), "request_timeout");
    assert.ok("id" in (JSON.parse(answer.body.toString()) as object));
    await client.ended;
    const headers = await connect();
    headers.write("POST /echo HTTP/1.1\r\nhost: local");
    assert.equal((await headers.answer()).status, 408);
    await headers.ended;
    const mute = await connect();
    await mute.ended;
    assert.equal(mute.rest.length, 0);
  });

  it("with broken chunks is answered 400", async (t) => {
    const fixture = await startDoor(t);
    for (const broken of ["xyz\r\n", "3\r\nabcdef\r\n", "5;a=b\r\nab\r\n0\r\n\r\n\r\n"]) {
      const client = await fixture.connect();
      client.write("POST /echo HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
      client.write(broken);
      const answer = await client.answer();
      assert.equal(answer.status, 400, broken);
      assert.equal(codeOf(answer), "bad_request");
      await client.ended;
    }
    assert.equal(fixture.heldBytes(), 0);
  });

  it("is not read where a route takes none", async (t) => {
    const { connect } = await startDoor(t, {
      routes: [
        route("/none", (call) => wireAnswer(200, "text/plain", [Buffer.from(String(call.body.length))]), {
          body: "none",
        }),
        echoRoute,
      ],
    });
    const client = await connect();
    for (let round = 0; round < 3; round++) {
      client.send("POST", "/none", { body: "x".repeat(70_000) });
      assert.equal((await client.answer()).body.toString(), "0");
    }
    client.send("POST", "/echo", { body: "still in step" });
    assert.equal((await client.answer()).body.toString(), "still in step");
  });
});
