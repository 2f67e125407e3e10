// Chats, pictures and answers that are too large for the event loop, through a whole gateway: translated by a
// thread, byte for byte what small ones become, refused alike, and forgotten when their caller leaves.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { callers, serverAt, type CallerName } from "../harness/chat-wire.ts";
import { cellModels, cellPools, cells, nameOf, sampleOf, type Cell } from "../harness/dialect-cells.ts";
import { startCall } from "../harness/forward-call.ts";
import type { HttpAnswer, HttpClient } from "../harness/http-client.ts";
import type { TestGateway } from "../harness/gateway.ts";
import { Cleanup, startPooledGateway } from "../harness/pooled-gateway.ts";
import { pathOf, startScriptedModel, type ScriptedModel } from "../harness/scripted-model.ts";
import { until } from "../harness/until.ts";

/** Texts up to this size may be parsed and written on the event loop. */
const inPlaceBytes = 256 * 1024;

/** As base64: 2 MB. */
const picture = Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), randomBytes(1_500_000)]).toString(
  "base64",
);
const address = `data:image/png;base64,${picture}`;

/** What callers show the model. */
const shown: Readonly<Record<CallerName, object | undefined>> = {
  chat: {
    messages: [
      {
        role: "user",
        content: [
          { type: "text", text: "Look" },
          { type: "image_url", image_url: { url: address } },
        ],
      },
    ],
  },
  completions: undefined,
  responses: { input: [{ role: "user", content: [{ type: "input_image", image_url: address }] }] },
  "ollama chat": { messages: [{ role: "user", content: "Look", images: [picture] }] },
  generate: { prompt: "Look", images: [picture] },
  messages: {
    messages: [
      {
        role: "user",
        content: [{ type: "image", source: { type: "base64", media_type: "image/png", data: picture } }],
      },
    ],
  },
};

const parse = JSON.parse;
const stringify = JSON.stringify;

/** Runs something and gives back the longest text that this thread, which is the gateway's, parsed or wrote meanwhile. */
async function longestJson(run: () => Promise<unknown>): Promise<number> {
  let longest = 0;
  JSON.parse = ((text: string, ...rest: never[]) => {
    longest = Math.max(longest, text.length);
    return parse(text, ...rest) as unknown;
  }) as typeof JSON.parse;
  JSON.stringify = ((...args: Parameters<typeof stringify>) => {
    const text = stringify(...args);
    longest = Math.max(longest, (text as string | undefined)?.length ?? 0);
    return text;
  }) as typeof JSON.stringify;
  try {
    await run();
  } finally {
    JSON.parse = parse;
    JSON.stringify = stringify;
  }
  return longest;
}

const translated = cells.filter(({ isRelay }) => !isRelay);

