// The configuration read again by a gateway that runs: real sockets, requests under way, files that change as editors and
// mounted volumes change them.
import assert from "node:assert/strict";
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { callers } from "../harness/chat-wire.ts";
import { startCall, type ForwardCall } from "../harness/forward-call.ts";
import { makeKey } from "../harness/keys.ts";
import { startLoad } from "../harness/load.ts";
import { startReloadingGateway, textOf, type ReloadingGateway } from "../harness/reloading-gateway.ts";
import { startRuleService } from "../harness/rule-service.ts";
import {
  framesAt,
  openWithContent,
  pathOf,
  startScriptedModel,
  type ScriptedModel,
} from "../harness/scripted-model.ts";
import { until } from "../harness/until.ts";

const { path: chatPath, body: chatBody } = callers.chat;

function poolOf(...servers: readonly ScriptedModel[]): object {
  return {
    dialect: "openai",
    endpoints: servers.map(({ url }) => url),
    models: ["m"],
    health: { interval: "1h" },
  };
}

function ask({ gateway }: ReloadingGateway, model = "m", headers = {}, stream = false): ForwardCall {
  return startCall(gateway.url, { path: chatPath, headers, body: chatBody(model, stream) });
}

async function statusOf(call: ForwardCall): Promise<number> {
  return (await call.ended()).status;
}

async function reloadCount({ gateway }: ReloadingGateway, result: string): Promise<number> {
  const family = (await gateway.metrics()).get("spillway_config_reloads_total");
  return family?.samples.get(`spillway_config_reloads_total{result="${result}"}`) ?? 0;
}

async function gauge({ gateway }: ReloadingGateway, name: string): Promise<number | undefined> {
  return (await gateway.metrics()).get(name)?.samples.get(name);
}

describe("routes, rules and what requests say", () => {
  it("sends new requests another way, and lets streams end whole where they are", async (t) => {
    const [a, b] = [await startScriptedModel(t, ["m"]), await startScriptedModel(t, ["m"])];
    const words = (pool: string) => ({
      pools: { a: poolOf(a), b: poolOf(b) },
      routes: [{ model: "chat", targets: [{ pool, model: "m" }] }],
    });
    const bench = await startReloadingGateway(t, words("a"));
    let finish = (): void => {};
    a.script = (call) => {
      const response = openWithContent(call);
      finish = () => void response.end(framesAt(pathOf(call), ["two"]).slice(1).join(""));
    };
    const stream = ask(bench, "chat", {}, true);
    await until("the stream has begun", () => stream.chunks.length > 0);
    const told = await bench.reload(words("b"));
    assert.deepEqual(told, {
      level: "info",
      event: "config_changed",
      fields: { file: "spillway.yaml", changed: "routes" },
    });
    assert.equal(await statusOf(ask(bench, "chat")), 200);
    assert.equal(b.calls.length, 1);
    finish();
    await stream.ended();
    assert.ok(stream.isComplete);
    assert.match(stream.text, /one[\s\S]*two[\s\S]*\[DONE\]/);
    assert.equal(a.calls.length, 1);
  });

  it("asks the rules of the configuration that a request came under, to their end", async (t) => {
    const a = await startScriptedModel(t, ["m"]);
    let allow = (): void => {};
    const service = await startRuleService(t, ({ response }) => {
      allow = () => {
        response.writeHead(200, { "content-type": "application/json" }).end('{"allow":true}');
      };
      return undefined;
    });
    const guard = { type: "http-guard", timeout: "30s", parameters: { url: service.url } };
    const deny = { type: "match", parameters: { cases: [{ when: { model: "m" }, do: { deny: "No" } }] } };
    const words = (rules: readonly object[]) => ({ pools: { a: poolOf(a) }, rules });
    const bench = await startReloadingGateway(t, words([]));
    assert.equal(await statusOf(ask(bench)), 200);
    await bench.reload(words([guard]));
    const before = ask(bench);
    await until("the service is asked", () => service.questions.length === 1);
    await bench.reload(words([deny]));
    assert.equal(await statusOf(ask(bench)), 403);
    allow();
    assert.equal(await statusOf(before), 200);
    const told = await bench.reload(words([{ ...deny, parameters: { cases: 7 } }]));
    assert.equal(told?.event, "config_refused");
    assert.equal(await statusOf(ask(bench)), 403);
    await bench.reload(words([]));
    assert.equal(await statusOf(ask(bench)), 200);
  });

  it("loses no request of a load in twenty readings", async (t) => {
    const [a, b] = [await startScriptedModel(t, ["m"]), await startScriptedModel(t, ["m"])];
    const words = (turn: number) => ({
      pools: { a: poolOf(a), b: poolOf(b) },
      routes: [{ model: "chat", targets: [{ pool: turn % 2 === 0 ? "a" : "b", model: "m" }] }],
      requests: { objectives: { urgent: turn + 1 } },
    });
    const bench = await startReloadingGateway(t, words(0));
    const load = startLoad(4, async () => {
      await pause(20);
      return statusOf(ask(bench, "chat"));
    });
    for (let turn = 1; turn <= 20; turn++) {
      await bench.reload(words(turn));
      await pause(20);
    }
    const answers = await load.stop();
    assert.deepEqual([...new Set(answers)], [200]);
    assert.equal(await reloadCount(bench, "applied"), 20);
    assert.ok(a.calls.length > 0 && b.calls.length > 0);
  });
});

