// Streams through a whole gateway, in every cell of the table of dialects: what servers send arrives,
// however its bytes are cut and whatever its line ends, and as soon as it is sent.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { callers, serverAt } from "../harness/chat-wire.ts";
import { startCall, type ForwardCall } from "../harness/forward-call.ts";
import { cellModels, cellPools, cells, nameOf, type Cell } from "../harness/dialect-cells.ts";
import type { TestGateway } from "../harness/gateway.ts";
import { Cleanup, startPooledGateway } from "../harness/pooled-gateway.ts";
import { framesAt, openStream, startScriptedModel, type ScriptedModel } from "../harness/scripted-model.ts";
import { until } from "../harness/until.ts";

let server: ScriptedModel;
let gateway: TestGateway;
const cleanup = new Cleanup();

before(async () => {
  server = await startScriptedModel(cleanup, cellModels);
  gateway = await startPooledGateway(cleanup, { pools: cellPools([server.url]) });
});
after(() => cleanup.closeAll());

/** Two, three and four bytes a character, what JSON escapes, and what looks like framing. */
const pieces = ["Grüße ", "日本", "🙂🏽 ", 'a "quoted" \\ ', "data: [DONE]\n\n", "\u2028ende"];
const spoken = pieces.join("");

/** Asks the cell for a stream. */
function ask({ caller, pool }: Cell): ForwardCall {
  const { path, body } = callers[caller];
  return startCall(gateway.url, { path, body: body(pool, true) });
}

/** Ways to write a stream that mean the same. */
const spellings: Readonly<Record<string, (frames: readonly string[], path: string) => string>> = {
  "as it usually is": (frames) => frames.join(""),
  "with CRLF": (frames) => frames.join("").replaceAll("\n", "\r\n"),
  "without its last line end": (frames) => frames.join("").trimEnd(),
  "with comments or empty lines between": (frames, path) =>
    frames.map((frame) => (path.startsWith("/api/") ? `\n${frame}` : `: still here\n\n${frame}`)).join(""),
  "with fields of SSE in other orders, split data and a retry time": (frames, path) =>
    path.startsWith("/api/") ? frames.join("") : frames.map(respelt).join(""),
};

/** `data` first, over two lines where it is an object, without the blank behind the colon. */
function respelt(frame: string): string {
  const lines = frame.trimEnd().split("\n");
  const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(6));
  const others = lines.filter((line) => !line.startsWith("data:"));
  const split = data.flatMap((text) =>
    text.startsWith("{") ? ["data:{", `data:${text.slice(1)}`] : [`data:${text}`],
  );
  return `${[...split, "retry: 3000", ...others].join("\n")}\n\n`;
}

/** Sends the bytes in pieces of so many, each in a turn of its own. */
async function trickle(
  response: ReturnType<typeof openStream>,
  bytes: Buffer,
  pieceBytes: number,
): Promise<void> {
  for (let start = 0; start < bytes.length; start += pieceBytes) {
    response.write(bytes.subarray(start, start + pieceBytes));
    await new Promise(setImmediate);
  }
  response.end();
}

/** The answer is whole, says what the server said, and is the server's own bytes where those are passed on. */
function checkAnswer(cell: Cell, call: ForwardCall, sent: string): void {
  const wire = callers[cell.caller];
  assert.equal(call.status, 200, call.text);
  if (cell.isRelay) assert.equal(call.text, sent);
  assert.equal(wire.textOf(call.text), spoken);
  assert.ok(wire.isWhole(call.text), call.text);
  assert.ok(call.isComplete);
}

describe("a stream arrives as it was sent", () => {
  for (const cell of cells) {
    for (const [spelling, write] of Object.entries(spellings)) {
      it(`${nameOf(cell)}, ${spelling}, cut within characters and lines`, async () => {
        const sent = write(framesAt(cell.path, pieces), cell.path);
        for (const pieceBytes of spelling === "as it usually is" ? [1, 7, 1e6] : [5, 61]) {
          server.script = (call) => void trickle(openStream(call), Buffer.from(sent), pieceBytes);
          checkAnswer(cell, await ask(cell).ended(), sent);
        }
      });
    }
  }
});

describe("an event of a megabyte arrives", () => {
  const text = "ü🙂x".repeat(2 ** 20 / 7);
  for (const cell of cells) {
    it(nameOf(cell), async () => {
      const sent = framesAt(cell.path, ["a", text, "b"]).join("");
      server.script = (call) => void openStream(call).end(sent);
      const call = await ask(cell).ended();
      if (cell.isRelay) assert.ok(call.bytes.equals(Buffer.from(sent)));
      assert.ok(callers[cell.caller].textOf(call.text) === `a${text}b`);
      assert.ok(callers[cell.caller].isWhole(call.text));
    });
  }
});

describe("nothing is held back: each event arrives before the server sends the next", () => {
  for (const cell of cells) {
    it(nameOf(cell), async () => {
      const { opening, content, closing } = serverAt(cell.path).frames(["one ", "two ", "three"]);
      let response: ReturnType<typeof openStream> | undefined;
      server.script = (call) => void (response = openStream(call)).write(opening.join(""));
      const call = ask(cell);
      const stream = await until("the server is asked", () => response);
      let said = "";
      for (const [index, text] of ["one ", "two ", "three"].entries()) {
        said += text;
        stream.write(content[index]);
        await until(`${text}arrives`, () => callers[cell.caller].textOf(call.text) === said);
      }
      assert.equal(call.hasEnded, false);
      stream.end(closing.join(""));
      assert.ok(callers[cell.caller].isWhole((await call.ended()).text));
    });
  }
});

describe("the event of usage that the gateway asks for", () => {
  for (const [caller, field] of [
    ["chat", "messages"],
    ["completions", "prompt"],
  ] as const) {
    it(`is taken out again for a caller of ${caller} who did not ask for it`, async () => {
      const { path, body } = callers[caller];
      const { stream_options: _, ...plain } = body("openai", true) as { stream_options?: unknown };
      assert.ok(field in plain);
      const frames = framesAt(path, pieces);
      server.script = (call) => void trickle(openStream(call), Buffer.from(frames.join("")), 11);
      const call = await startCall(gateway.url, { path, body: plain }).ended();
      assert.equal(call.text, frames.filter((frame) => !frame.includes('"usage":{')).join(""));
      const asked = JSON.parse(server.calls.at(-1)?.body.toString() ?? "") as Record<string, unknown>;
      assert.deepEqual(asked["stream_options"], { include_usage: true });
    });
  }
});
