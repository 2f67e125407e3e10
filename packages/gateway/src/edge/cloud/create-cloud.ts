/** The Groundlight cloud over HTTP/1.1 with keep-alive (OpenAPI 0.18; `fetch-model-urls` and `report-metrics` are for devices). */
import { readFileSync } from "node:fs";
import {
  isAnswer,
  type AskServer,
  type NoAnswer,
  type Question,
  type ServerAnswer,
} from "../../contracts/ask-server.ts";
import type {
  Cloud,
  CloudCallOptions,
  CloudFailure,
  CloudHealth,
  CloudLabelSubmission,
  CloudModelInfo,
  CloudPage,
  CloudSubmission,
  ForwardedCall,
} from "../../contracts/cloud.ts";
import type { ConnectionFactory, ServerConnection, ServerRequest } from "../../contracts/connection.ts";
import type { EdgeCloudOptions } from "../../contracts/edge-options.ts";
import type { Logger } from "../../contracts/telemetry.ts";
import type { Clock } from "../../core/clock.ts";
import type { Detector, ImageQuery, JsonObject, JsonValue } from "../../core/detector.ts";
import { failure, GatewayError, isFailure, type Failure } from "../../core/errors.ts";
import type { HeaderList } from "../../core/headers.ts";
import { readHttpAddress } from "../../core/http-address.ts";
import type { WireAnswer } from "../../core/wire-answer.ts";
import { readDetector, readModelInfo } from "../../dialects/groundlight/detector.ts";
import { membersOf } from "../../dialects/groundlight/fields.ts";
import {
  readImageQuery,
  readPage,
  writeLabel,
  writeSubmissionQuery,
} from "../../dialects/groundlight/image-query.ts";
import { cloudFailure, describeAnswer, failureOfSilence, failureOfStatus } from "./cloud-failure.ts";
import { CloudWatch } from "./cloud-watch.ts";
import { isOwnKey, requestHeadersForCloud, responseHeadersOfCloud } from "./forwarded-headers.ts";

/** What the client needs. */
export interface CloudParts {
  readonly options: EdgeCloudOptions;
  readonly connect: ConnectionFactory;
  readonly ask: AskServer;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of Spillway, for `User-Agent`. */
  readonly version: string;
}

const api = "/device-api/v1";
/** Largest answer of the cloud that is read into memory: a page of 100 queries with boxes, or a picture that is forwarded. */
const maxAnswerBytes = 16 * 2 ** 20;
/** Calls on their way at once; each has a connection. */
const maxCalls = 256;
const forwardable: readonly string[] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
/** Calls that may reach the cloud twice and mean the same. */
const repeatable: readonly string[] = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"];

/** A question and its bounds. */
interface Call extends Question {
  /** Sent twice it means the same: a kept connection that the cloud was just closing costs no failure. */
  readonly repeatable: boolean;
}

/** Connects when called. Throws a `GatewayError` where the address is none or the file of the authority cannot be read. */
export function createCloud(parts: CloudParts): Cloud {
  return new GroundlightCloud(parts);
}

class GroundlightCloud implements Cloud {
  readonly address: string;
  readonly #parts: CloudParts;
  readonly #connection: ServerConnection;
  readonly #watch: CloudWatch;
  #calls = 0;
  #isClosed = false;

