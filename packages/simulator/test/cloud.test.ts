// The Groundlight cloud, seen from the other end of a socket.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it } from "node:test";
import type { TestContext } from "node:test";
import { parseCloudOptions, startCloud } from "@spillway/simulator";
import type { CloudInspection, CloudOptions, CloudSimulator } from "@spillway/simulator";

const TOKEN = "api_first_account_token_1";
const OTHER = "api_other_account_token_1";
const DOOR = `det_${"d".repeat(27)}`;
const PICTURE = Buffer.concat([Buffer.from("ffd8ffe000104a464946", "hex"), Buffer.alloc(500, 7)]);

interface Served {
  readonly simulator: CloudSimulator;
  readonly cloud: CloudInspection;
  readonly call: (method: string, path: string, more?: Call) => Promise<Answer>;
  readonly submit: (query: Record<string, string>, more?: Call) => Promise<Answer>;
}

interface Call {
  readonly token?: string | null;
  readonly json?: unknown;
  readonly bytes?: Buffer;
  readonly headers?: Record<string, string>;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  readonly json: Json;
}

/** Answers are looked into by name; what is missing is undefined. */
type Json = { [name: string]: Json } & Json[] & string;

async function serve(
  t: TestContext,
  cloud: CloudOptions = {},
  more: { seed?: number } = {},
): Promise<Served> {
  const simulator = await startCloud(
    {
      tokens: [TOKEN, { token: OTHER, account: "other" }],
      detectors: [{ id: DOOR, name: "door", query: "Is the door open?" }],
      ...cloud,
    },
    more,
  );
  t.after(() => simulator.close());
  const call: Served["call"] = async (method, place, { token = TOKEN, json, bytes, headers = {} } = {}) => {
    const answer = await fetch(simulator.url + place, {
      method,
      headers: {
        ...(token !== null && { "x-api-token": token }),
        ...(json !== undefined && { "content-type": "application/json" }),
        ...headers,
      },
      ...(json !== undefined && { body: JSON.stringify(json) }),
      ...(bytes !== undefined && { body: new Uint8Array(bytes) }),
    });
    const body = Buffer.from(await answer.arrayBuffer());
    const isJson = answer.headers.get("content-type") === "application/json";
    const parsed = (isJson ? JSON.parse(body.toString()) : {}) as Json;
    return { status: answer.status, headers: answer.headers, bytes: body, json: parsed };
  };
  const submit: Served["submit"] = (query, given = {}) =>
    call(
      "POST",
      `/device-api/v1/image-queries?${new URLSearchParams({ detector_id: DOOR, ...query }).toString()}`,
      {
        bytes: PICTURE,
        ...given,
        headers: { "content-type": "image/jpeg", ...given.headers },
      },
    );
  return { simulator, cloud: simulator.cloud, call, submit };
}

describe("tokens", () => {
  it("are asked for, belong to an account, and are told apart from each other", async (t) => {
    const { call, submit } = await serve(t);
    const statuses = await Promise.all([
      call("GET", "/device-api/v1/me", { token: null }),
      call("GET", "/device-api/v1/me", { token: "api_nobody" }),
      call("GET", `/device-api/v1/detectors/${DOOR}`, { token: OTHER }),
      submit({}, { token: OTHER }),
      call("GET", "/device-api/v1/me"),
    ]);
    assert.deepEqual(
      statuses.map(({ status }) => status),
      [401, 401, 403, 403, 200],
    );
    assert.equal(statuses[1]?.json["detail"], "Invalid API token.");
    const { email, is_superuser: superuser, group } = statuses[4]?.json ?? {};
    assert.deepEqual([email, superuser, group?.["name"]], ["user@example.com", false, "default"]);
  });

  it("are found by their first characters, made with their identity's lifetime, and deleted", async (t) => {
    const { call } = await serve(t, { tokens: [{ token: TOKEN, name: "line 1", ttlSeconds: 3600 }] });
    const found = await call("GET", `/device-api/v1/api-tokens/by-snippet/${TOKEN.slice(0, 20)}`);
    assert.deepEqual([found.json["name"], found.json["token_ttl"]], ["line 1", 3600]);
    const made = await call("POST", "/device-api/v1/api-tokens", { json: { name: "line 1 abc" } });
    assert.equal(made.status, 201);
    const token = made.json["raw_key"];
    assert.ok(token !== undefined && token.startsWith("api_") && made.json["expires_at"] !== null);
    assert.equal((await call("GET", "/device-api/v1/me", { token })).status, 200);
    assert.equal((await call("GET", "/device-api/v1/api-tokens", { token })).json["count"], 2);
    assert.equal((await call("DELETE", "/device-api/v1/api-tokens/line%201%20abc")).status, 204);
    assert.equal((await call("GET", "/device-api/v1/me", { token })).status, 401);
    assert.equal((await call("POST", "/device-api/v1/api-tokens", { json: { name: "line 1" } })).status, 400);
  });

  it("are not asked for by name where none was given", async (t) => {
    const { call } = await serve(t, { tokens: [] });
    assert.equal((await call("GET", "/device-api/v1/me", { token: "api_whatever" })).status, 200);
    assert.equal((await call("GET", "/device-api/v1/me", { token: null })).status, 401);
  });
});

