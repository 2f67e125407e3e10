import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { inspect } from "node:util";
import { Secret } from "../core/secret.ts";
import { ollamaAnswers, openaiAnswers, startFakeServer } from "../../test/support/fake-model-server.ts";
import { ended, eventually, startServerPool } from "../../test/support/server-pool.ts";

const limit = { timeout: 20_000 };

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "spillway-pool-"));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

describe("models", limit, () => {
  test("of Ollama: tags, what is loaded, names with and without latest", async (t) => {
    const server = await startFakeServer(t, ollamaAnswers(["llama3.2:latest", "qwen:4b"], ["qwen:4b"]));
    const { pool } = await startServerPool(t, { dialect: "ollama", endpoints: [server.url] });
    await eventually(() => pool.settled, Boolean);
    const [endpoint] = pool.candidatesFor("llama3.2");
    assert.ok(endpoint);
    assert.equal(endpoint.targetFor("llama3.2")?.model, "llama3.2:latest");
    assert.equal(pool.endpointsFor("qwen").length, 0, "qwen alone is qwen:latest");
    assert.deepEqual(endpoint.targetFor("qwen:4b")?.serves, [
      "chat",
      "completions",
      "embeddings",
      "responses",
      "messages",
    ]);
    assert.deepEqual([endpoint.isLoaded("qwen:4b"), endpoint.isLoaded("llama3.2")], [true, false]);
    const models = pool.models();
    assert.deepEqual(
      models.map(({ name, loaded, ready }) => [name, loaded, ready]),
      [
        ["llama3.2:latest", 0, 1],
        ["qwen:4b", 1, 1],
      ],
    );
    assert.deepEqual(
      models[1]?.running.map(({ endpoint: id }) => id),
      [`chat/127.0.0.1:${server.port}`],
    );
    Object.assign(server.answers, ollamaAnswers(["new:1b"]));
    await eventually(
      () => pool.candidatesFor("new:1b").length,
      (count) => count === 1,
    );
    assert.equal(pool.candidatesFor("qwen:4b").length, 0);
  });

  test("of an OpenAI-compatible server, with the addresses it has besides; no tokens are asked for", async (t) => {
    const server = await startFakeServer(t, openaiAnswers(["Qwen/Qwen2.5-7B"]));
    const { pool } = await startServerPool(t, { dialect: "auto", endpoints: [`${server.url}/v1/`] });
    await eventually(() => pool.settled, Boolean);
    const [endpoint] = pool.candidatesFor("Qwen/Qwen2.5-7B");
    assert.deepEqual(endpoint?.targetFor("Qwen/Qwen2.5-7B"), {
      dialect: "openai",
      model: "Qwen/Qwen2.5-7B",
      serves: ["chat", "completions", "embeddings", "responses"],
      make: "vllm",
    });
    assert.equal(endpoint?.isLoaded("Qwen/Qwen2.5-7B"), true, "a server that does not tell has it in memory");
    assert.ok(
      server.asked.every((line) => line.startsWith("GET ")),
      server.asked.join(),
    );
  });

  test("only the configured ones; they are known before the server has answered", async (t) => {
    const server = await startFakeServer(t, ollamaAnswers(["a:latest", "b:latest"]));
    await server.kill();
    const { pool } = await startServerPool(t, { dialect: "ollama", endpoints: [server.url], models: ["a"] });
    assert.equal(pool.answered, true);
    assert.equal(pool.endpointsFor("a").length, 1);
    await server.revive();
    await eventually(
      () => pool.candidatesFor("a")[0]?.state,
      (state) => state === "ready",
    );
    assert.equal(pool.candidatesFor("a")[0]?.targetFor("a")?.model, "a:latest");
    assert.equal(pool.endpointsFor("b").length, 0);
  });

  test("a list that is not one is a wrong dialect, and never a crash", async (t) => {
    for (const answer of [
      [200, "<html>"],
      [200, { data: 7 }],
      [200, []],
      [404, {}],
      [302, {}],
    ] as const) {
      const server = await startFakeServer(t, { "/v1/models": answer });
      const { pool, states } = await startServerPool(t, { dialect: "openai", endpoints: [server.url] });
      await eventually(() => pool.settled, Boolean);
      assert.deepEqual(states(), [`127.0.0.1:${server.port} misconfigured`], JSON.stringify(answer));
      assert.equal(pool.answered, false);
    }
  });

  test("hostile lists are bounded: names that cannot be, too many, cards that are too long", async (t) => {
    const names = ["good", "", "with space", "x".repeat(300), "line\nend"];
    const many = Array.from({ length: 5_000 }, (_, index) => ({ id: `m${index}`, owned_by: "vllm" }));
    const list = [...names.map((id) => ({ id, note: "y".repeat(50_000) })), { id: 7 }, null, ...many];
    const server = await startFakeServer(t, { "/v1/models": [200, { data: list }] });
    const { pool } = await startServerPool(t, { dialect: "openai", endpoints: [server.url] });
    await eventually(() => pool.settled, Boolean);
    const models = pool.models();
    assert.equal(models.length, 2_000);
    assert.equal(models[0]?.name, "good");
    assert.equal(models[0]?.card, undefined);
    assert.equal(pool.endpointsFor("with space").length, 0);
  });
});

