/** One model under two names, `name` and `name:latest`; keys that are bound to models; lists that tell no others. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { startSimulator } from "@spillway/simulator";
import { gatewayOver } from "../harness/gateway-over.ts";
import { makeKey, type TextKey } from "../harness/keys.ts";
import { until } from "../harness/until.ts";

const latest = "llama3:latest";

function authOf(keys: readonly TextKey[]): string {
  return `auth: { keys: [${keys.map(({ yaml }) => yaml).join(", ")}] }\n`;
}

async function server(t: TestContext, face: "ollama" | "vllm", models: readonly string[]): Promise<string> {
  const simulator = await startSimulator({ face, models: [...models] });
  t.after(() => simulator.close());
  return simulator.url;
}

/** Asks, and gives back status and JSON. */
async function ask(
  address: string,
  { key, body }: { readonly key?: string; readonly body?: object } = {},
): Promise<{ readonly status: number; readonly json: Record<string, unknown> }> {
  const response = await fetch(address, {
    method: body === undefined ? "GET" : "POST",
    headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
    body: body === undefined ? null : JSON.stringify(body),
  });
  return { status: response.status, json: (await response.json()) as Record<string, unknown> };
}

/** Names that a list tells. */
function namesIn(json: Record<string, unknown>): readonly string[] {
  const list = (json["data"] ?? json["models"]) as readonly Record<string, string>[];
  return list.map(({ id, name }) => id ?? name ?? "").toSorted();
}

const messages = [{ role: "user", content: "weather" }];

/** Every address that takes a chat, with its body. */
function chats(url: string, model: string): readonly (readonly [string, object])[] {
  return [
    [`${url}/api/chat`, { model, messages, stream: false }],
    [`${url}/api/generate`, { model, prompt: "weather", stream: false }],
    [`${url}/api/show`, { model }],
    [`${url}/v1/chat/completions`, { model, messages }],
    [`${url}/v1/messages`, { model, messages, max_tokens: 5 }],
  ];
}

describe("a model of Ollama", () => {
  it("has the names with and without :latest at every address, in routes and lists", async (t) => {
    const pools = { box: [await server(t, "ollama", [latest, "qwen:7b"])] };
    const routes =
      "routes: [{ model: house, targets: [{ pool: box, model: llama3 }] }, { model: qwen, targets: [{ pool: box, model: 'qwen:7b' }] }]\n";
    const { url } = await gatewayOver(t, pools, routes);
    for (const name of ["llama3", latest, "house", "house:latest", "qwen", "qwen:latest", "qwen:7b"]) {
      for (const [address, body] of chats(url, name)) {
        assert.equal((await ask(address, { body })).status, 200, `${name} at ${address}`);
      }
    }
    assert.deepEqual(namesIn((await ask(`${url}/api/tags`)).json), ["house", latest, "qwen", "qwen:7b"]);
    assert.deepEqual(namesIn((await ask(`${url}/v1/models`)).json), ["house", latest, "qwen", "qwen:7b"]);
    for (const name of ["llama3", latest]) {
      assert.equal((await ask(`${url}/v1/models/${name}`)).json["id"], latest);
    }
  });

  it("is another model at a server that is no Ollama, and a list names it where requests go", async (t) => {
    const pools = {
      box: [await server(t, "ollama", [latest])],
      vllm: [await server(t, "vllm", ["llama3", "m"])],
    };
    const { url } = await gatewayOver(t, pools);
    assert.deepEqual(namesIn((await ask(`${url}/api/tags`)).json), [latest, "m"]);
    assert.equal((await ask(`${url}/api/chat`, { body: { model: "m:latest", messages } })).status, 404);
  });
});

describe("a key that is bound to models", () => {
  it("may use them under either name, and is told of no others", async (t) => {
    const named = makeKey("named", ["infer"], ["llama3"]);
    const tagged = makeKey("tagged", ["infer"], [latest]);
    const any = makeKey("any");
    const pools = {
      box: [await server(t, "ollama", [latest, "qwen:7b"])],
      vllm: [await server(t, "vllm", ["llama3.1"])],
    };
    const { url } = await gatewayOver(t, pools, authOf([named, tagged, any]));
    for (const { key } of [named, tagged]) {
      for (const name of ["llama3", latest]) {
        for (const [address, body] of chats(url, name)) {
          assert.equal((await ask(address, { key, body })).status, 200, `${name} at ${address}`);
        }
        assert.equal((await ask(`${url}/v1/models/${name}`, { key })).status, 200);
      }
      for (const name of ["qwen:7b", "llama3.1", "nobody"]) {
        for (const [address, body] of [
          ...chats(url, name),
          [`${url}/api/generate`, { model: name }] as const,
        ]) {
          assert.equal((await ask(address, { key, body })).status, 403, `${name} at ${address}`);
        }
        assert.equal((await ask(`${url}/v1/models/${name}`, { key })).status, 403);
      }
      const running = async (): Promise<readonly string[]> =>
        namesIn((await ask(`${url}/api/ps`, { key })).json);
      await until("the model is known to be loaded", async () => (await running()).length > 0);
      assert.deepEqual(await running(), [latest]);
      for (const path of ["/api/tags", "/v1/models"]) {
        assert.deepEqual(namesIn((await ask(url + path, { key })).json), [latest], path);
      }
    }
    const qwen = { key: any.key, body: { model: "qwen:7b", messages } };
    assert.equal((await ask(`${url}/v1/chat/completions`, qwen)).status, 200);
    const loaded = async () => namesIn((await ask(`${url}/api/ps`, { key: any.key })).json);
    await until("a second model is loaded", async () => (await loaded()).length === 2);
    assert.deepEqual(namesIn((await ask(`${url}/api/ps`, { key: named.key })).json), [latest]);
    const all = [latest, "llama3.1", "qwen:7b"].toSorted();
    for (const path of ["/api/tags", "/v1/models"]) {
      assert.deepEqual(namesIn((await ask(url + path, { key: any.key })).json), all, path);
    }
    const unknown = await ask(`${url}/api/chat`, { key: any.key, body: { model: "nobody", messages } });
    assert.match(String(unknown.json["error"]), /qwen:7b/);
  });

  it("hears nothing of others from a refusal either", async (t) => {
    const family = makeKey("family", ["infer"], ["llama*"]);
    const { url } = await gatewayOver(
      t,
      { box: [await server(t, "ollama", [latest, "qwen:7b"])] },
      authOf([family]),
    );
    const { status, json } = await ask(`${url}/api/chat`, {
      key: family.key,
      body: { model: "llama4", messages },
    });
    assert.equal(status, 404);
    assert.match(String(json["error"]), /served are llama3:latest$/);
  });
});
