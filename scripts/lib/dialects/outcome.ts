// What becomes of a caller's field on the way to a server of another dialect, found by translating an example.
import { isFailure, type Failure } from "../../../packages/gateway/src/core/errors.ts";
import type { AttemptTarget, ChatDialect } from "../../../packages/gateway/src/core/forward.ts";
import {
  anthropicMessages,
  anthropicServer,
} from "../../../packages/gateway/src/dialects/anthropic/codecs.ts";
import type { CallerCodec, WrittenRequest } from "../../../packages/gateway/src/dialects/chat/codec.ts";
import {
  ollamaChat,
  ollamaGenerate,
  ollamaServer,
} from "../../../packages/gateway/src/dialects/ollama/codecs.ts";
import { ollamaEmbed } from "../../../packages/gateway/src/dialects/ollama/embeddings.ts";
import { openAiChat, openAiResponses } from "../../../packages/gateway/src/dialects/openai/openai-callers.ts";
import { openAiServer } from "../../../packages/gateway/src/dialects/openai/openai-server.ts";
import {
  chatExamples,
  messagesExamples,
  responsesExamples,
  type Example,
  type Examples,
} from "./examples.ts";
import {
  ollamaChatExamples,
  ollamaEmbedExamples,
  ollamaGenerateExamples,
  optionExamples,
} from "./ollama-examples.ts";

/** `carried`: in the server's words; `dropped`: without it, which changes no answer or is said in the guide; a failure: 400. */
export type Outcome = "carried" | "dropped" | Failure;

/** One API of callers, with the servers that it is translated for. */
export interface CallerApi {
  readonly title: string;
  readonly servers: readonly ChatDialect[];
  /** A body that every server takes. */
  readonly base: Readonly<Record<string, unknown>>;
  readonly examples: Examples;
  /** Examples of the members of one member. */
  readonly nested?: { readonly name: string; readonly examples: Examples };
  readonly write: (body: object, dialect: ChatDialect) => WrittenRequest | Failure;
}

const servers = { openai: openAiServer, ollama: ollamaServer, anthropic: anthropicServer };

function chat(caller: CallerCodec): CallerApi["write"] {
  return (body, dialect) => {
    const request = caller.readChat(Buffer.from(JSON.stringify(body)));
    return isFailure(request) ? request : servers[dialect].writeChatRequest(request, targetOf(dialect));
  };
}

function targetOf(dialect: ChatDialect): AttemptTarget {
  return { dialect, model: "m", serves: [] };
}

const said = [{ role: "user", content: "Hi" }];
const options = { name: "options", examples: optionExamples };

/** Every API that is translated. */
export const callerApis: readonly CallerApi[] = [
  {
    title: "OpenAI: `POST /v1/chat/completions`",
    servers: ["anthropic"],
    base: { model: "m", messages: said },
    examples: chatExamples,
    write: chat(openAiChat),
  },
  {
    title: "OpenAI: `POST /v1/responses`",
    servers: ["ollama", "openai", "anthropic"],
    base: { model: "m", input: "Hi" },
    examples: responsesExamples,
    write: chat(openAiResponses),
  },
  {
    title: "Anthropic: `POST /v1/messages`",
    servers: ["ollama", "openai"],
    base: { model: "m", messages: said, max_tokens: 9 },
    examples: messagesExamples,
    write: chat(anthropicMessages),
  },
  {
    title: "Ollama: `POST /api/chat`",
    servers: ["openai", "anthropic"],
    base: { model: "m", messages: said },
    examples: ollamaChatExamples,
    nested: options,
    write: chat(ollamaChat),
  },
  {
    title: "Ollama: `POST /api/generate`",
    servers: ["openai", "anthropic"],
    base: { model: "m", prompt: "Hi" },
    examples: ollamaGenerateExamples,
    nested: options,
    write: chat(ollamaGenerate),
  },
  {
    title: "Ollama: `POST /api/embed`",
    servers: ["openai"],
    base: { model: "m", input: "Hi" },
    examples: ollamaEmbedExamples,
    write: (body, dialect) => {
      const request = ollamaEmbed.readRequest(Buffer.from(JSON.stringify(body)));
      if (isFailure(request)) return request;
      const { embeddings } = servers[dialect];
      if (embeddings === undefined) throw new Error(`${dialect} has no embeddings`);
      return embeddings.writeRequest(request, targetOf(dialect));
    },
  },
];

/** An example of a field, with what becomes of it at each of the API's servers. */
export interface FieldRow {
  readonly field: string;
  readonly example: Example;
  readonly outcomes: readonly Outcome[];
}

/** Translates every example of an API. */
export function fieldRows(api: CallerApi): FieldRow[] {
  const { examples, nested } = api;
  const own = Object.entries(examples).flatMap(([field, list]) =>
    list.map((example) => row(api, field, { example, wrap: (value) => ({ [field]: value }) })),
  );
  if (nested === undefined) return own;
  const inner = Object.entries(nested.examples).flatMap(([field, list]) =>
    list.map((example) =>
      row(api, `${nested.name}.${field}`, {
        example,
        wrap: (value) => ({ [nested.name]: { [field]: value } }),
      }),
    ),
  );
  return [...own, ...inner];
}

function row(
  api: CallerApi,
  field: string,
  { example, wrap }: { readonly example: Example; readonly wrap: (value: unknown) => object },
): FieldRow {
  const start = { ...api.base, ...example.needs };
  const without = "without" in example ? { ...start, ...wrap(example.without) } : start;
  const outcomes = api.servers.map((dialect): Outcome => {
    const plain = api.write(without, dialect);
    const told = api.write({ ...start, ...wrap(example.value) }, dialect);
    if (isFailure(told)) return told;
    return !isFailure(plain) && isSameRequest(plain, told) ? "dropped" : "carried";
  });
  return { field, example, outcomes };
}

function isSameRequest(one: WrittenRequest, other: WrittenRequest): boolean {
  return one.path === other.path && Buffer.compare(one.body, other.body) === 0;
}
