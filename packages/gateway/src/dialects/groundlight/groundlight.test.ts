/** What callers of the Groundlight API send and must get, and what its cloud sends. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import {
  detectorModes,
  type Detector,
  type Finding,
  type ImageQuery,
  type LocalAnswer,
} from "../../core/detector.ts";
import { errorTable, failure, isFailure, type ErrorCode, type Failure } from "../../core/errors.ts";
import {
  readDetector,
  readDetectorCreation,
  readDetectorPatch,
  readModelInfo,
  writeDetector,
} from "./detector.ts";
import { readEdgeConfig, writeEdgeConfig } from "./edge-config.ts";
import {
  readImageQuery,
  readLabel,
  readPage,
  writeImageQuery,
  writeLabel,
  writeLabelAnswer,
  writePage,
  writeSubmissionQuery,
} from "./image-query.ts";
import { edgeAnswerMetadata, edgeResultMetadata, encodeMetadata, readMetadata } from "./metadata.ts";
import { readDetectorListing, readImageQueryListing } from "./query-string.ts";
import { readPicture, sniffMediaType } from "./read-picture.ts";
import { readSubmission, submissionParameters } from "./read-submission.ts";
import { findingOfLabel } from "./result.ts";
import { readGroundlightError, writeGroundlightFailure } from "./write-failure.ts";
import { createDetector } from "../../../test/support/detectors.ts";

const image = { "content-type": "image/jpeg" };
const id = "det_3EdgeDetector00000000000001";

function good<T extends object>(value: T | Failure): T {
  assert.ok(!isFailure(value), isFailure(value) ? value.message : "");
  return value;
}

function refused(value: unknown, code: ErrorCode, message: RegExp): void {
  assert.ok(typeof value === "object" && value !== null && isFailure(value), JSON.stringify(value));
  assert.equal(value.code, code);
  assert.match(value.message, message);
}

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: { readonly json?: unknown };
  readonly status: number;
}

const fixtures = path.join(
  import.meta.dirname,
  "../../../../../test/conformance/groundlight/fixtures/steps.json",
);
const recorded = JSON.parse(readFileSync(fixtures, "utf8")) as {
  steps: readonly { readonly name: string; readonly requests: readonly Sent[] }[];
};

/** What the real client sent. Places of ids hold ids. */
function sent(method: string, place: RegExp): { name: string; query: string; request: Sent }[] {
  return recorded.steps.flatMap(({ name, requests }) =>
    requests
      .filter((request) => request.method === method && place.test(request.path))
      .map((request) => ({
        name,
        request,
        query: (request.path.split("?")[1] ?? "").replaceAll(/\{\w+\}/g, id),
      })),
  );
}

