/** What a server is and what it serves, learnt by questions that cost no tokens. */
import type { HttpPoolOptions } from "../contracts/options.ts";
import type { ChatDialect, Operation, ServerMake } from "../core/forward.ts";
import type { HeaderList } from "../core/headers.ts";
import { asRecord, readJson } from "./ask-server.ts";
import { isAnswer, type NoAnswer, type Question, type ServerAnswer } from "../contracts/ask-server.ts";
import { retryAfterMs } from "./retry-after.ts";

/** A fact sheet as the server gave it. */
export type Card = Readonly<Record<string, unknown>>;

/** What a server said of itself. */
export interface Survey {
  readonly dialect: ChatDialect;
  readonly make: ServerMake;
  readonly version: string | undefined;
  /** By name. */
  readonly models: ReadonlyMap<string, Card | undefined>;
  /** Models in its memory; undefined: it does not tell. */
  readonly running: ReadonlyMap<string, Card> | undefined;
  readonly serves: readonly Operation[];
}

/** Why a server said nothing that can be used. `loading`: it asks for patience. */
export interface SurveyFailure {
  readonly kind: Exclude<NoAnswer["kind"], "cancelled"> | "refused" | "loading";
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;
  readonly message: string;
  /** As in `ServerError`. */
  readonly isOurs?: boolean;
}

/** Asks one server. */
export type Ask = (question: Question) => Promise<ServerAnswer | NoAnswer>;

/** What is known before the server is asked. */
export type SurveyHints = Pick<HttpPoolOptions, "dialect" | "serves" | "models">;

/** Models of one server; what it lists beyond that is left out. */
const maxModels = 2_000;
/** A card that is longer as JSON is left out. */
const maxCardLength = 32_768;
/** Longest name of a model. */
const maxNameLength = 256;

const anthropicHeaders: HeaderList = [["anthropic-version", "2023-06-01"]];

/** True for a survey that failed. */
export function isSurveyFailure(result: Survey | SurveyFailure): result is SurveyFailure {
  return "kind" in result;
}

/**
 * Asks a server what it is and serves. `known` is what it said the last time: what does not change
 * while a server runs is not asked again.
 */
export async function surveyServer(
  ask: Ask,
  hints: SurveyHints,
  known: Survey | undefined,
): Promise<Survey | SurveyFailure> {
  const dialect = hints.dialect === "auto" ? (known?.dialect ?? (await recognise(ask))) : hints.dialect;
  if (typeof dialect !== "string") return dialect;
  switch (dialect) {
    case "ollama":
      return surveyOllama(ask, hints);
    case "openai":
      return surveyOpenai(ask, hints, known);
    case "anthropic":
      return surveyAnthropic(ask, hints);
  }
}

/** Ollama has an address of its own for its version; the others differ in how they list models. */
async function recognise(ask: Ask): Promise<ChatDialect | SurveyFailure> {
  const version = await ask({ method: "GET", path: "/api/version" });
  if (!isAnswer(version)) return unanswered(version);
  if (version.status === 200 && typeof readJson(version.body)?.["version"] === "string") return "ollama";
  const list = await ask({ method: "GET", path: "/v1/models", headers: anthropicHeaders });
  if (!isAnswer(list)) return unanswered(list);
  const body = readJson(list.body);
  if (list.status !== 200 || !Array.isArray(body?.["data"])) return refused(list);
  const [first] = body["data"] as unknown[];
  return asRecord(first)?.["type"] === "model" || "has_more" in body ? "anthropic" : "openai";
}

