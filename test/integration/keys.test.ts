/** Keys and their limits from outside: a gateway with real models, over HTTP and gRPC. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import type { KeyLimits, KeyOptions } from "../../packages/gateway/src/contracts/options.ts";
import { createSecret, digestSecret, formatKey } from "../../packages/gateway/src/core/api-key.ts";
import { createModelFolder, startTestGateway, testConfig, type TestGateway } from "../harness/gateway.ts";
import type { HttpAnswer, HttpAsk } from "../harness/http-client.ts";
import { until } from "../harness/until.ts";

const service = "inference.GRPCInferenceService";

interface TestKey {
  readonly key: string;
  readonly options: KeyOptions;
}

function makeKey(
  id: string,
  more: Partial<Omit<KeyOptions, "limits">> = {},
  limits: Partial<KeyLimits> = {},
): TestKey {
  const secret = createSecret();
  const options: KeyOptions = {
    id,
    secretSha256: digestSecret(secret),
    scopes: ["infer"],
    limits: {
      requestsPerMinute: undefined,
      burst: undefined,
      tokensPerMinute: undefined,
      concurrency: undefined,
      ...limits,
    },
    expiresAtMs: undefined,
    models: undefined,
    ...more,
  };
  return { key: formatKey(id, secret), options };
}

const operator = makeKey("operator", { scopes: ["infer", "status", "admin"] });
const bearer = ({ key }: TestKey): Record<string, string> => ({ authorization: `Bearer ${key}` });

interface Setup {
  readonly yaml?: string;
  readonly keys?: readonly TestKey[];
  readonly keysFile?: string;
}

/** A gateway with the model `m`, the operator's key and others. */
async function setup(
  test: TestContext,
  { yaml = "mock: { identity: true, width: 2 }", keys = [], keysFile }: Setup,
) {
  const models = createModelFolder(test);
  models.addMock("m", yaml);
  const config = testConfig(models.path);
  const access = {
    ...config.access,
    mode: "keys" as const,
    keys: [operator, ...keys].map(({ options }) => options),
    keysFile,
  };
  const gateway = await startTestGateway(test, { ...config, access });
  return { gateway, client: gateway.client(), models };
}

const ask = (key: TestKey | undefined, model = "m"): HttpAsk => ({
  path: `/v2/models/${model}/infer`,
  headers: key === undefined ? {} : bearer(key),
  body: { inputs: [{ name: "input", datatype: "FP32", shape: [1, 2], data: [1, 2] }] },
});

const message = (model = "m") => ({
  model_name: model,
  inputs: [{ name: "input", datatype: "FP32", shape: [1, 2], contents: { fp32_contents: [1, 2] } }],
});

async function figure(gateway: TestGateway, sample: string): Promise<number> {
  const text = (await gateway.client().ask({ path: "/metrics", headers: bearer(operator) })).text;
  return Number(
    text
      .split("\n")
      .find((line) => line.startsWith(`${sample} `))
      ?.slice(sample.length + 1) ?? 0,
  );
}

function reasonOf({ json }: HttpAnswer): string {
  return String(json["error"]);
}

