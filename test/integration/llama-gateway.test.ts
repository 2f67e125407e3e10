// GGUF files in the model folder become models of a gateway.
import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import type { LlamaOptions } from "../../packages/gateway/src/contracts/options.ts";
import {
  createModelFolder,
  startTestGateway,
  testConfig,
  type ModelFolder,
  type TestGateway,
} from "../harness/gateway.ts";
import { buildGguf } from "../harness/gguf-build.ts";
import { engineMissing } from "../harness/llama-engine.ts";
import { isRunning } from "../harness/processes.ts";
import { until } from "../harness/until.ts";

const skip = engineMissing();

interface Setup {
  readonly folder: ModelFolder;
  readonly gateway: TestGateway;
  /** Names of the models that HTTP servers have, without tags. */
  readonly names: () => string;
  /** Process ids of the engines that were started, the last last. */
  readonly pids: () => number[];
}

async function setUp(
  t: TestContext,
  files: Readonly<Record<string, Buffer>>,
  options: { readonly library?: string; readonly llama?: Partial<LlamaOptions> } = {},
): Promise<Setup> {
  const folder = createModelFolder(t);
  for (const [name, bytes] of Object.entries(files)) folder.write(name, bytes);
  const llama: LlamaOptions = {
    folders: [folder.path],
    threads: 1,
    sequences: 2,
    contextSize: 1_024,
    memoryBytes: undefined,
    keepAliveMs: 60_000,
    ...options.llama,
  };
  const config = testConfig(folder.path);
  const repository = { directory: folder.path, pollMs: 50, instances: {}, control: "all" } as const;
  const { library } = options;
  const gateway = await startTestGateway(
    t,
    { ...config, repository, llama },
    library === undefined ? {} : { library },
  );
  const names = (): string =>
    gateway.forward
      .models()
      .map(({ name }) => name.replace(/:latest$/, ""))
      .toSorted()
      .join();
  const pids = (): number[] =>
    gateway.events
      .filter(({ event }) => event === "engine_listening")
      .map(({ fields }) => Number(fields["pid"]));
  return { folder, gateway, names, pids };
}

const talk = buildGguf({ seed: 1 });
const messages = [{ role: "user", content: "hello" }];

interface ChatAnswer {
  readonly choices: readonly { readonly message: { readonly content: string } }[];
}

function contentOf(body: object): string {
  return (body as ChatAnswer).choices[0]?.message.content ?? "";
}

describe("GGUF files in the model folder", { skip }, () => {
  test("are served from the start: the gateway is ready when they are", async (t) => {
    const { gateway, names } = await setUp(t, { "talk.gguf": talk });
    assert.equal(names(), "talk");
    const answer = await gateway.post("/v1/chat/completions", { model: "talk", messages, max_tokens: 5 });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    assert.equal(contentOf(answer.body).length, 5);
    assert.equal(answer.headers.get("x-spillway-endpoint"), "llama/engine");
    // The workers' repository makes nothing of them.
    assert.deepEqual(gateway.catalog.list(), []);
  });

  test("come and go while the gateway runs, and the process with the last", async (t) => {
    const { gateway, folder, names, pids } = await setUp(t, {});
    assert.deepEqual([names(), pids()], ["", []]);
    folder.write("talk.gguf", talk);
    folder.write("more/1/model.gguf", buildGguf({ seed: 2 }));
    await until("both are served", () => names() === "more,talk");
    const ask = async (model: string) =>
      (await gateway.post("/v1/chat/completions", { model, messages, max_tokens: 2 })).status;
    assert.deepEqual([await ask("talk"), await ask("more")], [200, 200]);
    folder.remove("talk.gguf");
    await until("one has gone", () => names() === "more");
    assert.deepEqual([await ask("talk"), await ask("more")], [404, 200]);
    const [pid = 0] = pids();
    folder.remove("more");
    await until("its process has gone", () => !isRunning(pid) && gateway.forward.pools().length === 0);
    assert.equal(await ask("more"), 404);
    folder.write("talk.gguf", talk);
    await until("it is served again", () => names() === "talk");
    assert.equal(await ask("talk"), 200);
    assert.equal(pids().length, 2);
  });

  test("are answered by the next process when one dies, and nothing is left of it at the end", async (t) => {
    const { gateway, pids } = await setUp(t, { "talk.gguf": talk });
    const ask = () => gateway.post("/v1/chat/completions", { model: "talk", messages, max_tokens: 500 });
    await ask();
    const running = Array.from({ length: 6 }, ask);
    await until("they run", () => inFlight(gateway) === 6);
    process.kill(pids()[0] ?? 0, "SIGKILL");
    const late = ask();
    for (const answer of await Promise.all([...running, late])) {
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      assert.equal(contentOf(answer.body).length, 500);
    }
    assert.equal(pids().length, 2);
    assert.equal(inFlight(gateway), 0);
    await gateway.close({ graceMs: 0 });
    await until("no engine is left", () => !pids().some(isRunning));
  });
});

function inFlight(gateway: TestGateway): number {
  const [pool] = gateway.forward.pools();
  return pool?.endpoints.reduce((sum, endpoint) => sum + endpoint.inFlight, 0) ?? 0;
}

test("without the engine the gateway says what to do, and starts no process", async (t) => {
  const library = createModelFolder(t).path;
  const { gateway, names, pids } = await setUp(t, { "talk.gguf": talk }, { library });
  const { fields } = gateway.events.find(({ event }) => event === "engine_missing") ?? assert.fail();
  assert.match(String(fields["reason"]), /spillway engines add llama/);
  assert.deepEqual([names(), pids()], ["", []]);
});