describe("keys", () => {
  const kept = makeKey("kept");
  const gone = makeKey("gone");
  const words = (server: ScriptedModel, keys: readonly object[]) => ({
    auth: { keys },
    pools: { a: poolOf(server) },
  });
  const yaml = (key: { readonly yaml: string }, limits: object = {}): object => ({
    ...(JSON.parse(key.yaml) as object),
    limits,
  });
  const bearer = ({ key }: { readonly key: string }) => ({ authorization: `Bearer ${key}` });

  it("are refused at once when they are taken out; those that stay go on with what they have used", async (t) => {
    const a = await startScriptedModel(t, ["m"]);
    const limits = { requestsPerMinute: 60, burst: 3 };
    const bench = await startReloadingGateway(t, words(a, [yaml(kept, limits), yaml(gone)]));
    const asking = async (key: typeof kept) => statusOf(ask(bench, "m", bearer(key)));
    assert.deepEqual([await asking(gone), await asking(kept), await asking(kept)], [200, 200, 200]);
    await bench.reload(words(a, [yaml(kept, limits)]));
    assert.equal(await asking(gone), 401);
    assert.deepEqual([await asking(kept), await asking(kept)], [200, 429]);
    await bench.reload(words(a, [yaml(kept, limits), yaml(gone)]));
    assert.deepEqual([await asking(gone), await asking(kept)], [200, 429]);
  });

  it("are needed from one request to the next when the configuration begins to ask for them", async (t) => {
    const a = await startScriptedModel(t, ["m"]);
    const bench = await startReloadingGateway(t, { pools: { a: poolOf(a) } });
    assert.equal(await statusOf(ask(bench)), 200);
    await bench.reload(words(a, [yaml(kept)]));
    assert.equal(await statusOf(ask(bench)), 401);
    assert.equal(await statusOf(ask(bench, "m", bearer(kept))), 200);
  });

  it("wait with the addresses where those wait: nothing is opened to the network by half a change", async (t) => {
    const a = await startScriptedModel(t, ["m"]);
    const bench = await startReloadingGateway(t, words(a, [yaml(kept)]));
    await bench.reload({ pools: { a: poolOf(a) }, listen: [{ port: 0, host: "::1" }], auth: "none" });
    assert.deepEqual(bench.taken.at(-1), { changed: [], waiting: ["listen", "auth"] });
    assert.equal(await statusOf(ask(bench)), 401);
    const bound = bench.gateway.listening.http.map(({ host }) => host);
    assert.deepEqual(bound, ["127.0.0.1"]);
  });

  it("of a file are those of the file that the new configuration names", async (t) => {
    const a = await startScriptedModel(t, ["m"]);
    const bench = await startReloadingGateway(t, words(a, [yaml(kept)]));
    writeFileSync(join(bench.folder, "keys.yaml"), `keys: [${gone.yaml}]\n`);
    await bench.reload({ pools: { a: poolOf(a) }, auth: { keys: [], keysFile: "keys.yaml" } });
    assert.equal(await statusOf(ask(bench, "m", bearer(gone))), 200);
    assert.equal(await statusOf(ask(bench, "m", bearer(kept))), 401);
    writeFileSync(join(bench.folder, "keys.yaml"), "keys: [{");
    const told = await bench.reload({
      pools: { a: poolOf(a) },
      auth: { keys: [JSON.parse(kept.yaml)], keysFile: "keys.yaml" },
    });
    assert.equal(told?.event, "config_refused");
    assert.equal(await statusOf(ask(bench, "m", bearer(gone))), 200);
  });
});