describe("health", limit, () => {
  test("a killed server is left alone, its neighbour takes over, and it comes back when it is there", async (t) => {
    const servers = [
      await startFakeServer(t, ollamaAnswers(["m"])),
      await startFakeServer(t, ollamaAnswers(["m"])),
    ];
    const { pool, metrics, log, warnings } = await startServerPool(t, {
      dialect: "ollama",
      endpoints: servers.map(({ url }) => url),
    });
    await eventually(
      () => pool.candidatesFor("m").length,
      (count) => count === 2,
    );
    await servers[0]?.kill();
    const first = pool.endpoints[0];
    first?.acquire();
    first?.release(ended("connect"));
    await eventually(
      () => pool.candidatesFor("m"),
      (found) => found.length === 1 && found[0] === pool.endpoints[1],
    );
    assert.match(
      metrics.render(),
      new RegExp(
        `spillway_endpoint_state\\{pool="chat",endpoint="127.0.0.1:${servers[0]?.port}",state="unhealthy"\\} 1`,
      ),
    );
    assert.match(metrics.render(), /spillway_endpoint_ejections_total\{[^}]*cause="unreachable"\} 1/);
    await servers[0]?.revive();
    await eventually(
      () => pool.candidatesFor("m").length,
      (count) => count === 2,
    );
    assert.ok(
      log.some((line) => line.endsWith("unhealthy")) && log.some((line) => line.endsWith("ready")),
      log.join(),
    );
    const at = `endpoint_state 127.0.0.1:${servers[0]?.port}`;
    assert.deepEqual(warnings, [`${at} unhealthy`, `${at} ready`], "its return is told as loudly as its end");
  });

  test("panic: ejection never empties a pool; pauses and wrong credentials are respected", async (t) => {
    const servers = [
      await startFakeServer(t, ollamaAnswers(["m"])),
      await startFakeServer(t, ollamaAnswers(["m"])),
    ];
    const { pool } = await startServerPool(t, {
      dialect: "ollama",
      endpoints: servers.map(({ url }) => url),
      health: {
        intervalMs: 60_000,
        timeoutMs: 1_000,
        failures: 2,
        backoffMs: { initial: 60_000, max: 60_000 },
      },
    });
    await eventually(
      () => pool.candidatesFor("m").length,
      (count) => count === 2,
    );
    const fail = (index: number, result = ended("malformed")): void => {
      pool.endpoints[index]?.acquire();
      pool.endpoints[index]?.release(result);
    };
    fail(0);
    fail(0);
    assert.deepEqual(
      pool.candidatesFor("m").map(({ id }) => id),
      [pool.endpoints[1]?.id],
    );
    fail(1);
    fail(1);
    assert.equal(pool.candidatesFor("m").length, 2, "both are ejected, so both are asked");
    assert.deepEqual(
      pool.endpoints.map(({ state }) => state),
      ["unhealthy", "unhealthy"],
    );
    assert.equal(pool.refusalFor("m"), undefined);
    fail(1, ended("ok"));
    assert.deepEqual(
      pool.candidatesFor("m").map(({ id }) => id),
      [pool.endpoints[1]?.id],
      "the good answer counts",
    );
    fail(1, ended("refused", { status: 429, retryAfterMs: 30_000 }));
    assert.deepEqual(pool.candidatesFor("m"), [], "one that asked to be left alone is");
    const refusal = pool.refusalFor("m");
    assert.equal(refusal?.code, "model_unavailable");
    assert.ok((refusal.retryAfterMs ?? 0) > 29_000, String(refusal.retryAfterMs));
    fail(1, ended("refused", { status: 401 }));
    assert.equal(pool.endpoints[1]?.state, "misconfigured");
    assert.deepEqual(
      pool.candidatesFor("m").map(({ id }) => id),
      [pool.endpoints[0]?.id],
    );
  });

  test("half-open has one place, taken by one attempt", async (t) => {
    const servers = [
      await startFakeServer(t, ollamaAnswers(["m"])),
      await startFakeServer(t, ollamaAnswers(["m"])),
    ];
    const { pool } = await startServerPool(t, {
      dialect: "ollama",
      endpoints: servers.map(({ url }) => url),
    });
    let rooms = 0;
    pool.onRoom(() => rooms++);
    await eventually(
      () => pool.candidatesFor("m").length,
      (count) => count === 2,
    );
    const [sick] = pool.endpoints;
    assert.ok(sick);
    for (let index = 0; index < 3; index++) {
      sick.acquire();
      sick.release(ended("refused", { status: 500 }));
    }
    assert.equal(pool.candidatesFor("m").length, 1);
    rooms = 0;
    await eventually(
      () => pool.candidatesFor("m").length,
      (count) => count === 2,
    );
    assert.ok(rooms > 0, "scheduling hears of the place");
    assert.equal(sick.state, "unhealthy");
    assert.equal(sick.capacity, 1);
    sick.acquire();
    assert.ok(sick.inFlight >= sick.capacity);
    sick.release(ended("ok"));
    assert.equal(sick.state, "ready");
    assert.equal(sick.capacity, 16);
  });

  test("a server that loads its model is waited for; short pauses too", async (t) => {
    const loading = { error: { code: 503, message: "Loading model", type: "unavailable_error" } };
    const server = await startFakeServer(t, {
      ...openaiAnswers(["m"], "llamacpp"),
      "/health": [503, loading],
    });
    const { pool, states } = await startServerPool(t, {
      dialect: "openai",
      endpoints: [server.url],
      models: ["m"],
    });
    await eventually(() => pool.settled, Boolean);
    assert.deepEqual(states(), [`127.0.0.1:${server.port} loading`]);
    assert.deepEqual([pool.candidatesFor("m").length, pool.refusalFor("m")], [0, undefined]);
    server.answers["/health"] = [200, {}];
    await eventually(
      () => pool.candidatesFor("m").length,
      (count) => count === 1,
    );
    pool.endpoints[0]?.acquire();
    pool.endpoints[0]?.release(ended("refused", { status: 429, retryAfterMs: 100 }));
    assert.deepEqual([pool.candidatesFor("m").length, pool.refusalFor("m")], [0, undefined]);
    await eventually(
      () => pool.candidatesFor("m").length,
      (count) => count === 1,
    );
  });
});

