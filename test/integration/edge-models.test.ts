/** Models that the edge endpoint fetches: from a real index into real worker processes, asked by cameras all the while. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { startCloud } from "@spillway/simulator";
import { createDataFolder, digit, startEdgeGateway, type EdgeGateway } from "../harness/edge-gateway.ts";
import { createModelFolder, repositoryRoot } from "../harness/gateway.ts";
import { startLoad } from "../harness/load.ts";
import { packageOf, sha256Of } from "../harness/model-package.ts";
import { buildMlp } from "../harness/onnx-build.ts";
import { startPackageServer, type PackageServer } from "../harness/package-server.ts";
import { until } from "../harness/until.ts";

const id = "det_FetchedModelOfDigits0000000";
const digits = packageOf(
  readFileSync(join(repositoryRoot, "models/digits/1/model.onnx")),
  readFileSync(join(repositoryRoot, "models/digits/model.yaml"), "utf8"),
);
/** Sixteen inputs where the digits have sixty-four; it knows nothing of digits. */
const small = packageOf(
  buildMlp({ layers: [16, 10], seed: 3, softmax: true }),
  [
    "task: classify",
    'labels: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]',
    "outputs: { scores: y }",
    "input: { image: { tensor: x, width: 4, height: 4, channels: 1, layout: HWC, scale: 0.004 } }",
    "batching: { maxBatch: 8 }",
  ].join("\n"),
);
const broken = packageOf("this is no model", "task: classify\n");
/** Loads, and takes another input than the picture is made into. */
const unfit = packageOf(
  buildMlp({ layers: [9, 10], seed: 3 }),
  "task: classify\noutputs: { scores: y }\ninput: { image: { tensor: x, width: 4, height: 4, channels: 1, layout: HWC } }",
);

function offer(server: PackageServer, ...packages: readonly Buffer[]): void {
  const entries = packages.map((bytes, at) => {
    server.files.set(`/${at + 1}.tar.gz`, { bytes });
    return { version: at + 1, url: `${at + 1}.tar.gz`, sha256: sha256Of(bytes), bytes: bytes.length };
  });
  const bytes = Buffer.from(JSON.stringify({ models: { [id]: entries } }));
  server.files.set("/index.json", { bytes, etag: `"${sha256Of(bytes)}"` });
}

function edgeOver(server: PackageServer) {
  return {
    refresh: "1s",
    models: { index: `${server.url}/index.json` },
    detectors: [
      {
        id,
        query: "Which digit is this?",
        mode: "MULTI_CLASS",
        classNames: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
        policy: "no_cloud",
      },
    ],
  };
}

/** Name and version of the model that answered; undefined for none. */
async function versionOf(gateway: EdgeGateway): Promise<string | undefined> {
  const { status, body } = await gateway.ask(id, digit(7));
  if (status !== 200) return undefined;
  const { edge_result: result } = body["metadata"] as { edge_result?: Record<string, string> };
  return JSON.stringify(result ?? {});
}

function untilVersion(gateway: EdgeGateway, version: string): Promise<string> {
  return until(`version ${version} answers`, async () => {
    const found = await versionOf(gateway);
    return found?.includes(`"${version}"`) === true && found;
  });
}