describe("what the groundlight client 1.3.1 sent", () => {
  test("every submission is read", () => {
    const calls = sent("POST", /\/image-queries\?/);
    assert.ok(calls.length > 10);
    for (const { query, request } of calls)
      assert.equal(good(readSubmission(query, request.headers)).detectorId, id);
    const everything = calls.find(({ name }) => name === "submit_image_query with everything");
    assert.deepEqual(readSubmission(everything?.query ?? "", image), {
      detectorId: id,
      patienceTime: 12.5,
      confidenceThreshold: 0.7,
      humanReview: "NEVER",
      wantAsync: false,
      metadata: { camera: "north", ümlaut: true },
      inspectionId: "inspection-1",
      imageQueryId: "iq_2abcdefghijklmnopqrstuvwxyz",
    });
    const later = calls.find(({ name }) => name === "submit_image_query with want_async");
    assert.equal(good(readSubmission(later?.query ?? "", image)).wantAsync, true);
  });

  test("every list, label, detector and configuration is read", () => {
    const lists = sent("GET", /\/image-queries\?/);
    assert.deepEqual(
      lists.map(({ query }) => readImageQueryListing(query)),
      [
        { page: 1, pageSize: 3, detectorId: undefined },
        { page: 1, pageSize: 10, detectorId: id },
      ],
    );
    for (const { query } of sent("GET", /\/detectors\?/)) good(readDetectorListing(query));
    const json = (each: { request: Sent }): unknown =>
      JSON.parse(JSON.stringify(each.request.body?.json).replaceAll(/\{\w+\}/g, "iq_1"));
    const labels = sent("POST", /\/labels$/).map((each) => good(readLabel(json(each))));
    assert.deepEqual(
      labels.map(({ label }) => label),
      ["YES", "3", "green", "AB 12", "BOUNDING_BOX", "PERHAPS"],
    );
    assert.deepEqual(labels[4]?.rois, [
      { label: "dent", score: 1, geometry: { left: 0.1, top: 0.2, right: 0.4, bottom: 0.6 } },
    ]);
    const creations = sent("POST", /\/detectors$/).map((each) => good(readDetectorCreation(json(each))));
    assert.deepEqual(
      creations.map(({ mode, modeConfiguration }) => [mode, modeConfiguration]),
      [
        ["BINARY", {}],
        ["COUNT", { className: "cap", maxCount: 9 }],
        ["MULTI_CLASS", { classNames: ["red", "green", "other"] }],
        ["BOUNDING_BOX", { className: "dent", maxNumBboxes: 5 }],
        ["TEXT", {}],
      ],
    );
    assert.deepEqual(creations[0]?.metadata, { line: 1 });
    const patches = sent("PATCH", /\/detectors\//).map((each) => good(readDetectorPatch(json(each))));
    assert.equal(patches[0]?.confidenceThreshold, 0.75);
    assert.equal(patches[3]?.escalationType, "NO_HUMAN_LABELING");
    const [put] = sent("PUT", /\/edge-config$/);
    const text = JSON.stringify(put?.request.body?.json).replaceAll(/\{\w+\}/g, id);
    assert.deepEqual(good(readEdgeConfig(JSON.parse(text))).detectors, [
      { detectorId: id, inferenceConfig: "no_cloud" },
    ]);
  });
});

describe("a submission", () => {
  const read = (query: string, headers = image) => readSubmission(`detector_id=${id}&${query}`, headers);

  test("defaults", () => {
    assert.deepEqual(readSubmission(`detector_id=${id}`, image), {
      detectorId: id,
      patienceTime: undefined,
      confidenceThreshold: undefined,
      humanReview: "DEFAULT",
      wantAsync: false,
      metadata: undefined,
      inspectionId: undefined,
      imageQueryId: undefined,
    });
  });

  test("numbers within their bounds", () => {
    for (const [text, value] of [
      ["0", 0],
      ["1", 1],
      ["0.0", 0],
      [".5", 0.5],
      ["1e-3", 0.001],
      ["+0.25", 0.25],
    ] as const)
      assert.equal(good(read(`confidence_threshold=${encodeURIComponent(text)}`)).confidenceThreshold, value);
    for (const text of ["1.01", "-0.1", "NaN", "inf", "", "0x1", "half", "0,5", "1e9999"])
      refused(
        read(`confidence_threshold=${text}`),
        "bad_request",
        /^confidence_threshold must be .* 0 to 1$/,
      );
    assert.equal(good(read("patience_time=3600")).patienceTime, 3600);
    refused(read("patience_time=3601"), "bad_request", /patience_time/);
  });

  test("words", () => {
    for (const word of ["True", "true", "1", "yes"]) assert.ok(good(read(`want_async=${word}`)).wantAsync);
    for (const word of ["False", "0"]) assert.equal(good(read(`want_async=${word}`)).wantAsync, false);
    refused(read("want_async=maybe"), "bad_request", /want_async/);
    assert.equal(good(read("human_review=ALWAYS")).humanReview, "ALWAYS");
    refused(read("human_review=SOMETIMES"), "bad_request", /DEFAULT, ALWAYS, NEVER/);
    refused(read(`inspection_id=${"x".repeat(257)}`), "bad_request", /inspection_id/);
    assert.equal(good(read("inspection_id=")).inspectionId, undefined);
    for (const wrong of ["", "iq_", "iq_../x", "iq_a-b", `iq_${"a".repeat(41)}`, "det_1"])
      refused(read(`image_query_id=${encodeURIComponent(wrong)}`), "bad_request", /image_query_id/);
  });

  test("what is unknown, missing or there twice is named", () => {
    refused(
      read("treshold=1&color=2"),
      "bad_request",
      /treshold, color\. Known are detector_id, patience_time/,
    );
    refused(read("patience_time=1&patience_time=2"), "bad_request", /patience_time is given twice/);
    refused(readSubmission("", image), "bad_request", /detector_id is required/);
    refused(readSubmission(`detector_id=${"d".repeat(200)}`, image), "bad_request", /too long/);
    assert.equal(submissionParameters.length, 8);
  });

  test("content types", () => {
    for (const type of ["image/jpeg", "IMAGE/PNG", "image/webp; q=1", "multipart/form-data; boundary=x"])
      good(read("", { "content-type": type }));
    for (const type of [
      "",
      "application/json",
      "text/html",
      "image/",
      "image/a\nb",
      "application/image/jpeg",
    ])
      refused(read("", { "content-type": type }), "unsupported_media_type", /must be image/);
    refused(readSubmission(`detector_id=${id}`, {}), "unsupported_media_type", /none/);
  });
});

describe("metadata", () => {
  const code = (value: unknown, form: BufferEncoding = "base64url") =>
    Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString(form);

  test("base64 in both alphabets, with and without padding, whatever its keys", () => {
    const value = { "~~~???": "ÿþ>>>", code: "bad_request", message: "", ["__proto__"]: 1 };
    const plain = code(value, "base64");
    assert.match(plain, /[+/]/);
    for (const text of [plain, code(value), plain.replaceAll("=", ""), plain.replaceAll("+", " ")])
      assert.deepEqual(readMetadata(text), { metadata: value });
    assert.deepEqual(readMetadata(encodeMetadata({ a: 1 })), { metadata: { a: 1 } });
  });

  test("refused: no base64, no object, too large, the edge's own keys", () => {
    refused(readMetadata("%%%"), "bad_request", /not base64/);
    for (const wrong of ["", code("[1]"), code("3"), code("null"), code("{"), code('"a"')])
      refused(readMetadata(wrong), "bad_request", /JSON object/);
    assert.ok("metadata" in readMetadata(code({ a: "x".repeat(1_016) })));
    refused(readMetadata(code({ a: "x".repeat(1_017) })), "bad_request", /1025 characters/);
    for (const key of ["is_edge_audit", "edge_result", "is_from_edge"])
      refused(readMetadata(code({ [key]: 1 })), "bad_request", new RegExp(key));
  });

  test("what the edge adds shrinks until it fits; the caller's stays", () => {
    const told = (rois: number, metadata?: Record<string, string>, audit = true) =>
      edgeResultMetadata({ detector, answer: { ...answer, rois: boxes(rois) }, audit, metadata });
    const small = told(1, { a: "b" });
    assert.deepEqual(small, {
      a: "b",
      is_edge_audit: true,
      edge_result: {
        confidence: 0.6,
        label: 1,
        text: null,
        rois: [{ label: "x", score: 1, geometry: { left: 0, top: 0, right: 1, bottom: 1, x: 0.5, y: 0.5 } }],
        raw_primary_confidence: 0.8,
        raw_oodd_prediction: { label: 0, confidence: 0.75 },
        model: "door/3",
      },
    });
    const many = told(40)?.["edge_result"] as Record<string, unknown>;
    assert.equal(many["rois"], "40 ROIs were detected.");
    assert.deepEqual(told(0, { a: "x".repeat(960) }), { a: "x".repeat(960), is_edge_audit: true });
    assert.deepEqual(told(0, { a: "x".repeat(1_016) }), { a: "x".repeat(1_016) });
    assert.equal(
      edgeResultMetadata({ detector, answer: undefined, audit: false, metadata: undefined }),
      undefined,
    );
    for (const finding of findings) {
      const mine: Detector = {
        ...detector,
        mode: finding.mode,
        modeConfiguration: { classNames: ["red", "green"] },
      };
      const found = edgeResultMetadata({
        detector: mine,
        answer: { ...answer, finding, outOfDomain: undefined },
        audit: false,
        metadata: undefined,
      })?.["edge_result"] as Record<string, unknown>;
      assert.ok("label" in found && !("raw_oodd_prediction" in found));
    }
    assert.deepEqual(edgeAnswerMetadata({ a: 1 }, answer.model), {
      a: 1,
      is_from_edge: true,
      edge_result: { model: "door", version: "3" },
    });
  });
});

const detector = createDetector({ id, origin: "cloud" });

const answer: LocalAnswer = {
  finding: { mode: "BINARY", label: "NO" },
  confidence: 0.6,
  rawConfidence: 0.8,
  outOfDomain: 0.25,
  probabilities: undefined,
  rois: null,
  text: null,
  model: { name: "door", version: "3" },
  computeMs: 1,
};

function boxes(count: number) {
  const geometry = { left: 0, top: 0, right: 1, bottom: 1 };
  return Array.from({ length: count }, () => ({ label: "x", score: 1, geometry }));
}

const findings: readonly Finding[] = [
  { mode: "BINARY", label: "YES" },
  { mode: "BINARY", label: "UNCLEAR" },
  { mode: "COUNT", count: 3, greaterThanMax: false },
  { mode: "COUNT", count: null, greaterThanMax: false },
  { mode: "MULTI_CLASS", label: "green" },
  { mode: "MULTI_CLASS", label: "UNCLEAR" },
  { mode: "BOUNDING_BOX", label: "GREATER_THAN_MAX" },
  { mode: "TEXT", text: "AB 12", truncated: false },
  { mode: "TEXT", text: null, truncated: false },
];

function queryOf(finding: Finding | undefined): ImageQuery {
  return {
    id: "iq_2abcdefghijklmnopqrstuvwxyz",
    detectorId: id,
    mode: finding?.mode ?? "BINARY",
    query: "?",
    createdAt: "2026-01-01T00:00:00.000Z",
    result: finding === undefined ? null : { finding, confidence: 0.9, source: "ALGORITHM", fromEdge: true },
    patienceTime: 30,
    confidenceThreshold: 0.8,
    rois: finding === undefined ? null : boxes(2),
    text: finding?.mode === "TEXT" ? finding.text : null,
    doneProcessing: true,
    metadata: { a: 1 },
  };
}

describe("an image query", () => {
  const keys =
    "metadata id type created_at query detector_id result_type result patience_time confidence_threshold rois text done_processing";

  test("has all keys and a result type in every mode, and reads back as it was", () => {
    for (const finding of [undefined, ...findings]) {
      const query = queryOf(finding);
      const written = writeImageQuery(query);
      assert.deepEqual(Object.keys(written), keys.split(" "));
      const result = written["result"] as Record<string, unknown> | null;
      if (result !== null) assert.equal(result["result_type"], written["result_type"]);
      assert.deepEqual(readImageQuery(JSON.parse(JSON.stringify(written))), query);
    }
    assert.deepEqual(new Set(findings.map(({ mode }) => mode)), new Set(detectorModes));
  });

  test("of the cloud: more keys are ignored, what is missing is said", () => {
    const json = JSON.parse(JSON.stringify(writeImageQuery(queryOf(findings[0])))) as Record<string, unknown>;
    good(readImageQuery({ ...json, novelty: [1], result: { ...(json["result"] as object), more: 1 } }));
    const asked = good(readImageQuery({ ...json, result: { label: "UNCLEAR", source: "STILL_PROCESSING" } }));
    assert.deepEqual(asked.result?.finding, { mode: "BINARY", label: "UNCLEAR" });
    const wrong = (change: object, message: RegExp) =>
      refused(readImageQuery({ ...json, ...change }), "bad_upstream_answer", message);
    wrong({ id: undefined }, /^image query: id is missing$/);
    wrong({ detector_id: 3 }, /detector_id is 3, expected a text/);
    wrong({ result_type: "smell" }, /result_type must be one of/);
    wrong({ result: { label: "PERHAPS" } }, /image query: result: label is "PERHAPS", expected/);
    wrong({ result: { confidence: 2, label: "YES" } }, /confidence is 2, expected 0 to 1/);
    wrong({ rois: [{ label: "a", score: 1 }] }, /rois\[0\]: geometry is missing/);
    wrong({ metadata: [] }, /metadata is a list/);
    for (const nothing of [null, "<html>", [], 3, undefined])
      refused(readImageQuery(nothing), "bad_upstream_answer", /image query is .*, expected an object/);
  });

  test("goes to the cloud with what the caller said, and is read there as it was", () => {
    const submission = {
      detectorId: id,
      picture: Buffer.from("x"),
      mediaType: "image/png",
      imageQueryId: "iq_1",
      patienceTime: 5,
      confidenceThreshold: 0,
      humanReview: "NEVER",
      wantAsync: true,
      metadata: { "ä&=": "+ /" },
      inspectionId: "i 1",
    } as const;
    const { picture: _, mediaType: _type, ...expected } = submission;
    assert.deepEqual(readSubmission(writeSubmissionQuery(submission), image), expected);
  });
});

test("labels", () => {
  const label = { imageQueryId: "iq_1", label: "3", rois: undefined };
  assert.deepEqual(readLabel({ label: 3, image_query_id: "iq_1" }), label);
  assert.deepEqual(readLabel(writeLabel({ ...label, rois: boxes(1) })), { ...label, rois: boxes(1) });
  refused(readLabel({ label: "YES" }), "bad_request", /image_query_id is missing/);
  refused(readLabel({ image_query_id: "iq_1" }), "bad_request", /label is missing/);
  refused(readLabel({ label: "YES", image_query_id: "det_1" }), "bad_request", /image_query_id/);
  refused(readLabel({ label: "x".repeat(1_001), image_query_id: "iq_1" }), "bad_request", /1001 characters/);
  const answered = writeLabelAnswer({ label: "A", rois: undefined, mode: "TEXT", createdAt: "now" });
  assert.equal(answered["text"], "A");
  const find = (mode: Detector["mode"], text: string) =>
    findingOfLabel({ mode, modeConfiguration: { classNames: ["red"], maxCount: 5 } }, text);
  assert.deepEqual(find("COUNT", "7"), { mode: "COUNT", count: 5, greaterThanMax: true });
  assert.deepEqual(find("MULTI_CLASS", "red"), { mode: "MULTI_CLASS", label: "red" });
  assert.deepEqual(find("TEXT", "red"), { mode: "TEXT", text: "red", truncated: false });
  for (const mode of ["BINARY", "COUNT", "MULTI_CLASS", "BOUNDING_BOX"] as const) {
    refused(find(mode, "blue"), "bad_request", /label is "blue", expected/);
    assert.equal(good(find(mode, "UNCLEAR")).mode, mode);
  }
});

test("detectors", () => {
  const many: Detector = { ...detector, mode: "MULTI_CLASS", modeConfiguration: { classNames: ["a", "b"] } };
  for (const each of [detector, many]) {
    const written = writeDetector(each);
    assert.deepEqual(readDetector(JSON.parse(JSON.stringify(written))), each);
    assert.ok("mode_configuration" in written && written["type"] === "detector");
  }
  const bare = good(readDetector({ id, name: "n", query: "q", created_at: "now", escalation_type: "NEW" }));
  assert.deepEqual([bare.mode, bare.confidenceThreshold, bare.escalationType], ["BINARY", 0.9, "STANDARD"]);
  refused(readDetector({ id, query: "q", created_at: "now" }), "bad_upstream_answer", /name is missing/);
  refused(
    readDetector({ ...writeDetector(detector), mode: "SMELL" }),
    "bad_upstream_answer",
    /mode is "SMELL"/,
  );
  const wish = { name: "n", query: "q" };
  refused(readDetectorCreation({ ...wish, name: "" }), "bad_request", /name is empty/);
  refused(readDetectorCreation({ ...wish, mode: "COUNT" }), "bad_request", /class_name/);
  refused(readDetectorCreation({ ...wish, confidence_threshold: 1.5 }), "bad_request", /0 to 1/);
  refused(
    readDetectorCreation({ ...wish, mode: "MULTI_CLASS", mode_configuration: { class_names: ["a", "a"] } }),
    "bad_request",
    /twice/,
  );
  refused(readDetectorCreation({ ...wish, metadata: 3 }), "bad_request", /metadata/);
  assert.deepEqual(good(readDetectorCreation({ ...wish, metadata: { a: 1 } })).metadata, { a: 1 });
  refused(readDetectorPatch({ status: "MAYBE" }), "bad_request", /ON, OFF/);
  refused(readDetectorPatch([]), "bad_request", /expected an object/);
});

test("pages have the addresses of their neighbours", () => {
  const page = (at: number) =>
    writePage({ results: [], count: 25, page: at, pageSize: 10, url: "http://edge/x", query: "a=1&page=9" });
  assert.deepEqual(page(2), {
    count: 25,
    next: "http://edge/x?a=1&page=3",
    previous: "http://edge/x?a=1&page=1",
    results: [],
  });
  assert.equal(page(3)["next"], null);
  assert.equal(page(1)["previous"], null);
  const list = { count: 2, results: [writeDetector(detector)] };
  assert.deepEqual(good(readPage(list, readDetector)), { count: 2, results: [detector] });
  refused(readPage({ results: [] }, readDetector), "bad_upstream_answer", /count is missing/);
  refused(
    readPage({ count: 1, results: [{}] }, readDetector),
    "bad_upstream_answer",
    /results\[0\]: detector: id/,
  );
  refused(readImageQueryListing("page=0"), "bad_request", /page must be/);
  assert.deepEqual(readDetectorListing("page_size=5000&name=a"), { page: 1, pageSize: 100, name: "a" });
});

test("model urls", () => {
  const plain = { pipeline_config: "a", predictor_metadata: "{}" };
  assert.deepEqual(readModelInfo(plain), {
    pipelineConfig: "a",
    predictorMetadata: "{}",
    binary: undefined,
    oodd: undefined,
  });
  const whole = good(
    readModelInfo({
      ...plain,
      model_binary_id: "m",
      model_binary_url: "u",
      oodd_pipeline_config: "o",
      oodd_model_binary_id: null,
      oodd_model_binary_url: null,
    }),
  );
  assert.deepEqual(whole.binary, { id: "m", url: "u" });
  assert.deepEqual(whole.oodd, { pipelineConfig: "o", binary: undefined });
  refused(
    readModelInfo({ ...plain, model_binary_id: "m" }),
    "bad_upstream_answer",
    /model_binary_url is missing/,
  );
  refused(readModelInfo({}), "bad_upstream_answer", /pipeline_config is missing/);
});

describe("the edge configuration", () => {
  const document = {
    global_config: { refresh_rate: 30, confident_audit_rate: 0.01 },
    edge_inference_configs: { mine: { always_return_edge_prediction: true, api_token: "api_secret" } },
    detectors: [
      { detector_id: id, edge_inference_config: "mine" },
      { detector_id: `det_${"1".repeat(27)}`, edge_inference_config: "no_cloud" },
    ],
  };

  test("is read and written, without its tokens", () => {
    const config = good(readEdgeConfig(document));
    assert.equal(
      config.inferenceConfigs[0]?.apiToken?.reveal(() => ""),
      "api_secret",
    );
    const written = JSON.stringify(writeEdgeConfig(config));
    assert.doesNotMatch(written, /api_secret/);
    const again = good(readEdgeConfig(JSON.parse(written)));
    assert.deepEqual(again.detectors, config.detectors);
    assert.deepEqual([again.refreshRateSeconds, again.confidentAuditRate], [30, 0.01]);
    assert.deepEqual(readEdgeConfig({ detectors: [] }), {
      refreshRateSeconds: 60,
      confidentAuditRate: 1e-5,
      inferenceConfigs: [],
      detectors: [],
    });
  });

  test("what does not fit together is refused", () => {
    const wrong = (change: object, message: RegExp) =>
      refused(readEdgeConfig({ ...document, ...change }), "bad_request", message);
    wrong({ global_config: { refresh_rate: 0 } }, /refresh_rate/);
    wrong({ global_config: { confident_audit_rate: 5 } }, /0 to 1/);
    wrong({ edge_inference_configs: {} }, /names "mine", which is not there/);
    wrong({ edge_inference_configs: { mine: { disable_cloud_escalation: true } } }, /only allowed with/);
    wrong({ edge_inference_configs: { mine: { min_time_between_escalations: 0 } } }, /min_time/);
    const [first] = document.detectors;
    const other = { ...first, detector_id: id.toUpperCase().replace("DET_", "det_") };
    wrong({ detectors: [first, other] }, /there twice/);
    wrong({ detectors: [{ ...first, detector_id: "" }] }, /detector_id/);
    wrong({ detectors: undefined }, /detectors must be there/);
    refused(readEdgeConfig({ detecters: [] }), "bad_request", /detectors must be there/);
    refused(readEdgeConfig("text"), "bad_request", /expected an object/);
  });
});

describe("the picture", () => {
  const png = Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), Buffer.from("\r\n--x\r\n\r\n--")]);
  const form = { "content-type": 'multipart/form-data; boundary="x y"' };
  const part = (head: string, body: Uint8Array | string): Buffer =>
    Buffer.concat([Buffer.from(`--x y\r\n${head}\r\n\r\n`), Buffer.from(body), Buffer.from("\r\n")]);
  const file = 'Content-Disposition: form-data; name="image"; filename="a.png"';
  const end = Buffer.from("--x y--\r\n");

  test("is the body, or the file of a form, as a view of it", () => {
    assert.deepEqual(readPicture({ "content-type": "image/PNG; q=1" }, png), {
      bytes: png,
      mediaType: "image/png",
    });
    const text = part('Content-Disposition: form-data; name="note"', "hello");
    for (const body of [
      Buffer.concat([part(`${file}\r\nContent-Type: image/png`, png), end]),
      Buffer.concat([
        Buffer.from("preamble\r\n"),
        text,
        part(`${file}\r\ncontent-type: IMAGE/png`, png),
        end,
      ]),
      Buffer.concat([part(`${file}\r\nContent-Type: application/octet-stream`, png), text, end]),
      Buffer.concat([part('Content-Disposition: form-data; name="note"', ""), part(file, png), end]),
    ]) {
      const found = good(readPicture(form, body));
      assert.deepEqual(Buffer.from(found.bytes), png);
      assert.equal(found.mediaType, "image/png");
      assert.equal(found.bytes.buffer, body.buffer);
    }
  });

  test("is missed where the form is cut, has none, several or one of another kind", () => {
    const whole = Buffer.concat([part(`${file}\r\nContent-Type: image/png`, png), end]);
    for (let length = 0; length < whole.length - 4; length++)
      refused(readPicture(form, whole.subarray(0, length)), "bad_request", /cut short/);
    const one = part(`${file}\r\nContent-Type: image/png`, png);
    refused(readPicture(form, Buffer.concat([one, one, end])), "bad_request", /2 pictures/);
    refused(readPicture(form, Buffer.concat([part("a: b", "c"), end])), "invalid_image", /no part/);
    refused(readPicture(form, Buffer.concat([part(file, "text"), end])), "unsupported_media_type", /file is/);
    refused(
      readPicture(form, Buffer.concat([...Array<Buffer>(17).fill(part("a: b", "c")), end])),
      "bad_request",
      /16/,
    );
    refused(readPicture({ "content-type": "multipart/form-data" }, whole), "bad_request", /boundary/);
    refused(readPicture(image, Buffer.alloc(0)), "invalid_image", /empty/);
    refused(readPicture(form, Buffer.concat([part(file, ""), end])), "invalid_image", /empty/);
    assert.equal(sniffMediaType(Buffer.from("RIFFxxxxWEBP")), "image/webp");
    assert.equal(sniffMediaType(Buffer.from("PK")), undefined);
  });
});

test("failures are detail and the status of the table", () => {
  for (const code of Object.keys(errorTable) as ErrorCode[]) {
    const { status, headers, body } = writeGroundlightFailure(failure(code, "why"));
    assert.equal(status, code === "model_load_failed" ? 503 : errorTable[code].http);
    assert.deepEqual(headers, [["content-type", "application/json"]]);
    assert.deepEqual(JSON.parse(Buffer.concat(body).toString()), { detail: "why" });
  }
  assert.equal(readGroundlightError({ detail: "No." }), "No.");
  assert.equal(readGroundlightError({ name: ["Taken."] }), '{"name":["Taken."]}');
  assert.equal(readGroundlightError("<html>"), undefined);
});