  constructor(parts: CloudParts) {
    const { options, connect, clock, logger } = parts;
    const address = readHttpAddress(options.origin);
    if (address === undefined)
      throw new GatewayError("internal", `The cloud's address must be https://host, got ${options.origin}`);
    this.#parts = parts;
    this.address = address.origin;
    this.#connection = connect({
      origin: address.origin,
      // The client's habit of naming the API's folder in the address is no other place.
      basePath: address.basePath.replace(/\/device-api$/, ""),
      address: undefined,
      socketPath: address.socketPath,
      headers: [],
      ca: options.ca === undefined ? undefined : readAuthority(options.ca),
      serverName: undefined,
      connectTimeoutMs: options.connectTimeoutMs,
    });
    this.#watch = new CloudWatch(clock);
    this.#watch.listen(({ state, reason, since }, before) => {
      const { address } = this;
      if (state === "unreachable") logger.warn("cloud_unreachable", { address, reason });
      else if (before.state === "unknown") logger.info("cloud_reachable", { address });
      // As loud as what it ends.
      else logger.warn("cloud_reachable", { address, awayMs: since - before.since });
    });
  }

  health(): CloudHealth {
    return this.#watch.health;
  }

  onHealthChange(listener: (health: CloudHealth) => void): void {
    this.#watch.listen(listener);
  }

  submit(submission: CloudSubmission, options: CloudCallOptions): Promise<ImageQuery | CloudFailure> {
    const call: Call = {
      method: "POST",
      path: `${api}/image-queries?${writeSubmissionQuery(submission)}`,
      headers: [["content-type", submission.mediaType]],
      body: submission.picture,
      repeatable: true,
    };
    return this.#read(call, options, readImageQuery);
  }

  imageQuery(id: string, options: CloudCallOptions): Promise<ImageQuery | CloudFailure> {
    return this.#read(get(`/image-queries/${encodeURIComponent(id)}`), options, readImageQuery);
  }

  async addLabel(label: CloudLabelSubmission, options: CloudCallOptions): Promise<undefined | CloudFailure> {
    const answer = await this.#good(post("/labels", writeLabel(label), true), options);
    return isServerAnswer(answer) ? undefined : answer;
  }

  detector(id: string, options: CloudCallOptions): Promise<Detector | CloudFailure> {
    return this.#read(get(`/detectors/${encodeURIComponent(id)}`), options, readDetector);
  }

  detectors(
    { page, pageSize }: { readonly page: number; readonly pageSize: number },
    options: CloudCallOptions,
  ): Promise<CloudPage<Detector> | CloudFailure> {
    const call = get(`/detectors?page=${page}&page_size=${pageSize}`);
    return this.#read(call, options, (json) => readPage(json, readDetector));
  }

  me(options: CloudCallOptions): Promise<JsonObject | CloudFailure> {
    return this.#read(get("/me"), options, readObject);
  }

  modelInfo(detectorId: string, options: CloudCallOptions): Promise<CloudModelInfo | CloudFailure> {
    const call = get(`/edge/fetch-model-urls/${encodeURIComponent(detectorId)}/`);
    return this.#read(call, options, readModelInfo);
  }

  async reportMetrics(payload: JsonValue, options: CloudCallOptions): Promise<undefined | CloudFailure> {
    const answer = await this.#good(post("/edge/report-metrics", payload, false), options);
    return isServerAnswer(answer) ? undefined : answer;
  }

  async forward(call: ForwardedCall, options: CloudCallOptions): Promise<WireAnswer | CloudFailure> {
    const method = call.method.toUpperCase();
    if (!isForwardable(method))
      return cloudFailure("refused", `${method.slice(0, 20)} is not forwarded to the cloud`);
    if (isOwnKey(decoded(call.path)))
      return cloudFailure("refused", "An address with a key of this gateway is not forwarded to the cloud");
    const given = call.headers.find(([name]) => name === "x-api-token")?.[1];
    const answer = await this.#send(
      {
        method,
        path: call.path,
        headers: requestHeadersForCloud(call.headers),
        ...(call.body.byteLength > 0 && { body: call.body }),
        repeatable: repeatable.includes(method),
      },
      { ...options, token: options.token ?? given },
    );
    if (!isServerAnswer(answer)) return answer;
    const { status, headers, body } = answer;
    return { status, headers: responseHeadersOfCloud(headers), body: [body] };
  }

  close(): void {
    this.#isClosed = true;
    this.#connection.close();
  }

  /** The value of a good answer. */
  async #read<T extends object>(
    call: Call,
    options: CloudCallOptions,
    read: (json: unknown) => T | Failure,
  ): Promise<T | CloudFailure> {
    const answer = await this.#good(call, options);
    if (!isServerAnswer(answer)) return answer;
    const value = read(parse(answer.body));
    if (!isFailure(value)) return value;
    const detail = parse(answer.body) === undefined ? describeAnswer(answer) : value.message;
    const unreadable = cloudFailure("unreadable", detail, answer.status);
    this.#watch.failed(unreadable);
    return unreadable;
  }

  /** A 2xx answer. */
  async #good(call: Call, options: CloudCallOptions): Promise<ServerAnswer | CloudFailure> {
    const answer = await this.#send(call, options);
    if (!isServerAnswer(answer) || (answer.status >= 200 && answer.status < 300)) return answer;
    return failureOfStatus(answer, this.#parts.clock.wallNow());
  }

  /** Any answer of an HTTP server. */
  async #send(call: Call, options: CloudCallOptions): Promise<ServerAnswer | CloudFailure> {
    if (this.#isClosed) return cloudFailure("unreachable", "The gateway is shutting down");
    if (this.#calls >= maxCalls)
      return cloudFailure("unavailable", `More than ${maxCalls} calls of the cloud are on their way`);
    const token = this.#token(options.token);
    if (typeof token === "object") return token;
    this.#calls += 1;
    const headers = headersOf(call.headers ?? [], {
      "user-agent": `Spillway/${this.#parts.version}`,
      "x-api-token": token,
      "x-request-id": options.requestId,
    });
    const answer = await this.#attempt({ ...call, headers }, options);
    this.#calls -= 1;
    if (isAnswer(answer)) {
      if (answer.status < 500) this.#watch.answered();
      else this.#watch.failed(failureOfStatus(answer, this.#parts.clock.wallNow()));
      return answer;
    }
    const failed = failureOfSilence(answer);
    if (answer.kind !== "cancelled") this.#watch.failed(failed);
    return failed;
  }

  async #attempt(call: Call, options: CloudCallOptions): Promise<ServerAnswer | NoAnswer> {
    const { ask, clock } = this.#parts;
    const { cancellation } = options;
    const startedAt = clock.now();
    const bounds = { clock, maxBytes: maxAnswerBytes, cancellation, timeoutMs: options.timeoutMs };
    const first = await ask(this.#connection, call, bounds);
    if (isAnswer(first) || first.kind !== "closed" || first.begun || !call.repeatable) return first;
    const timeoutMs = options.timeoutMs - (clock.now() - startedAt);
    if (timeoutMs <= 0) return first;
    return ask(this.#connection, { ...call, needsNewConnection: true }, { ...bounds, timeoutMs });
  }

  /** A caller's token, unless it is a key of this gateway; else the device's; undefined where there is none. */
  #token(given: string | undefined): string | undefined | CloudFailure {
    if (given !== undefined && given !== "" && !isOwnKey(given)) return given;
    try {
      return this.#parts.options.token?.reveal((path) => readFileSync(path, "utf8"));
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      return cloudFailure("unauthorized", `The token for the cloud cannot be read: ${text}`);
    }
  }
}

