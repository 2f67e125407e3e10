import assert from "node:assert/strict";
import { writeFileSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { runSpillway, type Ended } from "../../../../test/harness/spillway.ts";

interface Received {
  readonly line: string;
  readonly type: string | undefined;
  readonly body: Buffer;
}

const folder = mkdtempSync(join(tmpdir(), "spillway-api-"));
/** What the gateway was asked, and what it answers next. */
let received: Received[] = [];
/** Answers of addresses that differ. */
let paths: Record<string, unknown> = {};
let answer: { status: number; body: string } = { status: 200, body: "" };
const server = createServer((request, response) => {
  void read(request).then((body) => {
    const { method, url, headers } = request;
    received.push({ line: `${method} ${url}`, type: headers["content-type"], body });
    const own = paths[url ?? ""];
    const text = own === undefined ? answer.body : JSON.stringify(own);
    response.writeHead(answer.status, { "content-type": "application/json" }).end(text);
  });
});

async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

before(() => new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve)));
after(() => {
  rmSync(folder, { recursive: true });
  server.close();
});
beforeEach(() => {
  received = [];
  paths = {};
});

function run(...args: string[]): Promise<Ended> {
  const { port } = server.address() as AddressInfo;
  return runSpillway(args, { cwd: folder, env: { SPILLWAY_URL: `http://127.0.0.1:${port}` } });
}

function answers(status: number, body: unknown): void {
  answer = { status, body: body === undefined ? "" : JSON.stringify(body) };
}

describe("models", () => {
  const index = [
    { name: "iris", version: "1", state: "READY", reason: "" },
    { name: "digits", version: "10", state: "UNAVAILABLE", reason: "it is broken\nin two lines" },
  ];

  test("list, also without saying so", async () => {
    answers(200, index);
    for (const args of [["models"], ["models", "list"]]) {
      const { code, stdout } = await run(...args);
      assert.equal(code, 0);
      assert.equal(
        stdout,
        "MODEL   VERSION  STATE        REASON\niris          1  READY\ndigits       10  UNAVAILABLE  it is broken\n",
      );
    }
    assert.deepEqual(
      received.map(({ line }) => line),
      Array(2).fill(["POST /v2/repository/index", "GET /v1/models"]).flat(),
    );
  });

  test("list has the models of pools too", async () => {
    answers(200, index);
    paths = {
      "/v1/models": {
        object: "list",
        data: [{ id: "iris" }, { id: "qwen:4b", ready: true }, { id: "gone", ready: false }],
      },
    };
    const { stdout } = await run("models");
    assert.match(stdout, /^qwen:4b +READY$/m);
    assert.match(stdout, /^gone +UNAVAILABLE +no server/m);
    assert.equal(stdout.match(/iris/g)?.length, 1);
  });

  test("list --json is what the gateway says", async () => {
    answers(200, index);
    const { stdout } = await run("models", "list", "--json");
    assert.deepEqual(JSON.parse(stdout), index);
  });

  test("list of nothing", async () => {
    answers(200, []);
    assert.equal((await run("models")).stdout, "no models\n");
  });

  for (const action of ["load", "unload"]) {
    test(action, async () => {
      answers(200, undefined);
      const { code, stdout } = await run("models", action, "a model");
      assert.equal(code, 0);
      assert.equal(stdout, `a model ${action}ed\n`);
      assert.equal(received[0]?.line, `POST /v2/repository/models/a%20model/${action}`);
    });
  }

  test("the gateway's reason is told", async () => {
    answers(400, { error: "failed to load 'x': no file" });
    const { code, stdout, stderr } = await run("models", "load", "x");
    assert.equal(code, 1);
    assert.equal(stdout, "");
    assert.match(
      stderr,
      /^spillway: POST \/v2\/repository\/models\/x\/load at http:\S+: failed to load 'x': no file\n$/,
    );
  });

  test("something that is no gateway", async () => {
    answer = { status: 200, body: "<html>" };
    const { code, stderr } = await run("models");
    assert.equal(code, 1);
    assert.match(stderr, /^spillway: .*status 200, and no reason that can be read\n$/);
  });

  test("stats", async () => {
    const time = (count: number, ns: number) => ({ count, ns });
    answers(200, {
      model_stats: [
        {
          name: "iris",
          version: "1",
          inference_count: 30,
          execution_count: 10,
          inference_stats: {
            success: time(20, 0),
            fail: time(1, 0),
            queue: time(20, 5e6),
            compute_infer: time(10, 2e7),
          },
        },
      ],
    });
    const { stdout } = await run("models", "stats", "iris");
    const [, row = ""] = stdout.split("\n");
    assert.deepEqual(row.trim().split(/ +/), ["iris", "1", "20", "1", "30", "10", "3.0", "0.25", "2.00"]);
    assert.equal(received[0]?.line, "GET /v2/models/iris/stats");
    await run("models", "stats");
    assert.equal(received[1]?.line, "GET /v2/models/stats");
  });
});

describe("predict", () => {
  const prediction = {
    class_id: 0,
    confidence: 0.98765,
    error: "",
    label: "setosa",
    model_name: "iris",
    model_version: "1",
    latency_ms: 1.25,
  };

  test("features", async () => {
    answers(200, prediction);
    const { code, stdout } = await run("predict", "iris", "--features", "5.1, -3.5,1e3");
    assert.equal(code, 0);
    assert.equal(stdout, "setosa (class 0), confidence 0.9877, by iris 1 in 1.3 ms\n");
    assert.equal(received[0]?.line, "POST /predict");
    assert.deepEqual(JSON.parse(String(received[0]?.body)), {
      features: [5.1, -3.5, 1000],
      model_name: "iris",
    });
  });

  test("a prompt, of a mock without labels, as JSON", async () => {
    answers(200, { ...prediction, label: "", mock: true });
    const plain = await run("predict", "v1-mock", "--prompt", 'I "love" it');
    assert.match(plain.stdout, /^class 0, .* by iris 1, a mock in/);
    assert.deepEqual(JSON.parse(String(received[0]?.body)), { prompt: 'I "love" it', model_name: "v1-mock" });
    const { stdout } = await run("predict", "v1-mock", "--prompt", "x", "--json");
    assert.equal((JSON.parse(stdout) as { mock: boolean }).mock, true);
  });

  test("a picture as it is", async () => {
    answers(200, prediction);
    writeFileSync(join(folder, "A.PNG"), Buffer.from([0x89, 0x50, 0]));
    assert.equal((await run("predict", "digits", "--image", "A.PNG")).code, 0);
    const [call] = received;
    assert.equal(call?.line, "POST /predict?model_name=digits");
    assert.equal(call?.type, "image/png");
    assert.deepEqual([...(call?.body ?? [])], [0x89, 0x50, 0]);
  });

  test("a refusal", async () => {
    answers(404, { error: "No such model", code: "model_not_found" });
    const { code, stderr } = await run("predict", "iris", "--features", "1");
    assert.equal(code, 1);
    assert.match(stderr, /No such model\n$/);
  });
});