describe("detectors", () => {
  it("are made, found by name and in any case, listed by page, changed and deleted", async (t) => {
    const { call } = await serve(t);
    const body = {
      name: "caps",
      query: "How many caps?",
      mode: "COUNT",
      mode_configuration: { class_name: "cap", max_count: 3 },
    };
    const made = await call("POST", "/device-api/v1/detectors", { json: body });
    assert.equal(made.status, 201);
    const id = made.json["id"] ?? "";
    assert.match(id, /^det_[A-Za-z0-9]{27}$/);
    assert.deepEqual([made.json["confidence_threshold"], made.json["patience_time"]], [0.9, 30]);
    const named = await call("GET", "/device-api/v1/detectors?name=caps");
    assert.deepEqual([named.json["count"], named.json["results"]?.[0]?.["id"]], [1, id]);
    const shouted = await call("GET", `/device-api/v1/detectors/${id.toUpperCase()}`);
    assert.equal(shouted.json["id"], id);
    const page = await call("GET", "/device-api/v1/detectors?page=1&page_size=1");
    assert.deepEqual([page.json["count"], page.json["results"]?.length, page.json["previous"]], [2, 1, null]);
    const next = await fetch(page.json["next"] ?? "", { headers: { "x-api-token": TOKEN } });
    assert.equal(((await next.json()) as Json)["results"]?.[0]?.["id"], id);
    assert.equal((await call("GET", "/device-api/v1/detectors?page=9")).status, 404);
    const change = { confidence_threshold: 0.6, status: "OFF", escalation_type: "NO_HUMAN_LABELING" };
    const patched = await call("PATCH", `/device-api/v1/detectors/${id}`, { json: change });
    assert.deepEqual([patched.json["confidence_threshold"], patched.json["status"]], [0.6, "OFF"]);
    assert.equal((await call("DELETE", `/device-api/v1/detectors/${id}`)).status, 204);
    assert.equal((await call("GET", `/device-api/v1/detectors/${id}`)).status, 404);
  });

  it("are refused when they are wrong", async (t) => {
    const { call } = await serve(t);
    const wrong = [
      { query: "?" },
      { name: "door", query: "taken" },
      { name: "x", query: "?", mode: "SMELL" },
      { name: "x", query: "?", confidence_threshold: 2 },
      { name: "x", query: "?", mode: "MULTI_CLASS", mode_configuration: { class_names: ["one"] } },
      { name: "x", query: "?", mode: "COUNT", mode_configuration: { class_name: "x", max_count: 51 } },
      { name: "x", query: "?", metadata: "e30%" + "x".repeat(2000) },
    ];
    for (const json of wrong)
      assert.equal(
        (await call("POST", "/device-api/v1/detectors", { json })).status,
        400,
        JSON.stringify(json),
      );
  });
});

