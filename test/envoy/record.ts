/**
 * Writes test/fixtures/extproc: what a real Envoy sends over ext_proc, byte for byte. A relay stands between Envoy and
 * the picker. Run by hand when deploy/envoy or the version of Envoy changes:
 *   node scripts/run.mjs test/envoy/record.ts
 */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { Client, credentials, Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { startSimulator } from "@spillway/simulator";
import { startEnvoy } from "../harness/envoy.ts";
import { startPicker } from "../harness/extproc-picker.ts";
import { startCall, type ForwardAsk } from "../harness/forward-call.ts";
import { repositoryRoot } from "../harness/gateway.ts";

const process = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";
const health = "/grpc.health.v1.Health/Check";
const same = (bytes: Buffer): Buffer => bytes;

/** Streams as they came, each message in base64. */
interface Relay {
  readonly port: number;
  readonly streams: string[][];
  close(): void;
}

function startRelay(picker: string): Promise<Relay> {
  const client = new Client(picker, credentials.createInsecure());
  const streams: string[][] = [];
  const server = new Server();
  const bytes = {
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  server.addService(
    {
      process: { ...bytes, path: process, requestStream: true, responseStream: true },
      check: { ...bytes, path: health, requestStream: false, responseStream: false },
    },
    {
      process(call: ServerDuplexStream<Buffer, Buffer>) {
        const messages: string[] = [];
        streams.push(messages);
        const onward = client.makeBidiStreamRequest(process, same, same);
        call.on("data", (message: Buffer) => {
          messages.push(message.toString("base64"));
          onward.write(message);
        });
        call.on("end", () => onward.end());
        call.on("cancelled", () => onward.cancel());
        onward.on("data", (reply: Buffer) => call.write(reply));
        onward.on("end", () => call.end());
        onward.on("error", () => call.end());
      },
      // SERVING
      check: (_call: unknown, done: (error: null, reply: Buffer) => void) => done(null, Buffer.from([8, 1])),
    },
  );
  return new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
      const close = (): void => {
        server.forceShutdown();
        client.close();
      };
      if (error === null) resolve({ port, streams, close });
      else reject(error);
    });
  });
}

const chat = (more: object): ForwardAsk => ({
  path: "/v1/chat/completions",
  body: { model: "a", messages: [{ role: "user", content: "hello" }], max_tokens: 5, ...more },
});

const buffered = {
  request_body_mode: "BUFFERED",
  response_body_mode: "BUFFERED",
  request_trailer_mode: "SKIP",
  response_trailer_mode: "SKIP",
};

/** What is recorded, by the name of its file. */
const recordings: Readonly<Record<string, { readonly asks: ForwardAsk; readonly mode?: typeof buffered }>> = {
  chat: { asks: chat({}) },
  "chat-streamed": { asks: chat({ stream: true }) },
  "chat-large": { asks: chat({ user: "x".repeat(140_000) }) },
  "chat-buffered": { asks: chat({}), mode: buffered },
  "chat-refused": { asks: { path: "/v1/chat/completions", body: "{" } },
};

for (const [name, { asks, mode }] of Object.entries(recordings)) {
  test(`records ${name}`, async (t) => {
    const simulator = await startSimulator({ face: "vllm", models: ["a"] });
    t.after(() => simulator.close());
    const { address } = await startPicker(t, {
      pools: { pool: { dialect: "auto", endpoints: [simulator.url] } },
    });
    const relay = await startRelay(address);
    t.after(() => relay.close());
    const setup = { pickerPort: relay.port, plainText: true, bufferBytes: 1_048_576 };
    const envoy = await startEnvoy(t, mode === undefined ? setup : { ...setup, mode });
    if (envoy === undefined) return;
    await startCall(envoy.url, asks).ended();
    const folder = path.join(repositoryRoot, "test/fixtures/extproc");
    mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, `${name}.json`), `${JSON.stringify(relay.streams[0], undefined, 2)}\n`);
  });
}