describe("access", limit, () => {
  test("credentials and headers go along, and are never shown", async (t) => {
    const file = join(folder(t), "key");
    writeFileSync(file, "sk-from-file\n");
    const server = await startFakeServer(t, openaiAnswers(["m"]));
    const options = {
      credentials: Secret.inFile(file),
      headers: [["x-team", Secret.of("secret-team")]],
    } as const;
    const { pool, log } = await startServerPool(t, {
      dialect: "openai",
      endpoints: [server.url],
      ...options,
    });
    await eventually(() => pool.settled, Boolean);
    assert.equal(server.headers()["authorization"], "Bearer sk-from-file");
    assert.equal(server.headers()["x-team"], "secret-team");
    const shown = `${JSON.stringify(pool.inspect())}${JSON.stringify(options)}${inspect(options)}${log.join()}`;
    assert.ok(!/sk-from|secret-team/.test(shown), shown);
    const anthropic = await startFakeServer(t, {
      "/v1/models": [200, { data: [{ type: "model", id: "c" }] }],
    });
    const other = await startServerPool(t, {
      dialect: "anthropic",
      endpoints: [anthropic.url],
      credentials: Secret.of("k"),
    });
    await eventually(() => other.pool.settled, Boolean);
    assert.equal(anthropic.headers()["x-api-key"], "k");
    assert.equal(anthropic.headers()["authorization"], undefined);
  });

  test("a key file that is not there is said by name", async (t) => {
    const path = join(folder(t), "none");
    const start = startServerPool(t, {
      dialect: "openai",
      endpoints: ["http://127.0.0.1:9"],
      credentials: Secret.inFile(path),
    });
    await assert.rejects(start, /Pool chat: credentials cannot be read: .*none/);
  });

  test("a Unix socket is a server like others", async (t) => {
    const path = join(folder(t), "s");
    const server = await startFakeServer(t, openaiAnswers(["m"]), { path });
    const { pool, states } = await startServerPool(t, { dialect: "openai", endpoints: [server.url] });
    await eventually(() => pool.settled, Boolean);
    assert.deepEqual(states(), [`${path} ready`]);
  });
});