describe("who may call a gateway with keys", () => {
  it("is whoever has one, for what it is for, in each API's own words", async (test) => {
    const line = makeKey("line-3", { models: ["m", "other-*"] });
    const { client } = await setup(test, { keys: [line] });
    const missing = await client.ask(ask(undefined));
    assert.equal(missing.status, 401);
    assert.equal(missing.headers["www-authenticate"], 'Bearer realm="spillway"');
    assert.match(reasonOf(missing), /needs a key/);
    assert.equal((await client.ask(ask(line))).status, 200);
    const byOther = await client.ask({
      ...ask(undefined),
      headers: { "x-api-key": line.key, origin: "https://x.example" },
    });
    assert.equal(byOther.status, 200);
    const load = await client.ask({
      path: "/v2/repository/models/m/load",
      method: "POST",
      headers: bearer(line),
    });
    assert.equal(load.status, 403);
    assert.match(reasonOf(load), /needs the scope admin; the key line-3 has infer/);
    assert.equal((await client.ask({ path: "/metrics", headers: bearer(line) })).status, 403);
    const model = await client.ask(ask(line, "secret"));
    assert.equal(model.status, 403);
    assert.match(reasonOf(model), /line-3 may not use the model secret/);
    assert.equal((await client.ask(ask(line, "other-1"))).status, 404);
  });

  it("is anybody for health, without a key", async (test) => {
    const { client, gateway } = await setup(test, {});
    for (const path of [
      "/health",
      "/health/live",
      "/health/ready",
      "/ping",
      "/v2/health/live",
      "/v2/health/ready",
    ]) {
      assert.equal((await client.ask({ path })).status, 200, path);
    }
    for (const path of ["/", "/metrics", "/v2", "/v2/models/m"]) {
      assert.equal((await client.ask({ path })).status, 401, path);
    }
    const rpc = gateway.rpc();
    assert.equal((await rpc.call("grpc.health.v1.Health", "Check", {})).code, 0);
    assert.equal((await rpc.call(service, "ServerReady", {})).code, 0);
    assert.equal((await rpc.call(service, "ServerMetadata", {})).code, 16);
  });

  it("says so in the metadata of a gRPC call", async (test) => {
    const line = makeKey("line-3", {}, { requestsPerMinute: 2 });
    const { gateway } = await setup(test, { keys: [line] });
    const rpc = gateway.rpc();
    const missing = await rpc.call(service, "ModelInfer", message());
    assert.equal(missing.code, 16);
    assert.deepEqual(missing.metadata.get("www-authenticate"), ['Bearer realm="spillway"']);
    const good = await rpc.call(service, "ModelInfer", message(), { metadata: { "x-api-key": line.key } });
    assert.equal(good.code, 0);
    assert.deepEqual(good.metadata.get("x-ratelimit-remaining-requests"), ["1"]);
    const metadata = { authorization: `Bearer ${line.key}` };
    assert.equal((await rpc.call(service, "RepositoryIndex", {}, { metadata })).code, 7);
    const limited = await rpc.call(service, "ModelInfer", message(), { metadata });
    assert.equal(limited.code, 8);
    assert.deepEqual(limited.metadata.get("x-ratelimit-remaining-requests"), ["0"]);
    assert.ok(Number(limited.metadata.get("grpc-retry-pushback-ms")[0]) > 1_000);
  });
});

describe("what a key may use", () => {
  it("is told with every answer, and 429 says when to come again", async (test) => {
    const line = makeKey("line-3", {}, { requestsPerMinute: 60, burst: 3 });
    const { client, gateway } = await setup(test, { keys: [line] });
    for (const left of ["2", "1"]) {
      const { status, headers } = await client.ask(ask(line));
      assert.equal(status, 200);
      assert.equal(headers["x-ratelimit-limit-requests"], "60");
      assert.equal(headers["x-ratelimit-remaining-requests"], left);
    }
    const notFound = await client.ask(ask(line, "nothing"));
    assert.equal(notFound.headers["x-ratelimit-remaining-requests"], "0");
    const refused = await client.ask(ask(line));
    assert.equal(refused.status, 429);
    assert.equal(refused.headers["retry-after"], "1");
    assert.equal(refused.headers["x-ratelimit-remaining-requests"], "0");
    assert.equal(
      await figure(gateway, 'spillway_key_requests_refused_total{key="line-3",reason="requests"}'),
      1,
    );
    assert.equal(await figure(gateway, 'spillway_key_requests_total{key="line-3"}'), 4);
  });

  it("counts each message of a gRPC stream", async (test) => {
    const line = makeKey("line-3", {}, { requestsPerMinute: 3 });
    const { gateway } = await setup(test, { keys: [line] });
    const messages = Array.from({ length: 5 }, () => message());
    const metadata = { authorization: `Bearer ${line.key}` };
    const answers = await gateway.rpc().stream(service, "ModelStreamInfer", messages, { metadata });
    const errors = answers.map((answer) => JSON.stringify(answer["error_message"]));
    assert.deepEqual(
      errors.map((error) => /3 requests a minute/.test(error)),
      [false, false, false, true, true],
    );
  });

  it("is never passed by many that race, and comes back when they end, leave or crash", async (test) => {
    const line = makeKey("line-3", {}, { concurrency: 4 });
    const yaml = "batching: { maxBatch: 1 }\nmock: { identity: true, width: 2, latencyMs: 20 }";
    const { gateway } = await setup(test, { keys: [line], yaml });
    const client = gateway.client({ connections: 200 });
    const inFlight = 'spillway_key_requests_in_flight{key="line-3"}';
    let most = 0;
    let racing = true;
    const watching = (async () => {
      while (racing) most = Math.max(most, await figure(gateway, inFlight));
    })();
    const statuses = await Promise.all(
      Array.from({ length: 200 }, async () => (await client.ask(ask(line))).status),
    );
    const good = statuses.filter((status) => status === 200).length;
    assert.ok(good >= 4 && statuses.every((status) => status === 200 || status === 429), statuses.join());
    // Clients that leave in line or at work.
    for (let round = 0; round < 5; round++) {
      await Promise.all(
        Array.from({ length: 8 }, async (_, i) => {
          const leaving = new AbortController();
          const answer = client.ask({ ...ask(line), signal: leaving.signal }).catch(() => {});
          setTimeout(() => leaving.abort(), i * 4);
          await answer;
        }),
      );
    }
    await until("all places are free", async () => (await figure(gateway, inFlight)) === 0);
    // A worker that dies.
    const asked = Array.from({ length: 4 }, () => client.ask(ask(line)));
    for (const pid of gateway.pids("m/1")) process.kill(pid, "SIGKILL");
    await Promise.all(asked);
    await until("all places are free again", async () => (await figure(gateway, inFlight)) === 0);
    racing = false;
    await watching;
    assert.ok(most >= 1 && most <= 4, String(most));
    assert.equal((await client.ask(ask(line))).status, 200);
  });
});

