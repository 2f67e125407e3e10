// What callers and clouds get wrong: a clear error in the client's shape, `{"detail": …}`, and nothing else harmed.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { crc32, deflateSync } from "node:zlib";
import { digit, isSeven, startEdgeGateway, whichDigit, type EdgeGateway } from "../harness/edge-gateway.ts";

const png = { "content-type": "image/png" };

/** A PNG that says it is so wide and high, with compressed zeros. */
function hugePng(side: number): Buffer {
  const chunk = (type: string, data: Buffer): Buffer => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(data.length);
    const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([head, body, sum]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([8, 0, 0, 0, 0], 8);
  const rows = deflateSync(Buffer.alloc(Math.min(side * (side + 1), 64 * 2 ** 20)));
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", rows),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

interface Case {
  readonly what: string;
  readonly picture?: Uint8Array;
  readonly detector?: string;
  readonly query?: string;
  readonly headers?: Record<string, string>;
  readonly status: number;
  readonly detail: RegExp;
}

const metadata = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

const cases: readonly Case[] = [
  { what: "not a picture", picture: Buffer.from("hello"), status: 400, detail: /no picture/ },
  { what: "no body", picture: Buffer.alloc(0), status: 400, detail: /empty/ },
  { what: "a truncated picture", picture: digit(7).subarray(0, 60), status: 400, detail: /picture|image/i },
  { what: "a decompression bomb", picture: hugePng(30_000), status: 400, detail: /picture|image|pixels/i },
  {
    what: "20 MB",
    picture: Buffer.alloc(20_000_000, 0xff),
    status: 413,
    detail: /20000000 bytes; at most 10485760/,
  },
  {
    what: "a wrong content type",
    headers: { "content-type": "application/json" },
    status: 415,
    detail: /image\//,
  },
  {
    what: "an unknown detector",
    detector: "det_000000000000000000000000000",
    status: 404,
    detail: /det_0+.*configuration/,
  },
  { what: "no detector", detector: "", status: 400, detail: /detector_id is required/ },
  { what: "metadata that is not base64", query: "metadata=%7B%7D", status: 400, detail: /metadata/ },
  { what: "metadata that is no object", query: `metadata=${metadata([1])}`, status: 400, detail: /metadata/ },
  {
    what: "oversized metadata",
    query: `metadata=${metadata({ a: "x".repeat(1_100) })}`,
    status: 400,
    detail: /metadata.*1024/,
  },
  {
    what: "metadata with a reserved key",
    query: `metadata=${metadata({ is_from_edge: false })}`,
    status: 400,
    detail: /is_from_edge/,
  },
  { what: "an unknown parameter", query: "colour=red", status: 400, detail: /colour.*detector_id/ },
  {
    what: "a threshold above 1",
    query: "confidence_threshold=1.1",
    status: 400,
    detail: /confidence_threshold must be a number from 0 to 1/,
  },
  {
    what: "a threshold that is no number",
    query: "confidence_threshold=high",
    status: 400,
    detail: /confidence_threshold/,
  },
  { what: "a review of another kind", query: "human_review=MAYBE", status: 400, detail: /human_review/ },
  { what: "a review without a cloud", query: "human_review=ALWAYS", status: 400, detail: /cloud/ },
  { what: "an id of another shape", query: "image_query_id=../../x", status: 400, detail: /image_query_id/ },
];

async function check(gateway: EdgeGateway, { what, ...given }: Case): Promise<void> {
  const { picture = digit(7), detector = whichDigit, query = "", headers = png, status, detail } = given;
  const answer = await gateway.ask(detector, picture, { query, headers });
  assert.equal(answer.status, status, `${what}: ${JSON.stringify(answer.body)}`);
  assert.deepEqual(Object.keys(answer.body), ["detail"], what);
  assert.match(String(answer.body["detail"]), detail, what);
}

test("every mistake of a caller is a clear error, and the next query is answered", async (t) => {
  const gateway = await startEdgeGateway(t);
  for (const each of cases) await check(gateway, each);
  const { body } = await gateway.ask(isSeven, digit(7));
  assert.equal((body["result"] as Record<string, unknown>)["label"], "YES");
});

test("other calls: unknown queries, labels for nothing, no JSON, ids that are none", async (t) => {
  const gateway = await startEdgeGateway(t);
  const expectations: [method: string, path: string, body: unknown, status: number][] = [
    ["GET", "/device-api/v1/image-queries/iq_000000000000000000000000000", undefined, 404],
    ["GET", "/device-api/v1/image-queries/..%2F..%2Fetc/image", undefined, 404],
    ["GET", "/device-api/v1/image-queries?page=0", undefined, 400],
    ["GET", "/device-api/v1/detectors/nothing", undefined, 404],
    ["POST", "/device-api/v1/detectors", { name: "" }, 400],
    ["POST", "/device-api/v1/detectors", { name: "a", query: "b?" }, 501],
    ["POST", "/device-api/v1/labels", { label: "7", image_query_id: "iq_0" }, 404],
    ["POST", "/device-api/v1/labels", [], 400],
    ["PUT", "/edge-config", { edge_inference_configs: { a: { disable_cloud_escalation: true } } }, 400],
    ["GET", "/device-api/v1/nothing", undefined, 404],
    ["DELETE", "/device-api/v1/image-queries", undefined, 404],
  ];
  for (const [method, path, body, status] of expectations) {
    const answer = await gateway.call(method, path, body);
    assert.equal(answer.status, status, `${method} ${path}: ${JSON.stringify(answer.body)}`);
    assert.equal(typeof answer.body["detail"], "string", path);
  }
});

test("a cloud that answers HTML: the edge's answer where there is one, else it waits in the queue", async (t) => {
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "text/html" }).end("<html>proxy login</html>");
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const detector = {
    id: whichDigit,
    query: "Which digit is this?",
    mode: "MULTI_CLASS",
    classNames: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
  };
  const edge = {
    cloud: { origin, token: "api_device_token_0001" },
    detectors: [
      { ...detector, model: "digits" },
      { id: isSeven, query: "Is this a seven?" },
    ],
  };
  const gateway = await startEdgeGateway(t, { edge });
  const unsure = await gateway.ask(whichDigit, digit(8), { query: "confidence_threshold=1" });
  assert.equal(unsure.status, 200);
  assert.equal((unsure.body["result"] as Record<string, unknown>)["label"], "8");
  assert.equal(unsure.body["done_processing"], false);
  const nobody = await gateway.ask(isSeven, digit(7));
  assert.equal(nobody.status, 200);
  assert.equal(nobody.body["result"], null);
  assert.equal(nobody.body["done_processing"], false);
  const unknown = await gateway.ask("det_111111111111111111111111111", digit(7));
  assert.equal(unknown.status, 503);
  assert.match(String(unknown.body["detail"]), /not known here/);
});
