/** The server as a public door: peers that break the rules, flood, stall or vanish. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { frameFlag, frameType, http2Error, largestWindowBytes } from "../src/http2-codes.ts";
import { encodeHeaders } from "../src/hpack-encoder.ts";
import { createGrpcServer, grpcStatus } from "../src/index.ts";
import type { MethodHandler, UnaryServerCall } from "../src/index.ts";
import {
  call,
  failureOf,
  frame,
  grpcMessage,
  openChannel,
  openRequest,
  rawPeer,
  requestBlock,
  seededRandom,
  socketPath,
  startServer,
  uint32,
} from "./harness.ts";
import type { Outcome, RawPeer } from "./harness.ts";

const {
  headers,
  continuation,
  data,
  settings,
  ping,
  rstStream,
  windowUpdate,
  priority,
  goAway,
  pushPromise,
} = frameType;
const never = "/t.T/Never";

async function greeted(
  t: TestContext,
  options?: Parameters<typeof startServer>[1],
): Promise<{ peer: RawPeer; path: string }> {
  const path = await startServer(t, options);
  const peer = rawPeer(t, path);
  peer.greet();
  await peer.see(settings);
  return { peer, path };
}

const violations: readonly (readonly [what: string, code: number, bytes: Uint8Array])[] = [
  ["DATA on stream 0", http2Error.protocolError, frame(data, 0, 0, Buffer.from("x"))],
  ["DATA on an idle stream", http2Error.protocolError, frame(data, 0, 7, Buffer.from("x"))],
  [
    "padding as long as the frame",
    http2Error.protocolError,
    Buffer.concat([openRequest(1, never), frame(data, frameFlag.padded, 1, Buffer.from([1]))]),
  ],
  ["HEADERS on stream 0", http2Error.protocolError, frame(headers, 4, 0, requestBlock())],
  ["an even stream", http2Error.protocolError, openRequest(2, never)],
  [
    "a smaller stream",
    http2Error.protocolError,
    Buffer.concat([openRequest(5, never), openRequest(3, never)]),
  ],
  [
    "a frame inside a header block",
    http2Error.protocolError,
    Buffer.concat([frame(headers, 0, 1, requestBlock()), frame(ping, 0, 0, Buffer.alloc(8))]),
  ],
  ["CONTINUATION alone", http2Error.protocolError, frame(continuation, 4, 1, requestBlock())],
  ["a bad header block", http2Error.compressionError, frame(headers, 4, 1, Buffer.from([0x80]))],
  ["PUSH_PROMISE", http2Error.protocolError, frame(pushPromise, 4, 1, Buffer.alloc(4))],
  ["WINDOW_UPDATE of 0", http2Error.protocolError, frame(windowUpdate, 0, 0, uint32(0))],
  ["window overflow", http2Error.flowControlError, frame(windowUpdate, 0, 0, uint32(largestWindowBytes))],
  ["RST_STREAM on an idle stream", http2Error.protocolError, frame(rstStream, 0, 9, uint32(8))],
  ["a short PING", http2Error.frameSizeError, frame(ping, 0, 0, Buffer.alloc(7))],
  ["SETTINGS of 5 bytes", http2Error.frameSizeError, frame(settings, 0, 0, Buffer.alloc(5))],
  ["a short GOAWAY", http2Error.frameSizeError, frame(goAway, 0, 0, Buffer.alloc(7))],
  [
    "an announced frame beyond our maximum",
    http2Error.frameSizeError,
    Buffer.from([0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]),
  ],
  ["a header block beyond the bound", http2Error.enhanceYourCalm, frame(headers, 4, 1, Buffer.alloc(40_000))],
  ["a huge unknown frame", http2Error.enhanceYourCalm, Buffer.from([0x0f, 0xff, 0xff, 0x77, 0, 0, 0, 0, 0])],
];

for (const [what, code, bytes] of violations)
  test(`GOAWAY with the right code: ${what}`, async (t) => {
    const { peer } = await greeted(t);
    peer.send(bytes);
    assert.equal(await peer.goAwayCode(), code);
    await peer.untilClosed();
  });

const floods: readonly (readonly [what: string, bytes: Uint8Array, count: number])[] = [
  ["PING", frame(ping, 0, 0, Buffer.alloc(8)), 20_000],
  ["SETTINGS", frame(settings, 0, 0), 20_000],
  ["PRIORITY", frame(priority, 0, 9, Buffer.from([0, 0, 0, 7, 1])), 20_000],
  ["unknown frames", frame(99, 0, 0), 20_000],
];

for (const [what, bytes, count] of floods)
  test(`a flood is ended: ${what}`, async (t) => {
    const { peer, path } = await greeted(t);
    peer.send(...Array.from({ length: count }, () => bytes));
    assert.equal(await peer.goAwayCode(), http2Error.enhanceYourCalm);
    assert.ok((await call(openChannel(t, path))).ok);
  });

test("a flood is ended: empty DATA", async (t) => {
  const { peer } = await greeted(t);
  peer.send(openRequest(1, never), ...Array.from({ length: 20_000 }, () => frame(data, 0, 1)));
  assert.equal(await peer.goAwayCode(), http2Error.enhanceYourCalm);
});

test("a flood is ended: streams opened and reset", async (t) => {
  let cancelled = 0;
  const handle = (each: UnaryServerCall): void => each.onCancel(() => cancelled++);
  const { peer, path } = await greeted(t, { methods: new Map([["/t.T/Wait", { kind: "unary", handle }]]) });
  for (let id = 1; id < 10_000; id += 2)
    peer.send(
      openRequest(id, "/t.T/Wait"),
      frame(data, 1, id, grpcMessage(Buffer.alloc(0))),
      frame(rstStream, 0, id, uint32(8)),
    );
  assert.equal(await peer.goAwayCode(), http2Error.enhanceYourCalm);
  assert.ok(cancelled <= 1_200, String(cancelled));
  assert.equal((await failureOf(call(openChannel(t, path)))).code, grpcStatus.unimplemented);
});

test("a flood is ended: mistakes that make the server reset", async (t) => {
  const { peer } = await greeted(t);
  for (let id = 1; id < 10_000; id += 2)
    peer.send(openRequest(id, never), frame(windowUpdate, 0, id, uint32(0)));
  assert.equal(await peer.goAwayCode(), http2Error.enhanceYourCalm);
});

test("a flood is ended: CONTINUATION without end", async (t) => {
  const { peer } = await greeted(t);
  peer.send(
    frame(headers, 0, 1, requestBlock()),
    ...Array.from({ length: 1_000 }, () => frame(continuation, 0, 1)),
  );
  assert.equal(await peer.goAwayCode(), http2Error.enhanceYourCalm);
});

test("streams beyond the bound are refused, those within go on", async (t) => {
  const { peer } = await greeted(t, { maxConcurrentStreams: 2 });
  peer.send(openRequest(1, never), openRequest(3, never), openRequest(5, never));
  const refused = await peer.see(rstStream, 5);
  assert.equal(refused?.payload.readUInt32BE(), http2Error.refusedStream);
  assert.equal(peer.frames.filter((each) => each.type === rstStream).length, 1);
});

test("a header list beyond 16 KB is refused by a status", async (t) => {
  const { peer } = await greeted(t);
  peer.send(openRequest(1, "/t.T/Echo", [["x-long", "y".repeat(17_000)]]));
  const answer = await peer.see(headers, 1);
  assert.ok(answer?.payload.includes(Buffer.from(String(grpcStatus.resourceExhausted))));
});

test("a stream beyond its window is reset, the connection goes on", async (t) => {
  const hold: MethodHandler = { kind: "stream", handle: (each) => each.pause() };
  const { peer } = await greeted(t, { methods: new Map([["/t.T/Hold", hold]]) });
  peer.send(openRequest(1, "/t.T/Hold"));
  const part = frame(data, 0, 1, grpcMessage(Buffer.alloc(1_000_000)));
  // A paused stream gets no credit, so the seventeenth is beyond its 16 MiB.
  for (let sent = 0; sent < 16; sent++) peer.send(part);
  peer.send(frame(ping, 0, 0, Buffer.alloc(8)));
  assert.ok(await peer.see(ping));
  assert.equal(
    peer.frames.find((each) => each.type === rstStream),
    undefined,
  );
  peer.send(part);
  assert.equal((await peer.see(rstStream, 1))?.payload.readUInt32BE(), http2Error.flowControlError);
  peer.send(openRequest(3, "/t.T/Nope"));
  assert.ok(await peer.see(headers, 3));
});

test("no preface in time, and a wrong one", async (t) => {
  const path = await startServer(t, { prefaceTimeoutMs: 50 });
  const slow = rawPeer(t, path);
  await slow.untilClosed();
  const wrong = rawPeer(t, path);
  wrong.send(Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  await wrong.untilClosed();
});

test("a request that does not arrive in time is refused", async (t) => {
  const { peer } = await greeted(t, { requestTimeoutMs: 50 });
  peer.send(openRequest(1), frame(data, 0, 1, Buffer.from([0, 0, 0, 0, 9])));
  const answer = await peer.see(headers, 1);
  assert.ok(answer?.payload.includes(Buffer.from("the request did not arrive in time")));
});

test("a peer that reads nothing is disconnected and its memory given back", async (t) => {
  let answers = 0;
  const counted: [string, MethodHandler] = [
    "/t.T/Counted",
    {
      kind: "unary",
      handle: (each) => {
        each.respond([each.message]);
        answers++;
      },
    },
  ];
  const options = { extra: [counted], stallTimeoutMs: 1_000, maxTotalBytes: 9_000_000 };
  const { peer, path } = await greeted(t, options);
  peer.send(frame(windowUpdate, 0, 0, uint32(1_000_000_000)));
  peer.send(frame(settings, 0, 0, Buffer.concat([Buffer.from([0, 4]), uint32(1_000_000_000)])));
  peer.socket.pause();
  const message = grpcMessage(Buffer.alloc(5_000_000));
  peer.send(openRequest(1, "/t.T/Counted"));
  for (let at = 0; at < message.length; at += 1_000_000)
    peer.send(frame(data, at + 1_000_000 >= message.length ? 1 : 0, 1, message.subarray(at, at + 1_000_000)));
  while (answers === 0) await new Promise(setImmediate);
  const channel = openChannel(t, path);
  const attempt = (): Promise<Outcome> => call(channel, { message: [Buffer.alloc(5_000_000)] });
  // While the answer waits, its bytes count; once the peer is gone, there is room again.
  let outcome = await attempt();
  assert.ok(!outcome.ok, "the bytes of the answer do not count");
  while (!outcome.ok) {
    assert.equal(outcome.failure.code, grpcStatus.resourceExhausted);
    outcome = await attempt();
  }
  peer.socket.resume();
  await peer.untilClosed();
});

test("announced sizes cost nothing until bytes arrive", async (t) => {
  const { peer, path } = await greeted(t, { maxTotalBytes: 4_000_000, maxMessageBytes: 3_000_000 });
  for (let id = 1; id < 100; id += 2)
    peer.send(
      openRequest(id, never),
      frame(data, 0, id, Buffer.from([0, 0, 0x20, 0, 0])),
      frame(data, 0, id, Buffer.alloc(10)),
    );
  peer.send(frame(ping, 0, 0, Buffer.alloc(8)));
  await peer.see(ping);
  assert.ok((await call(openChannel(t, path), { message: [Buffer.alloc(100)] })).ok);
});

test("a message beyond the bound is refused by its prefix", async (t) => {
  const { peer } = await greeted(t, { maxMessageBytes: 1_000 });
  peer.send(openRequest(1), frame(data, 0, 1, Buffer.from([0, 0, 0, 4, 0])));
  const answer = await peer.see(headers, 1);
  assert.ok(answer?.payload.includes(Buffer.from("at most 1000")));
  assert.equal((await peer.see(rstStream, 1))?.payload.readUInt32BE(), http2Error.noError);
});

test("connections beyond the bound are refused, and an idle one makes room", async (t) => {
  const path = await startServer(t, { maxConnections: 2 });
  const first = rawPeer(t, path);
  first.greet(openRequest(1, never));
  await first.see(settings);
  const second = rawPeer(t, path);
  second.greet(openRequest(1, never));
  await second.see(settings);
  const third = rawPeer(t, path);
  await third.untilClosed();
  second.send(frame(rstStream, 0, 1, uint32(8)));
  // After a second without a call it is idle enough.
  let answered = false;
  while (!answered) {
    const next = rawPeer(t, path);
    next.greet();
    answered = (await next.see(settings)) !== undefined;
  }
  await second.untilClosed();
  assert.equal(first.closed, false);
});

test("a call goes on when the client answers our GOAWAY with its own", async (t) => {
  const path = socketPath(t);
  const waiting = Promise.withResolvers<UnaryServerCall>();
  const wait: MethodHandler = { kind: "unary", handle: (each) => waiting.resolve(each) };
  const server = createGrpcServer({ methods: new Map([["/t.T/Wait", wait]]) });
  await server.listen({ path });
  const peer = rawPeer(t, path);
  peer.greet(openRequest(1, "/t.T/Wait"), frame(data, 1, 1, grpcMessage(Buffer.alloc(0))));
  const held = await waiting.promise;
  const closed = server.close();
  assert.equal(await peer.goAwayCode(), http2Error.noError);
  peer.send(frame(goAway, 0, 0, Buffer.alloc(8)), frame(ping, 0, 0, Buffer.alloc(8)));
  await peer.see(ping);
  held.respond([Buffer.from("late")]);
  assert.ok((await peer.see(data, 1))?.payload.includes(Buffer.from("late")));
  await closed;
});

test("what is not gRPC is answered in HTTP's own words", async (t) => {
  const { peer } = await greeted(t);
  const get = encodeHeaders([
    [":method", "GET"],
    [":scheme", "http"],
    [":path", "/"],
    [":authority", "x"],
  ]);
  peer.send(frame(headers, 5, 1, get));
  assert.equal((await peer.see(data, 1))?.payload.toString(), "This port speaks gRPC only.\n");
});

test("random bytes and random frames neither hang nor harm the server", async (t) => {
  const path = await startServer(t);
  const random = seededRandom(21);
  const bytes = (length: number): Buffer =>
    Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
  for (let round = 0; round < 150; round++) {
    const peer = rawPeer(t, path);
    const frames = Array.from({ length: 20 }, () =>
      frame(
        Math.floor(random() * 11),
        Math.floor(random() * 64),
        Math.floor(random() * 6),
        bytes(Math.floor(random() * 40)),
      ),
    );
    if (round % 3 === 0) peer.send(bytes(500));
    else peer.greet(openRequest(1, never), ...frames);
    peer.socket.end();
    await peer.untilClosed();
  }
  assert.ok((await call(openChannel(t, path))).ok);
});