async function surveyOllama(ask: Ask, hints: SurveyHints): Promise<Survey | SurveyFailure> {
  const [tags, ps, version] = await Promise.all([
    ask({ method: "GET", path: "/api/tags" }),
    ask({ method: "GET", path: "/api/ps" }),
    ask({ method: "GET", path: "/api/version" }),
  ]);
  const listed = readList(tags, "models", "name");
  if ("kind" in listed) return listed;
  // Ollama before 0.1.33 has no list of loaded models.
  const running = readList(ps, "models", "name");
  const said = isAnswer(version) ? readJson(version.body)?.["version"] : undefined;
  const text = typeof said === "string" ? said : undefined;
  return {
    dialect: "ollama",
    make: "ollama",
    version: text,
    models: listed.cards,
    running: "kind" in running ? undefined : withCards(running.cards),
    serves: hints.serves ?? ollamaServes(text),
  };
}

/** The OpenAI and Anthropic addresses came with versions: responses with 0.13.3, messages with 0.14.0. */
function ollamaServes(version: string | undefined): readonly Operation[] {
  const serves: Operation[] = ["chat", "completions", "embeddings"];
  if (isAtLeast(version, [0, 13, 3])) serves.push("responses");
  if (isAtLeast(version, [0, 14, 0])) serves.push("messages");
  return serves;
}

/** A version that cannot be read (`0.0.0` of an own build included) counts as new. */
function isAtLeast(version: string | undefined, wanted: readonly number[]): boolean {
  const [, text] = /^v?(\d+\.\d+\.\d+)/.exec(version ?? "") ?? [];
  if (text === undefined || text === "0.0.0") return true;
  const parts = text.split(".").map(Number);
  for (const [index, least] of wanted.entries()) {
    const part = parts[index] ?? 0;
    if (part !== least) return part > least;
  }
  return true;
}

async function surveyOpenai(
  ask: Ask,
  hints: SurveyHints,
  known: Survey | undefined,
): Promise<Survey | SurveyFailure> {
  const [list, health] = await Promise.all([
    ask({ method: "GET", path: "/v1/models" }),
    known !== undefined && !hasHealth(known.make) ? undefined : ask({ method: "GET", path: "/health" }),
  ]);
  if (health !== undefined && isAnswer(health) && health.status === 503) {
    // llama.cpp while it loads its model; vLLM once its engine is dead, which also says 503.
    const starting = /loading/i.test(health.body.toString("utf8"));
    return { ...refused(health), kind: starting ? "loading" : "refused" };
  }
  // Some servers have no list; what they serve then has to be configured.
  const unlisted = hints.models.length > 0 && isAnswer(list) && (list.status === 404 || list.status === 405);
  const listed = unlisted ? { cards: new Map<string, Card>() } : readList(list, "data", "id");
  if ("kind" in listed) return listed;
  const about = known ?? (await recogniseMake(ask, listed.cards));
  const serves = hints.serves ?? known?.serves ?? (await findServed(ask, about.make));
  const { make, version } = about;
  return { dialect: "openai", make, version, models: listed.cards, running: undefined, serves };
}

/** Of these it is known that `/health` tells of the engine. */
function hasHealth(make: ServerMake): boolean {
  return make === "vllm" || make === "sglang" || make === "llama.cpp";
}

/** The owner in a model's card names the make; only vLLM tells its version at `/version`. */
async function recogniseMake(
  ask: Ask,
  cards: ReadonlyMap<string, Card | undefined>,
): Promise<Pick<Survey, "make" | "version">> {
  const [card] = cards.values();
  switch (card?.["owned_by"]) {
    case "vllm": {
      const answer = await ask({ method: "GET", path: "/version" });
      const version = isAnswer(answer) ? readJson(answer.body)?.["version"] : undefined;
      return { make: "vllm", version: typeof version === "string" ? version : undefined };
    }
    case "sglang":
      return { make: "sglang", version: undefined };
    case "llamacpp":
      return { make: "llama.cpp", version: undefined };
    case "organization_owner":
      return { make: "lm-studio", version: undefined };
    case "openai":
    case "openai-internal":
    case "system":
      return { make: "openai", version: undefined };
    default:
      return { make: "other", version: undefined };
  }
}