describe("image queries", () => {
  it("take every parameter, are answered by the truth, and can be read, listed and seen again", async (t) => {
    const { call, submit, cloud } = await serve(t, {
      truth: ({ metadata }) => ({ label: metadata?.["answer"] === "no" ? "NO" : "YES", confidence: 0.97 }),
    });
    const metadata = Buffer.from('{"answer":"no"}').toString("base64url");
    const id = "iq_2abcdefghijklmnopqrstuvwxyz";
    const given = {
      image_query_id: id,
      patience_time: "12.5",
      confidence_threshold: "0.0",
      human_review: "NEVER",
      inspection_id: "insp_1",
      want_async: "False",
      metadata,
    };
    const made = await submit(given);
    assert.equal(made.status, 201, made.bytes.toString());
    assert.deepEqual(made.json["result"], {
      confidence: 0.97,
      source: "ALGORITHM",
      result_type: "binary_classification",
      from_edge: false,
      label: "NO",
    });
    assert.deepEqual(
      [
        "id",
        "type",
        "detector_id",
        "result_type",
        "patience_time",
        "confidence_threshold",
        "done_processing",
        "rois",
        "text",
      ].map((key) => made.json[key]),
      [id, "image_query", DOOR, "binary_classification", 12.5, 0, false, null, null],
    );
    assert.deepEqual(made.json["metadata"], { answer: "no" });
    assert.deepEqual((await call("GET", `/device-api/v1/image-queries/${id}`)).json, made.json);
    const picture = await call("GET", `/device-api/v1/image-queries/${id}/image`);
    assert.deepEqual(
      [picture.bytes.equals(PICTURE), picture.headers.get("content-type")],
      [true, "image/jpeg"],
    );
    const later = await submit({});
    const list = await call("GET", `/device-api/v1/image-queries?detector_id=${DOOR}&page_size=1`);
    assert.deepEqual([list.json["count"], list.json["results"]?.[0]?.["id"]], [2, later.json["id"]]);
    const kept = cloud.query(id);
    assert.deepEqual(
      [kept?.parameters, kept?.inspectionId, kept?.humanReview],
      [{ detector_id: DOOR, ...given }, "insp_1", "NEVER"],
    );
    assert.deepEqual(
      cloud.queries().map((query) => query.id),
      [id, later.json["id"]],
    );
  });

  it("are refused when they are wrong, and count for nothing", async (t) => {
    const { submit, cloud } = await serve(t);
    const refusals: [number, Promise<Answer>][] = [
      [404, submit({ detector_id: "det_unknown" })],
      [400, submit({ detector_id: "" })],
      [400, submit({ patience_time: "soon" })],
      [400, submit({ confidence_threshold: "1.5" })],
      [400, submit({ human_review: "MAYBE" })],
      [400, submit({ metadata: "not json" })],
      [400, submit({ metadata: Buffer.from(JSON.stringify({ x: "y".repeat(1100) })).toString("base64url") })],
      [400, submit({ image_query_id: "../etc" })],
      [400, submit({}, { bytes: Buffer.from("no picture") })],
      [415, submit({}, { headers: { "content-type": "text/plain" } })],
    ];
    for (const [status, refusal] of refusals) {
      const answer = await refusal;
      assert.equal(answer.status, status, answer.bytes.toString());
      assert.ok(Object.keys(answer.json).length === 1);
    }
    assert.equal(cloud.queries().length, 0);
  });

  it("of one id are one query, however often they are sent", async (t) => {
    const { submit, cloud, simulator } = await serve(t);
    const id = "iq_3abcdefghijklmnopqrstuvwxyz";
    simulator.faults.add({ method: "POST", cutAfterEvents: 0, times: 1 });
    await assert.rejects(submit({ image_query_id: id }), "the answer is lost");
    const headers = { "x-request-id": "req_uu1" };
    const again = await submit({ image_query_id: id }, { headers });
    assert.deepEqual([again.status, again.json["id"]], [201, id]);
    assert.deepEqual([cloud.queries().length, cloud.query(id)?.sent], [1, 2]);
    assert.deepEqual(cloud.query(id)?.requestIds, ["", "req_uu1"]);
    assert.equal((await submit({ image_query_id: id }, { token: OTHER })).status, 403);
  });

  it("are processed for a while, then answered by the machine, then by a person where one is due", async (t) => {
    const { call, submit, cloud } = await serve(t, {
      answerAfterMs: 60_000,
      truth: () => ({ label: "NO", machineLabel: "YES", confidence: 0.6 }),
    });
    const { json } = await submit({});
    assert.deepEqual(
      [json["result"]?.["source"], json["result"]?.["label"], json["result"]?.["confidence"]],
      ["STILL_PROCESSING", "UNCLEAR", 0.5],
    );
    const place = `/device-api/v1/image-queries/${json["id"]}`;
    const result = async (): Promise<unknown[]> => {
      const { result: found } = (await call("GET", place)).json;
      return [found?.["source"], found?.["label"], found?.["confidence"]];
    };
    assert.deepEqual(await result(), ["STILL_PROCESSING", "UNCLEAR", 0.5]);
    cloud.set({ answerAfterMs: 0 });
    assert.deepEqual(await result(), ["ALGORITHM", "YES", 0.6]);
    cloud.set({ reviewAfterMs: 0 });
    assert.deepEqual(await result(), ["CLOUD", "NO", 1]);
    await call("PATCH", `/device-api/v1/detectors/${DOOR}`, {
      json: { escalation_type: "NO_HUMAN_LABELING" },
    });
    assert.deepEqual(await result(), ["ALGORITHM", "YES", 0.6]);
    const label = await call("POST", "/device-api/v1/labels", {
      json: { label: "UNCLEAR", image_query_id: json["id"] },
    });
    assert.deepEqual([label.status, label.json["class_name"]], [201, "UNCLEAR"]);
    assert.deepEqual(await result(), ["USER", "UNCLEAR", 1]);
    const asynchronous = await submit({ want_async: "True" });
    assert.equal(asynchronous.json["result"], null);
    const months = await call("GET", "/device-api/v1/month-to-date-account-info");
    assert.deepEqual(
      [months.json["iqs"], months.json["active_detectors"], months.json["iqs_limit"]],
      [2, 1, null],
    );
  });

  it("of every mode have their own result, by the label of the picture", async (t) => {
    const sha256 = createHash("sha256").update(PICTURE).digest("hex");
    const modes = [
      {
        mode: "COUNT",
        modeConfiguration: { class_name: "cap", max_count: 3 },
        label: 5,
        expected: { count: 3, greater_than_max: true },
      },
      {
        mode: "MULTI_CLASS",
        modeConfiguration: { class_names: ["pass", "fail"] },
        label: "fail",
        expected: { label: "fail" },
      },
      {
        mode: "TEXT",
        modeConfiguration: { value_max_length: 3 },
        label: "ABCD",
        expected: { text: "ABC", truncated: true },
      },
      {
        mode: "BOUNDING_BOX",
        modeConfiguration: { class_name: "dent" },
        label: "BOUNDING_BOX",
        expected: { label: "BOUNDING_BOX" },
      },
    ] as const;
    for (const { mode, modeConfiguration, label, expected } of modes) {
      const detectors = [{ id: DOOR, name: mode, mode, modeConfiguration }];
      const { submit } = await serve(t, { detectors, labels: { [sha256]: { label, confidence: 0.8 } } });
      const { json } = await submit({});
      const {
        confidence,
        source,
        result_type: type,
        from_edge: edge,
        ...own
      } = json["result"] as Record<string, unknown>;
      assert.deepEqual(own, expected);
      assert.deepEqual([confidence, source, type, edge], [0.8, "ALGORITHM", json["result_type"], false]);
      if (mode === "BOUNDING_BOX") assert.equal(json["rois"]?.[0]?.["geometry"]?.["y"], 0.5);
    }
  });

  it("without a truth are answered by the seed, the same in every run", async (t) => {
    const results = await Promise.all(
      [1, 1, 2].map(async (seed) => {
        const { submit } = await serve(t, {}, { seed });
        return JSON.stringify((await submit({})).json["result"]);
      }),
    );
    assert.equal(results[0], results[1]);
    assert.notEqual(results[0], results[2]);
  });

  it("and their pictures are forgotten, the oldest first", async (t) => {
    const { call, submit, cloud } = await serve(t, { maxQueries: 3, maxPictureBytes: PICTURE.length * 2 });
    for (let count = 0; count < 5; count++) await submit({});
    const [first, second] = cloud.queries();
    assert.equal(cloud.queries().length, 3);
    assert.deepEqual([first?.picture === undefined, second?.picture === undefined], [true, false]);
    assert.equal((await call("GET", `/device-api/v1/image-queries/${first?.id}/image`)).status, 404);
    assert.equal((await call("DELETE", `/device-api/v1/detector-reset/${DOOR}`)).status, 204);
    assert.equal(cloud.queries().length, 0);
  });
});

