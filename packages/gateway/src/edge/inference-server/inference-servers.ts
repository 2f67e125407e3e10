/** Groundlight's inference servers as local models: `POST /infer` with the picture, `GET /health/ready`. */
import {
  isAnswer,
  type AskServer,
  type NoAnswer,
  type Question,
  type ServerAnswer,
} from "../../contracts/ask-server.ts";
import type { ConnectionFactory, ServerConnection } from "../../contracts/connection.ts";
import type {
  LocalInference,
  LocalModel,
  LocalModelState,
  LocalQuestion,
} from "../../contracts/local-inference.ts";
import { Cancellation } from "../../core/cancellation.ts";
import type { Clock } from "../../core/clock.ts";
import type { LocalAnswer } from "../../core/detector.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import { combined } from "../local/out-of-domain.ts";
import { readForeignness, readInference } from "./read-inference.ts";

/** What they are reached with. */
export interface InferenceServerParts {
  readonly connect: ConnectionFactory;
  readonly ask: AskServer;
  readonly clock: Clock;
}

/** Models with a `server`; of another one nothing is known. */
export interface InferenceServers extends LocalInference {
  /** Ends connections. Idempotent. */
  close(): void;
}

const connectTimeoutMs = 1_000;
const probeTimeoutMs = 2_000;
/** What a probe found holds for so long, ms. */
const freshMs = 5_000;
/** An answer about one picture is small; parsing more would hold the loop. */
const maxAnswerBytes = 256 * 1024;
const maxServers = 1_000;

/** Connects when a model is first asked or looked at. */
export function createInferenceServers(parts: InferenceServerParts): InferenceServers {
  const servers = new Map<string, InferenceServer>();
  const serverAt = (url: string): InferenceServer => {
    const known = servers.get(url);
    if (known !== undefined) return known;
    const [oldest] = servers;
    if (servers.size >= maxServers && oldest !== undefined) {
      servers.delete(oldest[0]);
      oldest[1].close();
    }
    const made = new InferenceServer(url, parts);
    servers.set(url, made);
    return made;
  };
  return {
    state: (model) => stateOf(model, serverAt),
    infer: (question) => infer(question, serverAt),
    close() {
      for (const server of servers.values()) server.close();
      servers.clear();
    },
  };
}

/** The models of servers among all local ones. */
export function withInferenceServers(others: LocalInference, servers: InferenceServers): LocalInference {
  const of = ({ server }: LocalModel): LocalInference => (server === undefined ? others : servers);
  return {
    state: (model) => of(model).state(model),
    infer: (question) => of(question.model).infer(question),
  };
}

type ServerAt = (url: string) => InferenceServer;

function urlsOf({ server }: LocalModel): string[] {
  if (server === undefined) return [];
  return server.outOfDomainUrl === undefined ? [server.url] : [server.url, server.outOfDomainUrl];
}

function stateOf(model: LocalModel, serverAt: ServerAt): LocalModelState {
  const problems = urlsOf(model).map((url) => serverAt(url).problem);
  const reason = problems.find((problem) => problem !== undefined);
  if (problems.length > 0 && reason === undefined) return { ready: true, reason: "", version: serverVersion };
  return { ready: false, reason: reason ?? "it names no server", version: undefined };
}

/** The server does not say which version answered. */
const serverVersion = "server";

async function infer(question: LocalQuestion, serverAt: ServerAt): Promise<LocalAnswer | Failure> {
  const { detector, model, cancellation } = question;
  const { server, name, labels } = model;
  if (server === undefined) return failure("model_unavailable", `The model ${name} names no server`);
  // Each call takes a cancellation's only listener.
  const calls = urlsOf(model).map(() => new Cancellation());
  cancellation.listen((reason) => {
    for (const call of calls) call.cancel(reason);
  });
  const [primary, oodd] = await Promise.all(
    urlsOf(model).map((url, at) => serverAt(url).infer(question, calls[at] ?? new Cancellation())),
  );
  cancellation.listen(undefined);
  if (primary === undefined || isFailure(primary)) return primary ?? failure("model_unavailable");
  const read = readInference(detector, labels, primary.value);
  if (isFailure(read)) return read;
  const answer: LocalAnswer = { ...read, model: { name, version: serverVersion }, computeMs: undefined };
  if (oodd === undefined) return answer;
  if (isFailure(oodd)) return oodd;
  const outOfDomain = readForeignness(oodd.value);
  if (typeof outOfDomain !== "number") return outOfDomain;
  return { ...answer, outOfDomain, confidence: combined(answer, detector.mode, outOfDomain) };
}

