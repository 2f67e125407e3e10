/** A gateway with an edge endpoint for integration tests: the model `digits` in a real worker, a data directory of its own. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { startCloud, type CloudSimulator } from "@spillway/simulator";
import { parseConfig } from "../../packages/gateway/src/config/with-plugins.ts";
import type { GatewayConfig } from "../../packages/gateway/src/app/options.ts";
import {
  createModelFolder,
  repositoryRoot,
  startTestGateway,
  testConfig,
  type TestGateway,
} from "./gateway.ts";

/** The detectors of the built-in configuration. */
export const whichDigit = "det_WhichDigitIsThis00000000000";
/** "Is this a seven?" */
export const isSeven = "det_IsThisASeven000000000000000";

/** The device's token of `startDigitCloud`. */
export const deviceToken = "api_device_token_000001";

/** A simulated cloud that knows `whichDigit` and answers every picture with 8. */
export async function startDigitCloud(test: Pick<TestContext, "after">): Promise<CloudSimulator> {
  const cloud = await startCloud({
    tokens: [deviceToken],
    truth: () => ({ label: "8", confidence: 0.99 }),
    detectors: [
      {
        id: whichDigit,
        name: "which-digit",
        query: "Which digit is this?",
        mode: "MULTI_CLASS",
        modeConfiguration: { class_names: Array.from({ length: 10 }, (_, value) => String(value)) },
      },
    ],
  });
  test.after(() => cloud.close());
  return cloud;
}

/** A picture of a digit, PNG. */
export function digit(value: number): Buffer {
  return readFileSync(join(repositoryRoot, `models/digits/samples/${value}.png`));
}

/** The key `edge` of a `spillway.yaml`, compiled. */
export function edgeOptions(edge: object): NonNullable<GatewayConfig["edge"]> {
  const result = parseConfig(JSON.stringify({ edge }), { directory: repositoryRoot, environment: {} });
  if ("errors" in result) throw new Error(result.errors.join("\n"));
  if (result.config.edge === undefined) throw new Error("no edge");
  return result.config.edge;
}

/** An answer with its JSON. */
export interface EdgeAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

/** A gateway under test. */
export interface EdgeGateway extends TestGateway {
  /** Address of the listener for cameras. */
  readonly edgeUrl: string;
  /** `POST /device-api/v1/image-queries`. */
  ask(
    detector: string,
    picture: Uint8Array,
    options?: { readonly query?: string; readonly headers?: Record<string, string> },
  ): Promise<EdgeAnswer>;
  /** Any other call; a body is sent as JSON. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<EdgeAnswer>;
}

/** What a test may set. */
export interface EdgeGatewayOptions {
  /** Default: the built-in detectors, no cloud. */
  readonly edge?: object;
  readonly config?: Partial<GatewayConfig>;
  /** Default: a new folder that goes away with the test. */
  readonly dataFolder?: string;
  /** Default: the model `digits`. */
  readonly models?: string;
}

/** A data directory that goes away with the test. */
export function createDataFolder(test: Pick<TestContext, "after">): string {
  const folder = mkdtempSync(join(tmpdir(), "spillway-edge-"));
  test.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts it. Ends with the test. */
export async function startEdgeGateway(
  test: Pick<TestContext, "after">,
  { edge = {}, config = {}, dataFolder = createDataFolder(test), models }: EdgeGatewayOptions = {},
): Promise<EdgeGateway> {
  const folder = models ?? digitsFolder(test);
  const base = testConfig(folder);
  const [door] = base.http;
  if (door === undefined) throw new Error("no listener");
  const gateway = await startTestGateway(
    test,
    { ...base, http: [door, { ...door, edge: true }], edge: edgeOptions(edge), ...config },
    { dataFolder },
  );
  const edgeUrl = `http://127.0.0.1:${gateway.listening.http[1]?.port}`;
  const send = async (path: string, init: RequestInit): Promise<EdgeAnswer> => {
    const response = await fetch(edgeUrl + path, init);
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.startsWith("application/json") === true;
    const body = isJson ? (JSON.parse(text) as Record<string, unknown>) : { text };
    return { status: response.status, headers: response.headers, body };
  };
  return {
    ...gateway,
    edgeUrl,
    ask: (detector, picture, { query = "", headers = {} } = {}) =>
      send(`/device-api/v1/image-queries?detector_id=${detector}${query === "" ? "" : `&${query}`}`, {
        method: "POST",
        headers: { "content-type": "image/png", ...headers },
        body: new Uint8Array(picture),
      }),
    call: (method, path, body, headers = {}) =>
      send(path, {
        method,
        headers: body === undefined ? headers : { "content-type": "application/json", ...headers },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }),
  };
}

function digitsFolder(test: Pick<TestContext, "after">): string {
  const folder = createModelFolder(test);
  folder.addBuiltin("digits");
  return folder.path;
}