describe("pools", () => {
  const words = (pools: object) => ({ pools });

  it("that are new are asked first and used at once; those that stay are the same", async (t) => {
    const [a, b] = [await startScriptedModel(t, ["m"]), await startScriptedModel(t, ["n"])];
    const bench = await startReloadingGateway(t, words({ a: poolOf(a) }));
    const [before] = bench.gateway.forward.pools();
    const learnt = { dialect: "openai", endpoints: [b.url] };
    const told = await bench.reload(words({ b: learnt, a: poolOf(a) }));
    assert.equal(told?.fields["changed"], "pools.b");
    assert.equal(await statusOf(ask(bench, "n")), 200);
    assert.equal(await statusOf(ask(bench, "m")), 200);
    const pools = bench.gateway.forward.pools();
    assert.deepEqual(
      pools.map(({ name }) => name),
      ["b", "a"],
    );
    assert.equal(pools[1], before);
  });

  it("that go finish what they have: streams, and requests in their line", async (t) => {
    const a = await startScriptedModel(t, ["m"]);
    const b = await startScriptedModel(t, ["n"]);
    const other = { ...poolOf(b), models: ["n"] };
    const bench = await startReloadingGateway(t, words({ a: { ...poolOf(a), concurrency: 1 }, b: other }));
    let finish = (): void => {};
    a.script = (call) => {
      const response = openWithContent(call);
      finish = () => void response.end(framesAt(pathOf(call), ["two"]).slice(1).join(""));
    };
    const stream = ask(bench, "m", {}, true);
    await until("the stream has begun", () => stream.chunks.length > 0);
    const [pool] = bench.gateway.forward.pools();
    const waiting = ask(bench, "m", {}, true);
    await until("one waits", () => pool?.line.length === 1);
    await bench.reload(words({ b: other }));
    assert.equal(await statusOf(ask(bench, "m")), 404);
    await pause(600);
    finish();
    await until("the one that waited is on its way", () => a.calls.length === 2);
    await pause(600);
    await until("it has begun", () => waiting.chunks.length > 0);
    finish();
    for (const call of [await stream.ended(), await waiting.ended()]) {
      assert.ok(call.isComplete);
      assert.match(call.text, /one[\s\S]*two[\s\S]*\[DONE\]/);
    }
    await until("the pool is closed", () => pool?.endpoints.length === 0);
    const metrics = await (await fetch(`${bench.gateway.url}/metrics`)).text();
    assert.doesNotMatch(metrics, /spillway_endpoint_state\{pool="a"/);
    assert.equal(await statusOf(ask(bench, "n")), 200);
  });

  it("lose no request of 200 a second while their servers change twenty times", async (t) => {
    const servers = [await startScriptedModel(t, ["m"]), await startScriptedModel(t, ["m"])];
    const [a, b] = servers;
    assert.ok(a && b);
    const turns = [[a], [a, b], [b], [b, a]];
    const bench = await startReloadingGateway(t, words({ a: poolOf(a) }));
    const client = bench.gateway.client();
    const calls: Promise<number>[] = [];
    let going = true;
    const load = (async () => {
      const startedAt = performance.now();
      while (going) {
        const due = ((performance.now() - startedAt) / 1_000) * 200;
        for (; calls.length < due;) {
          const stream = calls.length % 2 === 0;
          calls.push(
            client.ask({ path: chatPath, body: chatBody("m", stream) }).then(({ status }) => status),
          );
        }
        await pause(5);
      }
    })();
    for (let turn = 1; turn <= 20; turn++) {
      await bench.reload(words({ a: poolOf(...(turns[turn % 4] ?? [a])) }));
      await pause(30);
    }
    going = false;
    await load;
    const answers = await Promise.all(calls);
    assert.deepEqual([...new Set(answers)], [200]);
    assert.equal(await reloadCount(bench, "applied"), 20);
    assert.ok(a.calls.length > 0 && b.calls.length > 0);
    const shown = async () => {
      const family = (await bench.gateway.metrics()).get("spillway_endpoint_state");
      return [...(family?.samples ?? [])].filter(([, value]) => value === 1).map(([labels]) => labels);
    };
    await until("the last pool alone is shown", async () => {
      const all = await shown();
      return all.length === 1 && all[0]?.includes('state="ready"');
    });
  });

  it("show their servers what a file holds now", async (t) => {
    const a = await startScriptedModel(t, ["m"]);
    const pool = { ...poolOf(a), credentials: "file:token" };
    const bench = await startReloadingGateway(t, words({ a: poolOf(a) }));
    assert.equal((await bench.reload(words({ a: pool })))?.event, "config_refused");
    assert.equal(await statusOf(ask(bench)), 200);
    writeFileSync(join(bench.folder, "token"), "first");
    assert.equal((await bench.reload(words({ a: pool })))?.event, "config_changed");
    assert.equal(await statusOf(ask(bench)), 200);
    assert.equal(a.calls.at(-1)?.headers["authorization"], "Bearer first");
    assert.equal((await bench.reload(words({ a: pool })))?.event, "config_unchanged");
    writeFileSync(join(bench.folder, "token"), "second");
    assert.equal((await bench.reload(words({ a: pool })))?.event, "config_changed");
    assert.equal(await statusOf(ask(bench)), 200);
    assert.equal(a.calls.at(-1)?.headers["authorization"], "Bearer second");
  });

  it("that have scheduling of their own wait for a restart, with all that stands in the file", async (t) => {
    const a = await startScriptedModel(t, ["m"]);
    const picky = { ...poolOf(a), scheduling: { profiles: { default: { scorers: [{ type: "queue" }] } } } };
    const bench = await startReloadingGateway(t, words({ a: poolOf(a) }));
    const routes = [{ model: "chat", targets: [{ pool: "a", model: "m" }] }];
    const told = await bench.reload({ ...words({ a: picky }), routes });
    assert.equal(told?.event, "config_refused");
    assert.match(
      String(told?.fields["error"]),
      /^pools\.a: cannot change without a restart: it has scheduling/,
    );
    assert.equal(await statusOf(ask(bench, "chat")), 404);
    assert.equal(await statusOf(ask(bench)), 200);
  });
});

describe("what is wrong", () => {
  it("is kept out and told, and the next good one is taken", async (t) => {
    const a = await startScriptedModel(t, ["m"]);
    const bench = await startReloadingGateway(t, { pools: { a: poolOf(a) } });
    const told = await bench.reload(textOf({ pools: { a: poolOf(a) }, rotues: [] }));
    assert.equal(told?.level, "error");
    assert.match(String(told?.fields["error"]), /spillway\.yaml:1:\d+: rotues: .*did you mean "routes"/);
    assert.equal(await gauge(bench, "spillway_config_last_reload_successful"), 0);
    assert.equal(await statusOf(ask(bench)), 200);
    assert.equal((await bench.reload("pools: {a: ["))?.event, "config_refused");
    assert.equal(await statusOf(ask(bench)), 200);
    const routes = [{ model: "chat", targets: [{ pool: "a", model: "m" }] }];
    assert.equal((await bench.reload({ pools: { a: poolOf(a) }, routes }))?.event, "config_changed");
    assert.equal(await statusOf(ask(bench, "chat")), 200);
    assert.equal(await gauge(bench, "spillway_config_last_reload_successful"), 1);
    assert.equal(await reloadCount(bench, "refused"), 2);
  });

  it("changes nothing of what is right beside it", async (t) => {
    const a = await startScriptedModel(t, ["m"]);
    const words = { pools: { a: poolOf(a) } };
    const bench = await startReloadingGateway(t, words);
    const key = makeKey("someone");
    writeFileSync(join(bench.folder, "keys.yaml"), "what is this");
    await bench.reload({ ...words, auth: { keys: [JSON.parse(key.yaml)], keysFile: "keys.yaml" } });
    assert.equal(await statusOf(ask(bench)), 200);
  });
});

describe("what belongs to the start", () => {
  it("is named, and the rest is taken", async (t) => {
    const a = await startScriptedModel(t, ["m"]);
    const words = { pools: { a: poolOf(a) } };
    const bench = await startReloadingGateway(t, words);
    const routes = [{ model: "chat", targets: [{ pool: "a", model: "m" }] }];
    const next = { ...words, routes, workers: { startTimeout: "7s" }, limits: { maxBody: "1MB" } };
    await bench.reload(next);
    assert.deepEqual(bench.taken.at(-1), { changed: ["routes"], waiting: ["limits", "workers"] });
    const warned = () => bench.gateway.events.filter(({ event }) => event === "config_needs_restart");
    assert.deepEqual(
      warned().map(({ fields }) => fields["waiting"]),
      ["limits, workers"],
    );
    assert.equal(await gauge(bench, "spillway_config_restart_required"), 2);
    assert.equal(await statusOf(ask(bench, "chat")), 200);
    await bench.reload(next);
    assert.deepEqual(bench.taken.at(-1), { changed: [], waiting: ["limits", "workers"] });
    assert.equal(warned().length, 1, "said once");
    await bench.reload({ ...words, routes });
    assert.deepEqual(bench.taken.at(-1), { changed: [], waiting: [] });
  });
});

describe("the file", () => {
  const routeTo = (model: string) => [{ model, targets: [{ pool: "a", model: "m" }] }];

  async function followed(t: TestContext) {
    const a = await startScriptedModel(t, ["m"]);
    const words = (model: string) => ({ pools: { a: poolOf(a) }, routes: routeTo(model) });
    return { words, bench: await startReloadingGateway(t, words("one"), { watches: true }) };
  }

  it("is read when it is replaced, written over, wrong and right again", async (t) => {
    const { bench, words } = await followed(t);
    bench.write(words("two"));
    await bench.noticed(1);
    assert.equal(await statusOf(ask(bench, "two")), 200);
    writeFileSync(bench.file, "routes: 7");
    assert.equal((await bench.noticed(2)).at(-1)?.event, "config_refused");
    writeFileSync(bench.file, textOf(words("three")));
    await bench.noticed(3);
    assert.equal(await statusOf(ask(bench, "three")), 200);
  });

  it("is followed through links that are swapped as mounted volumes swap them", async (t) => {
    const a = await startScriptedModel(t, ["m"]);
    const words = (model: string) => textOf({ pools: { a: poolOf(a) }, routes: routeTo(model) });
    const store = (folder: string, version: string, model: string): void => {
      mkdirSync(join(folder, version));
      writeFileSync(join(folder, version, "spillway.yaml"), words(model));
      symlinkSync(version, join(folder, "..data.new"));
      renameSync(join(folder, "..data.new"), join(folder, "..data"));
    };
    const path = (folder: string): string => {
      store(folder, "..1", "one");
      symlinkSync("..data/spillway.yaml", join(folder, "spillway.yaml"));
      return join(folder, "spillway.yaml");
    };
    const bench = await startReloadingGateway(t, {}, { watches: true, path });
    assert.equal(await statusOf(ask(bench, "one")), 200);
    store(bench.folder, "..2", "two");
    await bench.noticed(1);
    assert.equal(await statusOf(ask(bench, "two")), 200);
  });

  it("is read few times when it changes many times in a burst", async (t) => {
    const { bench, words } = await followed(t);
    for (let turn = 0; turn < 50; turn++) {
      bench.write(words(`m${turn}`));
      await pause(10);
    }
    await until("the last one counts", async () => (await statusOf(ask(bench, "m49"))) === 200);
    assert.ok(bench.taken.length <= 3, `${bench.taken.length} readings`);
  });
});

describe("the end", () => {
  it("comes while the configuration is read: nothing of it is put in place, and nothing stays open", async (t) => {
    const a = await startScriptedModel(t, ["m"]);
    const bench = await startReloadingGateway(t, { pools: { a: poolOf(a) } });
    const key = makeKey("someone");
    writeFileSync(join(bench.folder, "keys.yaml"), `keys: [${key.yaml}]\n`);
    bench.write({ pools: { a: poolOf(a) }, auth: { keys: [], keysFile: "keys.yaml" } });
    const reading = bench.gateway.reload();
    await bench.gateway.close({ graceMs: 0 });
    await reading;
    assert.deepEqual(bench.taken, []);
    await bench.gateway.reload();
    assert.deepEqual(bench.taken, []);
  });
});