interface Inferred {
  readonly value: unknown;
}

/** One server: its connections and how it is. */
class InferenceServer {
  readonly #parts: InferenceServerParts;
  readonly #connection: ServerConnection;
  readonly #basePath: string;
  #problem: string | undefined = "it has not answered yet";
  #checkedAt = -Infinity;
  #isProbing = false;
  #isClosed = false;

  constructor(url: string, parts: InferenceServerParts) {
    const { origin, pathname } = new URL(url);
    this.#parts = parts;
    this.#basePath = pathname.replace(/\/$/, "");
    this.#connection = parts.connect({
      origin,
      basePath: this.#basePath,
      address: undefined,
      socketPath: undefined,
      headers: [],
      ca: undefined,
      serverName: undefined,
      connectTimeoutMs,
    });
  }

  /** Why it cannot answer; undefined when it can. Asks again where what is known is old. */
  get problem(): string | undefined {
    const { clock } = this.#parts;
    if (clock.now() - this.#checkedAt > freshMs) void this.#probe();
    return this.#problem;
  }

  async infer(
    { picture, mediaType, timeoutMs, requestId }: LocalQuestion,
    cancellation: Cancellation,
  ): Promise<Inferred | Failure> {
    // A server that was out of reach a moment ago costs nobody a connect timeout.
    if (this.#problem !== undefined && this.#checkedAt !== -Infinity && this.problem !== undefined)
      return failure("model_unavailable", `The inference server is not ready: ${this.#problem}`);
    const result = await this.#ask(
      {
        method: "POST",
        path: "/infer",
        headers: [
          ["content-type", mediaType],
          ["x-request-id", requestId],
        ],
        body: picture,
      },
      timeoutMs,
      cancellation,
    );
    if (!isAnswer(result)) return this.#noAnswer(result);
    this.#note(undefined);
    const text = result.body.toString("utf8");
    if (result.status !== 200)
      return failure("model_failed", `The inference server answered ${result.status}: ${text.slice(0, 200)}`);
    try {
      return { value: JSON.parse(text) };
    } catch {
      return failure("bad_upstream_answer", "The inference server's answer is not JSON");
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#connection.close();
  }

  #noAnswer({ kind, message }: NoAnswer): Failure {
    switch (kind) {
      case "cancelled":
        return failure("client_gone");
      case "timeout":
        return failure("upstream_timeout", `The inference server: ${message}`);
      case "malformed":
        return failure("bad_upstream_answer", `The inference server: ${message}`);
      default:
        this.#note(message);
        return failure("upstream_unreachable", `The inference server cannot be reached: ${message}`);
    }
  }

  #note(problem: string | undefined): void {
    this.#problem = problem;
    this.#checkedAt = this.#parts.clock.now();
  }

  async #probe(): Promise<void> {
    if (this.#isProbing || this.#isClosed) return;
    this.#isProbing = true;
    const result = await this.#ask({ method: "GET", path: "/health/ready" }, probeTimeoutMs);
    this.#isProbing = false;
    if (!isAnswer(result)) this.#note(result.message);
    else this.#note(result.status === 200 ? undefined : `/health/ready answered ${result.status}`);
  }

  /** Once more where the server closed a kept connection: asking twice changes nothing there. */
  async #ask(
    question: Question,
    timeoutMs: number,
    cancellation?: Cancellation,
  ): Promise<ServerAnswer | NoAnswer> {
    const { ask, clock } = this.#parts;
    const startedAt = clock.now();
    const options = { clock, maxBytes: maxAnswerBytes, cancellation };
    const first = await ask(this.#connection, question, { ...options, timeoutMs });
    if (isAnswer(first) || first.kind !== "closed" || first.begun) return first;
    const left = timeoutMs - (clock.now() - startedAt);
    if (left <= 0 || this.#isClosed) return first;
    return ask(this.#connection, { ...question, needsNewConnection: true }, { ...options, timeoutMs: left });
  }
}
