/** When memory of messages may be freed: once the kernel has them, which is not the same as once they are answered. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { freeMemory } from "../src/index.ts";
import type { Call, GrpcChannel, MethodHandler } from "../src/index.ts";
import { call, openChannel, startServer } from "./harness.ts";

function serve(t: TestContext, handler: MethodHandler): Promise<GrpcChannel> {
  return startServer(t, { extra: [["/t.T/Given", handler]] }).then((path) => openChannel(t, path));
}

/** Makes a call and says whether the kernel had its message when it was answered. */
function takenAtAnswer(channel: GrpcChannel, bytes: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const message = [Buffer.alloc(bytes)];
    const running: Call = channel.unary(
      { path: "/t.T/Given", message },
      { done: () => resolve(running.taken), failed: ({ message: text }) => reject(new Error(text)) },
    );
  });
}

test("a large request has been taken when a server that reads it whole answers", async (t) => {
  const channel = await serve(t, { kind: "unary", handle: (each) => each.respond([]) });
  assert.equal(await takenAtAnswer(channel, 65_536), true);
  assert.equal(await takenAtAnswer(channel, 10_000_000), true);
  assert.equal(await takenAtAnswer(channel, 65_535), false, "of small ones it is not told");
});

test("a large request has not been taken when a server answers before it has read it", async (t) => {
  const channel = await serve(t, {
    kind: "stream",
    handle(each) {
      each.pause();
      each.send([]);
      each.end();
    },
  });
  await call(channel);
  assert.equal(await takenAtAnswer(channel, 60_000_000), false);
});

test("an answer's memory may be freed when it has been taken: every byte arrives", async (t) => {
  const freed: Uint8Array[] = [];
  const channel = await serve(t, {
    kind: "unary",
    handle(each) {
      const free = (): void => {
        freeMemory(each.message);
        freed.push(each.message);
      };
      each.respond([each.message.subarray(0, 100), each.message.subarray(100)], [], free);
    },
  });
  const sizes = [70_000, 300_000, 602_112, 5_000_000];
  const calls = Array.from({ length: 40 }, async (_, index) => {
    const bytes = Buffer.alloc(sizes[index % sizes.length] ?? 0, index + 1);
    const outcome = await call(channel, { path: "/t.T/Given", message: [bytes] });
    assert.ok(outcome.ok && outcome.message.equals(bytes), `call ${index}`);
  });
  await Promise.all(calls);
  assert.equal(freed.length, 40);
  assert.ok(freed.every((message) => message.length === 0));
});

test("nobody is told of an answer that its client did not wait for", async (t) => {
  let told = 0;
  const gone = Promise.withResolvers<void>();
  const channel = await serve(t, {
    kind: "unary",
    handle(each) {
      each.onCancel(() => {
        each.respond([Buffer.alloc(1_000_000)], [], () => told++);
        gone.resolve();
      });
      running.cancel();
    },
  });
  const running = channel.unary(
    { path: "/t.T/Given", message: [] },
    { done: () => assert.fail("answered"), failed: () => assert.fail("failed") },
  );
  await gone.promise;
  assert.ok((await call(channel)).ok);
  assert.equal(told, 0);
});