/** Addresses besides those every OpenAI-compatible server has. */
const optional = [
  ["responses", "/v1/responses"],
  ["messages", "/v1/messages"],
  ["count_tokens", "/v1/messages/count_tokens"],
] as const satisfies readonly (readonly [Operation, string])[];

/**
 * An address that takes only POST answers GET with 405 where it is there. llama.cpp answers 404 either
 * way: it is sent a body that is no JSON, which no model ever sees, and says 404 only where nothing is.
 */
async function findServed(ask: Ask, make: ServerMake): Promise<readonly Operation[]> {
  const isServed = async (path: string): Promise<boolean> => {
    const question: Question =
      make === "llama.cpp"
        ? { method: "POST", path, headers: [["content-type", "application/json"]], body: Buffer.from("{") }
        : { method: "GET", path };
    const answer = await ask(question);
    if (!isAnswer(answer)) return false;
    return make === "llama.cpp" ? answer.status >= 400 && answer.status !== 404 : answer.status === 405;
  };
  const served = await Promise.all(optional.map(([, path]) => isServed(path)));
  const found = optional.filter((_, index) => served[index] === true).map(([operation]) => operation);
  return ["chat", "completions", "embeddings", ...found];
}

async function surveyAnthropic(ask: Ask, hints: SurveyHints): Promise<Survey | SurveyFailure> {
  const list = await ask({ method: "GET", path: "/v1/models?limit=1000", headers: anthropicHeaders });
  const listed = readList(list, "data", "id");
  if ("kind" in listed) return listed;
  return {
    dialect: "anthropic",
    make: "anthropic",
    version: undefined,
    models: listed.cards,
    running: undefined,
    serves: hints.serves ?? ["messages", "count_tokens"],
  };
}

/** Names and cards of a list; names beyond the bound, or that cannot be one, are left out. */
function readList(
  answer: ServerAnswer | NoAnswer,
  key: string,
  nameKey: string,
): { readonly cards: ReadonlyMap<string, Card | undefined> } | SurveyFailure {
  if (!isAnswer(answer)) return unanswered(answer);
  if (answer.status !== 200) return refused(answer);
  const body = readJson(answer.body);
  const list = body?.[key];
  // Go writes an empty list as null.
  if (!Array.isArray(list) && !(list === null && body !== undefined)) {
    return {
      kind: "malformed",
      status: 200,
      retryAfterMs: undefined,
      message: `no list of models under "${key}"`,
    };
  }
  const cards = new Map<string, Card | undefined>();
  for (const item of list ?? []) {
    const card = asRecord(item);
    const name = card?.[nameKey];
    if (card === undefined || typeof name !== "string" || !isPooledName(name)) continue;
    if (cards.size === maxModels) break;
    cards.set(name, JSON.stringify(card).length <= maxCardLength ? card : undefined);
  }
  return { cards };
}

/** True for what a server may call a model: no white space, no control characters. */
function isPooledName(name: string): boolean {
  return name.length <= maxNameLength && /^[^\s\p{C}]+$/u.test(name);
}

function withCards(cards: ReadonlyMap<string, Card | undefined>): ReadonlyMap<string, Card> {
  return new Map([...cards].map(([name, card]) => [name, card ?? {}]));
}

function unanswered({ kind, message, isOurs = false }: NoAnswer): SurveyFailure {
  const why = kind === "cancelled" ? "timeout" : kind;
  return { kind: why, message, status: undefined, retryAfterMs: undefined, isOurs };
}

function refused({ status, headers, body }: ServerAnswer): SurveyFailure {
  if (status < 400) {
    return {
      kind: "malformed",
      status,
      retryAfterMs: undefined,
      message: `an answer of status ${status} that lists no models`,
    };
  }
  const text = body.toString("utf8", 0, 200).replaceAll(/\s+/g, " ");
  return {
    kind: "refused",
    status,
    retryAfterMs: retryAfterMs(headers),
    message: `status ${status}: ${text}`,
  };
}
