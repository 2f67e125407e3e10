import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { systemClock } from "../core/clock.ts";
import { createConnectionFactory } from "../stages/upstream/server-connections.ts";
import { ollamaAnswers, openaiAnswers, startFakeServer } from "../../test/support/fake-model-server.ts";
import { eventually } from "../../test/support/server-pool.ts";
import { Discovery, type FoundServer } from "./discovery.ts";

const limit = { timeout: 20_000 };
const silent = (): void => undefined;
const logger = { error: silent, warn: silent, info: silent, debug: silent };

interface Search {
  readonly discovery: Discovery;
  readonly gone: Set<string>;
  readonly found: () => readonly FoundServer[];
}

function search(t: TestContext, ports: readonly number[], own: readonly number[] = []): Search {
  let found: readonly FoundServer[] = [];
  const gone = new Set<string>();
  const discovery = new Discovery({
    connect: createConnectionFactory({ clock: systemClock }),
    clock: systemClock,
    logger,
    spots: ports.map((port) => ({ make: "ollama", port })),
    intervalMs: 20,
    ownPorts: () => own,
    isGone: ({ url }) => gone.has(url),
    onChange: (servers) => void (found = servers),
  });
  t.after(() => discovery.close());
  return { discovery, gone, found: () => found };
}

describe("discovery", limit, () => {
  test("tells makes apart by what they answer, sends no prompt, and leaves alone what is none", async (t) => {
    const servers = [
      await startFakeServer(t, ollamaAnswers(["llama3.2:latest"])),
      await startFakeServer(t, openaiAnswers(["qwen"], "vllm")),
      await startFakeServer(t, openaiAnswers(["m.gguf"], "llamacpp")),
      await startFakeServer(t, openaiAnswers(["m"], "organization_owner")),
      await startFakeServer(t, openaiAnswers(["m"], "somebody")),
      await startFakeServer(t, { "/": [200, "<html>a web server</html>"] }),
      await startFakeServer(t, {
        ...ollamaAnswers(["m"]),
        "/": [200, "Spillway 1.0: an inference gateway."],
      }),
    ];
    const { discovery, found } = search(t, [...servers.map(({ port }) => port), 9]);
    await discovery.start();
    assert.equal(discovery.looked, true);
    assert.deepEqual(
      found().map(({ make, dialect, url }) => [make, dialect, url]),
      [
        ["ollama", "ollama", servers[0]?.url],
        ["vllm", "openai", servers[1]?.url],
        ["llama.cpp", "openai", servers[2]?.url],
        ["lm-studio", "openai", servers[3]?.url],
      ],
    );
    for (const { asked } of servers)
      assert.ok(
        asked.every((line) => line.startsWith("GET ")),
        asked.join(),
      );
  });

  test("never visits its own ports", async (t) => {
    const own = await startFakeServer(t, ollamaAnswers(["m"]));
    const { discovery, found } = search(t, [own.port], [own.port]);
    await discovery.start();
    assert.deepEqual([found(), own.asked], [[], []]);
  });

  test("a server that starts later is found; one that is gone is looked for again", async (t) => {
    const server = await startFakeServer(t, ollamaAnswers(["m"]));
    await server.kill();
    const { discovery, found, gone } = search(t, [server.port]);
    await discovery.start();
    assert.equal(found().length, 0);
    await server.revive();
    const [first] = await eventually(found, (list) => list.length === 1);
    await server.kill();
    gone.add(first?.url ?? "");
    await eventually(found, (list) => list.length === 0);
    gone.clear();
    await server.revive();
    await eventually(found, (list) => list.length === 1);
  });

  test("a port that accepts and says nothing holds nobody up for long", async (t) => {
    const { createServer } = await import("node:net");
    const silentServer = createServer(() => undefined);
    await new Promise<void>((resolve) => silentServer.listen(0, "127.0.0.1", resolve));
    t.after(() => silentServer.close());
    const { port } = silentServer.address() as { port: number };
    const { discovery, found } = search(t, [port]);
    const begun = performance.now();
    await discovery.start();
    assert.ok(performance.now() - begun < 1_800, `${performance.now() - begun} ms`);
    assert.deepEqual(found(), []);
  });
});
