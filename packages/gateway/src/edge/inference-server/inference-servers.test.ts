/** A Groundlight inference server as a local model: its answers in every mode, its faults, its health. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { until } from "../../../../../test/harness/until.ts";
import type { LocalAnswer } from "../../../src/core/detector.ts";
import { Cancellation } from "../../core/cancellation.ts";
import { systemClock } from "../../core/clock.ts";
import type { Detector } from "../../core/detector.ts";
import { isFailure, type Failure } from "../../core/errors.ts";
import { askServer } from "../../endpoints/ask-server.ts";
import { createConnectionFactory } from "../../stages/upstream/server-connections.ts";
import { createInferenceServers, withInferenceServers } from "./inference-servers.ts";
import { createDetector } from "../../../test/support/detectors.ts";

const picture = Buffer.from("a picture");

function detectorOf(mode: Detector["mode"], modeConfiguration: Detector["modeConfiguration"] = {}): Detector {
  return createDetector({ mode, modeConfiguration });
}

interface Asked {
  readonly path: string | undefined;
  readonly type: string | undefined;
  readonly body: string;
}

/** A server that answers `/infer` with what `answer` is, and how it was asked. */
async function startServer(test: TestContext, answer: () => unknown, handle?: RequestListener) {
  const asked: Asked[] = [];
  let connections = 0;
  let isReady = true;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { url: path, headers } = request;
      if (path === "/health/ready") return void response.writeHead(isReady ? 200 : 503).end();
      asked.push({ path, type: headers["content-type"], body: Buffer.concat(chunks).toString() });
      if (handle !== undefined) return handle(request, response);
      const body = answer();
      response.end(typeof body === "string" ? body : JSON.stringify(body));
    });
  });
  server.on("connection", () => connections++);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  test.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    asked,
    connections: () => connections,
    setReady: (ready: boolean) => (isReady = ready),
    server,
  };
}

function start(test: TestContext) {
  const servers = createInferenceServers({
    connect: createConnectionFactory({ clock: systemClock }),
    ask: askServer,
    clock: systemClock,
  });
  test.after(() => servers.close());
  const infer = (
    url: string,
    options: { detector?: Detector; oodd?: string; timeoutMs?: number; cancellation?: Cancellation } = {},
  ): Promise<LocalAnswer | Failure> => {
    const {
      detector = detectorOf("BINARY"),
      oodd,
      timeoutMs = 5_000,
      cancellation = new Cancellation(),
    } = options;
    const server = { url, outOfDomainUrl: oodd };
    const model = { name: "s", version: undefined, outOfDomain: undefined, labels: {}, server };
    const caller = { id: "local", scopes: [] };
    const shared = { picture, mediaType: "image/png", caller, requestId: "req_1", timeoutMs };
    return servers.infer({ ...shared, detector, model, cancellation });
  };
  return { servers, infer };
}

const binary = (chosen: 0 | 1, confidence: number) => ({
  predictions: {
    confidences: [confidence],
    labels: [chosen],
    probabilities: [confidence],
    scores: [confidence],
  },
  multi_predictions: null,
  secondary_predictions: null,
});
const many = (probabilities: number[], more: object = {}) => ({
  predictions: null,
  multi_predictions: { probabilities: [probabilities], labels: [[0]], rois: null, text: null, ...more },
  secondary_predictions: null,
});
const box = (score: number) => ({
  label: "cat",
  score,
  version: "2.0",
  geometry: { left: 0.1, top: 0.2, right: 0.3, bottom: 0.4, version: "2.0" },
});