describe("fetched models", () => {
  // Each broken version is tried twice, after pauses of two, four and eight seconds.
  it(
    "swap under load without a failed answer, between versions with different inputs; broken ones never answer",
    { timeout: 240_000 },
    async (test) => {
      const server = await startPackageServer(test);
      const dataFolder = createDataFolder(test);
      const models = createModelFolder(test).path;
      offer(server, digits);
      const gateway = await startEdgeGateway(test, { edge: edgeOver(server), dataFolder, models });
      await untilVersion(gateway, "1");
      const seven = await gateway.ask(id, digit(7));
      assert.equal((seven.body["result"] as { label: string }).label, "7");
      const { body: shown } = await gateway.call("GET", "/admin/edge/models");
      const [detector] = shown["detectors"] as [Record<string, unknown>];
      assert.equal(shown["notShown"], 0);
      assert.deepEqual([detector["detectorId"], detector["state"], detector["bad"]], [id, "serving", []]);
      assert.equal((detector["serving"] as Record<string, unknown>)["version"], "1");
      const load = startLoad(2, async () => {
        const { status, body } = await gateway.ask(id, digit(7));
        await pause(20);
        return { status, body };
      });
      for (const [packages, version] of [
        [[digits, small], "2"],
        [[digits, small, broken, unfit], "2"],
        [[digits], "1"],
      ] as const) {
        offer(server, ...packages);
        if (packages.length === 4)
          await until(
            "the broken ones were tried",
            () =>
              ["3", "4"].every(
                (each) =>
                  gateway.events.filter(
                    ({ event, fields }) =>
                      event === "edge_model_update_failed" &&
                      String(fields["reason"]).includes(`version ${each} `),
                  ).length >= 2,
              ),
            120_000,
          );
        await untilVersion(gateway, version);
      }
      const answers = await load.stop();
      const refused = answers.filter(({ status }) => status !== 200);
      assert.deepEqual(
        refused.map(({ body }) => body),
        [],
      );
      assert.ok(answers.length > 50);
      const versions = new Set(
        answers.map(({ body }) => /"version":"([^"]*)"/.exec(JSON.stringify(body["metadata"]))?.[1]),
      );
      assert.deepEqual(
        [...versions].toSorted((a, b) => Number(a) - Number(b)),
        ["1", "2"],
      );
      await gateway.close({ graceMs: 0 });
      // What serves is there again without the server.
      server.files.clear();
      const again = await startEdgeGateway(test, { edge: edgeOver(server), dataFolder, models });
      await untilVersion(again, "1");
      assert.ok(readdirSync(join(dataFolder, "models", id.toLowerCase())).includes("1"));
    },
  );

  it("come from a cloud that serves packages, and are told of where they cannot run", async (test) => {
    const token = "api_0123456789012345678901234567890123456789";
    const cloud = await startCloud({
      tokens: [token],
      detectors: [
        {
          id,
          name: "digits",
          query: "Which digit is this?",
          mode: "MULTI_CLASS",
          modeConfiguration: { class_names: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"] },
          model: { bytes: Buffer.from("closed") },
        },
      ],
    });
    test.after(() => cloud.close());
    const edge = {
      refresh: "1s",
      cloud: { origin: cloud.url, token },
      detectors: [{ id, policy: "edge_answers_with_escalation" }],
    };
    const gateway = await startEdgeGateway(test, { edge, models: createModelFolder(test).path });
    await gateway.ask(id, digit(7));
    cloud.cloud.publishModel(id, {
      bytes: digits,
      pipelineConfig: `spillway: { package: onnx, sha256: ${sha256Of(digits)} }`,
    });
    await untilVersion(gateway, "1");
  });

  it("are not needed where an inference server of Groundlight answers", async (test) => {
    const asked: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      asked.push(request.headers["content-type"]);
      request.resume();
      const predictions = { confidences: [0.97], labels: [1], probabilities: [0.97], scores: [0.97] };
      response.end(JSON.stringify({ predictions, multi_predictions: null, secondary_predictions: null }));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    test.after(() => {
      server.closeAllConnections();
      server.close();
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const edge = { detectors: [{ id, query: "Is it?", model: { server: url } }] };
    const gateway = await startEdgeGateway(test, { edge });
    const { status, body } = await gateway.ask(id, digit(7));
    const { label, confidence, from_edge: fromEdge } = body["result"] as Record<string, unknown>;
    assert.deepEqual([status, label, confidence, fromEdge], [200, "NO", 0.97, true]);
    assert.deepEqual(asked, ["image/png"]);
    await new Promise((resolve) => server.close(resolve).closeAllConnections());
    assert.equal((await gateway.ask(id, digit(7))).status, 503, "without it there is no answer, and no wait");
  });
});