describe("a file of keys that changes", () => {
  const yamlOf = (...keys: TestKey[]): string =>
    `keys:\n${keys.map(({ options }) => `  - { id: ${options.id}, secret: "sha256:${options.secretSha256}" }\n`).join("")}`;

  it("brings and revokes keys within two seconds, and finishes what a revoked key began", async (test) => {
    const models = createModelFolder(test);
    const keysFile = join(models.path, ".keys.yaml");
    const [a, b] = [makeKey("a"), makeKey("b")];
    writeFileSync(keysFile, yamlOf(a));
    const yaml = "mock: { identity: true, width: 2, latencyMs: 3000 }";
    const { client, gateway } = await setup(test, { yaml, keysFile });
    const begun = client.ask(ask(a));
    await until(
      "it is under way",
      async () => (await figure(gateway, 'spillway_key_requests_in_flight{key="a"}')) === 1,
    );
    const metadata = { authorization: `Bearer ${a.key}` };
    const rpc = gateway.rpc().call(service, "ModelInfer", message(), { metadata });
    await until(
      "both are",
      async () => (await figure(gateway, 'spillway_key_requests_in_flight{key="a"}')) === 2,
    );
    writeFileSync(keysFile, yamlOf(b));
    const start = performance.now();
    const listed = { path: "/v2/models/none/infer", method: "POST", body: "{}" };
    await until(
      "the key is refused",
      async () => (await client.ask({ ...listed, headers: bearer(a) })).status === 401,
    );
    assert.ok(performance.now() - start < 2_000);
    assert.notEqual((await client.ask({ ...listed, headers: bearer(b) })).status, 401);
    assert.equal((await begun).status, 200);
    assert.equal((await rpc).code, 0);
  });

  it("changes nothing while it is broken or gone, and that is logged once each", async (test) => {
    const models = createModelFolder(test);
    const keysFile = join(models.path, ".keys.yaml");
    const a = makeKey("a");
    writeFileSync(keysFile, yamlOf(a));
    const { client, gateway } = await setup(test, { keysFile });
    const problems = () => gateway.events.filter(({ event }) => event === "keys_not_read");
    writeFileSync(keysFile, `${yamlOf(a)}  - { id: x }\n`);
    await until("it is logged", () => problems().length === 1);
    assert.match(String(problems()[0]?.fields["error"]), /\.keys\.yaml:3:5: keys\[1\]\.secret: missing/);
    assert.equal((await client.ask(ask(a))).status, 200);
    models.remove(".keys.yaml");
    await until("it is logged", () => problems().length === 2);
    assert.equal((await client.ask(ask(a))).status, 200);
    writeFileSync(keysFile, yamlOf(makeKey("b")));
    await until("it is read", async () => (await client.ask(ask(a))).status === 401);
  });

  it("keeps a gateway from starting when it is wrong, and need not be there", async (test) => {
    const models = createModelFolder(test);
    const keysFile = join(models.path, ".keys.yaml");
    const { client } = await setup(test, { keysFile });
    assert.equal((await client.ask(ask(operator))).status, 200);
    writeFileSync(keysFile, yamlOf(operator));
    await assert.rejects(
      setup(test, { keysFile }),
      /keys\[0\]\.id: the configuration itself has a key operator/,
    );
  });
});