/** A caller's own `User-Agent` stays: the cloud counts its clients by it. */
function headersOf(given: HeaderList, added: Readonly<Record<string, string | undefined>>): HeaderList {
  const kept = given.filter(([name]) => name === "user-agent" || added[name] === undefined);
  const names = new Set(kept.map(([name]) => name));
  const more = Object.entries(added).flatMap(([name, value]) =>
    value === undefined || names.has(name) ? [] : [[name, value] as const],
  );
  return [...kept, ...more];
}

function get(path: string): Call {
  return { method: "GET", path: api + path, repeatable: true };
}

function post(path: string, json: JsonValue, mayRepeat: boolean): Call {
  return {
    method: "POST",
    path: api + path,
    headers: [["content-type", "application/json"]],
    body: Buffer.from(JSON.stringify(json), "utf8"),
    repeatable: mayRepeat,
  };
}

function isServerAnswer(answer: ServerAnswer | CloudFailure): answer is ServerAnswer {
  return !("failed" in answer);
}

function isForwardable(method: string): method is ServerRequest["method"] {
  return forwardable.includes(method);
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}

function readObject(json: unknown): JsonObject | Failure {
  const object = membersOf(json);
  // What a JSON parser gave holds JSON values only.
  return object === undefined
    ? failure("bad_upstream_answer", "the answer is no JSON object")
    : (object as JsonObject);
}

function readAuthority(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new GatewayError("internal", `The certificate authority of the cloud cannot be read: ${text}`, {
      cause,
    });
  }
}