describe("edge devices", () => {
  it("fetch models whole, in pieces, and not with an address that is over", async (t) => {
    const bytes = Buffer.from(Array.from({ length: 1000 }, (_, at) => at % 251));
    const { call, cloud, simulator } = await serve(t);
    const place = `/edge-api/v1/fetch-model-urls/${DOOR}/`;
    assert.equal((await call("GET", place)).status, 404);
    cloud.publishModel(DOOR, { bytes, pipelineConfig: "a: 1\n", oodd: { bytes: Buffer.from("oodd") } });
    const { json } = await call("GET", place);
    assert.deepEqual(
      [json["pipeline_config"], JSON.parse(json["predictor_metadata"] ?? "")["text_query"]],
      ["a: 1\n", "Is the door open?"],
    );
    const again = await call("GET", `/device-api/v1/edge/fetch-model-urls/${DOOR}/`);
    assert.equal(again.json["model_binary_id"], json["model_binary_id"]);
    const url = json["model_binary_url"] ?? "";
    const whole = await fetch(url);
    const etag = whole.headers.get("etag") ?? "";
    assert.ok(Buffer.from(await whole.arrayBuffer()).equals(bytes));
    assert.equal(etag, `"${createHash("md5").update(bytes).digest("hex")}"`);
    const rest = await fetch(url, { headers: { range: "bytes=400-", "if-range": etag } });
    assert.deepEqual([rest.status, rest.headers.get("content-range")], [206, "bytes 400-999/1000"]);
    assert.ok(Buffer.from(await rest.arrayBuffer()).equals(bytes.subarray(400)));
    const statuses = async (headers: Record<string, string>): Promise<number> =>
      (await fetch(url, { headers })).status;
    assert.equal(await statuses({ range: "bytes=400-", "if-range": '"other"' }), 200);
    assert.equal(await statuses({ range: "bytes=-1" }), 206);
    assert.equal(await statuses({ range: "bytes=1000-" }), 416);
    assert.equal(await statuses({ "if-none-match": etag }), 304);
    assert.equal((await fetch(url, { method: "HEAD" })).headers.get("content-length"), "1000");
    assert.equal((await fetch(url.replace("Signature=", "Signature=0"))).status, 403);
    simulator.faults.add({ path: "/model-files/", cutBeforeFinal: true, times: 1 });
    await assert.rejects(fetch(url).then((answer) => answer.arrayBuffer()));
    const old = await serve(t, {
      modelUrlTtlMs: -10_000,
      detectors: [{ id: DOOR, name: "door", model: { bytes } }],
    });
    const over = (await old.call("GET", place)).json["model_binary_url"] ?? "";
    const refusal = await fetch(over);
    assert.deepEqual([refusal.status, /Request has expired/.test(await refusal.text())], [403, true]);
  });

  it("report metrics and are given no reader credentials", async (t) => {
    const { call, cloud } = await serve(t);
    const report = { device_info: { device_id: "device_1" } };
    assert.equal((await call("POST", "/device-api/v1/edge/report-metrics", { json: report })).status, 200);
    assert.deepEqual(
      cloud.metrics().map(({ body }) => body),
      [report],
    );
    assert.equal((await call("GET", "/device-api/reader-credentials")).status, 404);
    assert.equal((await call("GET", "/edge-config")).headers.get("content-type"), "text/html");
    assert.equal((await call("PUT", "/device-api/v1/me")).status, 405);
  });
});

