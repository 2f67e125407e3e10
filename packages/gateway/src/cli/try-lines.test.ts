import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { InputMapping, ServedModel } from "../core/model.ts";
import { suggestCalls, suggestDetector, type TryContext } from "./try-lines.ts";

const folder = mkdtempSync(join(tmpdir(), "spillway-try-"));
after(() => rmSync(folder, { recursive: true }));

function model(
  name: string,
  mapping: Partial<InputMapping>,
  width = 4,
  more: Partial<ServedModel> = {},
): ServedModel {
  return {
    name,
    version: "1",
    platform: "onnx",
    inputs: [{ name: "x", datatype: "FP32", shape: [-1, width] }],
    outputs: [],
    task: { kind: "classify", labels: [], outputs: {}, thresholds: {} },
    mapping: { features: undefined, prompt: undefined, image: undefined, ...mapping },
    batchable: true,
    maxBatch: 1,
    mock: false,
    ...more,
  };
}

function suggest(models: readonly ServedModel[], more: Partial<TryContext> = {}): string[] {
  const listening = { http: [{ host: "127.0.0.1", port: 30080 }], grpc: undefined };
  return suggestCalls({ listening, models, repository: folder, workingDirectory: folder, ...more });
}

test("the well-known models first, with their samples", () => {
  mkdirSync(join(folder, "iris/samples"), { recursive: true });
  writeFileSync(join(folder, "iris/samples/setosa.json"), '{"features": [5.1, 3.5, 1.4, 0.2]}');
  mkdirSync(join(folder, "digits/samples"), { recursive: true });
  writeFileSync(join(folder, "digits/samples/it's.png"), "");
  const lines = suggest([
    model("another", { features: "x" }, 2),
    model("iris", { features: "x" }),
    model("sentiment", { prompt: "x" }),
    model("digits", { image: "image", features: "x" }, 64),
  ]);
  assert.deepEqual(lines, [
    `curl -s localhost:30080/predict -H 'content-type: application/json' -d '{"features":[5.1,3.5,1.4,0.2],"model_name":"iris"}'`,
    `curl -s localhost:30080/predict -H 'content-type: application/json' -d '{"prompt":"I love it","model_name":"sentiment"}'`,
    String.raw`curl -s localhost:30080/v1/models/digits:predict -H 'content-type: image/png' --data-binary '@./digits/samples/it'\''s.png'`,
  ]);
});

test("other models: zeros, a picture of one's own, metadata for the rest", () => {
  const lines = suggest([model("risk", { features: "x" }, 2), model("cats", { image: "image" })], {
    repository: undefined,
    listening: { http: [{ host: "192.0.2.1", port: 80 }], grpc: undefined },
  });
  assert.match(
    lines[0] ?? "",
    /^curl -s 192\.0\.2\.1:80\/predict .*\{"features":\[0,0\],"model_name":"risk"\}'$/,
  );
  assert.match(lines[1] ?? "", /cats:predict .*--data-binary @picture\.png$/);
  assert.equal(lines[2], "curl -s 192.0.2.1:80/v2/models/risk");
});

test("what has no simple call gets none: any width, many features, tensors only, mocks", () => {
  const lines = suggest([
    model("any", { features: "x" }, -1),
    model("wide", { features: "x" }, 1_000),
    model("tensors", { features: "x" }, 4, { task: undefined }),
    model("v1-mock", { features: "x", prompt: "x" }, 4, { mock: true }),
  ]);
  assert.deepEqual(
    lines,
    ["any", "wide", "tensors"].map((name) => `curl -s localhost:30080/v2/models/${name}`),
  );
});

test("no models of its own: where it says what there is", () => {
  assert.deepEqual(suggest([]), ["curl -s localhost:30080/", "curl -s localhost:30080/v1/models"]);
});

test("a picture goes where no certificate is asked to be one for localhost", () => {
  mkdirSync(join(folder, "digits/samples"), { recursive: true });
  writeFileSync(join(folder, "digits/samples/7.png"), "");
  const lineOf = (...http: { port: number; edge?: boolean; secure?: boolean }[]): string =>
    suggestDetector(
      {
        listening: { http: http.map((each) => ({ host: "127.0.0.1", ...each })), grpc: undefined },
        models: [model("digits", { image: "image" })],
        repository: folder,
        workingDirectory: folder,
      },
      [{ id: "det_1", model: { name: "digits", version: undefined, outOfDomain: undefined, labels: {} } }],
    ).join("");
  const secure = { port: 30143, edge: true, secure: true };
  assert.match(lineOf({ port: 30080 }, { port: 30101, edge: true }), /'localhost:30101\/device-api/);
  assert.match(lineOf({ port: 30080 }, secure), /'localhost:30080\/device-api/);
  assert.match(lineOf(secure), /'https:\/\/localhost:30143\/device-api/);
});