describe("answers", () => {
  const cases: readonly [
    name: string,
    detector: Detector,
    answer: unknown,
    finding: object,
    confidence: number,
  ][] = [
    ["YES", detectorOf("BINARY"), binary(0, 0.8), { mode: "BINARY", label: "YES" }, 0.8],
    ["NO", detectorOf("BINARY"), binary(1, 0.7), { mode: "BINARY", label: "NO" }, 0.7],
    [
      "a class",
      detectorOf("MULTI_CLASS", { classNames: ["a", "b"] }),
      many([0.1, 0.9]),
      { mode: "MULTI_CLASS", label: "b" },
      0.9,
    ],
    [
      "a class without a name",
      detectorOf("MULTI_CLASS", { classNames: ["a"] }),
      many([0.1, 0.9]),
      { mode: "MULTI_CLASS", label: "UNCLEAR" },
      0.9,
    ],
    [
      "a count",
      detectorOf("COUNT", { maxCount: 5 }),
      many([0.1, 0.2, 0.7]),
      { mode: "COUNT", count: 2, greaterThanMax: false },
      0.7,
    ],
    [
      "more than the most",
      detectorOf("COUNT", { maxCount: 1 }),
      many([0.1, 0.2, 0.7]),
      { mode: "COUNT", count: 1, greaterThanMax: true },
      0.7,
    ],
    [
      "boxes",
      detectorOf("BOUNDING_BOX"),
      many([0.1, 0.9], { rois: [[box(0.9), box(0.6)]], max_dropped_roi_scores: [0.5] }),
      { mode: "BOUNDING_BOX", label: "BOUNDING_BOX" },
      0.3,
    ],
    [
      "a text",
      detectorOf("TEXT"),
      { ...many([0.9]), secondary_predictions: { roi_predictions: null, text_predictions: ["LOT 7"] } },
      { mode: "TEXT", text: "LOT 7", truncated: false },
      0.9,
    ],
  ];
  for (const [name, detector, answer, finding, confidence] of cases)
    it(`reads ${name}`, async (test) => {
      const server = await startServer(test, () => answer);
      const read = await start(test).infer(server.url, { detector });
      assert.ok(!isFailure(read), JSON.stringify(read));
      assert.deepEqual([read.finding, read.model], [finding, { name: "s", version: "server" }]);
      assert.ok(Math.abs(read.confidence - confidence) < 1e-9, `${read.confidence}`);
      assert.deepEqual(server.asked, [{ path: "/infer", type: "image/png", body: "a picture" }]);
      if (detector.mode === "BOUNDING_BOX") assert.equal(read.rois?.length, 2);
    });

  it("combines a second server's out-of-domain answer", async (test) => {
    const primary = await startServer(test, () => binary(0, 0.9));
    const second = await startServer(test, () => binary(1, 0.5));
    const read = await start(test).infer(primary.url, { oodd: second.url });
    assert.ok(!isFailure(read));
    assert.deepEqual([read.rawConfidence, read.outOfDomain, read.confidence], [0.9, 0.5, 0.7]);
  });

  it("uses one connection again and again", async (test) => {
    const server = await startServer(test, () => binary(0, 0.9));
    const { infer } = start(test);
    for (let index = 0; index < 5; index++) assert.ok(!isFailure(await infer(server.url)));
    assert.equal(server.connections(), 1);
  });
});

describe("faults", () => {
  const cases: readonly [name: string, answer: unknown, code: string][] = [
    ["HTML", "<html>", "bad_upstream_answer"],
    ["neither kind of prediction", { predictions: null, multi_predictions: null }, "bad_upstream_answer"],
    [
      "both kinds",
      { ...binary(0, 1), multi_predictions: many([1]).multi_predictions },
      "bad_upstream_answer",
    ],
    ["shares that are none", many([7]), "bad_upstream_answer"],
    [
      "two texts",
      { ...many([1]), secondary_predictions: { text_predictions: ["a", "b"] } },
      "bad_upstream_answer",
    ],
    ["too much", JSON.stringify({ x: "y".repeat(300_000) }), "bad_upstream_answer"],
  ];
  for (const [name, answer, code] of cases)
    it(`refuses ${name}`, async (test) => {
      const server = await startServer(test, () => answer);
      const read = await start(test).infer(server.url);
      assert.equal(isFailure(read) && read.code, code);
    });

  it("tells of a status, a deadline, a caller who leaves and a connection that breaks", async (test) => {
    const { infer } = start(test);
    const broken = await startServer(
      test,
      () => "",
      (_request, response) => void response.writeHead(500).end("no GPU"),
    );
    assert.match(JSON.stringify(await infer(broken.url)), /model_failed.*500: no GPU/);
    const silent = await startServer(
      test,
      () => "",
      () => {},
    );
    assert.match(JSON.stringify(await infer(silent.url, { timeoutMs: 50 })), /upstream_timeout/);
    const cancellation = new Cancellation();
    const left = infer(silent.url, { cancellation });
    await until("it was asked", () => silent.asked.length === 2);
    cancellation.cancel("client_gone");
    assert.match(JSON.stringify(await left), /client_gone/);
    const cut = await startServer(
      test,
      () => "",
      (request) => request.socket.destroy(),
    );
    assert.match(JSON.stringify(await infer(cut.url)), /upstream_unreachable/);
  });
});

describe("health", () => {
  it("is known after a look, and a server out of reach costs nobody a wait", async (test) => {
    const server = await startServer(test, () => binary(0, 0.9));
    const { servers, infer } = start(test);
    const stateAt = (url: string) =>
      servers.state({
        name: "s",
        version: undefined,
        outOfDomain: undefined,
        labels: {},
        server: { url, outOfDomainUrl: undefined },
      });
    assert.equal(stateAt(server.url).ready, false);
    await until("it is ready", () => stateAt(server.url).ready);
    const starting = await startServer(test, () => binary(0, 0.9));
    starting.setReady(false);
    await until("it says so", () => /503/.test(stateAt(starting.url).reason));
    assert.match(JSON.stringify(await infer(starting.url)), /model_unavailable.*503/);
    assert.match(JSON.stringify(await infer("http://127.0.0.1:1")), /upstream_unreachable/);
    assert.match(JSON.stringify(await infer("http://127.0.0.1:1")), /model_unavailable/);
  });

  it("leaves other models to others", async (test) => {
    const { servers } = start(test);
    const state = { ready: true, reason: "", version: "7" };
    const local = withInferenceServers(
      { state: () => state, infer: () => Promise.reject(new Error("asked")) },
      servers,
    );
    assert.equal(local.state({ name: "m", version: "7", outOfDomain: undefined, labels: {} }), state);
  });
});
