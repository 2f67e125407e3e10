/** The door's own reading and writing of messages, against the code generated from proto/. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { envoy } from "@spillway/protocol/ext-proc";
import { readMessage } from "./read-message.ts";
import { readMetadata } from "./read-metadata.ts";
import { WireError } from "./wire-cursor.ts";
import {
  continueRequest,
  heldBodyReply,
  immediateReply,
  requestHeadersReply,
  responseHeadersReply,
  streamedReply,
  trailersReply,
} from "./write-replies.ts";

const { ProcessingRequest, ProcessingResponse } = envoy.service.ext_proc.v3;
type Asked = Parameters<typeof ProcessingRequest.encode>[0];

function read(asked: Asked, maxHeaders = 100) {
  return readMessage(Buffer.from(ProcessingRequest.encode(asked).finish()), maxHeaders);
}

function write(...pieces: readonly Uint8Array[]) {
  return ProcessingResponse.decode(Buffer.concat(pieces));
}

const raw = (text: string) => Buffer.from(text);

describe("messages from Envoy", () => {
  it("have headers by their names, with raw values before others, repeated ones as lists", () => {
    const { headers, kind, endOfStream, modes } = read({
      requestHeaders: {
        headers: {
          headers: [
            { key: ":path", rawValue: raw("/v1/chat/completions") },
            { key: "X-Mixed", value: "old", rawValue: raw("new") },
            { key: "cookie", rawValue: raw("a=1") },
            { key: "cookie", rawValue: raw("b=2") },
            { key: "x-name", rawValue: raw("模型-ü") },
            { key: "x-long", value: "y".repeat(700) },
            { key: "x-empty" },
          ],
        },
        endOfStream: true,
      },
      protocolConfig: { requestBodyMode: 4, responseBodyMode: 2 },
    });
    assert.equal(kind, "requestHeaders");
    assert.equal(endOfStream, true);
    assert.deepEqual(modes, { request: 4, response: 2 });
    assert.deepEqual(headers, {
      ":path": "/v1/chat/completions",
      "x-mixed": "new",
      cookie: ["a=1", "b=2"],
      "x-name": "模型-ü",
      "x-long": "y".repeat(700),
      "x-empty": "",
    });
  });

  it("have bodies as views, trailers, and the end of the stream", () => {
    const body = read({ requestBody: { body: raw("abc"), endOfStream: true } });
    assert.deepEqual([body.kind, body.body.toString(), body.endOfStream], ["requestBody", "abc", true]);
    const answer = read({ responseBody: { body: raw("") } });
    assert.deepEqual([answer.kind, answer.body.length, answer.endOfStream], ["responseBody", 0, false]);
    const trailers = read({
      responseTrailers: { trailers: { headers: [{ key: "grpc-status", value: "0" }] } },
    });
    assert.deepEqual([trailers.kind, trailers.headers["grpc-status"]], ["responseTrailers", "0"]);
    assert.equal(read({ responseHeaders: {} }).kind, "responseHeaders");
    assert.equal(read({}).kind, undefined);
  });

  it("tell endpoints as a list or as one text", () => {
    const subset = (value: object) =>
      read({
        requestHeaders: {},
        metadataContext: {
          filterMetadata: {
            other: { fields: { "x-gateway-destination-endpoint-subset": { stringValue: "no" } } },
            "envoy.lb.subset_hint": { fields: { "x-gateway-destination-endpoint-subset": value } },
            "envoy.lb": {
              fields: { "x-gateway-destination-endpoint-served": { stringValue: "10.0.0.1:80" } },
            },
          },
        },
      }).metadata;
    const list = subset({
      listValue: { values: [{ stringValue: "10.0.0.1:80" }, { stringValue: "10.0.0.2" }] },
    });
    assert.ok(list !== undefined);
    assert.deepEqual(readMetadata(list), { subset: ["10.0.0.1:80", "10.0.0.2"], served: "10.0.0.1:80" });
    const text = subset({ stringValue: " 10.0.0.1:80 , 10.0.0.2," });
    assert.deepEqual(text && readMetadata(text).subset, ["10.0.0.1:80", "10.0.0.2"]);
    const empty = subset({ listValue: {} });
    assert.deepEqual(empty && readMetadata(empty).subset, []);
    const none = read({ requestHeaders: {}, metadataContext: {} }).metadata;
    assert.deepEqual(none && readMetadata(none), { subset: undefined, served: undefined });
  });

  it("are refused where they are cut short, and where they have too many headers", () => {
    const bytes = Buffer.from(
      ProcessingRequest.encode({
        requestHeaders: { headers: { headers: [{ key: "a", value: "b" }] }, endOfStream: true },
        attributes: { "envoy.filters": { fields: { a: { numberValue: 1 } } } },
      }).finish(),
    );
    const whole = readMessage(bytes, 1);
    assert.equal(whole.headers["a"], "b");
    for (let cut = 1; cut < bytes.length; cut++) {
      try {
        readMessage(bytes.subarray(0, cut), 1);
      } catch (error) {
        assert.ok(error instanceof WireError, String(error));
      }
    }
    const many = { headers: { headers: [{ key: "a" }, { key: "b" }] } };
    assert.throws(() => read({ requestHeaders: many }, 1), WireError);
  });
});

describe("replies to Envoy", () => {
  it("name the destination in header and metadata, and remove headers", () => {
    const reply = write(
      requestHeadersReply(
        {
          set: [
            ["x-gateway-destination-endpoint", "10.0.0.1:80"],
            ["x-ü", "ü"],
          ],
          remove: ["x-one", "x-two"],
        },
        { addresses: "10.0.0.1:80", scores: [["10.0.0.1:80", 0.75]] },
      ),
    );
    const common = reply.requestHeaders?.response;
    assert.equal(common?.clearRouteCache, true);
    assert.deepEqual(
      common?.headerMutation?.setHeaders?.map(({ header, appendAction }) => [
        header?.key,
        Buffer.from(header?.rawValue ?? []).toString(),
        appendAction,
      ]),
      [
        ["x-gateway-destination-endpoint", "10.0.0.1:80", 2],
        ["x-ü", "ü", 2],
      ],
    );
    assert.deepEqual(common?.headerMutation?.removeHeaders, ["x-one", "x-two"]);
    const told = reply.dynamicMetadata?.fields?.["envoy.lb"]?.structValue?.fields;
    assert.equal(told?.["x-gateway-destination-endpoint"]?.stringValue, "10.0.0.1:80");
    const scores = told?.["x-gateway-destination-endpoint-scores"]?.structValue?.fields;
    assert.equal(scores?.["10.0.0.1:80"]?.numberValue, 0.75);
  });

  it("stream bodies as slices, whose bytes are not copied", () => {
    for (const size of [0, 1, 127, 128, 20_000, 62_000]) {
      const body = Buffer.alloc(size, "x");
      for (const side of ["request", "response"] as const) {
        const [head, ...rest] = streamedReply(side, body, size === 0);
        assert.ok(head !== undefined && (size === 0 || rest[0] === body));
        const reply = write(head, ...rest);
        const part = side === "request" ? reply.requestBody : reply.responseBody;
        const streamed = part?.response?.bodyMutation?.streamedResponse;
        assert.equal(Buffer.from(streamed?.body ?? []).length, size);
        assert.equal(streamed?.endOfStream ?? false, size === 0);
      }
    }
  });

  it("have the other forms", () => {
    assert.ok(write(continueRequest()).requestHeaders);
    assert.ok(write(responseHeadersReply({ set: [], remove: ["a"] })).responseHeaders);
    assert.ok(write(trailersReply("request")).requestTrailers);
    assert.ok(write(trailersReply("response")).responseTrailers);
    const held = write(
      heldBodyReply("request", {
        body: [raw("ab"), raw("c")],
        changes: { set: [["a", "b"]], remove: [] },
        destination: { addresses: "x", scores: undefined },
      }),
    );
    const { bodyMutation, headerMutation } = held.requestBody?.response ?? {};
    assert.equal(Buffer.from(bodyMutation?.body ?? []).toString(), "abc");
    assert.equal(headerMutation?.setHeaders?.length, 1);
    const nothing = write(heldBodyReply("response", { body: [] })).responseBody?.response?.bodyMutation;
    assert.equal(nothing?.clearBody, true);
    const same = write(heldBodyReply("response", { body: undefined })).responseBody?.response?.bodyMutation;
    assert.equal(same, null);
    const now = write(
      immediateReply({ status: 429, headers: [["a", "b"]], body: [raw("full")], details: "why" }),
    ).immediateResponse;
    assert.deepEqual(
      [
        now?.status?.code,
        Buffer.from(now?.body ?? []).toString(),
        now?.details,
        now?.headers?.setHeaders?.length,
      ],
      [429, "full", "why", 1],
    );
  });
});