describe("a cloud that is not well", () => {
  it("throttles with Retry-After, in the cloud's words", async (t) => {
    const { call } = await serve(t, { throttle: { requests: 2, perMs: 60_000 } });
    const statuses = [];
    for (let count = 0; count < 4; count++) statuses.push((await call("GET", "/device-api/v1/me")).status);
    assert.deepEqual(statuses, [200, 200, 429, 429]);
    const refusal = await call("GET", "/device-api/v1/me");
    assert.ok(Number(refusal.headers.get("retry-after")) >= 59);
    assert.match(refusal.json["detail"] ?? "", /throttled/);
    assert.equal((await call("GET", "/device-api/v1/me", { token: OTHER })).status, 200);
  });

  it("answers late, and has taken what a caller did not wait for", async (t) => {
    const { cloud, simulator } = await serve(t, { latencyMs: 5000 });
    const signal = AbortSignal.timeout(200);
    const url = `${simulator.url}/device-api/v1/image-queries?detector_id=${DOOR}`;
    const headers = { "x-api-token": TOKEN, "content-type": "image/jpeg" };
    await assert.rejects(fetch(url, { method: "POST", headers, body: new Uint8Array(PICTURE), signal }));
    await simulator.requests.until(({ ended }) => ended === "client_closed");
    assert.equal(cloud.queries().length, 1);
    assert.equal(simulator.state().active, 0);
  });

  it("fails on demand: 5xx as JSON or as a proxy's page, hangs, refuses connections", async (t) => {
    const { call, submit, simulator } = await serve(t);
    simulator.faults.set([
      { method: "POST", status: 502, html: true },
      { status: 503, message: "down", times: 1 },
    ]);
    const page = await submit({});
    assert.deepEqual([page.status, page.headers.get("content-type")], [502, "text/html"]);
    assert.match(page.bytes.toString(), /<h1>502 Bad Gateway<\/h1>/);
    const json = await call("GET", "/device-api/v1/me");
    assert.deepEqual([json.status, json.json], [503, { detail: "down" }]);
    simulator.faults.set([{ delayHeadersMs: 60_000 }]);
    const hung = fetch(`${simulator.url}/device-api/v1/me`, { signal: AbortSignal.timeout(100) });
    await assert.rejects(hung, /timeout|aborted/i);
    simulator.faults.clear();
    simulator.down();
    simulator.dropConnections();
    await assert.rejects(call("GET", "/device-api/v1/me"));
    await simulator.up();
    assert.equal((await call("GET", "/device-api/v1/me")).status, 200);
  });

  it("refuses bodies over 10 MB before they end", async (t) => {
    const { simulator, cloud } = await serve(t);
    const status = await new Promise<number>((resolve, reject) => {
      const headers = { "x-api-token": TOKEN, "content-type": "image/jpeg" };
      const place = `${simulator.url}/device-api/v1/image-queries?detector_id=${DOOR}`;
      const outgoing = request(place, { method: "POST", headers, agent: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
        outgoing.destroy();
      });
      outgoing.on("error", (error) => reject(error));
      // The body has no end: only an early answer ends the test.
      outgoing.write(PICTURE);
      for (let count = 0; count < 11; count++) outgoing.write(Buffer.alloc(1024 * 1024));
    });
    assert.deepEqual([status, cloud.queries().length], [413, 0]);
  });

  it("tells over the control routes what it was sent", async (t) => {
    const { call, submit } = await serve(t);
    await submit({});
    const { json } = await call("GET", "/simulator/cloud");
    assert.deepEqual(
      [json["queries"]?.[0]?.["sent"], json["queries"]?.[0]?.["pictureBytes"]],
      [1, PICTURE.length],
    );
    await call("DELETE", "/simulator/cloud");
    assert.equal((await call("GET", "/simulator/cloud")).json["queries"]?.length, 0);
  });
});

describe("options as JSON", () => {
  it("are taken whole, and refused by the name of what is wrong", async (t) => {
    const file = path.join(tmpdir(), `spillway-cloud-${process.pid}.bin`);
    writeFileSync(file, "model");
    t.after(() => rmSync(file));
    const given = {
      detectors: ["door", { name: "caps", mode: "COUNT", model: { file } }],
      tokens: [TOKEN],
      labels: { ["0".repeat(64)]: "YES" },
      throttle: { requests: 5, perMs: 1000 },
    };
    const { cloud } = await serve(t, parseCloudOptions(given));
    assert.deepEqual(
      cloud.detectors().map(({ name }) => name),
      ["door", "caps"],
    );
    assert.throws(
      () => parseCloudOptions({ detectors: [{ nam: "x" }] }),
      /the cloud\.detectors\[0\]\.name must be given/,
    );
    assert.throws(() => parseCloudOptions({ latency: 1 }), /the cloud has no field latency/);
    assert.throws(() => parseCloudOptions({ labels: { x: "YES" } }), /SHA-256/);
    assert.throws(
      () => parseCloudOptions({ detectors: [{ name: "x", confidenceThreshold: 2 }] }),
      /from 0 to 1/,
    );
  });
});
