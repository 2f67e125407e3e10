/** The client of the cloud over real sockets: good answers, everything that can go wrong, callers who leave. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it, type TestContext } from "node:test";
import { inTime } from "../../../../../test/harness/in-time.ts";
import { startCloud, type CloudOptions, type CloudSimulator } from "@spillway/simulator";
import { startScriptedServer, type Script } from "../../../test/support/scripted-server.ts";
import type { Cloud, CloudFailure, CloudHealth, CloudSubmission } from "../../contracts/cloud.ts";
import { isCloudFailure, isTemporary } from "../../contracts/cloud.ts";
import type { EdgeCloudOptions } from "../../contracts/edge-options.ts";
import type { Logger } from "../../contracts/telemetry.ts";
import { Cancellation } from "../../core/cancellation.ts";
import { systemClock } from "../../core/clock.ts";
import { Secret } from "../../core/secret.ts";
import { askServer } from "../../endpoints/ask-server.ts";
import { createConnectionFactory } from "../../stages/upstream/server-connections.ts";
import { createCloud } from "./create-cloud.ts";

const jpeg = Buffer.concat([Buffer.from("ffd8ffe0", "hex"), Buffer.alloc(2_000, 7)]);
const silent: Logger = { error() {}, warn() {}, info() {}, debug() {} };
const patient = { timeoutMs: 5_000 };
const device = "api_device_token_000001";
const caller = "api_caller_token_000002";

function clientOf(
  t: TestContext,
  origin: string,
  { logger = silent, ...options }: Partial<EdgeCloudOptions> & { readonly logger?: Logger } = {},
): Cloud {
  const cloud = createCloud({
    options: {
      origin,
      token: Secret.of(device),
      ca: undefined,
      connectTimeoutMs: 1_000,
      timeoutMs: 5_000,
      ...options,
    },
    connect: createConnectionFactory({ clock: systemClock }),
    ask: askServer,
    clock: systemClock,
    logger,
    version: "1.2.3",
  });
  t.after(() => cloud.close());
  return cloud;
}

async function simulated(
  t: TestContext,
  options: CloudOptions = {},
): Promise<{ server: CloudSimulator; cloud: Cloud; detectorId: string }> {
  const server = await startCloud({ tokens: [device, caller], ...options });
  t.after(() => server.close());
  const [detector] = server.cloud.detectors();
  return { server, cloud: clientOf(t, server.url), detectorId: detector?.id ?? "" };
}

function submission(detectorId: string, more: Partial<CloudSubmission> = {}): CloudSubmission {
  return {
    detectorId,
    picture: jpeg,
    mediaType: "image/jpeg",
    imageQueryId: "iq_2abcdefghijklmnopqrstuvwxyz",
    patienceTime: undefined,
    confidenceThreshold: undefined,
    humanReview: "DEFAULT",
    wantAsync: false,
    metadata: undefined,
    inspectionId: undefined,
    ...more,
  };
}

function good<T>(value: T | CloudFailure): T {
  if (isCloudFailure(value)) throw new Error(`${value.kind}: ${value.detail}`);
  return value;
}

function failed(value: unknown, kind: CloudFailure["kind"]): CloudFailure {
  assert.ok(isCloudFailure(value), JSON.stringify(value));
  assert.equal(value.kind, kind, value.detail);
  return value;
}

describe("the cloud answers", () => {
  it("submissions with all that was said, once for one id", async (t) => {
    const { server, cloud, detectorId } = await simulated(t);
    const everything = submission(detectorId.toUpperCase().replace("DET", "det"), {
      patienceTime: 12,
      confidenceThreshold: 0.6,
      humanReview: "NEVER",
      metadata: { edge_result: { confidence: 0.5 }, "ä+/=": 1 },
      inspectionId: "i 1",
    });
    const query = good(await cloud.submit(everything, { ...patient, requestId: "req_1" }));
    assert.equal(query.id, everything.imageQueryId);
    assert.equal(query.detectorId, detectorId);
    assert.equal(query.result?.finding.mode, "BINARY");
    good(await cloud.submit(everything, patient));
    const kept = server.cloud.query(query.id);
    assert.equal(kept?.sent, 2);
    assert.deepEqual(kept?.metadata, everything.metadata);
    assert.deepEqual([kept?.patienceTime, kept?.confidenceThreshold], [12, 0.6]);
    assert.equal(kept?.requestIds[0], "req_1");
    assert.equal(server.cloud.queries().length, 1);
    const later = submission(detectorId, { wantAsync: true, imageQueryId: "iq_later" });
    assert.equal(good(await cloud.submit(later, patient)).result, null);
    assert.deepEqual(good(await cloud.imageQuery(query.id, patient)).id, query.id);
    assert.equal(cloud.health().state, "reachable");
  });

  it("detectors, labels, models, metrics, who calls", async (t) => {
    const { server, cloud, detectorId } = await simulated(t);
    server.cloud.publishModel(detectorId, { bytes: Buffer.from("model") });
    const query = good(await cloud.submit(submission(detectorId), patient));
    const label = { imageQueryId: query.id, label: "YES", rois: undefined };
    assert.equal(good(await cloud.addLabel(label, patient)), undefined);
    assert.equal(server.cloud.labels()[0]?.label, "YES");
    assert.equal(good(await cloud.detector(detectorId, patient)).query, "Is the door open?");
    const page = good(await cloud.detectors({ page: 1, pageSize: 10 }, patient));
    assert.deepEqual([page.count, page.results[0]?.id], [1, detectorId]);
    assert.equal(good(await cloud.me(patient))["is_superuser"], false);
    assert.match(good(await cloud.modelInfo(detectorId, patient)).binary?.url ?? "", /^http/);
    assert.equal(good(await cloud.reportMetrics({ a: 1 }, patient)), undefined);
    assert.deepEqual(server.cloud.metrics()[0]?.body, { a: 1 });
    failed(await cloud.detector("det_nobody", patient), "refused");
    assert.match(
      failed(await cloud.addLabel({ ...label, label: "PERHAPS" }, patient), "refused").detail,
      /PERHAPS/,
    );
  });

  it("over one kept connection", async (t) => {
    const sockets = new Set<object>();
    const server = await startScriptedServer(t, ({ socket, response }) => {
      sockets.add(socket);
      response.setHeader("content-type", "application/json");
      response.end("{}");
    });
    const cloud = clientOf(t, `${server.origin}/device-api`);
    for (let n = 0; n < 5; n++) good(await cloud.me(patient));
    assert.equal(sockets.size, 1);
    assert.equal(server.requests[0]?.path, "/device-api/v1/me");
    assert.equal(server.requests[0]?.headers["user-agent"], "Spillway/1.2.3");
  });
});

describe("tokens", () => {
  it("are the device's, or a caller's own, and never a key of this gateway", async (t) => {
    const { server, cloud } = await simulated(t);
    const sent = () => server.requests.all().at(-1)?.headers["x-api-token"];
    good(await cloud.me(patient));
    assert.equal(sent(), device);
    good(await cloud.me({ ...patient, token: caller }));
    assert.equal(sent(), caller);
    good(await cloud.me({ ...patient, token: "spw_key_secret" }));
    assert.equal(sent(), device);
    failed(await cloud.me({ ...patient, token: "api_unknown" }), "unauthorized");
    assert.doesNotMatch(JSON.stringify(server.requests.all()), /spw_/);
  });

  it("lie in files that may change, or cannot be read", async (t) => {
    const { server } = await simulated(t);
    const folder = mkdtempSync(path.join(tmpdir(), "spc-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = path.join(folder, "token");
    const cloud = clientOf(t, server.url, { token: Secret.inFile(file) });
    assert.match(failed(await cloud.me(patient), "unauthorized").detail, /cannot be read/);
    writeFileSync(file, `${device}\n`);
    good(await cloud.me(patient));
    assert.throws(() => clientOf(t, server.url, { ca: path.join(folder, "none.pem") }), /authority/);
    const bare = clientOf(t, server.url, { token: undefined });
    failed(await bare.me(patient), "unauthorized");
  });
});

describe("failures", () => {
  it("by status, with what the cloud said and when to come back", async (t) => {
    const { server, cloud, detectorId } = await simulated(t);
    for (const [status, kind, temporary] of [
      [429, "throttled", true],
      [500, "unavailable", true],
      [502, "unavailable", true],
      [503, "unavailable", true],
      [401, "unauthorized", false],
      [403, "unauthorized", false],
      [400, "refused", false],
      [404, "refused", false],
      [413, "refused", false],
      [408, "timeout", true],
    ] as const) {
      server.faults.set([{ status, retryAfter: 3, message: "because" }]);
      const failure = failed(await cloud.submit(submission(detectorId), patient), kind);
      assert.deepEqual([failure.status, failure.retryAfterMs], [status, 3_000]);
      assert.equal(isTemporary(failure), temporary);
      assert.match(failure.detail, /because/);
    }
    server.faults.set([{ status: 502, html: true }]);
    const page = failed(await cloud.me(patient), "unavailable");
    assert.match(page.detail, /text\/html/);
    assert.doesNotMatch(page.detail, /</);
  });

  it("of what is no JSON, not what the API says, too large, or no HTTP", async (t) => {
    const answers: Script[] = [
      ({ response }) => void response.end("<html><title>Log in</title>Welcome to our hotel</html>"),
      ({ response }) => void response.end('{"id": "iq_1"'),
      ({ response }) => void response.end('{"id": "iq_1"}'),
      ({ response }) => void response.end("[]"),
      ({ response }) => void response.end(),
      ({ response }) => void response.end(Buffer.alloc(17 * 2 ** 20, 32)),
      ({ socket }) => void socket.end("SSH-2.0-OpenSSH_9.6\r\n"),
    ];
    const server = await startScriptedServer(t, (request) => answers[request.index]?.(request));
    const cloud = clientOf(t, server.origin);
    const details: string[] = [];
    for (const _ of answers)
      details.push(failed(await cloud.imageQuery("iq_1", patient), "unreadable").detail);
    assert.match(details[0] ?? "", /Welcome to our hotel/);
    assert.match(details[2] ?? "", /detector_id|result_type/);
    assert.match(details[5] ?? "", /more than 16777216 bytes/);
    assert.ok(details.every((detail) => detail.length <= 1_000));
  });

  it("of connections: refused, cut before and within an answer", async (t) => {
    const { server, cloud, detectorId } = await simulated(t);
    server.faults.set([{ cutBeforeHeaders: true }]);
    failed(await cloud.submit(submission(detectorId), patient), "unreachable");
    server.faults.clear();
    const half = await startScriptedServer(t, ({ response, socket }) => {
      response.writeHead(200, { "content-length": 100 });
      response.write("{");
      setTimeout(() => socket.destroy(), 5);
    });
    failed(await clientOf(t, half.origin).me(patient), "unreachable");
    assert.equal(half.requests.length, 1, "an answer that began is not asked for again");
    await half.close();
    failed(await clientOf(t, half.origin).me(patient), "unreachable");
  });

  it("none where a kept connection was closed just now: it is asked once more", async (t) => {
    const { server, cloud, detectorId } = await simulated(t);
    good(await cloud.me(patient));
    server.faults.set([{ closeOnReuse: true }]);
    good(await cloud.submit(submission(detectorId), patient));
    server.faults.set([{ closeOnReuse: true }]);
    failed(await cloud.reportMetrics({}, patient), "unreachable");
  });

  it("at the deadline, before and within an answer", async (t) => {
    const server = await startScriptedServer(t, ({ response, path: place }) => {
      if (!place.endsWith("/me")) return;
      response.writeHead(200);
      response.write("{");
    });
    const cloud = clientOf(t, server.origin);
    for (const call of [cloud.me({ timeoutMs: 80 }), cloud.detector("det_1", { timeoutMs: 80 })]) {
      const startedAt = performance.now();
      failed(await call, "timeout");
      assert.ok(performance.now() - startedAt < 1_000);
    }
    const deaf = createServer(() => {});
    deaf.listen(0, "127.0.0.1");
    await once(deaf, "listening");
    t.after(() => deaf.close());
    const origin = `http://127.0.0.1:${(deaf.address() as AddressInfo).port}`;
    failed(await clientOf(t, origin).submit(submission("det_1"), { timeoutMs: 50 }), "timeout");
  });
});

describe("a caller who leaves", () => {
  it("closes the connection at once and says nothing of the cloud", async (t) => {
    const server = await startScriptedServer(t, () => {});
    const cloud = clientOf(t, server.origin);
    const cancellation = new Cancellation();
    const call = cloud.submit(submission("det_1"), { timeoutMs: 60_000, cancellation });
    while (server.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await inTime(
      "the connection is closed",
      100,
      () => cancellation.cancel("client_gone"),
      () => server.closedAt[0],
    );
    failed(await call, "timeout");
    assert.equal(cloud.health().state, "unknown");
    const before = await cloud.me({ timeoutMs: 60_000, cancellation });
    failed(before, "timeout");
    assert.equal(server.requests.length, 1, "nothing is sent for who has left");
  });
});

describe("health", () => {
  it("follows what happened, and tells changes once", async (t) => {
    const { server, cloud, detectorId } = await simulated(t);
    const told: CloudHealth["state"][] = [];
    cloud.onHealthChange(({ state }) => told.push(state));
    assert.equal(cloud.health().state, "unknown");
    good(await cloud.me(patient));
    good(await cloud.me(patient));
    failed(await cloud.detector("det_nobody", patient), "refused");
    server.faults.set([{ status: 503 }]);
    failed(await cloud.me(patient), "unavailable");
    assert.equal(cloud.health().state, "reachable", "one failure may be chance");
    failed(await cloud.me(patient), "unavailable");
    assert.equal(cloud.health().state, "unreachable");
    assert.match(cloud.health().reason, /503/);
    server.faults.set([{ status: 500 }]);
    failed(await cloud.me(patient), "unavailable");
    assert.equal(cloud.health().state, "reachable", "the cloud itself says that it failed");
    const { port } = server;
    await server.close();
    failed(await cloud.submit(submission(detectorId), patient), "unreachable");
    assert.equal(cloud.health().state, "unreachable");
    const back = await startCloud({ tokens: [device] }, { port });
    t.after(() => back.close());
    good(await cloud.me(patient));
    assert.deepEqual(told, ["reachable", "unreachable", "reachable", "unreachable", "reachable"]);
    cloud.close();
    failed(await cloud.me(patient), "unreachable");
  });

  it("warns when the cloud goes, and as loudly when it is back", async (t) => {
    const server = await startCloud({ tokens: [device] });
    const { port } = server;
    const warnings: string[] = [];
    const logger = { ...silent, warn: (event: string) => void warnings.push(event) };
    const cloud = clientOf(t, server.url, { logger });
    good(await cloud.me(patient));
    await server.close();
    failed(await cloud.me(patient), "unreachable");
    const back = await startCloud({ tokens: [device] }, { port });
    t.after(() => back.close());
    good(await cloud.me(patient));
    assert.deepEqual(warnings, ["cloud_unreachable", "cloud_reachable"]);
  });
});

describe("a forwarded call", () => {
  it("goes and comes as it is, without what belongs to the connection or to this gateway", async (t) => {
    const server = await startScriptedServer(t, ({ response }) => {
      response.writeHead(418, {
        "content-type": "text/plain",
        "set-cookie": "a=b",
        "x-trace": "1",
        connection: "keep-alive, x-trace",
        "x-more": ["1", "2"],
      });
      response.end("short and stout");
    });
    const cloud = clientOf(t, server.origin);
    const answer = good(
      await cloud.forward(
        {
          method: "PATCH",
          path: "/device-api/v1/notes?a=%2F",
          headers: [
            ["x-api-token", caller],
            ["user-agent", "Groundlight-Python-SDK/1"],
            ["content-type", "application/json"],
            ["authorization", "Bearer spw_me_secret"],
            ["x-other", "spw_me_secret"],
            ["cookie", "session=1"],
            ["host", "edge:30101"],
            ["connection", "x-hop"],
            ["x-hop", "1"],
            ["x-spillway-priority", "9"],
          ],
          body: Buffer.from('{"a":1}'),
        },
        { ...patient, requestId: "req_7" },
      ),
    );
    assert.equal(answer.status, 418);
    assert.equal(Buffer.concat(answer.body).toString(), "short and stout");
    const names = answer.headers.map(([name]) => name);
    assert.ok(names.includes("content-type") && names.filter((name) => name === "x-more").length > 0);
    for (const gone of ["set-cookie", "x-trace", "connection", "content-length"])
      assert.ok(!names.includes(gone), gone);
    const [request] = server.requests;
    assert.equal(request?.method, "PATCH");
    assert.equal(request?.path, "/device-api/v1/notes?a=%2F");
    assert.equal(request?.body.toString(), '{"a":1}');
    const { headers } = request ?? { headers: {} };
    assert.equal(headers["x-api-token"], caller);
    assert.equal(headers["user-agent"], "Groundlight-Python-SDK/1");
    assert.equal(headers["x-request-id"], "req_7");
    assert.equal(headers.host, new URL(server.origin).host);
    for (const gone of ["authorization", "x-other", "cookie", "x-hop", "x-spillway-priority"])
      assert.equal(headers[gone], undefined, gone);
  });

  it("is kept back where it would tell a key, or is no method for it; the device's token stands in", async (t) => {
    const { server, cloud } = await simulated(t);
    const call = (place: string, method = "GET", token = "spw_k") =>
      cloud.forward(
        { method, path: place, headers: [["x-api-token", token]], body: Buffer.alloc(0) },
        patient,
      );
    failed(await call("/device-api/v1/api-tokens/by-snippet/spw_abc"), "refused");
    failed(await call("/device-api/v1/api-tokens/by-snippet/%73pw_abc"), "refused");
    failed(await call("/device-api/v1/me", "CONNECT"), "refused");
    assert.equal(server.requests.all().length, 0);
    const me = good(await call("/device-api/v1/me"));
    assert.equal(me.status, 200);
    assert.equal(good(await call("/device-api/v1/nothing")).status, 404);
    assert.equal(good(await call("/device-api/v1/me", "GET", "api_unknown")).status, 401);
  });
});

it("more calls than connections may be open are refused", async (t) => {
  const server = await startScriptedServer(t, () => {});
  const cloud = clientOf(t, server.origin);
  const cancellations = Array.from({ length: 257 }, () => new Cancellation());
  const calls = cancellations.map((cancellation) => cloud.me({ timeoutMs: 30_000, cancellation }));
  assert.match(failed(await calls[256], "unavailable").detail, /256/);
  for (const cancellation of cancellations) cancellation.cancel("shutdown");
  for (const call of calls.slice(0, 256)) failed(await call, "timeout");
});