describe("large chats", () => {
  const cleanup = new Cleanup();
  let server: ScriptedModel;
  let gateway: TestGateway;
  let client: HttpClient;
  /** What the server says, whichever address it is asked at. */
  let answers: ReadonlyMap<string, string>;
  const say = (text: string): void => {
    answers = new Map(cells.map(({ path }) => [path, serverAt(path).whole(text)]));
  };

  before(async () => {
    server = await startScriptedModel(cleanup, cellModels, (call) => {
      call.response.writeHead(200, { "content-type": "application/json" }).end(answers.get(pathOf(call)));
    });
    gateway = await startPooledGateway(cleanup, { pools: cellPools([server.url]) });
    client = gateway.client();
  });

  after(() => cleanup.closeAll());

  const bodyOf = ({ caller, pool }: Cell, more: object = {}): Buffer =>
    Buffer.from(stringify({ ...callers[caller].body(pool, false), ...more }));

  const ask = (cell: Cell, body: Uint8Array): Promise<HttpAnswer> =>
    client.ask({
      path: callers[cell.caller].path,
      body,
      headers: { "content-type": "application/json" },
    });

  for (const cell of cells) {
    const more = shown[cell.caller];
    if (more === undefined) continue;
    it(`a picture, ${nameOf(cell)}, is not parsed on the event loop`, async () => {
      say("fine");
      server.calls.length = 0;
      const body = bodyOf(cell, more);
      const longest = await longestJson(async () => {
        const answer = await ask(cell, body);
        assert.equal(answer.status, 200, answer.text.slice(0, 500));
        assert.ok(answer.text.includes("fine"));
      });
      assert.ok(longest < inPlaceBytes, `${longest} characters`);
      const [call] = server.calls;
      assert.ok(call);
      assert.equal(pathOf(call), cell.path);
      assert.ok(call.body.includes(picture));
      assert.ok(parse(call.body.toString()) !== undefined);
    });
  }

  for (const cell of translated) {
    it(`a long answer, ${nameOf(cell)}, is not parsed on the event loop`, async () => {
      const said = "a word é ".repeat(100_000);
      say(said);
      const body = bodyOf(cell);
      let text = "";
      const longest = await longestJson(async () => {
        const answer = await ask(cell, body);
        assert.equal(answer.status, 200, answer.text.slice(0, 500));
        text = answer.text;
      });
      assert.ok(longest < inPlaceBytes, `${longest} characters`);
      assert.ok(text.includes(said));
      assert.ok(parse(text) !== undefined);
    });
  }

  /** Members that make a body large and are looked at by nobody's reader before what is wrong. */
  const filler = { metadata: { padding: "x".repeat(400_000) } };
  const deep = `${"[".repeat(100)}${"]".repeat(100)}`;
  const damages: readonly (readonly [string, (text: string) => string])[] = [
    ["without its end", (text) => text.replace(/\}$/, "")],
    ["with a bad value inside", (text) => text.replace('"role":"user"', '"role":nonsense')],
    ["with a role of another type", (text) => text.replace('"role":"user"', '"role":7')],
    ["with a part of a wrong type", (text) => text.replace(/"content":"[^"]*"/, '"content":7')],
    ["that nests too deep", (text) => text.replace(/^\{/, `{"response_format":${deep},`)],
    ["that is not UTF-8", (text) => text.replace("Tell", "\u00ff")],
  ];

  for (const cell of translated.filter(({ caller }) => caller !== "generate" && caller !== "responses")) {
    for (const [name, damage] of damages) {
      it(`a large body ${name}, ${nameOf(cell)}, is refused like a small one`, async () => {
        say("fine");
        const text = bodyOf(cell).toString();
        const small = Buffer.from(damage(text), "latin1");
        const large = Buffer.from(damage(text.replace(/\}$/, `,${stringify(filler).slice(1)}`)), "latin1");
        assert.notEqual(small.toString("latin1"), text);
        const [first, second] = [await ask(cell, small), await ask(cell, large)];
        assert.equal(first.status, 400, first.text);
        assert.equal(second.status, 400, second.text);
        // Where the parser stopped differs.
        const told = ({ text: body }: HttpAnswer): string =>
          callers[cell.caller].errorOf(body).replaceAll(/\(line.*\)|at position \d+|at byte \d+/g, "");
        assert.equal(told(second), told(first));
      });
    }
  }

  it("callers who leave while their chats are translated leave nothing behind", async () => {
    say("fine");
    server.calls.length = 0;
    const cell = translated.find(({ caller }) => caller === "ollama chat");
    assert.ok(cell);
    const body = bodyOf(cell, shown["ollama chat"]);
    const calls = Array.from({ length: 10 }, () =>
      startCall(gateway.url, { path: callers[cell.caller].path, body }),
    );
    const places = (): number =>
      gateway.forward
        .pools()
        .flatMap(({ endpoints }) => endpoints)
        .reduce((sum, { inFlight }) => sum + inFlight, 0);
    await until("several hold a place", () => places() > 1);
    for (const call of calls) call.leave();
    await until("all places are free", () => places() === 0);
    const asked = server.calls.length;
    assert.ok(asked < calls.length, `${asked} reached the server`);
    const answer = await ask(cell, body);
    assert.equal(answer.status, 200, answer.text.slice(0, 500));
    await pause(100);
    assert.ok(server.calls.length <= asked + 1, "a chat whose caller had left was sent");
    assert.equal(await sampleOf(gateway, "spillway_http_body_bytes"), 0);
  });

  it("many at once are all answered", async () => {
    say("fine");
    const all = translated.flatMap((cell) => {
      const more = shown[cell.caller];
      return more === undefined ? [] : [ask(cell, bodyOf(cell, more))];
    });
    for (const answer of await Promise.all(all)) assert.equal(answer.status, 200, answer.text.slice(0, 300));
  });
});