describe("addresses", limit, () => {
  test("every address of a name is an endpoint; one that leaves finishes what it has", async (t) => {
    const one = await startFakeServer(t, openaiAnswers(["m"]), { host: "127.0.0.1" });
    const two = await startFakeServer(t, openaiAnswers(["m"]), { host: "127.0.0.2", port: one.port });
    let answer: readonly string[] | undefined = ["127.0.0.1", "127.0.0.2"];
    const resolve = async (host: string): Promise<readonly string[]> => {
      assert.equal(host, "models.example");
      return answer ?? (await Promise.reject(new Error("resolver is down")));
    };
    const endpoints = [`http://models.example:${one.port}`];
    const { pool, states, warnings } = await startServerPool(
      t,
      { dialect: "openai", endpoints },
      { resolve, resolveMs: 20 },
    );
    await eventually(
      () => pool.candidatesFor("m").length,
      (count) => count === 2,
    );
    assert.ok(
      two.asked.every((line) => line.endsWith(` models.example:${one.port}`)),
      two.asked.join(),
    );
    const leaving = pool.endpoints[1];
    leaving?.acquire();
    answer = ["127.0.0.1"];
    await eventually(
      () => pool.endpoints.length,
      (count) => count === 1,
    );
    assert.equal(leaving?.state, "draining");
    answer = undefined;
    await eventually(states, (list) => list.join() === `127.0.0.1:${one.port} ready`);
    await eventually(() => warnings.includes("pool_name_unresolved"), Boolean);
    answer = ["127.0.0.2", "127.0.0.1"];
    await eventually(
      () => pool.endpoints.length,
      (count) => count === 2,
    );
    const aboutNames = warnings.filter((line) => line.startsWith("pool_name"));
    assert.deepEqual(
      aboutNames,
      ["pool_name_unresolved", "pool_name_resolved"],
      "once, however often it is looked up",
    );
    assert.ok(pool.endpoints.includes(leaving), "it is taken back with what it has");
    assert.equal(leaving?.inFlight, 1);
    answer = ["127.0.0.1"];
    await eventually(
      () => leaving?.state,
      (state) => state === "draining",
    );
    leaving?.release(ended("ok"));
    const asked = two.asked.length;
    answer = ["127.0.0.1", "127.0.0.2"];
    await eventually(
      () => pool.candidatesFor("m").length,
      (count) => count === 2,
    );
    assert.ok(!pool.endpoints.includes(leaving), "it was closed after its last answer");
    assert.ok(two.asked.length > asked);
  });

  test("a file is watched; what cannot be used changes nothing", async (t) => {
    const file = join(folder(t), "endpoints.yaml");
    const write = (text: string): void => {
      writeFileSync(`${file}.new`, text);
      renameSync(`${file}.new`, file);
    };
    const [one, two] = [
      await startFakeServer(t, openaiAnswers(["m"])),
      await startFakeServer(t, openaiAnswers(["m"])),
    ];
    write(`- ${one.url}\n`);
    const { pool, log } = await startServerPool(
      t,
      { dialect: "openai", endpoints: [], endpointsFile: file },
      { fileMs: 10 },
    );
    const count = (wanted: number): Promise<number> =>
      eventually(
        () => pool.endpoints.length,
        (found) => found === wanted,
      );
    await count(1);
    write(JSON.stringify([one.url, { url: two.url }]));
    await count(2);
    for (const bad of ["- ftp://x", "a: 1", "[", "", `- ${two.url}\n- 7`]) {
      const complaints = log.filter((line) => line === "endpoints_file_unusable").length;
      write(bad);
      await eventually(
        () => log.filter((line) => line === "endpoints_file_unusable").length,
        (now) => now > complaints,
      );
      assert.equal(pool.endpoints.length, 2, bad);
    }
    rmSync(file);
    await eventually(
      () => log.filter((line) => line === "endpoints_file_unusable").length,
      (now) => now === 6,
    );
    assert.equal(pool.endpoints.length, 2);
    write("[]");
    await count(0);
  });
});

test("speed is that of single answers, by tokens where they are told", limit, async (t) => {
  const server = await startFakeServer(t, openaiAnswers(["m"]));
  const { pool } = await startServerPool(t, { dialect: "openai", endpoints: [server.url] });
  const [endpoint] = pool.endpoints;
  assert.equal(endpoint?.speed, 0);
  endpoint?.acquire();
  endpoint?.release(ended("ok", { durationMs: 500 }));
  assert.equal(endpoint?.speed, 2);
  const usage = { promptTokens: 1, cachedTokens: 0, completionTokens: 100, estimated: false };
  endpoint?.acquire();
  endpoint?.release(ended("ok", { durationMs: 2_000, usage }));
  assert.equal(endpoint?.speed, 50);
  endpoint?.acquire();
  endpoint?.release(ended("ok", { durationMs: 1_000, usage }));
  assert.equal(endpoint?.speed, 55);
});
