/** What a face is: routes, the shape of its errors, and the world behind it. */
import type { Clock } from "../clock.ts";
import type { ModelHost } from "../engine/model-host.ts";
import type { Model } from "../model-spec.ts";
import type { Random } from "../random.ts";
import type { ErrorAnswer, ErrorStyle, Exchange } from "../server/exchange.ts";
import type { AnswerWish } from "../text/answer.ts";
import type { Alphabet } from "../text/words.ts";
import type { ModelMetrics } from "./vllm/model-metrics.ts";

/** The names of the servers there are. */
export const faceNames = ["ollama", "vllm", "openai", "anthropic", "groundlight"] as const;

/** The servers there are. */
export type FaceName = (typeof faceNames)[number];

/** What all routes of a server share. */
export interface World {
  readonly clock: Clock;
  readonly host: ModelHost;
  /** By the name clients use. */
  readonly models: Map<string, Model>;
  readonly metrics: ReadonlyMap<string, ModelMetrics>;
  readonly random: Random;
  readonly seed: number;
  readonly alphabet: Alphabet;
  /** What the server says it is; undefined: the newest that is simulated. */
  readonly version: string | undefined;
  /** Keys that callers must show; none: everyone may call. */
  readonly apiKeys: readonly string[];
  /** Requests answered with content at this moment. */
  readonly load: { active: number };
  /** What the model is to say, by the one who started the simulator. */
  readonly answer: (request: { readonly path: string; readonly body: unknown }) => AnswerWish | undefined;
}

/** Parameters in a route's path, by name. */
export type PathParameters = Readonly<Record<string, string>>;

/** One method and path. `:name` stands for one part of the path, `*name` for the rest. */
export interface FaceRoute {
  readonly method: string;
  readonly path: string;
  handle(exchange: Exchange, parameters: PathParameters): void;
}

/** A server's public side. */
export interface Face {
  readonly name: FaceName;
  readonly errors: ErrorStyle;
  /** Errors of a path, where a server has more than one API. */
  errorsOf?(path: string): ErrorStyle;
  readonly routes: readonly FaceRoute[];
  /** Routes under `/simulator/` that only this face has. */
  readonly control?: readonly FaceRoute[];
  /** Longer bodies are refused with a proxy's 413. Default: no bound. */
  readonly maxBodyBytes?: number;
  /** Refuses a request before anything else is looked at; undefined lets it in. */
  guard?(exchange: Exchange): ErrorAnswer | undefined;
  /** What is said to a path that is not there. */
  readonly notFound: (exchange: Exchange) => void;
  /** What is said to a path that is there for other methods. `allow`: those, with commas. */
  readonly notAllowed: (exchange: Exchange, allow: string) => void;
}

/** Wraps a JSON value in an SSE frame. */
export function sse(value: unknown, event?: string): string {
  return `${event === undefined ? "" : `event: ${event}\n`}data: ${JSON.stringify(value)}\n\n`;
}

/** Headers of an SSE answer. */
export const SSE_TYPE = "text/event-stream; charset=utf-8";

/** Whether a version is another one or came after it; both are numbers with points between them. */
export function isAtLeast(version: string, other: string): boolean {
  return version.localeCompare(other, "en", { numeric: true }) >= 0;
}
