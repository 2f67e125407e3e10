/** Large tensors through both doors and a worker: their memory is freed by hand, so every byte of every answer counts. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { createModelFolder, startTestGateway, testConfig, type TestGateway } from "../harness/gateway.ts";
import { until } from "../harness/until.ts";

const width = 150_528;
const bytes = width * 4;

/** Callers at once; half of them speak HTTP, half gRPC. */
const callers = 8;
const requests = 240;

/** Sends a tensor and says whether the same came back. Rejects for any other answer. */
type Ask = (tensor: Buffer, signal: AbortSignal | undefined) => Promise<boolean>;

function overHttp(gateway: TestGateway): Ask {
  const input = { name: "input", datatype: "FP32", shape: [1, width] };
  const head = Buffer.from(
    JSON.stringify({
      inputs: [{ ...input, parameters: { binary_data_size: bytes } }],
      parameters: { binary_data_output: true },
    }),
  );
  const headers = { "inference-header-content-length": String(head.length) };
  const client = gateway.client();
  return async (tensor, signal) => {
    const body = Buffer.concat([head, tensor]);
    const path = "/v2/models/identity/infer";
    const answer = await client.ask({ path, headers, body, ...(signal === undefined ? {} : { signal }) });
    assert.equal(answer.status, 200, answer.text.slice(0, 300));
    return answer.bytes.subarray(-bytes).equals(tensor);
  };
}

function overGrpc(gateway: TestGateway): Ask {
  const client = gateway.rpc();
  return async (tensor, signal) => {
    const message = {
      model_name: "identity",
      inputs: [{ name: "input", datatype: "FP32", shape: [1, width] }],
      raw_input_contents: [tensor],
    };
    const options = signal === undefined ? {} : { signal };
    const answer = await client.ask("inference.GRPCInferenceService", "ModelInfer", message, options);
    return (answer["raw_output_contents"] as Buffer[])[0]?.equals(tensor) === true;
  };
}

/** Asks one request after the other; every fifth is left after a time that differs. */
async function call(ask: Ask, first: number): Promise<void> {
  for (let index = first; index < requests; index += callers) {
    const leaves = index % 5 === 4 ? AbortSignal.timeout(index % 40) : undefined;
    const outcome = await ask(Buffer.alloc(bytes, index + 1), leaves).catch((error: unknown) =>
      String(error),
    );
    if (leaves === undefined) assert.equal(outcome, true, `request ${index}`);
    else assert.notEqual(outcome, false, `request ${index}`);
  }
}

async function startIdentity(test: TestContext): Promise<TestGateway> {
  const models = createModelFolder(test);
  models.addMock("identity", `instances: 2\nmock: { identity: true, width: ${width} }`);
  return startTestGateway(test, testConfig(models.path));
}

describe("large tensors", () => {
  it("come back byte for byte over both doors while callers leave and a process dies", async (test) => {
    const gateway = await startIdentity(test);
    const asks = [overHttp(gateway), overGrpc(gateway)];
    const calls = Array.from({ length: callers }, (_, first) => call(asks[first % 2]!, first));
    const [victim = 0] = gateway.pids("identity/1");
    await pause(100);
    process.kill(victim, "SIGKILL");
    await Promise.all(calls);
    await until("both instances are back", () => gateway.pids("identity/1").length === 2);
  });
});
