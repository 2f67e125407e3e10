/** Threads for large JSON: the same results as in place, bounds, departures, a thread that dies. */
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { createManualClock } from "../../testing.ts";
import { floats } from "../../../test/support/dialect-calls.ts";
import { Cancellation } from "../../core/cancellation.ts";
import { isFailure } from "../../core/errors.ts";
import { readInferBody } from "../kserve/read-infer.ts";
import { JsonThreads, type JsonThreadLimits } from "./json-threads.ts";
import { threadTasks } from "./thread-tasks.ts";

const open: JsonThreads[] = [];
afterEach(() => {
  for (const threads of open.splice(0)) threads.close();
});

function start(limits: Partial<JsonThreadLimits> = {}): {
  threads: JsonThreads;
  clock: ReturnType<typeof createManualClock>;
} {
  const clock = createManualClock();
  const threads = new JsonThreads({ clock, limits });
  open.push(threads);
  return { threads, clock };
}

function requestBody(count: number): Buffer {
  const data = Array.from({ length: count }, (_, i) => Math.fround(Math.sin(i)));
  return Buffer.from(
    JSON.stringify({ id: "a", inputs: [{ name: "x", shape: [1, count], datatype: "FP32", data }] }),
  );
}

function read(
  threads: JsonThreads,
  body: Uint8Array,
  cancellation = new Cancellation(),
): ReturnType<typeof readWith> {
  return readWith(threads, body, cancellation);
}

function readWith(threads: JsonThreads, body: Uint8Array, cancellation: Cancellation) {
  return threads.read("readInfer", { body, jsonLength: body.length }, cancellation);
}

test("a thread reads what would be read in place, and hands binary tensors on", async () => {
  const { threads } = start();
  const json = Buffer.from(
    JSON.stringify({
      inputs: [{ name: "x", shape: [50_000], datatype: "UINT8", parameters: { binary_data_size: 50_000 } }],
    }),
  );
  for (const [body, jsonLength] of [
    [requestBody(40_000), undefined],
    [Buffer.concat([json, Buffer.alloc(50_000, 7)]), json.length],
    [Buffer.from("[".repeat(100_000)), undefined],
    [Buffer.from('{"inputs":[{"name":"x"'.padEnd(100_000)), undefined],
  ] as const) {
    const input = { body, jsonLength: jsonLength ?? body.length };
    const expected = readInferBody({ ...input, body: Buffer.from(body) }, threads.limits);
    const actual = await threads.read("readInfer", input, new Cancellation());
    assert.deepEqual(plain(actual), plain(expected));
  }
  assert.equal(threads.size, 1);
});

/** Without the difference between Buffer and Uint8Array. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, item: unknown) =>
      item instanceof Uint8Array ? [...item] : isBufferJson(item) ? item.data : item,
    ),
  );
}

function isBufferJson(value: unknown): value is { data: number[] } {
  return (
    typeof value === "object" &&
    value !== null &&
    "type" in value &&
    value.type === "Buffer" &&
    "data" in value
  );
}

test("a body of its own is handed over, a slice is copied", async () => {
  const { threads } = start();
  const own = new Uint8Array(requestBody(30_000));
  const larger = Buffer.concat([Buffer.from("."), own]);
  await read(threads, own);
  assert.equal(own.length, 0);
  const slice = larger.subarray(1);
  assert.ok(!isFailure(await read(threads, slice)));
  assert.equal(slice.length, larger.length - 1);
});

test("writing copies the tensors, so that they stay what they are", async () => {
  const { threads } = start();
  const tensor = floats("y", [3], [0.1, 2, -3]);
  const texts = await threads.writeValues([tensor, undefined]);
  assert.ok(!isFailure(texts));
  assert.equal(Buffer.from(texts[0]?.json ?? []).toString(), "[0.1,2,-3]");
  assert.equal(texts[1], undefined);
  assert.equal(tensor.data.length, 12);
  const nothing = await threads.writeValues([floats("y", [1], [Number.NaN])]);
  assert.ok(isFailure(nothing) && nothing.code === "model_failed");
});

test("tasks beyond the bound are refused, called-off ones are not run", async () => {
  const { threads } = start({ maxQueue: 1 });
  const gone = new Cancellation();
  const first = read(threads, requestBody(10));
  const second = read(threads, requestBody(10), gone);
  const third = await read(threads, requestBody(10));
  gone.cancel("client_gone");
  assert.ok(isFailure(third) && third.code === "overloaded");
  assert.ok(!isFailure(await first));
  const answer = await second;
  assert.ok(isFailure(answer) && answer.code === "client_gone");
});

test("a thread that breaks fails its task alone", async () => {
  const { threads } = start();
  const body = requestBody(10);
  const broken = threads.read("readNothing" as "readInfer", { body, jsonLength: 1 }, new Cancellation());
  const [failed, good] = await Promise.all([broken, read(threads, requestBody(10))]);
  assert.ok(isFailure(failed) && failed.code === "internal");
  assert.ok(!isFailure(good));
  assert.equal(threads.size, 1);
});

test("an idle thread ends, and close refuses what comes later", async () => {
  const { threads, clock } = start({ idleMs: 1_000 });
  await read(threads, requestBody(10));
  assert.equal(threads.size, 1);
  clock.advance(999);
  assert.equal(threads.size, 1);
  clock.advance(1);
  assert.equal(threads.size, 0);
  assert.ok(!isFailure(await read(threads, requestBody(10))));
  const running = read(threads, requestBody(10));
  threads.close();
  threads.close();
  const late = await Promise.all([running, read(threads, requestBody(10))]);
  assert.ok(late.every((result) => isFailure(result) && result.code === "draining"));
  assert.equal(threads.size, 0);
});

const chatTarget = { dialect: "ollama", model: "there", serves: [] } as const;

function chatBody(content: string): Buffer {
  return Buffer.from(JSON.stringify({ model: "m", messages: [{ role: "user", content }] }));
}

test("a chat in pieces is translated as it would be in place, and its bytes stay what they are", async () => {
  const { threads } = start();
  const body = chatBody("é ".repeat(2_000_000));
  const pieces = [body.subarray(0, 10), body.subarray(10, 3_000_001), body.subarray(3_000_001)];
  const input = { caller: "openai chat", target: chatTarget } as const;
  const expected = threadTasks.translateChat({ ...input, body });
  const actual = await threads.translate("translateChat", input, pieces);
  assert.ok(!isFailure(actual) && !isFailure(expected));
  assert.ok(Buffer.from(expected.written.body).equals(Buffer.from(actual.written.body)));
  assert.deepEqual(actual.request, expected.request);
  assert.ok(body.equals(chatBody("é ".repeat(2_000_000))));
});

test("a translation is called off while it waits and while its bytes are copied; a thread that ends then fails it", async () => {
  const { threads } = start();
  const [copied, waiting] = [new Cancellation(), new Cancellation()];
  const body = chatBody("x".repeat(20_000_000));
  const translate = (cancellation: Cancellation) =>
    threads.translate("translateChat", { caller: "openai chat", target: chatTarget }, [body], cancellation);
  const first = translate(copied);
  const second = translate(waiting);
  waiting.cancel("client_gone");
  await new Promise((resolve) => setImmediate(resolve));
  copied.cancel("client_gone");
  for (const result of await Promise.all([first, second])) {
    assert.ok(isFailure(result) && result.code === "client_gone");
  }
  const third = translate(new Cancellation());
  threads.close();
  const last = await third;
  assert.ok(isFailure(last) && last.code === "draining");
  assert.equal(threads.size, 0);
});
